//! What the host keeps between calls: certificates, instances, products, orders and assets.

mod certificate_store;
mod certificates;
mod instances;
mod orders;
mod record;
mod services;

//! Tests of what the host keeps between calls: certificates, instances, products, orders and assets.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that they can't serve"
)]

mod acts;
mod alerts;
mod cancellations;
mod certificate_requests;
mod certificate_store;
mod certificates;
mod charges;
mod chosen_mails;
mod customers;
mod database;
mod finding;
mod host_keys;
mod instance_changes;
mod instances;
mod mail;
mod mail_copies;
mod mail_servers;
mod order_lines;
mod orders;
mod outbox;
mod outcomes;
mod pfx_files;
mod pfx_writer;
mod platforms;
mod plugins;
mod product_type_collection;
mod products;
mod quantities;
mod record;
mod restorations;
mod runs;
mod secrets;
mod sellers;
mod services;
mod shrunk_catalogs;
mod smtp_server;
mod spending;
mod tenants;
mod webhooks;
mod withdrawals;
mod worker;

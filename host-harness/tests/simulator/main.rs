//! The simulator, as a client on a real socket sees it.

mod catalog;
mod client;
mod entra;
mod faults;
mod license_return;
mod openapi;
mod purchase;
mod restart;
mod schema;
mod tls;

//! The simulator, as a client on a real socket sees it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where its helpers fail"
)]

mod catalog;
mod client;
mod entra;
mod faults;
mod http2;
mod license_return;
mod openapi;
mod plain_http;
mod purchase;
mod restart;
mod schema;
mod tls;

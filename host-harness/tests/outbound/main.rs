//! The way out of a sandbox, as servers on real sockets see it.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that they can't serve"
)]

mod caller;
mod causes;
mod connect_proxy;
mod deadlines;
mod guest;
mod guest_requests;
mod http2;
mod misdirected;
mod permits;
mod pool;
mod proxy;
mod server;

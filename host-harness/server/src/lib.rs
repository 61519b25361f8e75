//! The host over HTTP: an API for billing platforms, whatever they are written in. The page for their makers is `docs/api.md`.
//!
//! A surface like the command line: the same functions, views, error codes and rights, and no decision of its own. The way of a
//! request is `listener.rs` (TLS, HTTP, limits), `observation.rs` (its id, the log, metrics), `access.rs` (who asks, and may), then
//! the file of its route.

mod access;
mod acts;
mod alerts;
mod answer;
mod assets;
mod body;
mod cancellations;
mod catalog;
mod certificate;
mod certificates;
mod charges;
mod events;
mod failed_tries;
mod fields;
mod health;
mod html;
mod instances;
mod interworks;
mod limits;
mod listener;
mod lists;
mod mails;
mod measures;
mod observation;
mod openapi;
mod orders;
mod problem;
mod products;
mod read_id;
mod reference;
mod request_error;
mod request_headers;
mod request_id;
mod routes;
mod server;
mod services_runs;
mod settings;
mod state;

pub use certificate::{CertificateError, CertificateFiles};
pub use limits::Limits;
pub use routes::{OpenTo, ROUTES, Route};
pub use server::{Served, Server, ServerError, ServerOptions, Transport};

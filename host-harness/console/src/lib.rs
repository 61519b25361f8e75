//! The operator's console: pages in a browser, for operators who sign in.
//!
//! A surface like the command line and the API: the same functions, views, error codes and rights, and no decision of its own. The way
//! of a request is `guard.rs` (from where it is sent, who is signed in, and may), then the file of its page, which asks the host and
//! hands views to a template. Every text is in `texts/en.toml`, every page in `templates`, all looks in `static/console.css`.

mod answer;
mod charts;
mod console;
mod failure;
mod first_license;
mod form;
mod guard;
mod instance_path;
mod me;
mod pages;
mod query;
mod refusal;
mod router;
mod same_origin;
mod session_cookie;
mod sign_in_tries;
mod static_files;
mod templates;
mod texts;

pub use console::{Console, ConsoleOptions, Peer};
pub use pages::{OpenTo, PAGES, Page};

//! What all pages share.

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;
use host_harness::Host;
use minijinja::context;
use tokio::sync::Semaphore;

use crate::answer;
use crate::failure::Failure;
use crate::sign_in_tries::SignInTries;
use crate::templates::Templates;
use crate::texts::Texts;

/// The address that a request came from, which the server puts into its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// What a console is given by its server.
#[derive(Clone, Debug)]
pub struct ConsoleOptions {
    /// The turns of requests that may change something: each holds one until its change is done, whether its browser waits or not.
    pub changes: Arc<Semaphore>,
    /// The turns at making or unlocking a key: each takes a processor for seconds, whoever asks.
    pub key_work: Arc<Semaphore>,
    /// Bytes of the body of a request.
    pub body_bytes: usize,
}

/// The console of a host. Cloning it shares it.
#[derive(Clone, Debug)]
pub struct Console {
    pub(crate) host: Host,
    pub(crate) options: ConsoleOptions,
    pub(crate) texts: Arc<Texts>,
    pub(crate) templates: Arc<Templates>,
    pub(crate) tries: Arc<SignInTries>,
    /// The turns of forms of people who are not signed in.
    pub(crate) strangers: Arc<Semaphore>,
}

/// Forms of people who are not signed in that are taken at once.
const STRANGERS: usize = 32;

impl Console {
    /// The console of a host.
    pub fn new(host: Host, options: ConsoleOptions) -> Self {
        let texts = Arc::new(Texts::english());
        Self {
            host,
            options,
            templates: Arc::new(Templates::new(Arc::clone(&texts))),
            texts,
            tries: Arc::default(),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
        }
    }

    /// The page of a failure for whoever is not signed in.
    pub(crate) fn failed(&self, failure: &Failure) -> Response {
        let html = self.templates.render("failure.html", context! { failure });
        answer::page(
            failure.status(),
            html.unwrap_or_else(|_| failure.code().to_owned()),
        )
    }
}

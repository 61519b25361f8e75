//! `serve`: the API, with the worker beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bss_model::ErrorKind;
use bss_server::{CertificateFiles, Limits, Served, Server, ServerOptions, Transport};
use clap::Args;
use host_harness::{Host, view};
use serde::Serialize;
use tokio::sync::watch;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::{is_on_a_terminal, operator};
use super::interruption::Interruption;
use super::service_manager::ServiceManager;
use super::worker::{Work, WorkArguments};
use super::{output, show};

/// The name of the first administrator, as long as nobody has made another.
const FIRST: &str = "admin";

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// The address and the port to listen at; port 0 is one that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The file of the server's certificate with its chain, in PEM, which is read again when it changes. On loopback one is made
    /// where none is named
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The file of the certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Speak HTTP without TLS, on loopback alone: for what is behind a proxy of this machine
    #[arg(long, conflicts_with_all = ["certificate", "key"])]
    plain_http: bool,
    /// Serve the API alone, without the console
    #[arg(long)]
    no_console: bool,
    /// Print the first administrator's invitation also where nobody is at a terminal, and it may be kept in a log
    #[arg(long, conflicts_with = "no_console")]
    invite: bool,
    /// Only serve, and leave all work to `bss-host run`
    #[arg(long)]
    no_work: bool,
    #[command(flatten)]
    work: WorkArguments,
}

/// The server, for a program that has started it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listening {
    url: String,
    address: SocketAddr,
    /// The SHA-256 of the certificate. `None`: plain HTTP is spoken.
    certificate_sha256: Option<String>,
    /// The file of the certificate that clients trust. `None`: plain HTTP is spoken.
    certificate_file: Option<PathBuf>,
    /// The address at which operators sign in. `None`: there is no console.
    pub(super) console_url: Option<String>,
    /// The address at which the first administrator chooses a password, once, within a day. `None`: somebody can sign in already.
    pub(super) invitation_url: Option<String>,
}

/// Serves, and works, until it is interrupted.
pub(super) async fn run(host: &Host, data_dir: &Path, arguments: &ServeArguments, json: bool) -> Outcome {
    run_told(host, data_dir, arguments, json, tell).await
}

/// Serves as [`run`] does, and has its readers told by a function where it listens.
pub(super) async fn run_told(
    host: &Host,
    data_dir: &Path,
    arguments: &ServeArguments,
    json: bool,
    tell: impl FnOnce(&Listening),
) -> Outcome {
    let mut interruption = Interruption::listen()?;
    let manager = ServiceManager::of_environment();
    let work = match arguments.no_work {
        true => None,
        false => Some(Work::prepare(host, &arguments.work, json).await?),
    };
    let pulse = work.as_ref().map(|work| Arc::clone(&work.pulse));
    let files = certificate_files(data_dir, arguments)?;
    let options = ServerOptions {
        listen: arguments.listen,
        transport: match &files {
            Some(files) => Transport::Tls(files.clone()),
            None => Transport::PlainHttp,
        },
        limits: Limits::default(),
        worker: pulse.clone(),
        console: !arguments.no_console,
    };
    let server = Server::bind(host, options).await?;
    // An invitation makes its reader an administrator, so that it is none for a log.
    let is_read = json || arguments.invite || is_on_a_terminal();
    let invited = match arguments.no_console || !is_read {
        true => None,
        false => host.invite_first_administrator(FIRST, &operator()).await?,
    };
    let is_closed = !arguments.no_console && invited.is_none() && !host.record().has_operator().await?;
    let listening = listening(&server, files, !arguments.no_console, invited.as_ref());
    match json {
        true => show::json(&listening)?,
        false => tell(&listening),
    }
    if is_closed {
        output::note(
            "nobody can sign in at the console yet: `bss-host operator create NAME --role administrator --reveal` invites somebody",
        );
    }
    let worker = work.as_ref().map(|work| host.start_worker(work.options.clone()));
    manager.ready("serving");
    let feeding = manager.feed(pulse);
    let (stopping, stopped) = watch::channel(false);
    let serve = async {
        let served = server.serve(told(stopped.clone())).await;
        // A server that has failed is waited for by nobody.
        let _ = stopping.send(true);
        served
    };
    let stop = async {
        tokio::select! {
            () = interruption.asked() => {}
            () = told(stopped.clone()) => {}
        }
        manager.stopping();
        // Both receivers are in this function, and outlive the sender.
        let _ = stopping.send(true);
    };
    let end_work = async {
        told(stopped.clone()).await;
        // A purchase that is cut off is looked up by the next worker; how long to wait is the service manager's to say.
        if let Some(worker) = worker {
            worker.stop(Duration::MAX).await;
        }
    };
    let (served, (), ()) = tokio::join!(serve, stop, end_work);
    drop(feeding);
    if let Some(work) = work {
        work.end().await?;
    }
    output::note(match served? {
        Served::CutOff => {
            "told to stop; requests that did not end in time were cut off: what they asked for is on record, or was not done"
        }
        Served::Done => "told to stop; everything that was under way has ended",
    });
    Ok(ExitStatus::Done)
}

/// The files of the certificate. `None`: plain HTTP is spoken.
fn certificate_files(
    data_dir: &Path,
    arguments: &ServeArguments,
) -> Result<Option<CertificateFiles>, Failure> {
    match (&arguments.certificate, &arguments.key) {
        _ if arguments.plain_http => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(CertificateFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        })),
        (Some(_), None) | (None, Some(_)) => Err(Failure::usage(
            "a certificate and its key come together: `--certificate` and `--key`, or `serve.certificate` and `serve.key`",
        )),
        _ if arguments.listen.ip().to_canonical().is_loopback() => {
            Ok(Some(CertificateFiles::for_loopback(data_dir)?))
        }
        _ => {
            let message = format!(
                "to listen at `{}`, which is no loopback address, a certificate is needed",
                arguments.listen
            );
            let hint = "name one with `--certificate` and its key with `--key`";
            Err(Failure::new(ErrorKind::Invalid, "server-certificate-missing", message).hint(hint))
        }
    }
}

/// Where the server listens, which certificate it shows, and how operators sign in, where there is a console.
fn listening(
    server: &Server,
    files: Option<CertificateFiles>,
    has_console: bool,
    invited: Option<&view::InvitedOperator>,
) -> Listening {
    let scheme = if files.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", server.address());
    Listening {
        console_url: has_console.then(|| format!("{url}/console/")),
        invitation_url: invited.map(|invited| format!("{url}{}", invited.invitation.expose())),
        url,
        address: server.address(),
        certificate_sha256: server.fingerprint(),
        certificate_file: files.map(|files| files.certificate),
    }
}

/// Says where the server listens.
fn tell(listening: &Listening) {
    output::line(format!("listening at {}", listening.url));
    if let (Some(sha256), Some(file)) = (&listening.certificate_sha256, &listening.certificate_file) {
        output::note(format!(
            "the certificate is `{}`, SHA-256 {sha256}",
            file.display()
        ));
    }
    if let Some(console) = &listening.console_url {
        output::note(format!("operators sign in at {console}"));
    }
    if let Some(invitation) = &listening.invitation_url {
        output::note(format!(
            "nobody can sign in yet: the first administrator, `{FIRST}`, chooses a password at {invitation} once, within a day; \
             `bss-host operator create` makes others"
        ));
    }
}

/// Waits until the program is told to stop.
async fn told(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

//! `acme-keys-vendor`: Acme's server as a process, which a test can kill.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use acme_keys_vendor::{Options, Vendor, read_ledger, write_private};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// The server of the made-up vendor Acme Keys.
#[derive(Parser)]
#[command(
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Option<Serve>,
}

/// Serves until SIGTERM; the first line on the standard output says where, once it is ready.
#[derive(Args)]
struct Serve {
    /// The port on 127.0.0.1; 0 is one that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where ledger, keys and certificates are kept.
    #[arg(long)]
    folder: PathBuf,
    /// Sell no license twice to one client id.
    #[arg(long)]
    idempotent: bool,
    /// How long purchases and returns take; they are carried out half-way through.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    answer_after_ms: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Print every purchase as a line of JSON.
    Ledger {
        /// The server's folder.
        #[arg(long)]
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match (arguments.command, arguments.serve) {
        (Some(Command::Ledger { folder }), _) => {
            for sold in read_ledger(&folder)? {
                print(&serde_json::to_string(&sold)?)?;
            }
            Ok(())
        }
        (None, Some(serve)) => run(serve).await,
        (None, None) => Ok(()),
    }
}

async fn run(serve: Serve) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let vendor = Vendor::start(Options {
        folder: Some(serve.folder.clone()),
        port: serve.port,
        idempotent: serve.idempotent,
        answer_after: Duration::from_millis(serve.answer_after_ms),
    })
    .await?;
    let account = match vendor.accounts().into_iter().next() {
        Some(account) => account,
        None => vendor.new_account()?.number,
    };
    let [authority_file, api_key_file] = ["authority.pem", "api-key"].map(|name| serve.folder.join(name));
    write_private(&authority_file, vendor.authority_pem())?;
    if !api_key_file.exists() {
        write_private(&api_key_file, &vendor.new_key(&account)?)?;
    }
    let ready = json!({
        "url": vendor.url(),
        "authorityFile": authority_file,
        "account": account,
        "apiKeyFile": api_key_file,
    });
    print(&ready.to_string())?;
    terminate.recv().await;
    Ok(())
}

fn print(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

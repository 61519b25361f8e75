//! `shop DATA_DIR PLUGIN DATABASE`: serves the shop on a free port until it is told to stop.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use example_shop::Shop;
use host_harness::{Host, WorkOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long the shop takes to stop at most: less than whoever stops it waits before it kills.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut argument = || arguments.next().context("usage: shop DATA_DIR PLUGIN DATABASE");
    let (data_dir, plugin, database) = (argument()?, argument()?, argument()?);
    // The shop mails its customers itself, and has its own prices.
    let builder = Host::builder(data_dir).plugin_file(plugin);
    let host = builder.mails(false).charges(false).open().await?;
    let shop = Shop::open(host.clone(), &database).await?;
    let worker = host.start_worker(WorkOptions::default());
    let running = tokio::spawn(shop.clone().run());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    announce(&listener)?;
    let mut told = signal(SignalKind::terminate())?;
    let stop = async move {
        told.recv().await;
    };
    axum::serve(listener, shop.router())
        .with_graceful_shutdown(stop)
        .await?;
    running.abort();
    tracing::info!(stopped = ?worker.stop(STOPS_WITHIN).await, "the worker ended");
    host.close().await;
    Ok(())
}

/// Tells whoever has started the shop where it is reached.
fn announce(listener: &TcpListener) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    Ok(out.flush()?)
}

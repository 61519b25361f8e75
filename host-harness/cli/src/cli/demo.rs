//! The main job from end to end, against a simulator of its own: what an operator would do, and would see.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context;
use bss_keys::PfxCode;
use bss_model::{
    Actor, Asset, AssetFilter, Choice, Contact, Decision, ErrorKind, Instance, LicenseSecrets, NewInstance,
    Page, Party, Price, Product, ProductFilter, Reach, Thumbprint,
};
use bss_simulator::{CertificateRequest, Details, LedgerEntry, Simulator, SimulatorOptions};
use clap::Args;
use host_harness::{Host, OfPlugin, OrderRequest, view};
use serde::Serialize;
use uuid::Uuid;

use super::assets;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, machine_failure};
use super::output::{self, Table, Text};
use super::pfx::{self, Maker};
use super::progress::listener;
use super::services::{run_line, run_view};
use super::show::{self, Ids};
use super::simulator::start_simulator;

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Show product keys and activation links unmasked
    #[arg(long)]
    pub(super) show_keys: bool,
    /// Only start what the console needs, with a simulated Microsoft, and serve until Ctrl-C: the browser does the rest
    #[arg(long, conflicts_with = "show_keys")]
    pub(super) console: bool,
}

/// The demo's instance.
const INSTANCE: &str = "contoso-esd-de";

/// Runs the demo. It is done only if the record and the simulator's ledger agree on every license.
pub(super) async fn run(plugin: &Path, arguments: &DemoArguments, json: bool) -> Outcome {
    let folder = tempfile::tempdir()
        .context("a temporary directory can't be created")
        .map_err(machine_failure)?;
    let steps = Steps {
        json,
        count: std::cell::Cell::new(0),
    };
    let started = start_simulator(SimulatorOptions::new(folder.path().join("microsoft"))).await;
    let simulator = started.map_err(machine_failure)?;
    let details = simulator.details();
    steps.start(
        "A simulator of Microsoft is running",
        &[
            ("license service", details.service_url.clone()),
            ("Entra", details.login_authority.clone()),
            (
                "certificates",
                "issued by the simulator's own authority; TLS with client certificates".to_owned(),
            ),
        ],
    );

    let host = Host::builder(folder.path().join("bss"))
        .plugin_file(plugin)
        .create()
        .await?;
    let thumbprint = import(&host, &simulator, folder.path(), &steps).await?;
    let ready = configure(&host, details, &thumbprint, &steps).await?;
    let run = host.fetch_services(INSTANCE, &actor(), listener()).await?;
    steps.start("Get Services Definition", &[("products", run_line(&run))]);

    let assets = order(&host, &steps).await?;
    let secrets = assets::secrets(&host, &assets).await?;
    let masked = BTreeMap::new();
    let shown = if arguments.show_keys { &secrets } else { &masked };
    steps.table(&show::asset_table(&assets, shown, Ids::Short));
    let ledger = simulator.ledger().await.map_err(machine_failure)?;
    let seen = ServerSeen::of(&simulator, &ledger);
    steps.start(
        "What the simulator saw",
        &[
            ("client certificate", seen.client_certificate_thumbprint.clone()),
            ("licenses issued", seen.licenses_issued.to_string()),
            ("connections", seen.connections.to_string()),
        ],
    );
    let status = compare(&assets, &secrets, &ledger, &seen, &thumbprint, &steps);
    if json {
        show::json(&DemoResult {
            instance: ready,
            services_run: run_view(&host, run.run, INSTANCE).await?,
            assets: host
                .asset_views(&assets, show::keys(arguments.show_keys, &actor()))
                .await?,
            server: seen,
        })?;
    }
    simulator.stop().await;
    status
}

/// Results of the demo, and what the simulator saw of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DemoResult {
    instance: view::Instance,
    services_run: view::ServicesRun,
    assets: Vec<view::Asset>,
    server: ServerSeen,
}

async fn import(
    host: &Host,
    simulator: &Simulator,
    folder: &Path,
    steps: &Steps,
) -> Result<Thumbprint, Failure> {
    let issued = simulator
        .issue_client_certificate(&CertificateRequest::default())
        .map_err(machine_failure)?;
    let (file, code) = (folder.join("contoso.pfx"), uuid::Uuid::new_v4().to_string());
    let maker = pfx::write(&issued, &code, &file).map_err(machine_failure)?;
    let bytes = std::fs::read(&file)
        .with_context(|| format!("PFX file `{}` can't be read", file.display()))
        .map_err(machine_failure)?;
    let imported = host
        .record()
        .certificates()
        .import(&bytes, &PfxCode::new(code), &actor())
        .await?;
    let installed = imported.installed;
    let made = match maker {
        Maker::OpenSsl => "contoso.pfx, made by openssl pkcs12 -export",
        Maker::Library => "contoso.pfx, made by a library, since openssl is not installed",
    };
    steps.start(
        "The certificate is imported; its private key stays with the host",
        &[
            ("PFX file", made.to_owned()),
            ("subject", installed.subject.clone()),
            ("thumbprint", installed.thumbprint.to_string()),
        ],
    );
    Ok(installed.thumbprint)
}

/// An instance that may ask the simulator for everything, and nobody else.
pub(super) fn instance_to_make(name: &str, details: &Details) -> Result<NewInstance, Failure> {
    let pem = std::fs::read_to_string(&details.ca_file)
        .context("the simulator's file of certificate authorities can't be read");
    Ok(NewInstance {
        owner: None,
        name: name.to_owned(),
        currency: "EUR".to_owned(),
        options: [("login-authority".to_owned(), details.login_authority.clone())].into(),
        reach: Reach {
            trusted_authorities_pem: Some(pem.map_err(machine_failure)?),
            // The simulator listens on this machine only.
            allowed_networks: vec![
                ipnet::Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into(),
                ipnet::Ipv6Net::new_assert(std::net::Ipv6Addr::LOCALHOST, 128).into(),
            ],
            ..Reach::default()
        },
        plugin: None,
    })
}

/// Fills in the form as its two stages ask for it.
async fn configure(
    host: &Host,
    details: &Details,
    thumbprint: &Thumbprint,
    steps: &Steps,
) -> Result<view::Instance, Failure> {
    let instance = instance_to_make(INSTANCE, details)?;
    host.create_instance(instance, OfPlugin::Only, &actor()).await?;
    let credentials = [
        ("system-name", INSTANCE.to_owned()),
        ("resource-api", details.resource_api.clone()),
        ("service-url", details.service_url.clone()),
        ("tenant", details.tenant.to_string()),
        ("channel-id", details.channel_id.clone()),
        ("client-id", details.client_id.to_string()),
    ];
    stage(host, credentials, "The form, first stage: the credentials", steps).await?;
    let selection = [
        ("certificate-thumbprint", thumbprint.to_string()),
        ("country", "DE".to_owned()),
        ("language", "de-DE".to_owned()),
    ];
    stage(
        host,
        selection,
        "The form, second stage: certificate, country, language",
        steps,
    )
    .await
}

async fn stage<const N: usize>(
    host: &Host,
    typed: [(&str, String); N],
    title: &str,
    steps: &Steps,
) -> Result<view::Instance, Failure> {
    let typed: BTreeMap<String, String> = typed.map(|(id, value)| (id.to_owned(), value)).into();
    let instance = host.instance(INSTANCE).await?;
    let shown = instance.configure(&typed, &actor()).await?;
    if !shown.saved {
        return Err(Failure::form(&shown.form));
    }
    steps.start(title, &[]);
    steps.table(&show::form_table(&shown.form));
    steps.detail("state", &shown.instance.state);
    for authority in &shown.instance.authorities {
        let how = if authority.client_certificate {
            "with the certificate"
        } else {
            "without a certificate"
        };
        steps.detail("may reach", &format!("{} {how}", authority.name));
    }
    Ok(shown.instance)
}

/// Orders two licenses of the first product and one of the second, as a customer of this country would buy them.
async fn order(host: &Host, steps: &Steps) -> Result<Vec<Asset>, Failure> {
    let instance = host.named_instance(INSTANCE).await?;
    let products = host
        .record()
        .products(instance.id, &ProductFilter::default(), &Page::all())
        .await?
        .rows;
    let mut sold = products.iter().filter(|product| allows(product, 2));
    let (Some(first), Some(second)) = (sold.next(), sold.next()) else {
        return Err(Failure::new(
            ErrorKind::Unavailable,
            "demo",
            "the catalog has fewer than two products to order",
        ));
    };
    for (product, minor_units) in [(first, 24_900), (second, 43_900)] {
        sell(host, &instance, product, minor_units).await?;
    }
    let customer = Party {
        id: "C-1001".to_owned(),
        name: "Beispiel GmbH".to_owned(),
        country: "DE".to_owned(),
    };
    let contact = Contact {
        email: "it@beispiel.example".to_owned(),
        language: "de-DE".to_owned(),
    };
    let request = OrderRequest::new(customer)
        .mail_to(contact)
        .line(&first.offered.code, 2)
        .line(&second.offered.code, 1);
    let buying = host.heard_by(listener()).instance(INSTANCE).await?;
    let order = buying.place(request, &actor()).await?.into_order();
    order.settle().await?;
    steps.start(
        "Three licenses are ordered for Beispiel GmbH",
        &[
            ("2 of", format!("{}  {}", first.offered.code, first.offered.name)),
            (
                "1 of",
                format!("{}  {}", second.offered.code, second.offered.name),
            ),
        ],
    );
    let filter = AssetFilter {
        order: Some(order.id().into()),
        ..AssetFilter::default()
    };
    let assets = host.record().assets(&filter, &Page::all()).await?.rows;
    for reason in show::asset_reasons(&assets) {
        steps.detail("not bought", &reason);
    }
    Ok(assets)
}

/// The actor in the demo's record.
pub(super) fn actor() -> Actor {
    Actor::operator("demo")
}

/// Activates a product at a price, so that it can be ordered, as its operator would.
async fn sell(host: &Host, instance: &Instance, product: &Product, minor_units: i64) -> Result<(), Failure> {
    let codes = [product.offered.code.clone()];
    let price = Price {
        currency: instance.currency.clone(),
        minor_units,
    };
    host.record()
        .set_prices(instance.id, &codes, &price, &actor())
        .await?;
    host.record()
        .decide_products(
            instance.id,
            Decision::Activate,
            &Choice::Codes(codes.into()),
            &actor(),
        )
        .await?;
    Ok(())
}

fn allows(product: &Product, quantity: u32) -> bool {
    !product.discontinued
        && product.offered.min_quantity <= 1
        && product.offered.max_quantity.is_none_or(|max| quantity <= max)
}

/// Connections and licenses as the simulator knows them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerSeen {
    client_certificate_thumbprint: String,
    licenses_issued: usize,
    connections: usize,
}

impl ServerSeen {
    fn of(simulator: &Simulator, ledger: &[LedgerEntry]) -> Self {
        let connections = simulator.connections();
        let thumbprints: BTreeSet<String> = connections
            .iter()
            .map(|seen| seen.client_certificate_thumbprint.clone())
            .collect();
        Self {
            client_certificate_thumbprint: thumbprints.into_iter().collect::<Vec<_>>().join(", "),
            licenses_issued: ledger.len(),
            connections: connections.len(),
        }
    }
}

/// Compares the record with the simulator's ledger. The demo is done only if every license that was issued is on
/// record and the other way round, bought by the right identity.
fn compare(
    assets: &[Asset],
    secrets: &BTreeMap<Uuid, LicenseSecrets>,
    ledger: &[LedgerEntry],
    seen: &ServerSeen,
    thumbprint: &Thumbprint,
    steps: &Steps,
) -> Outcome {
    let recorded: BTreeSet<_> = assets
        .iter()
        .map(|asset| {
            let secrets = secrets.get(&asset.id);
            (
                asset.client_transaction_id.to_string(),
                secrets.map(|secrets| secrets.product_key.expose().to_owned()),
            )
        })
        .collect();
    let issued: BTreeSet<_> = ledger
        .iter()
        .map(|entry| {
            (
                entry.client_transaction_id.to_string(),
                Some(entry.product_key.expose().to_owned()),
            )
        })
        .collect();
    if recorded != issued || assets.len() != ledger.len() {
        return Err(Failure::new(
            ErrorKind::Unavailable,
            "demo",
            "the host's record and the simulator's ledger differ in their licenses",
        ));
    }
    if seen.client_certificate_thumbprint != thumbprint.to_string() {
        return Err(Failure::new(
            ErrorKind::Unavailable,
            "demo",
            "the simulator saw another client certificate than the instance's",
        ));
    }
    steps.done(&format!(
        "the record has all {} licenses of the simulator's ledger, each once, and no other",
        ledger.len()
    ));
    Ok(ExitStatus::Done)
}

/// Shows the demo's steps as they happen: on the standard output, or, for a program that reads JSON there,
/// on the standard error.
struct Steps {
    json: bool,
    count: std::cell::Cell<usize>,
}

impl Steps {
    fn start(&self, title: &str, details: &[(&str, String)]) {
        self.count.set(self.count.get() + 1);
        self.say("");
        self.say(show::bold(&format!("{}.", self.count.get())).and(show::bold(title)));
        for (name, value) in details {
            self.detail(name, value);
        }
    }

    fn detail(&self, name: &str, value: &str) {
        self.say(Text::from("  ").and(show::dim(&format!("{name:<19}"))).and(value));
    }

    fn table(&self, table: &Table) {
        for line in table.lines() {
            self.say(Text::from("  ").and(line));
        }
    }

    fn done(&self, text: &str) {
        self.say("");
        self.say(show::green("✓").and(text));
    }

    fn say(&self, text: impl Into<Text>) {
        if self.json {
            output::note(text)
        } else {
            output::line(text)
        }
    }
}

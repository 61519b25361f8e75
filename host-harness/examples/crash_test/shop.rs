//! The shop under test: an instance that is ready to sell, and its customers' orders.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bss_keys::PfxCode;
use bss_model::{
    Actor, AssetFilter, BillingFilter, Choice, Contact, Decision, MailDelivery, MailFilter, MailSettings,
    MailState, NewInstance, NewLine, Page, Party, Price, ProductFilter, Reach,
};
use bss_simulator::read_ledger;
use host_harness::{Host, OrderRequest, Unfinished};
use mail_parser::MessageParser;
use uuid::Uuid;

use crate::comparison::{License, Line};
use crate::processes::{Details, LOOK_UP_ONLY, Places};

const INSTANCE: &str = "esd";

/// The actor that runs the shop.
fn actor() -> Actor {
    Actor::operator("crash-test")
}

/// The languages that customers read, one after the other.
const LANGUAGES: [&str; 3] = ["de-DE", "en-US", "el-GR"];

/// A host on which an instance sells two products.
pub(crate) struct Shop {
    host: Host,
    products: [String; 2],
}

impl Shop {
    /// Sets the host up as an operator does, from the PFX file to products with a price.
    pub(crate) async fn open(places: &Places, microsoft: &Details) -> Result<Self> {
        let host = Host::open(&places.data_dir(), &places.plugin).await?;
        host.record().set_look_up_only(LOOK_UP_ONLY, &actor()).await?;
        let pfx = std::fs::read(&microsoft.pfx_file).context("the PFX file can't be read")?;
        let code = PfxCode::new(microsoft.pfx_code.clone());
        host.record().certificates().import(&pfx, &code, &actor()).await?;
        let authority = std::fs::read_to_string(&microsoft.ca_file)?;
        host.record()
            .create_instance(
                NewInstance {
                    name: INSTANCE.to_owned(),
                    currency: "EUR".to_owned(),
                    options: [("login-authority".to_owned(), microsoft.login_authority.clone())].into(),
                    reach: Reach {
                        trusted_authorities_pem: Some(authority),
                        // The simulator listens on this machine only.
                        allowed_networks: vec![
                            ipnet::Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into(),
                            ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
                        ],
                        ..Reach::default()
                    },
                    plugin: None,
                },
                &actor(),
            )
            .await?;
        let credentials = [
            ("system-name", INSTANCE),
            ("resource-api", &microsoft.resource_api),
            ("service-url", &microsoft.service_url),
            ("tenant", &microsoft.tenant),
            ("channel-id", &microsoft.channel_id),
            ("client-id", &microsoft.client_id),
        ];
        configure(&host, &credentials).await?;
        let selection = [
            ("certificate-thumbprint", microsoft.thumbprint.as_str()),
            ("country", "DE"),
            ("language", "de-DE"),
        ];
        configure(&host, &selection).await?;
        host.fetch_services(INSTANCE, &actor(), Arc::new(|_| ())).await?;
        host.configure_mail(
            MailSettings {
                from: "Shop <shop@example.com>".to_owned(),
                delivery: MailDelivery::Directory(places.mails()),
                templates: None,
            },
            &actor(),
        )
        .await?;
        let products = sell_two(&host).await?;
        Ok(Self { host, products })
    }

    /// Opens the host again, after its record was replaced.
    pub(crate) async fn opened_again(places: &Places, products: [String; 2]) -> Result<Self> {
        let host = Host::open(&places.data_dir(), &places.plugin).await?;
        Ok(Self { host, products })
    }

    /// Closes the record, so that it can be replaced, and returns the products.
    pub(crate) async fn close(self) -> [String; 2] {
        self.host.record().clone().close().await;
        self.products
    }

    /// Makes a backup of the record.
    pub(crate) async fn backup(&self, file: &Path) -> Result<()> {
        self.host.record().backup(file).await?;
        Ok(())
    }

    /// Says that no other copy of the record goes on.
    pub(crate) async fn adopt(&self) -> Result<()> {
        self.host.record().adopt(&actor()).await?;
        Ok(())
    }

    /// Releases the e-mails that are held back and that no customer has, as an operator does who looks into the mail
    /// server's log. Returns their number.
    pub(crate) async fn release_unsent(&self, mailed: &HashSet<Uuid>) -> Result<usize> {
        let filter = MailFilter {
            state: Some(MailState::Held),
            ..MailFilter::default()
        };
        let held = self.host.record().mails(&filter, &Page::all()).await?.rows;
        let mut released = 0;
        for mail in held.iter().filter(|mail| !mailed.contains(&mail.asset_id)) {
            self.host.record().retry_mail(mail.id, &actor()).await?;
            released += 1;
        }
        Ok(released)
    }

    /// Order lines that are not settled, and e-mails that are to be sent.
    pub(crate) async fn unfinished(&self) -> Result<Unfinished> {
        Ok(self.host.unfinished().await?)
    }

    /// Places orders of one license each.
    pub(crate) async fn order(&self, numbers: std::ops::Range<u32>) -> Result<()> {
        for number in numbers {
            let [first, second] = &self.products;
            let product = if number % 2 == 0 { first } else { second };
            let language = LANGUAGES.iter().cycle().nth(number as usize % LANGUAGES.len());
            let request = OrderRequest {
                customer: Party {
                    id: format!("C-{number}"),
                    name: format!("Kunde {number} GmbH"),
                    country: "DE".to_owned(),
                },
                contact: Contact {
                    email: format!("kunde-{number}@example.com"),
                    language: language.copied().unwrap_or("en").to_owned(),
                },
                reseller: None,
                lines: vec![NewLine {
                    product_code: product.clone(),
                    quantity: 1,
                }],
                idempotency_key: Some(number.to_string()),
            };
            self.host.place_order(INSTANCE, request, &actor()).await?;
        }
        Ok(())
    }

    /// The asset of each invoice line.
    pub(crate) async fn charged(&self) -> Result<Vec<Uuid>> {
        let filter = BillingFilter::default();
        let invoices = self.host.record().invoices(&filter, &Page::all()).await?.rows;
        let lines = invoices.iter().flat_map(|invoice| &invoice.lines);
        Ok(lines.map(|line| line.asset_id).collect())
    }

    /// All order lines as they are on record.
    pub(crate) async fn lines(&self) -> Result<Vec<Line>> {
        let record = self.host.record();
        let assets = record.assets(&AssetFilter::default(), &Page::all()).await?.rows;
        let ids: Vec<Uuid> = assets.iter().map(|asset| asset.id).collect();
        let mut secrets = record.show_license_secrets(&ids, &actor()).await?;
        let lines = assets.into_iter().map(|asset| {
            let purchase = asset.client_transaction_id.to_string();
            let license = secrets.remove(&asset.id).map(|secrets| License {
                client_transaction_id: purchase.clone(),
                transaction_id: asset.transaction_id.unwrap_or_default(),
                license_token_id: asset.license_token_id.unwrap_or_default(),
                product_key: secrets.product_key,
            });
            Line {
                asset_id: asset.id,
                client_transaction_id: purchase,
                license,
            }
        });
        Ok(lines.collect())
    }
}

/// The asset of each e-mail that a customer got; nil for an e-mail that does not have the asset's product key in it.
pub(crate) fn mailed(places: &Places, lines: &[Line]) -> Result<Vec<Uuid>> {
    let license_of = |line: &Line| Some((line.asset_id, line.license.clone()?));
    let licenses: HashMap<Uuid, License> = lines.iter().filter_map(license_of).collect();
    let mut mailed = Vec::new();
    for path in mail_files(places)? {
        let bytes = std::fs::read(&path)?;
        let mail = MessageParser::default()
            .parse(&bytes)
            .context("an e-mail can't be read")?;
        let asset_id = mail.message_id().and_then(asset_of);
        let text = mail.body_text(0).unwrap_or_default();
        let is_right = |id: &Uuid| {
            let license = licenses.get(id);
            license.is_some_and(|license| text.contains(license.product_key.expose()))
        };
        mailed.push(asset_id.filter(is_right).unwrap_or_default());
    }
    Ok(mailed)
}

/// The files of e-mails, those that were sent among them.
fn mail_files(places: &Places) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in [places.mails(), places.sent()] {
        if directory.exists() {
            for entry in std::fs::read_dir(directory)? {
                files.push(entry?.path());
            }
        }
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
    Ok(files)
}

/// Moves the e-mails away, as a program does that sends them. An e-mail that is written once more is another file then.
pub(crate) fn send_mails(places: &Places, round: usize) -> Result<()> {
    std::fs::create_dir_all(places.sent())?;
    for entry in std::fs::read_dir(places.mails())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".eml") {
            std::fs::rename(entry.path(), places.sent().join(format!("{round}-{name}")))?;
        }
    }
    Ok(())
}

/// The asset that a Message-ID names: `welcome-ASSET@DOMAIN`.
fn asset_of(message_id: &str) -> Option<Uuid> {
    let (name, _) = message_id.split_once('@')?;
    name.strip_prefix("welcome-")?.parse().ok()
}

/// All licenses that the simulator has issued.
pub(crate) async fn ledger(places: &Places) -> Result<Vec<License>> {
    let entries = read_ledger(&places.simulator()).await?;
    let licenses = entries.into_iter().map(|entry| License {
        client_transaction_id: entry.client_transaction_id,
        transaction_id: entry.transaction_id,
        license_token_id: entry.license_token_id,
        product_key: entry.product_key,
    });
    Ok(licenses.collect())
}

async fn configure(host: &Host, typed: &[(&str, &str)]) -> Result<()> {
    let typed: BTreeMap<String, String> = typed
        .iter()
        .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()))
        .collect();
    let form = host.configure(INSTANCE, &typed, &actor()).await?;
    ensure!(form.saved, "the instance's settings were not saved");
    Ok(())
}

/// Gives two products a price and activates them, so that they can be ordered.
async fn sell_two(host: &Host) -> Result<[String; 2]> {
    let instance = host.named_instance(INSTANCE).await?;
    let products = host
        .record()
        .products(instance.id, &ProductFilter::default(), &Page::all())
        .await?;
    let mut codes = products
        .rows
        .into_iter()
        .filter(|product| !product.discontinued && product.offered.min_quantity <= 1)
        .map(|product| product.offered.code);
    let two = codes
        .next()
        .zip(codes.next())
        .context("fewer than two products to sell")?;
    let two = [two.0, two.1];
    let price = Price {
        currency: instance.currency.clone(),
        minor_units: 14_900,
    };
    host.record()
        .set_prices(instance.id, &two, &price, &actor())
        .await?;
    let choice = Choice::Codes(two.to_vec());
    host.record()
        .decide_products(instance.id, Decision::Activate, &choice, &actor())
        .await?;
    Ok(two)
}

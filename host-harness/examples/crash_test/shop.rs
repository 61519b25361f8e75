//! The shop under test: instances of two vendors that are ready to sell, and its customers' orders.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::DirBuilder;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bss_keys::PfxCode;
use bss_model::{
    Actor, ApiScope, Asset, AssetFilter, AssetStatus, CancellationFilter, ChargeFilter, Choice, Contact,
    Decision, DeliveryFilter, DeliveryState, MailDelivery, MailFilter, MailSettings, MailState, NewInstance,
    NewWebhook, OrderFilter, Page, Party, Price, ProductFilter, Reach, Requester, RequesterKind, Secret,
    SyncStatus,
};
use bss_simulator::{TokenStatus, read_ledger};
use data_encoding::BASE64;
use host_harness::{
    ApiClientRequest, DatabaseAddress, Host, HostKeySource, IpNet, OfPlugin, OrderRequest,
    PlatformCredentials, PlatformRequest, SettingsChange, Unfinished,
};
use mail_parser::MessageParser;
use serde::Deserialize;
use uuid::Uuid;

use crate::clients::{Clients, Keys, PLATFORM, Wanted, customer};
use crate::comparison::{Issued, License, Line};
use crate::processes::{Details, LOOK_UP_ONLY, Places, SecondDetails};
use crate::receiver::Receiver;

/// The instances, of Microsoft and of the second vendor.
const INSTANCES: [&str; 2] = ["esd", "acme"];

/// The actor that runs the shop.
fn actor() -> Actor {
    Actor::operator("crash-test")
}

/// How long the record is waited for once its server is there again.
const REACHED_WITHIN: Duration = Duration::from_secs(30);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// The languages that customers read, one after the other.
const LANGUAGES: [&str; 3] = ["de-DE", "en-US", "el-GR"];

/// Two products that each of the instances sells.
pub(crate) type Sold = [[String; 2]; 2];

/// A host on which two instances sell two products each.
pub(crate) struct Shop {
    host: Host,
    sold: Sold,
}

/// The way by which an order comes in.
#[derive(Clone, Copy)]
enum Way {
    Library,
    Api,
    Contract,
}

impl Shop {
    /// Sets the host up as an operator does, from the PFX file to products with a price.
    pub(crate) async fn open(
        places: &Places,
        database: Option<DatabaseAddress>,
        microsoft: &Details,
        second: &SecondDetails,
    ) -> Result<Self> {
        if database.is_some() {
            DirBuilder::new().mode(0o700).create(places.data_dir())?;
            HostKeySource::default().key(&places.data_dir(), true)?;
        }
        let builder = Host::builder(places.data_dir())
            .plugin_file(&places.plugin)
            .database(database);
        let host = builder.create().await?;
        host.record().set_look_up_only(LOOK_UP_ONLY, &actor()).await?;
        let pfx = std::fs::read(&microsoft.pfx_file).context("the PFX file can't be read")?;
        let code = PfxCode::new(microsoft.pfx_code.clone());
        host.record().certificates().import(&pfx, &code, &actor()).await?;
        let [esd, acme] = INSTANCES;
        let options = [("login-authority".to_owned(), microsoft.login_authority.clone())];
        create(&host, esd, OfPlugin::Only, options.into(), &microsoft.ca_file).await?;
        let credentials = [
            ("system-name", esd),
            ("resource-api", &microsoft.resource_api),
            ("service-url", &microsoft.service_url),
            ("tenant", &microsoft.tenant),
            ("channel-id", &microsoft.channel_id),
            ("client-id", &microsoft.client_id),
        ];
        configure(&host, esd, &credentials, None).await?;
        let selection = [
            ("certificate-thumbprint", microsoft.thumbprint.as_str()),
            ("country", "DE"),
            ("language", "de-DE"),
        ];
        configure(&host, esd, &selection, None).await?;
        let added = host.add_plugin(&places.second_plugin, &actor()).await?;
        host.trust_plugin(added.digest, &actor()).await?;
        let of_second = OfPlugin::Id(&added.description.id);
        create(&host, acme, of_second, BTreeMap::new(), &second.authority_file).await?;
        let account = [("service-url", second.url.as_str()), ("account", &second.account)];
        let api_key = std::fs::read_to_string(&second.api_key_file)?;
        configure(&host, acme, &account, Some(&api_key)).await?;
        for instance in INSTANCES {
            host.fetch_services(instance, &actor(), Arc::new(|_| ())).await?;
        }
        host.configure_mail(
            MailSettings {
                from: "Shop <shop@example.com>".to_owned(),
                delivery: MailDelivery::Directory(places.mails()),
                templates: None,
            },
            &actor(),
        )
        .await?;
        let sold = [sell_two(&host, esd).await?, sell_two(&host, acme).await?];
        Ok(Self { host, sold })
    }

    /// Opens the host again, after its record was replaced.
    pub(crate) async fn opened_again(places: &Places, sold: Sold) -> Result<Self> {
        let host = Host::open(&places.data_dir(), &places.plugin).await?;
        Ok(Self { host, sold })
    }

    /// Closes the record, so that it can be replaced, and returns the products.
    pub(crate) async fn close(self) -> Sold {
        self.host.record().clone().close().await;
        self.sold
    }

    /// Cancels so many assets of each vendor, at most, whose license their customer has, so that a worker returns it.
    pub(crate) async fn return_some(&self, places: &Places, most: usize) -> Result<()> {
        let lines = self.lines().await?;
        let mailed: HashSet<Uuid> = mailed(places, &lines)?.into_iter().collect();
        let filter = CancellationFilter::default();
        let begun = self
            .host
            .record()
            .cancellations(&filter, &Page::all())
            .await?
            .rows;
        let begun: HashSet<Uuid> = begun
            .into_iter()
            .map(|cancellation| cancellation.asset_id)
            .collect();
        let is_free = |line: &&Line| mailed.contains(&line.asset_id) && !begun.contains(&line.asset_id);
        let requester = Requester {
            kind: RequesterKind::Customer,
            name: "Kunde".to_owned(),
        };
        for is_second in [false, true] {
            let its = lines.iter().filter(|line| line.is_second == is_second);
            for line in its.filter(is_free).take(most) {
                self.host
                    .cancel_now(line.asset_id, &requester, "", &actor())
                    .await?;
            }
        }
        Ok(())
    }

    /// Lets a shop and a platform in, and returns clients that order as both at the server of an address.
    pub(crate) async fn let_clients_in(&self, server: SocketAddr) -> Result<Clients> {
        let shop = ApiClientRequest {
            name: "shop".to_owned(),
            scopes: [ApiScope::Read, ApiScope::Order, ApiScope::Reveal].into(),
            instances: None,
        };
        let api_key = self.host.create_api_client(shop, &actor()).await?.key;
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        let credentials = PlatformCredentials {
            application_id: Uuid::new_v4(),
            key: Secret::new(BASE64.encode(&random)),
        };
        let keys = Keys {
            api_key,
            application_id: credentials.application_id,
            platform_key: credentials.key.clone(),
        };
        let platform = PlatformRequest {
            name: PLATFORM.to_owned(),
            instance: INSTANCES[0].to_owned(),
            credentials: Some(credentials),
        };
        self.host.register_platform(platform, &actor()).await?;
        Ok(Clients::new(server, keys))
    }

    /// Has a receiver be told what comes of licenses.
    pub(crate) async fn tell(&self, receiver: &Receiver) -> Result<()> {
        let new = NewWebhook {
            url: receiver.url.clone(),
            owner: None,
            kinds: Vec::new(),
            allowed_networks: this_machine(),
            trusted_authorities_pem: Some(receiver.authority_pem.clone()),
        };
        self.host.create_webhook(new, &actor()).await?;
        Ok(())
    }

    /// The events that no receiver has taken yet.
    pub(crate) async fn untold(&self) -> Result<usize> {
        let pending = DeliveryFilter {
            state: Some(DeliveryState::Pending),
            ..DeliveryFilter::default()
        };
        let record = self.host.record();
        while record.make_deliveries().await? {}
        Ok(record.deliveries(&pending, None, &Page::all()).await?.rows.len())
    }

    /// Withdraws two lines of each vendor that have no license yet: the first, which is likely under way, and the last, which
    /// likely waits.
    pub(crate) async fn withdraw_some(&self) -> Result<()> {
        let record = self.host.record();
        let assets = record.assets(&AssetFilter::default(), &Page::all()).await?.rows;
        let second = self.host.named_instance(INSTANCES[1]).await?.id;
        for is_second in [false, true] {
            let mut open = assets.iter().filter(|asset| {
                asset.sync_status == SyncStatus::Unsynchronised && (asset.instance_id == second) == is_second
            });
            for asset in [open.next(), open.next_back()].into_iter().flatten() {
                record
                    .withdraw_order(asset.order_id, &[asset.id], &actor())
                    .await?;
            }
        }
        Ok(())
    }

    /// Has the second vendor's instance buy nothing, or go on.
    pub(crate) async fn enable_second(&self, is_enabled: bool) -> Result<()> {
        let second = self.host.instance(INSTANCES[1]).await?;
        match is_enabled {
            true => second.enable(&actor()).await?,
            false => second.disable(&actor()).await?,
        };
        Ok(())
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

    /// The numbers of order lines on record, and of those that have come to an end.
    pub(crate) async fn count(&self) -> Result<[usize; 2]> {
        let filter = AssetFilter::default();
        let assets = self.host.record().assets(&filter, &Page::all()).await?.rows;
        let is_open = |asset: &&Asset| asset.sync_status == SyncStatus::Unsynchronised;
        let open = assets.iter().filter(is_open).count();
        Ok([assets.len(), assets.len() - open])
    }

    /// Waits until the record can be written again, after its server was gone.
    pub(crate) async fn reach_record(&self) -> Result<()> {
        let begin = Instant::now();
        while let Err(error) = self.host.record().make_deliveries().await {
            if begin.elapsed() > REACHED_WITHIN {
                return Err(error).context("the record can't be reached again");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Order lines that are not settled, and e-mails that are to be sent.
    pub(crate) async fn unfinished(&self) -> Result<Unfinished> {
        Ok(self.host.unfinished().await?)
    }

    /// Places orders of one license each. Where there are clients, a third each comes by the library, over the API and over the contract.
    pub(crate) async fn order(
        &self,
        numbers: std::ops::Range<u32>,
        mut clients: Option<&mut Clients>,
    ) -> Result<()> {
        for number in numbers {
            let way = match number / 4 % 3 {
                1 => Way::Api,
                2 => Way::Contract,
                _ => Way::Library,
            };
            let at = match way {
                Way::Contract if clients.is_some() => 0,
                _ => number as usize % INSTANCES.len(),
            };
            let [first, second] = &self.sold[at];
            let product = if number / 2 % 2 == 0 { first } else { second };
            if let Some(clients) = &mut clients {
                let wanted = Wanted {
                    instance: INSTANCES[at],
                    product: product.clone(),
                };
                match way {
                    Way::Api => clients.order_by_api(number, wanted),
                    Way::Contract => clients.order_by_contract(number, wanted),
                    Way::Library => {}
                }
                if !matches!(way, Way::Library) {
                    continue;
                }
            }
            let language = LANGUAGES.iter().cycle().nth(number as usize % LANGUAGES.len());
            let party = Party {
                id: customer(number),
                name: format!("Kunde {number} GmbH"),
                country: "DE".to_owned(),
            };
            let contact = Contact {
                email: format!("kunde-{number}@example.com"),
                language: language.copied().unwrap_or("en").to_owned(),
            };
            let request = OrderRequest::new(party)
                .mail_to(contact)
                .line(product, 1)
                .key(number.to_string());
            self.host
                .place_order(INSTANCES[at], request, &actor())
                .await?
                .into_order();
        }
        Ok(())
    }

    /// The asset of each charge's line.
    pub(crate) async fn charged(&self) -> Result<Vec<Uuid>> {
        let filter = ChargeFilter::default();
        let charges = self.host.record().charges(&filter, &Page::all()).await?.rows;
        let lines = charges.iter().flat_map(|charge| &charge.lines);
        Ok(lines.map(|line| line.asset_id).collect())
    }

    /// The asset of each credit.
    pub(crate) async fn credited(&self) -> Result<Vec<Uuid>> {
        let filter = ChargeFilter::default();
        let credits = self.host.record().credits(&filter, &Page::all()).await?.rows;
        Ok(credits.iter().map(|credit| credit.asset_id).collect())
    }

    /// All order lines as they are on record.
    pub(crate) async fn lines(&self) -> Result<Vec<Line>> {
        let record = self.host.record();
        let assets = record.assets(&AssetFilter::default(), &Page::all()).await?.rows;
        let second = self.host.named_instance(INSTANCES[1]).await?.id;
        let ids: Vec<Uuid> = assets.iter().map(|asset| asset.id).collect();
        let orders = record.orders(&OrderFilter::default(), &Page::all()).await?.rows;
        let orders_by_id: HashMap<Uuid, _> = orders.iter().map(|order| (order.id, order)).collect();
        let mut secrets = record.show_license_secrets(&ids, &actor()).await?;
        let lines = assets.into_iter().map(|asset| {
            let order = orders_by_id.get(&asset.order_id);
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
                is_cancelled: asset.status == AssetStatus::Cancelled,
                is_withdrawn: asset.status == AssetStatus::Withdrawn,
                is_second: asset.instance_id == second,
                is_platforms: order.is_some_and(|order| order.platform.is_some()),
                customer: order.map_or_else(String::new, |order| order.customer.id.clone()),
                product: asset.product_code,
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

/// A line of the second vendor's ledger.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecondEntry {
    client_id: String,
    license_id: String,
    product_key: String,
    state: String,
}

/// All licenses that the vendors have issued.
pub(crate) async fn ledger(places: &Places) -> Result<Vec<Issued>> {
    let entries = read_ledger(&places.simulator()).await?;
    let of_microsoft = entries.into_iter().map(|entry| Issued {
        is_returned: entry.token_status == TokenStatus::ReturnAccepted,
        license: License {
            client_transaction_id: entry.client_transaction_id,
            transaction_id: entry.transaction_id,
            license_token_id: entry.license_token_id,
            product_key: entry.product_key,
        },
    });
    let mut issued: Vec<Issued> = of_microsoft.collect();
    let mut ledger = Command::new(&places.second_vendor);
    let ledger = ledger
        .args(["ledger", "--folder"])
        .arg(places.second())
        .output()?;
    ensure!(
        ledger.status.success(),
        "the second vendor's ledger can't be read"
    );
    for line in String::from_utf8(ledger.stdout)?.lines() {
        let entry: SecondEntry = serde_json::from_str(line)?;
        issued.push(Issued {
            is_returned: entry.state == "returned",
            license: License {
                client_transaction_id: entry.client_id,
                transaction_id: entry.license_id.replace("LIC", "ORD"),
                license_token_id: entry.license_id,
                product_key: Secret::new(entry.product_key),
            },
        });
    }
    Ok(issued)
}

/// The networks of this machine alone.
fn this_machine() -> Vec<IpNet> {
    vec![
        ipnet::Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into(),
        ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
    ]
}

/// Creates an instance that may reach a vendor on this machine.
async fn create(
    host: &Host,
    name: &str,
    of: OfPlugin<'_>,
    options: BTreeMap<String, String>,
    authority: &Path,
) -> Result<()> {
    let new = NewInstance {
        owner: None,
        name: name.to_owned(),
        currency: "EUR".to_owned(),
        options,
        reach: Reach {
            trusted_authorities_pem: Some(std::fs::read_to_string(authority)?),
            allowed_networks: this_machine(),
            ..Reach::default()
        },
        plugin: None,
    };
    host.create_instance(new, of, &actor()).await?;
    Ok(())
}

async fn configure(host: &Host, instance: &str, typed: &[(&str, &str)], api_key: Option<&str>) -> Result<()> {
    let typed = typed
        .iter()
        .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()));
    let api_key = api_key.map(|key| ("api-key".to_owned(), Some(Secret::new(key.trim()))));
    let change = SettingsChange {
        values: typed.collect(),
        secrets: api_key.into_iter().collect(),
        ..SettingsChange::default()
    };
    let form = host.configure(instance, change, &actor()).await?;
    ensure!(form.saved, "the instance's settings were not saved");
    Ok(())
}

/// Gives two products a price and activates them, so that they can be ordered.
async fn sell_two(host: &Host, instance: &str) -> Result<[String; 2]> {
    let instance = host.named_instance(instance).await?;
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

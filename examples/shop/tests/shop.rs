//! The shop against the simulator: in one process, and as a process of its own that is killed wherever it stands.
#![expect(clippy::expect_used, reason = "a test says what it expected")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bss_simulator::{CertificateRequest, Fault, Operation, Repeat, Simulator, SimulatorOptions};
use example_shop::INSTANCE;
use host_harness::{
    Actor, Choice, Decision, Host, IpNet, NewInstance, OfPlugin, Page, PfxCode, ProductFilter, Reach,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Far longer than everything takes, half a minute for the lease of a killed shop included.
const PATIENCE: Duration = Duration::from_secs(240);

/// The plugin: the one that was built for this run of the tests, or one built now.
fn plugin() -> PathBuf {
    if let Some(built) = std::env::var_os("MICROSOFT_ESD_COMPONENT") {
        return built.into();
    }
    let test = std::env::current_exe().expect("a test has a file");
    let target = test.ancestors().nth(3).expect("it lies in a target folder");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "-p",
            "microsoft-esd",
            "--lib",
            "--target",
            "wasm32-wasip2",
        ])
        .args(["--profile", "plugin", "--target-dir"])
        .arg(target)
        .status();
    assert!(built.expect("cargo starts").success(), "the plugin is built");
    target.join("wasm32-wasip2/plugin/microsoft_esd.wasm")
}

/// A Microsoft, and the folder of a shop that sells its licenses.
struct Site {
    folder: TempDir,
    microsoft: Simulator,
    plugin: PathBuf,
    product: String,
}

impl Site {
    /// Makes the shop's instance, as an operator would: certificate, form, catalog, products.
    async fn set_up() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let options = SimulatorOptions::new(folder.path().join("microsoft"));
        let microsoft = Simulator::start(options).await.expect("the simulator starts");
        let plugin = plugin();
        let operator = Actor::operator("test");
        let builder = Host::builder(folder.path().join("bss")).plugin_file(&plugin);
        let host = builder
            .mails(false)
            .charges(false)
            .create()
            .await
            .expect("the host opens");
        // What this simulator has not carried out when it stops answering is never carried out.
        let set = host.record().set_look_up_only(Duration::ZERO, &operator).await;
        set.expect("it is set");

        let issued = microsoft.issue_client_certificate(&CertificateRequest::default());
        let pfx = issued.expect("a certificate").pfx("a code").expect("a PFX file");
        let imported = host
            .certificates()
            .import(&pfx, &PfxCode::new("a code"), &operator)
            .await;
        let thumbprint = imported.expect("it is imported").installed.thumbprint.to_string();
        let details = microsoft.details();
        let loopback: IpNet = "127.0.0.0/8".parse().expect("a network");
        let new = NewInstance {
            options: [("login-authority".to_owned(), details.login_authority.clone())].into(),
            reach: Reach {
                trusted_authorities_pem: std::fs::read_to_string(&details.ca_file).ok(),
                allowed_networks: vec![loopback],
                ..Reach::default()
            },
            ..NewInstance::new(INSTANCE, "EUR")
        };
        host.create_instance(new, OfPlugin::Only, &operator)
            .await
            .expect("it is made");
        let instance = host.instance(INSTANCE).await.expect("the instance");
        let steps = [
            vec![
                ("system-name", INSTANCE.to_owned()),
                ("resource-api", details.resource_api.clone()),
                ("service-url", details.service_url.clone()),
                ("tenant", details.tenant.to_string()),
                ("channel-id", details.channel_id.clone()),
                ("client-id", details.client_id.to_string()),
            ],
            vec![
                ("certificate-thumbprint", thumbprint),
                ("country", "DE".to_owned()),
                ("language", "de-DE".to_owned()),
            ],
        ];
        for step in steps {
            let typed: BTreeMap<String, String> = step
                .into_iter()
                .map(|(field, value)| (field.to_owned(), value))
                .collect();
            let form = instance.configure(&typed, &operator).await.expect("the form");
            assert!(form.saved, "{form:?}");
        }
        instance
            .fetch_services(&operator)
            .await
            .expect("the catalog is read");
        let activated = instance
            .decide_products(Decision::Activate, &Choice::All, &operator)
            .await;
        activated.expect("they are activated");
        let products = instance
            .products(&ProductFilter::default(), &Page::first(1))
            .await;
        let product = products.expect("products").rows.remove(0).product_code;
        host.close().await;
        Self {
            folder,
            microsoft,
            plugin,
            product,
        }
    }

    fn start(&self) -> Running {
        Running::start(self.folder.path(), &self.plugin)
    }

    fn basket(&self, quantity: u32) -> Value {
        json!({ "customer": "C-1", "email": "it@beispiel.example", "product": self.product, "quantity": quantity })
    }

    async fn issued(&self) -> usize {
        self.microsoft.ledger().await.expect("the ledger").len()
    }
}

/// A shop that runs as a process of its own, and is killed when it is dropped.
struct Running {
    shop: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.shop.kill();
        let _ = self.shop.wait();
    }
}

impl Running {
    fn start(folder: &Path, plugin: &Path) -> Self {
        let mut shop = Command::new(env!("CARGO_BIN_EXE_shop"))
            .arg(folder.join("bss"))
            .arg(plugin)
            .arg(folder.join("shop.db"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shop starts");
        let mut line = String::new();
        let mut out = BufReader::new(shop.stdout.take().expect("a pipe"));
        out.read_line(&mut line).expect("it says where it is");
        let address = line.trim().parse().expect("an address");
        Self { shop, address }
    }

    /// Asks the shop, and returns the status and the body of its answer. `None`: it was killed meanwhile.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// Hands a basket in, and returns its id.
    fn hand_in(&self, basket: &Value) -> Option<String> {
        let (status, body) = self.ask("POST", "/baskets", &basket.to_string())?;
        assert_eq!(status, 202, "{body}");
        let accepted: Value = serde_json::from_str(&body).ok()?;
        accepted["id"].as_str().map(str::to_owned)
    }

    fn basket(&self, id: &str) -> Value {
        let (status, body) = self.ask("GET", &format!("/baskets/{id}"), "").expect("an answer");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Waits until a basket has so many licenses, and returns their states.
    async fn settled(&self, id: &str, licenses: usize) -> Vec<String> {
        let patience = Instant::now() + PATIENCE;
        loop {
            let basket = self.basket(id);
            let states = basket["licenses"].as_array().into_iter().flatten();
            let states: Vec<String> = states
                .map(|license| license[1].as_str().unwrap_or_default().to_owned())
                .collect();
            if states.len() >= licenses || !basket["problem"].is_null() {
                return states;
            }
            assert!(Instant::now() < patience, "{basket}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basket_becomes_licenses_and_a_product_that_nobody_sells_becomes_a_problem() {
    let site = Site::set_up().await;
    let shop = site.start();
    let sold = shop.hand_in(&site.basket(2)).expect("it is accepted");
    assert_eq!(shop.settled(&sold, 2).await, ["licensed", "licensed"]);
    let mut unknown = site.basket(1);
    unknown["product"] = json!("nothing");
    let refused = shop.hand_in(&unknown).expect("it is accepted");
    assert_eq!(shop.settled(&refused, 1).await, [""; 0]);
    assert_eq!(shop.basket(&refused)["problem"], "no-product");
    let (_, metrics) = shop.ask("GET", "/metrics", "").expect("an answer");
    assert_eq!(
        metrics,
        "licenses_open 0\nlicenses_total{outcome=\"licensed\"} 2\n"
    );
    assert_eq!(site.issued().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_told_to_stop_brings_its_purchases_to_an_end_first() {
    let site = Site::set_up().await;
    let slow = Fault::DelayAnswer(Duration::from_secs(2));
    site.microsoft
        .faults()
        .order(Operation::Purchase, slow, Repeat::Always);
    let mut shop = site.start();
    let sold = shop.hand_in(&site.basket(1)).expect("it is accepted");
    while site.microsoft.faults().requests_seen(Operation::Purchase) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let told = Command::new("kill")
        .args(["-TERM", &shop.shop.id().to_string()])
        .status();
    assert!(told.expect("`kill` runs").success());
    assert!(shop.shop.wait().expect("it ends").success());
    let shop = site.start();
    assert_eq!(shop.settled(&sold, 1).await, ["licensed"]);
    assert_eq!(site.issued().await, 1);
    let purchases = site.microsoft.faults().requests_seen(Operation::Purchase);
    assert_eq!(purchases, 1, "it was not cut off");
}

/// The shop is killed a little later each time: before the basket is written down, before its order, before the order's id,
/// while the license is bought, before its outcome is taken over, and after.
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_killed_anywhere_sells_each_basket_once() {
    const KILLS: u32 = 16;
    let site = Site::set_up().await;
    let slow = Fault::DelayAnswer(Duration::from_millis(60));
    site.microsoft
        .faults()
        .order(Operation::Purchase, slow, Repeat::Always);
    let mut accepted = Vec::new();
    for kill in 0..KILLS {
        let shop = site.start();
        let basket = site.basket(2);
        std::thread::scope(|threads| {
            let handed_in = threads.spawn(|| shop.hand_in(&basket));
            std::thread::sleep(Duration::from_millis(25) * kill);
            let _ = Command::new("kill")
                .args(["-KILL", &shop.shop.id().to_string()])
                .status();
            accepted.extend(handed_in.join().ok().flatten());
        });
    }
    assert!(
        accepted.len() > 4,
        "most were accepted before the kill: {accepted:?}"
    );
    let shop = site.start();
    for basket in &accepted {
        assert_eq!(
            shop.settled(basket, 2).await,
            ["licensed", "licensed"],
            "{basket}"
        );
    }
    // A basket whose answer was lost may be sold too, once; its customer finds it by asking.
    let issued = site.issued().await;
    let whole = issued / 2;
    assert_eq!(issued, 2 * whole);
    assert!(
        (accepted.len()..=KILLS as usize).contains(&whole),
        "{issued} licenses"
    );
}

//! A host and a simulator of Microsoft, brought as far as a test needs them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bss_keys::PfxCode;
use bss_model::{
    Actor, Asset, AssetFilter, Choice, Contact, Decision, Instance, LicenseSecrets, NewInstance, Page, Party,
    Price, ProductFilter, Reach, Requester, RequesterKind, SavedSettings, Thumbprint,
};
use bss_sandbox::outbound_https::{Egress, OutboundHttps};
use bss_sandbox::seen_exchanges::SeenExchanges;
use bss_simulator::{
    CertificateRequest, Details, HttpVersions, IssuedCertificate, Simulator, SimulatorOptions, TlsVersions,
};
use host_harness::{CallContext, CallListener, Host, InstanceForm, OrderRequest, WorkOptions};
use serde_json::Value;
use tempfile::TempDir;

use crate::component::{bss_host, component, keep_compiled};
use crate::record_place;

/// The instance that most tests use.
pub(crate) const INSTANCE: &str = "esd";

/// The price of every product, in minor units.
pub(crate) const PRICE: i64 = 14_900;

/// The exit codes of `bss-host`.
pub(crate) const DONE: i32 = 0;
pub(crate) const REFUSED: i32 = 1;
pub(crate) const USAGE: i32 = 2;
pub(crate) const NO_ANSWER: i32 = 3;
pub(crate) const ATTENTION: i32 = 4;

/// The user who runs the tests, whom the program names for what it changes, and who became that user.
pub(crate) fn me() -> String {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().expect("`id` runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let user = id(&["-un"]);
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    match login.trim() {
        "" | "4294967295" => user,
        login if login == id(&["-u"]) => user,
        login => format!("{user} (by {})", id(&["-un", login])),
    }
}

/// A host and a Microsoft of one test.
pub(crate) struct Scenario {
    pub(crate) folder: TempDir,
    pub(crate) microsoft: Simulator,
    pub(crate) host: Host,
}

impl Scenario {
    /// A Microsoft that runs, and a host that knows nothing yet.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let options = SimulatorOptions::new(folder.path().join("microsoft"));
        let microsoft = Simulator::start(options).await.expect("the simulator starts");
        Self::with(folder, microsoft).await
    }

    /// A host that knows nothing yet, beside a Microsoft that a test has started its own way.
    pub(crate) async fn with(folder: TempDir, microsoft: Simulator) -> Self {
        let data_dir = folder.path().join("bss");
        record_place::prepare(&data_dir).await;
        let host = record_place::builder(&data_dir)
            .plugin_file(component())
            .open_or_create()
            .await
            .expect("the host opens");
        keep_compiled(&folder.path().join("bss"));
        let scenario = Self {
            folder,
            microsoft,
            host,
        };
        // A purchase that this simulator has not carried out when it stops answering is never carried out.
        scenario.look_up_only(Duration::ZERO).await;
        scenario
    }

    /// Sets how long what is in doubt is only looked up.
    pub(crate) async fn look_up_only(&self, time: Duration) {
        let set = self.host.record().set_look_up_only(time, &actor()).await;
        set.expect("it is set");
    }

    /// An instance that is ready, with a certificate that Microsoft knows.
    pub(crate) async fn ready() -> Self {
        Self::start().await.set_up().await
    }

    async fn set_up(self) -> Self {
        let thumbprint = self.install(&CertificateRequest::default()).await;
        self.ready_instance(INSTANCE, &thumbprint).await;
        self
    }

    /// A ready instance whose catalog has been fetched, with every product activated and at a price.
    pub(crate) async fn selling() -> Self {
        Self::start().await.set_up_to_sell().await
    }

    /// A ready instance that sells, as of [`Self::selling`], at a Microsoft that a test has started its own way.
    pub(crate) async fn set_up_to_sell(self) -> Self {
        let scenario = self.set_up().await;
        scenario.sell_catalog().await;
        scenario
    }

    /// Reads the catalog of the ready instance, and activates every product at a price.
    pub(crate) async fn sell_catalog(&self) {
        self.host
            .fetch_services(INSTANCE, &actor(), silent())
            .await
            .expect("the catalog is read");
        self.sell_all(INSTANCE).await;
    }

    /// Has no run of an instance await acceptance.
    pub(crate) async fn let_any_run_discontinue(&self, instance: &str) {
        let instance = self.host.named_instance(instance).await.expect("the instance");
        let (record, me) = (self.host.record(), actor());
        let set = record.limit_discontinuations(instance.id, 100, &me).await;
        set.expect("it is set");
    }

    /// Activates every product of an instance, at a price.
    pub(crate) async fn sell_all(&self, instance: &str) {
        sell_all(&self.host, instance).await;
    }

    /// A ready instance at a Microsoft that speaks these versions of TLS only.
    pub(crate) async fn ready_with_tls(tls: TlsVersions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut options = SimulatorOptions::new(folder.path().join("microsoft"));
        options.tls = tls;
        let microsoft = Simulator::start(options).await.expect("the simulator starts");
        let scenario = Self::with(folder, microsoft).await;
        let thumbprint = scenario.install(&CertificateRequest::default()).await;
        scenario.ready_instance(INSTANCE, &thumbprint).await;
        scenario
    }

    /// A host that knows nothing yet, beside a Microsoft that speaks these versions of HTTP only.
    pub(crate) async fn with_http(http: HttpVersions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut options = SimulatorOptions::new(folder.path().join("microsoft"));
        options.http = http;
        let microsoft = Simulator::start(options).await.expect("the simulator starts");
        Self::with(folder, microsoft).await
    }

    /// Runs `bss-host` on the host's data directory.
    pub(crate) fn bss_host(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs `bss-host` on the host's data directory, with a text to read from its standard input.
    pub(crate) fn bss_host_reading(&self, arguments: &[&str], input: &str) -> Output {
        let mut program = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        std::io::Write::write_all(&mut program.stdin.take().expect("a pipe"), input.as_bytes())
            .expect("it reads");
        program.wait_with_output().expect("it ends")
    }

    /// `bss-host` with arguments, on the host's data directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bss_host());
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(self.folder.path().join("bss"))
            .env("BSS_PLUGIN", component())
            .env_remove("SUDO_UID");
        record_place::tell(&mut command, &self.folder.path().join("bss"));
        // The proxies of whoever runs the tests lead to no simulator.
        for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(variable);
        }
        command
    }

    /// Has all instances worked on by the plugin of a file from now on.
    pub(crate) async fn trust(&self, file: &Path) {
        give_plugin(&self.host, file).await;
    }

    /// The result of a command that is expected to succeed, as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.bss_host(&[arguments, &["--json"]].concat());
        assert_ends(&output, DONE);
        result(&output)
    }

    /// Writes the address of the service in another way, which may be another account as far as the host knows.
    pub(crate) async fn use_another_address(&self) {
        let instance = self.host.named_instance(INSTANCE).await.expect("the instance");
        self.set("service-url", &format!("{}/", instance.values["service-url"]))
            .await;
    }

    /// Changes one field, which is expected to be saved.
    pub(crate) async fn set(&self, field: &str, value: &str) {
        let form = self
            .configure(INSTANCE, &[(field.to_owned(), value.to_owned())].into())
            .await;
        assert!(form.saved, "{:?}", problems(&form));
    }

    /// Installs a certificate of Microsoft's making.
    pub(crate) async fn install(&self, request: &CertificateRequest) -> Thumbprint {
        let issued = self
            .microsoft
            .issue_client_certificate(request)
            .expect("a certificate");
        self.install_issued(&issued).await
    }

    /// Installs a certificate through a PFX file that OpenSSL makes.
    pub(crate) async fn install_issued(&self, issued: &IssuedCertificate) -> Thumbprint {
        let pfx = std::fs::read(self.pfx(issued, "a code")).expect("the PFX file");
        let certificates = self.host.certificates();
        certificates
            .import(&pfx, &PfxCode::new("a code"), &actor())
            .await
            .expect("the import")
            .installed
            .thumbprint
    }

    /// A PFX file, made by OpenSSL.
    pub(crate) fn pfx(&self, issued: &IssuedCertificate, code: &str) -> PathBuf {
        let pem = format!(
            "{}{}{}",
            *issued.private_key_pem, issued.certificate_pem, issued.chain_pem
        );
        self.openssl_pfx(&pem, code, &[])
    }

    /// A PFX file of whatever is in a PEM text, made by OpenSSL.
    pub(crate) fn openssl_pfx(&self, pem: &str, code: &str, options: &[&str]) -> PathBuf {
        let file = self.folder.path().join(format!("{}.pfx", uuid::Uuid::new_v4()));
        let mut openssl = Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", "env:CODE", "-out"])
            .arg(&file)
            .args(options)
            .env("CODE", code)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        std::io::Write::write_all(&mut openssl.stdin.take().expect("a pipe"), pem.as_bytes())
            .expect("it reads");
        assert!(
            openssl.wait().expect("it ends").success(),
            "openssl made no PFX file"
        );
        file
    }

    /// A new instance, allowed to reach this Microsoft, with an empty form.
    pub(crate) async fn new_instance(&self, name: &str) -> Instance {
        self.host
            .record()
            .create_instance(self.instance_to_make(name), &actor())
            .await
            .expect("a new instance")
    }

    /// An instance of the host's owner that is allowed to reach this Microsoft.
    pub(crate) fn instance_to_make(&self, name: &str) -> NewInstance {
        let details = self.microsoft.details();
        NewInstance {
            owner: self.host.owner().cloned(),
            name: name.to_owned(),
            currency: "EUR".to_owned(),
            options: [("login-authority".to_owned(), details.login_authority.clone())].into(),
            reach: Reach {
                trusted_authorities_pem: Some(
                    std::fs::read_to_string(&details.ca_file).expect("its authority"),
                ),
                allowed_networks: vec![
                    ipnet::Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into(),
                    ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
                ],
                ..Reach::default()
            },
            plugin: None,
        }
    }

    /// An instance with its form filled in, both stages.
    pub(crate) async fn ready_instance(&self, name: &str, thumbprint: &Thumbprint) {
        let credentials = credentials(self.microsoft.details());
        self.ready_instance_of(name, thumbprint, credentials).await;
    }

    /// An instance with its form filled in, both stages, whose first has these credentials.
    pub(crate) async fn ready_instance_of(
        &self,
        name: &str,
        thumbprint: &Thumbprint,
        mut credentials: BTreeMap<String, String>,
    ) {
        self.new_instance(name).await;
        credentials.insert("system-name".into(), name.into());
        let first = self.configure(name, &credentials).await;
        assert!(first.saved, "{:?}", problems(&first));
        let second = self.configure(name, &selection(&thumbprint.to_string())).await;
        assert!(second.saved, "{:?}", problems(&second));
    }

    pub(crate) async fn configure(&self, name: &str, typed: &BTreeMap<String, String>) -> InstanceForm {
        self.host
            .configure(name, typed, &actor())
            .await
            .expect("the form")
    }

    /// The codes of products that are sold.
    pub(crate) async fn offers(&self) -> Vec<String> {
        let instance = self.host.named_instance(INSTANCE).await.expect("the instance");
        let products = self
            .host
            .record()
            .products(instance.id, &ProductFilter::default(), &Page::all())
            .await
            .expect("products")
            .rows;
        products.into_iter().map(|product| product.offered.code).collect()
    }

    /// Orders so many of one product, and buys what can be bought now.
    pub(crate) async fn order(&self, product: &str, quantity: u32) -> Vec<Asset> {
        let request = order_request(product, quantity);
        let order = self
            .host
            .place_order(INSTANCE, request, &actor())
            .await
            .expect("the order is placed")
            .into_order();
        self.host
            .run_order(order.id, silent())
            .await
            .expect("the order is run")
    }

    /// All assets on record.
    pub(crate) async fn assets(&self) -> Vec<Asset> {
        let filter = AssetFilter::default();
        let assets = self.host.record().assets(&filter, &Page::all()).await;
        assets.expect("the assets").rows
    }

    /// The secrets of licenses on record, in the order of their assets.
    pub(crate) async fn secrets(&self, assets: &[Asset]) -> Vec<LicenseSecrets> {
        let ids: Vec<_> = assets.iter().map(|asset| asset.id).collect();
        let mut secrets = self
            .host
            .record()
            .show_license_secrets(&ids, &actor())
            .await
            .expect("secrets");
        let secrets = ids.iter().map(|id| secrets.remove(id).expect("a license"));
        secrets.collect()
    }

    /// The client transaction ids of all licenses that Microsoft ever issued.
    pub(crate) async fn issued(&self) -> Vec<String> {
        let ledger = self.microsoft.ledger().await.expect("the ledger");
        ledger
            .into_iter()
            .map(|entry| entry.client_transaction_id)
            .collect()
    }
}

/// Activates every product of a host's instance, at a price, and returns their codes.
pub(crate) async fn sell_all(host: &Host, instance: &str) -> Vec<String> {
    let instance = host.named_instance(instance).await.expect("the instance");
    let record = host.record();
    let filter = ProductFilter::default();
    let products = record.products(instance.id, &filter, &Page::all()).await;
    let codes: Vec<_> = products
        .expect("products")
        .rows
        .into_iter()
        .map(|product| product.offered.code)
        .collect();
    let price = Price {
        currency: instance.currency,
        minor_units: PRICE,
    };
    record
        .set_prices(instance.id, &codes, &price, &actor())
        .await
        .expect("prices");
    record
        .decide_products(instance.id, Decision::Activate, &Choice::All, &actor())
        .await
        .expect("they are active");
    codes
}

/// Checks the exit code of a command.
pub(crate) fn assert_ends(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The result that a command prints with `--json`. Its standard output is that one line and, if the command failed, a
/// second line, which is the error.
pub(crate) fn result(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {output:?}")))
        .collect();
    let lines_of_errors = usize::from(!output.status.success());
    assert_eq!(lines.len(), 1 + lines_of_errors, "{output:?}");
    assert!(
        lines[1..].iter().all(|line| line["error"].is_object()),
        "{output:?}"
    );
    lines[0].clone()
}

pub(crate) fn order_request(product: &str, quantity: u32) -> OrderRequest {
    OrderRequest::new(customer())
        .mail_to(contact())
        .line(product, quantity)
}

/// A customer with a name of this run.
pub(crate) fn customer() -> Party {
    Party {
        id: format!("C-{}", uuid::Uuid::new_v4().simple()),
        name: format!("Customer {}", uuid::Uuid::new_v4().simple()),
        country: "DE".to_owned(),
    }
}

/// A customer who asks for a return.
pub(crate) fn requester() -> Requester {
    Requester {
        kind: RequesterKind::Customer,
        name: "Customer".to_owned(),
    }
}

/// A mailbox of this run.
pub(crate) fn contact() -> Contact {
    Contact {
        email: format!("{}@customer.test", uuid::Uuid::new_v4().simple()),
        language: "de-DE".to_owned(),
    }
}

/// The first stage of the form.
pub(crate) fn credentials(details: &Details) -> BTreeMap<String, String> {
    [
        ("system-name", INSTANCE.to_owned()),
        ("resource-api", details.resource_api.clone()),
        ("service-url", details.service_url.clone()),
        ("tenant", details.tenant.to_string()),
        ("channel-id", details.channel_id.clone()),
        ("client-id", details.client_id.to_string()),
    ]
    .map(|(id, value)| (id.to_owned(), value))
    .into()
}

/// The second stage of the form.
pub(crate) fn selection(thumbprint: &str) -> BTreeMap<String, String> {
    [
        ("certificate-thumbprint", thumbprint),
        ("country", "DE"),
        ("language", "de-DE"),
    ]
    .map(|(id, value)| (id.to_owned(), value.to_owned()))
    .into()
}

/// Every problem of a form, as `field: code`.
pub(crate) fn problems(form: &InstanceForm) -> Vec<String> {
    let lines = form.form.fields.iter().flat_map(|field| {
        field
            .problems
            .iter()
            .map(move |problem| format!("{}: {}", field.id, problem.code))
    });
    lines.collect()
}

/// Who acts where it does not matter who does.
pub(crate) fn actor() -> Actor {
    Actor::operator("test")
}

/// A listener that ignores every event.
pub(crate) fn silent() -> CallListener {
    Arc::new(|_| ())
}

/// How a worker works that has so many lines under way and tells nobody.
pub(crate) fn at_once(lines_at_once: usize) -> WorkOptions {
    WorkOptions::default().at_once(lines_at_once)
}

/// The context of a call that can reach nobody.
pub(crate) fn nowhere() -> CallContext {
    CallContext {
        egress: Arc::new(Egress {
            instance_id: "nobody".into(),
            settings_version: 0,
            generation: 0,
            authorities: Vec::new(),
            identity: None,
            saved_values: Vec::new(),
            trust_roots: Arc::new(rustls::RootCertStore::empty()),
            allowed_networks: Vec::new(),
            proxies: Default::default(),
        }),
        options: BTreeMap::new(),
        outbound: OutboundHttps::default(),
        access_tokens: Default::default(),
        listener: silent(),
        seen: SeenExchanges::default(),
    }
}

/// Has all instances worked on by the plugin of a file from now on, whatever it makes of their settings.
pub(crate) async fn give_plugin(host: &Host, file: &Path) {
    let added = host.add_plugin(file, &actor()).await.expect("it is added");
    let record = host.record();
    record
        .trust_plugin(&added.digest, &actor())
        .await
        .expect("the record");
    let instances = record.instances().await.expect("the record").into_iter();
    // One without settings is judged by the file that the host was opened with.
    for instance in instances.filter(|instance| instance.version > 0) {
        let others = record.instances().await.expect("the record").into_iter();
        let shares_with = others
            .filter(|other| other.id != instance.id && instance.thumbprint.is_some())
            .filter(|other| other.thumbprint == instance.thumbprint)
            .map(|other| (other.id, other.version))
            .collect();
        let settings = SavedSettings {
            values: instance.values,
            secrets: BTreeMap::new(),
            roles: BTreeMap::new(),
            url_fields: instance.url_fields.unwrap_or_default(),
            standing: instance.standing,
            authorities: instance.authorities,
            allowed_hosts: instance.reach.allowed_hosts,
            thumbprint: instance.thumbprint,
            shares_with,
            plugin: Some(added.digest),
            correction: None,
        };
        let saved = record
            .save_settings(instance.id, instance.version, settings, &actor())
            .await;
        saved.expect("it is moved");
    }
}

//! The component under the wasmtime CLI, as its authors publish it: composed with an adapter that answers as a host
//! would, against a simulator that takes clients without a certificate. docs/interop.md shows the same by hand.

use std::process::{Command, Output};

use bss_simulator::{
    CertificateRequest, Details, IssuedCertificate, PlainAddresses, Simulator, SimulatorOptions,
};
use tempfile::TempDir;

use crate::component::component;
use crate::composition::{Stock, prepared};

/// The id of the standard catalog's first offer.
const OFFER: &str = "EP2-06798";

impl Stock {
    /// Calls a function of the plugin in the simulator's neighborhood.
    fn call(&self, microsoft: &Microsoft, call: &str) -> Output {
        let identity = self.folder.path().join("identity");
        Command::new(prepared("STOCK_WASMTIME"))
            .args(["run", "-S", "http,config"])
            .arg("-S")
            .arg(format!(
                "config-var=login-authority={}",
                microsoft.details.login_authority
            ))
            .arg("--dir")
            .arg(format!("{}::/identity", identity.display()))
            .arg("--env")
            .arg(format!(
                "PLAIN_HTTP={}",
                microsoft.plain.instead_of(&microsoft.details)
            ))
            .args(["--invoke", call])
            .arg(self.component())
            .output()
            .expect("the wasmtime CLI starts")
    }
}

struct Microsoft {
    simulator: Simulator,
    details: Details,
    issued: IssuedCertificate,
    plain: PlainAddresses,
    _folder: TempDir,
}

impl Microsoft {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut simulator = Simulator::start(SimulatorOptions::new(folder.path()))
            .await
            .expect("the simulator starts");
        let issued = simulator
            .issue_client_certificate(&CertificateRequest::default())
            .expect("a certificate");
        let plain = simulator
            .accept_plain_http_without_certificates(&issued)
            .await
            .expect("it listens");
        Self {
            details: simulator.details().clone(),
            simulator,
            issued,
            plain,
            _folder: folder,
        }
    }

    /// The form's values, in WAVE.
    fn values(&self) -> String {
        let details = &self.details;
        let values = [
            ("system-name", "esd"),
            ("resource-api", details.resource_api.as_str()),
            ("service-url", &details.service_url),
            ("tenant", &details.tenant.to_string()),
            ("channel-id", &details.channel_id),
            ("client-id", &details.client_id.to_string()),
            ("certificate-thumbprint", &self.issued.thumbprint),
            ("country", "DE"),
            ("language", "de-DE"),
        ]
        .map(|(id, value)| format!("{{id: \"{id}\", value: \"{value}\"}}"));
        format!("[{}]", values.join(", "))
    }

    /// The instance, in WAVE.
    fn instance(&self) -> String {
        format!("{{id: \"esd\", values: {}, currency: \"EUR\"}}", self.values())
    }

    /// An order of one license, in WAVE.
    fn order(client_transaction_id: &str) -> String {
        format!(
            "{{client-transaction-id: \"{client_transaction_id}\", earlier-attempts: %none, check-only: false, \
             product: \"{OFFER}\", quantity: 1, reseller: none, \
             customer: {{id: \"C-1\", name: \"Beispiel GmbH\", country: \"DE\"}}}}"
        )
    }
}

fn stdout(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn the_bare_component_names_what_a_stock_wasmtime_lacks() {
    let run = Command::new(prepared("STOCK_WASMTIME"))
        .args(["run", "-S", "http,config", "--invoke"])
        .arg("check-connection({id: \"esd\", values: [], currency: \"EUR\"})")
        .arg(component())
        .output()
        .expect("the wasmtime CLI starts");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success(), "{said}");
    assert!(said.contains("bss:service-manager/"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_judged_without_a_host() {
    let (stock, microsoft) = (Stock::composed(), Microsoft::start().await);
    let form = |values: &str| {
        let draft = format!(
            "{{values: {values}, saved: [], has-licenses: false, currency: \"EUR\", certificates: [], \
             other-instances: []}}"
        );
        stdout(&stock.call(&microsoft, &format!("configure-instance({draft})")))
    };
    let wrong = form("[{id: \"tenant\", value: \"not a tenant\"}]");
    assert!(wrong.contains("standing: needs-credentials"), "{wrong}");
    assert!(wrong.contains("code: \"missing\""), "{wrong}");
    let right = form(&microsoft.values());
    assert!(!right.contains("code: \"missing\""), "{right}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_is_read_without_a_host() {
    let (stock, microsoft) = (Stock::composed(), Microsoft::start().await);
    stock.identify(&microsoft.issued);
    let call = format!("fetch-services({}, \"\")", microsoft.instance());
    let said = stdout(&stock.call(&microsoft, &call));
    assert!(said.contains("ok(complete({product-types: ["), "{said}");
    assert!(
        said.contains(&format!("{OFFER} ")),
        "the products themselves: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_license_is_bought_without_a_host_however_often_it_is_asked_for() {
    let (stock, microsoft) = (Stock::composed(), Microsoft::start().await);
    stock.identify(&microsoft.issued);
    let order = Microsoft::order("9f0dbd8c-6f1e-4bb5-9a43-0c6f6ee1b1f1");
    let call = format!("create-license({}, {order})", microsoft.instance());
    let first = stdout(&stock.call(&microsoft, &call));
    let again = stdout(&stock.call(&microsoft, &call));
    assert!(first.contains("ok(licensed({client-transaction-id: "), "{first}");
    assert_eq!(first, again);
    let ledger = microsoft.simulator.ledger().await.expect("the ledger");
    let [entry] = ledger.as_slice() else {
        panic!("{} licenses", ledger.len())
    };
    assert!(first.contains(&entry.license_token_id), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_by_a_key_that_is_not_registered_is_refused() {
    let (stock, microsoft) = (Stock::composed(), Microsoft::start().await);
    let stranger = microsoft
        .simulator
        .issue_untrusted_certificate(&CertificateRequest {
            registration: bss_simulator::Registration::Unregistered,
            ..CertificateRequest::default()
        })
        .expect("a certificate");
    stock.identify(&stranger);
    let order = Microsoft::order("2b0ff1a4-07a1-4a2c-8d6a-9e6f1c1c4a55");
    let call = format!("create-license({}, {order})", microsoft.instance());
    let said = stdout(&stock.call(&microsoft, &call));
    assert!(
        said.contains("err(misconfigured({code: \"certificate-not-registered\""),
        "{said}"
    );
    assert!(microsoft.simulator.ledger().await.expect("the ledger").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nothing_is_bought() {
    let (stock, microsoft) = (Stock::composed(), Microsoft::start().await);
    let order = Microsoft::order("61a3d1de-0b4e-4b27-8f0f-0d8c5f0c7f6a");
    let call = format!("create-license({}, {order})", microsoft.instance());
    let said = stdout(&stock.call(&microsoft, &call));
    assert!(
        said.contains("err(misconfigured({code: \"certificate-missing\""),
        "{said}"
    );
    assert!(microsoft.simulator.ledger().await.expect("the ledger").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_adapter_goes_nowhere_but_where_it_is_told() {
    let (stock, microsoft) = (Stock::composed(), Microsoft::start().await);
    stock.identify(&microsoft.issued);
    let elsewhere = microsoft.instance().replace(
        &format!("service-url\", value: \"{}", microsoft.details.service_url),
        "service-url\", value: \"https://license.invalid/cis",
    );
    assert_ne!(elsewhere, microsoft.instance());
    let call = format!("fetch-services({elsewhere}, \"\")");
    let said = stdout(&stock.call(&microsoft, &call));
    assert!(said.contains("code: \"destination-not-allowed\""), "{said}");
}

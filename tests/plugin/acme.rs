//! Acme, the vendor of the example: an instance of its plugin beside one of Microsoft's, at its own server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use acme_keys_vendor::{Account, Options, Vendor};
use bss_model::{Asset, NewInstance, Reach, Secret};
use host_harness::{ConfigureError, InstanceForm, OfPlugin, SettingsChange};

use crate::component::acme_component;
use crate::scenario::{Scenario, actor, order_request, problems, silent};

/// The instance at Acme.
pub(crate) const ACME: &str = "anvils";
/// A product whose orders are split, so that each license is for one.
pub(crate) const KEY: &str = "ANVIL-HOME";
/// A product whose orders are not split, so that one license is for all units.
pub(crate) const TEAM: &str = "ANVIL-TEAM";

/// Acme's server, and the account that the instance buys with.
pub(crate) struct Acme {
    pub(crate) vendor: Vendor,
    pub(crate) account: Account,
}

impl Acme {
    /// A server with an account, and an instance without settings.
    pub(crate) async fn beside(scenario: &Scenario) -> Self {
        let vendor = Vendor::start(Options::default())
            .await
            .expect("the server starts");
        let account = vendor.new_account().expect("an account");
        let added = scenario.host.add_plugin(acme_component(), &actor()).await;
        let digest = added.expect("it is added").digest;
        let trusted = scenario.host.trust_plugin(digest, &actor()).await;
        trusted.expect("it is trusted");
        let acme = Self { vendor, account };
        acme.create(scenario, ACME).await;
        acme
    }

    /// A server with an account, and an instance that sells.
    pub(crate) async fn selling_beside(scenario: &Scenario) -> Self {
        let acme = Self::beside(scenario).await;
        acme.make_ready(scenario).await;
        let fetched = scenario.host.fetch_services(ACME, &actor(), silent()).await;
        fetched.expect("the catalog is read");
        scenario.sell_all(ACME).await;
        acme
    }

    pub(crate) async fn create(&self, scenario: &Scenario, name: &str) {
        let new = NewInstance {
            owner: None,
            name: name.to_owned(),
            currency: "EUR".to_owned(),
            options: BTreeMap::new(),
            reach: Reach {
                trusted_authorities_pem: Some(self.vendor.authority_pem().to_owned()),
                allowed_networks: vec![ipnet::Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into()],
                ..Reach::default()
            },
            plugin: None,
        };
        let created = scenario
            .host
            .create_instance(new, OfPlugin::Id("acme-keys"), &actor())
            .await;
        created.expect("a new instance");
    }

    /// Fills the form in with the account and its key.
    pub(crate) async fn make_ready(&self, scenario: &Scenario) {
        let values = [
            ("service-url", self.vendor.url()),
            ("account", self.account.number.clone()),
        ];
        let key = self.account.api_key.clone();
        let form = configure(scenario, &values, Some(&key)).await.expect("the form");
        assert!(form.saved, "{:?}", problems(&form));
    }

    /// The licenses that were sold by these client transaction ids.
    pub(crate) fn bought_by(&self, assets: &[Asset]) -> usize {
        let ids: Vec<_> = assets
            .iter()
            .map(|asset| asset.client_transaction_id.to_string())
            .collect();
        let ledger = self.vendor.ledger();
        ledger.iter().filter(|sold| ids.contains(&sold.client_id)).count()
    }
}

/// Changes values of the instance at Acme, and its key.
pub(crate) async fn configure(
    scenario: &Scenario,
    values: &[(&str, String)],
    key: Option<&str>,
) -> Result<InstanceForm, ConfigureError> {
    let values = values
        .iter()
        .map(|(field, value)| ((*field).to_owned(), value.clone()));
    let secrets = key.map(|key| ("api-key".to_owned(), Some(Secret::new(key))));
    let change = SettingsChange {
        values: values.collect(),
        secrets: secrets.into_iter().collect(),
        ..SettingsChange::default()
    };
    scenario.host.configure(ACME, change, &actor()).await
}

/// Orders so many at Acme, and buys what can be bought now.
pub(crate) async fn order(scenario: &Scenario, product: &str, quantity: u32) -> Vec<Asset> {
    let request = order_request(product, quantity);
    let order = scenario.host.place_order(ACME, request, &actor()).await;
    let order = order.expect("the order is placed").into_order();
    let run = scenario.host.run_order(order.id, silent()).await;
    run.expect("the order is run")
}

//! The whole life of licenses: after any sequence of orders, faults and second thoughts, the record, the bill, the mail
//! and Microsoft's ledger agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bss_model::{
    Actor, Asset, AssetSelection, AssetStatus, Cancellation, CancellationFilter, CancellationState,
    ChargeFilter, LicenseTokenStatus, MailDelivery, MailFilter, MailSettings, MailState, Page, SyncStatus,
};
use bss_simulator::{Fault, LedgerEntry, Operation, Repeat, TokenStatus, When};
use host_harness::{Host, OrderRequest};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::component::component;
use crate::record_place;
use crate::scenario::{INSTANCE, PRICE, Scenario, actor, at_once, order_request, requester, silent};

/// An act of somebody's, or a fault.
#[derive(Clone, Debug)]
enum Act {
    /// An order of `quantity` licenses; under a key, it may be the repetition of an earlier one.
    Order { quantity: u32, key: Option<u8> },
    /// The next request of an operation meets a fault.
    Trouble(Operation, Fault),
    /// The worker takes a turn.
    Work,
    /// Two people follow an order at once.
    FollowTwice(Index),
    /// The operator tries an asset again.
    Retry(Index),
    /// The operator withdraws an asset before it is bought.
    CallBack(Index),
    /// The operator refreshes a license.
    Refresh(Index),
    /// The operator cancels at once.
    Cancel(Index),
    /// The customer asks for a cancellation.
    Request(Index),
    /// The customer withdraws a request.
    Withdraw(Index),
    /// The operator declines a request.
    Decline(Index),
    /// The operator confirms a request.
    Confirm(Index),
    /// The customer uses a license.
    Redeem(Index),
    /// The host is started again.
    Restart,
}

fn fault() -> impl Strategy<Value = (Operation, Fault)> {
    let operations = prop_oneof![
        3 => Just(Operation::Purchase),
        2 => Just(Operation::LookUp),
        2 => Just(Operation::Return),
        1 => Just(Operation::AccessToken),
    ];
    let refusal = |status: u16, code: &str| {
        Just(Fault::Refusal {
            status,
            code: code.to_owned(),
            retry_after: None,
        })
    };
    let faults = prop_oneof![
        Just(Fault::Reset(When::BeforeActing)),
        Just(Fault::Reset(When::AfterActing)),
        Just(Fault::Close(When::AfterActing)),
        Just(Fault::CutAnswer),
        Just(Fault::NotJson(When::AfterActing)),
        Just(Fault::Html(502, When::AfterActing)),
        refusal(500, "InternalError"),
        refusal(503, "Unavailable"),
        refusal(403, "ChannelNotAuthorized"),
    ];
    (operations, faults)
}

fn act() -> impl Strategy<Value = Act> {
    let index = any::<Index>;
    prop_oneof![
        4 => (1_u32..3, proptest::option::of(0_u8..2)).prop_map(|(quantity, key)| Act::Order { quantity, key }),
        5 => fault().prop_map(|(operation, fault)| Act::Trouble(operation, fault)),
        4 => Just(Act::Work),
        1 => index().prop_map(Act::FollowTwice),
        2 => index().prop_map(Act::Retry),
        3 => index().prop_map(Act::CallBack),
        1 => index().prop_map(Act::Refresh),
        3 => index().prop_map(Act::Cancel),
        2 => index().prop_map(Act::Request),
        1 => index().prop_map(Act::Withdraw),
        1 => index().prop_map(Act::Decline),
        2 => index().prop_map(Act::Confirm),
        2 => index().prop_map(Act::Redeem),
        1 => Just(Act::Restart),
    ]
}

/// The state that the acts must have led to.
#[derive(Default)]
struct Model {
    /// How many units were ordered.
    ordered: usize,
    /// The orders under a key, and what they asked for.
    keys: BTreeMap<u8, OrderRequest>,
    /// Licenses that their customers have used, by license token id.
    redeemed: BTreeSet<String>,
}

struct World {
    scenario: Scenario,
    host: Host,
    model: Model,
}

impl World {
    async fn begin() -> Self {
        let scenario = Scenario::selling().await;
        let settings = MailSettings {
            from: "licenses@reseller.test".to_owned(),
            delivery: MailDelivery::Directory(mailbox(&scenario)),
            templates: None,
        };
        scenario
            .host
            .configure_mail(settings, &actor())
            .await
            .expect("mail");
        Self {
            host: scenario.host.clone(),
            scenario,
            model: Model::default(),
        }
    }

    async fn one(&self, index: Index) -> Option<Asset> {
        let assets = self.scenario.assets().await;
        (!assets.is_empty()).then(|| index.get(&assets).clone())
    }

    async fn cancellations(&self, state: CancellationState) -> Vec<Cancellation> {
        let filter = CancellationFilter {
            state: Some(state),
            ..CancellationFilter::default()
        };
        let cancellations = self.host.record().cancellations(&filter, &Page::all()).await;
        cancellations.expect("cancellations").rows
    }

    async fn request(&self, index: Index) -> Option<Cancellation> {
        let requested = self.cancellations(CancellationState::Requested).await;
        (!requested.is_empty()).then(|| index.get(&requested).clone())
    }

    /// Carries an act out. Many are refused at the wrong time; that is no error, and must do no harm.
    async fn act(&mut self, act: Act) {
        let (record, customer) = (self.host.record().clone(), requester());
        match act {
            Act::Order { quantity, key } => self.order(quantity, key).await,
            Act::Trouble(operation, fault) => {
                let faults = self.scenario.microsoft.faults();
                faults.order(operation, fault, Repeat::Times(1));
            }
            Act::Work => {
                let options = at_once(4);
                let worked = self.host.work_once(&options, std::future::pending());
                worked.await.expect("the worker works");
            }
            Act::FollowTwice(index) => {
                if let Some(asset) = self.one(index).await {
                    let follow = || self.host.run_order(asset.order_id, silent());
                    let (one, other) = tokio::join!(follow(), follow());
                    one.expect("it is followed");
                    other.expect("it is followed");
                }
            }
            Act::Retry(index) => {
                if let Some(asset) = self.one(index).await {
                    let _ = self.host.retry_asset(asset.id, &actor(), silent()).await;
                }
            }
            Act::CallBack(index) => {
                if let Some(asset) = self.one(index).await {
                    self.call_back(&asset).await;
                }
            }
            Act::Refresh(index) => {
                if let Some(asset) = self.one(index).await {
                    let _ = self.host.refresh_license(asset.id, silent()).await;
                }
            }
            Act::Cancel(index) => {
                if let Some(asset) = self.one(index).await
                    && let Ok(taken) = self
                        .host
                        .cancel_now(asset.id, &customer, "", &Actor::operator("olivia"))
                        .await
                {
                    let _ = self.host.run_return(taken.id, silent()).await;
                }
            }
            Act::Request(index) => {
                if let Some(asset) = self.one(index).await {
                    let _ = record
                        .request_cancellation(asset.id, &customer, "", &actor())
                        .await;
                }
            }
            Act::Withdraw(index) => {
                if let Some(request) = self.request(index).await {
                    let withdrawn = record
                        .withdraw_cancellation(request.id, "", &Actor::operator("customer"))
                        .await;
                    withdrawn.expect("an open request can be withdrawn");
                }
            }
            Act::Decline(index) => {
                if let Some(request) = self.request(index).await {
                    let declined = record
                        .decline_cancellation(request.id, "", &Actor::operator("olivia"))
                        .await;
                    declined.expect("an open request can be declined");
                }
            }
            Act::Confirm(index) => {
                if let Some(request) = self.request(index).await {
                    let confirmed = self
                        .host
                        .confirm_cancellation(request.id, "", &Actor::operator("olivia"))
                        .await;
                    confirmed.expect("an open request can be confirmed");
                }
            }
            Act::Redeem(index) => {
                let ledger = self.scenario.microsoft.ledger().await.expect("the ledger");
                if !ledger.is_empty() {
                    let id = index.get(&ledger).license_token_id.clone();
                    if self.scenario.microsoft.redeem(&id).await.is_ok() {
                        self.model.redeemed.insert(id);
                    }
                }
            }
            Act::Restart => {
                let data = self.scenario.folder.path().join("bss");
                self.host = record_place::open(&data, component())
                    .await
                    .expect("the host opens");
            }
        }
    }

    async fn call_back(&self, asset: &Asset) {
        let (order, assets) = (asset.order_id, [asset.id]);
        let withdrawn = self.host.withdraw_order(order, &assets, &actor(), silent()).await;
        withdrawn.expect("it can be asked for");
    }

    async fn order(&mut self, quantity: u32, key: Option<u8>) {
        let offers = self.scenario.offers().await;
        let mut request = order_request(&offers[0], quantity);
        if let Some(key) = key {
            request.idempotency_key = Some(key.to_string());
            if let Some(earlier) = self.model.keys.get(&key) {
                let again = self.host.place_order(INSTANCE, earlier.clone(), &actor()).await;
                again.expect("the same order again");
                let other = self.host.place_order(INSTANCE, request, &actor()).await;
                assert!(other.is_err(), "another order under the same key");
                return;
            }
            self.model.keys.insert(key, request.clone());
        }
        self.host
            .place_order(INSTANCE, request, &actor())
            .await
            .expect("it is placed")
            .into_order();
        self.model.ordered += quantity as usize;
    }

    /// Lets everything come to rest, with a Microsoft that answers.
    async fn rest(&self) {
        self.scenario.microsoft.faults().clear();
        loop {
            // The pauses that were meant for a Microsoft in trouble are not waited for.
            for asset in self.scenario.assets().await {
                if asset.withdrawal_asked_at_ms.is_some() {
                    self.call_back(&asset).await;
                } else if asset.sync_status == SyncStatus::Unsynchronised {
                    let _ = self.host.record().retry_asset(asset.id, &actor()).await;
                }
            }
            for open in self.cancellations(CancellationState::Returning).await {
                self.host
                    .run_return(open.id, silent())
                    .await
                    .expect("it is attempted");
            }
            self.host
                .work_once(&at_once(8), std::future::pending())
                .await
                .expect("the worker works");
            let open = self.host.record().outstanding(&AssetSelection::default()).await;
            let returning = self.cancellations(CancellationState::Returning).await;
            if open.expect("what is open").assets == 0 && returning.is_empty() {
                return;
            }
        }
    }

    /// Checks what must be true at any moment.
    async fn assert_no_harm_is_done(&self) {
        let assets = self.scenario.assets().await;
        assert_eq!(assets.len(), self.model.ordered, "an asset for each unit");
        let ledger = self.scenario.microsoft.ledger().await.expect("the ledger");
        let issued: BTreeSet<_> = ledger.iter().map(|entry| &entry.client_transaction_id).collect();
        assert_eq!(
            issued.len(),
            ledger.len(),
            "at most one license for each order line"
        );
        for asset in &assets {
            let is_withdrawn = asset.status == AssetStatus::Withdrawn;
            assert_eq!(asset.sync_status == SyncStatus::Withdrawn, is_withdrawn);
            let is_issued = issued.contains(&asset.client_transaction_id.to_string());
            assert!(!(is_withdrawn && is_issued), "what is withdrawn is never bought");
        }
        let ids: BTreeMap<_, _> = assets.iter().map(|asset| (asset.id, asset)).collect();
        for line in self.charged().await {
            assert_eq!(
                ids[&line].sync_status,
                SyncStatus::Synchronized,
                "a charge has its license"
            );
        }
        for credited in self.credited().await {
            assert_eq!(
                ids[&credited].status,
                AssetStatus::Cancelled,
                "a credit has its return"
            );
        }
    }

    /// Checks what must be true once everything has come to rest.
    async fn assert_all_agree(&self) {
        self.assert_no_harm_is_done().await;
        let ledger = self.scenario.microsoft.ledger().await.expect("the ledger");
        let entries: BTreeMap<&str, &LedgerEntry> = ledger
            .iter()
            .map(|entry| (entry.license_token_id.as_str(), entry))
            .collect();
        let assets = self.scenario.assets().await;
        let licensed: Vec<_> = assets
            .iter()
            .filter(|asset| asset.sync_status == SyncStatus::Synchronized)
            .collect();
        let held: BTreeSet<_> = licensed
            .iter()
            .filter_map(|asset| asset.license_token_id.as_deref())
            .collect();
        assert_eq!(held.len(), licensed.len(), "no license is in two assets");
        assert_eq!(held, entries.keys().copied().collect(), "every license is in one");
        let ids: Vec<_> = licensed.iter().map(|asset| asset.id).collect();
        assert_eq!(
            sorted(self.charged().await),
            sorted(ids.clone()),
            "each is charged once"
        );
        let (mailed, withdrawn) = self.mailed().await;
        let files = std::fs::read_dir(mailbox(&self.scenario)).map_or(0, Iterator::count);
        assert_eq!(files, mailed.len(), "nothing else is in the mailbox");
        for withdrawn in &withdrawn {
            let is_its = |asset: &&&Asset| asset.id == *withdrawn;
            let asset = licensed.iter().find(is_its).expect("an asset with a license");
            assert_eq!(
                asset.status,
                AssetStatus::Cancelled,
                "what is not mailed was given back"
            );
        }
        let written = [mailed, withdrawn].concat();
        assert_eq!(sorted(written), sorted(ids), "each is mailed once");
        let returned: Vec<_> = licensed
            .iter()
            .filter(|asset| {
                let id = asset.license_token_id.as_deref().unwrap_or_default();
                entries[id].token_status == TokenStatus::ReturnAccepted
            })
            .collect();
        let returned_ids: Vec<_> = returned.iter().map(|asset| asset.id).collect();
        assert_eq!(
            sorted(self.credited().await),
            sorted(returned_ids),
            "credit and return go together"
        );
        for asset in &licensed {
            let is_returned = returned.iter().any(|returned| returned.id == asset.id);
            assert_eq!(asset.status == AssetStatus::Cancelled, is_returned);
            if is_returned {
                assert_eq!(asset.license_token_status, Some(LicenseTokenStatus::Returned));
            }
            let id = asset.license_token_id.as_deref().unwrap_or_default();
            assert!(
                !(is_returned && self.model.redeemed.contains(id)),
                "what is used is kept"
            );
        }
    }

    async fn charged(&self) -> Vec<uuid::Uuid> {
        let filter = ChargeFilter::default();
        let charges = self.host.record().charges(&filter, &Page::all()).await;
        let charges = charges.expect("charges").rows;
        let numbers: Vec<_> = charges.iter().map(|charge| charge.number.number).collect();
        assert!(
            numbers.iter().copied().eq(1..=numbers.len() as u64),
            "{numbers:?}"
        );
        let lines: Vec<_> = charges.into_iter().flat_map(|charge| charge.lines).collect();
        assert!(lines.iter().all(|line| line.price.minor_units == PRICE));
        lines.into_iter().map(|line| line.asset_id).collect()
    }

    async fn credited(&self) -> Vec<uuid::Uuid> {
        let filter = ChargeFilter::default();
        let credits = self.host.record().credits(&filter, &Page::all()).await;
        let credits = credits.expect("credits").rows;
        assert!(credits.iter().all(|credit| credit.price.minor_units == PRICE));
        credits.into_iter().map(|credit| credit.asset_id).collect()
    }

    /// The assets whose e-mail was sent, and those whose e-mail was withdrawn.
    async fn mailed(&self) -> (Vec<uuid::Uuid>, Vec<uuid::Uuid>) {
        let filter = MailFilter::default();
        let mails = self.host.record().mails(&filter, &Page::all()).await;
        let mails = mails.expect("mails").rows;
        let in_state = |state| {
            let mails = mails.iter().filter(|mail| mail.state == state);
            mails.map(|mail| mail.asset_id).collect::<Vec<_>>()
        };
        let (sent, withdrawn) = (in_state(MailState::Sent), in_state(MailState::Withdrawn));
        assert_eq!(sent.len() + withdrawn.len(), mails.len(), "{mails:?}");
        (sent, withdrawn)
    }
}

fn mailbox(scenario: &Scenario) -> PathBuf {
    scenario.folder.path().join("mailbox")
}

fn sorted(mut ids: Vec<uuid::Uuid>) -> Vec<uuid::Uuid> {
    ids.sort();
    ids
}

#[test]
fn any_sequence_of_orders_faults_and_second_thoughts_leaves_record_bill_mail_and_ledger_agreed() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = ProptestConfig {
        cases: 10,
        max_shrink_iters: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(acts in proptest::collection::vec(act(), 6..20))| {
        runtime.block_on(async {
            let mut world = World::begin().await;
            for act in acts {
                world.act(act).await;
                world.assert_no_harm_is_done().await;
            }
            world.rest().await;
            world.assert_all_agree().await;
        });
    });
}

//! `asset …`: the licenses that were ordered, what became of each, and another try for those that failed.

use std::collections::BTreeMap;

use bss_model::{
    Advice, Asset, AssetFilter, ErrorKind, IdKind, LicenseSecrets, LicenseState, SortOrder, SyncStatus,
    is_returned_but_active, overdue_since_ms,
};
use clap::{Args, Subcommand};
use host_harness::Host;
use host_harness::view;
use uuid::Uuid;

use super::bulk::{BulkArguments, Tally};
use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::operator;
use super::output::Table;
use super::pages::{self, PageArguments};
use super::period::PeriodArguments;
use super::progress::listener;
use super::returns::{self, ReturnCommand};
use super::typed_ids::{self, TypedId, TypedOrder};
use super::{instances, output, show};

const COLUMNS: [Column; 28] = [
    Column::Of("id"),
    Column::Of("orderId"),
    Column::Time("orderedAtMs"),
    Column::Of("state"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("billingTo.id"),
    Column::Of("productCode"),
    Column::Of("productName"),
    Column::Of("quantity"),
    Column::Money("price"),
    Column::Of("status"),
    Column::Of("syncStatus"),
    Column::Of("isOverdue"),
    Column::Of("licenseTokenStatus"),
    Column::Of("returnStatus"),
    Column::Of("isReturnedButActive"),
    Column::Of("productKey"),
    Column::Of("activationLink"),
    Column::Time("purchasedAtMs"),
    Column::Time("returnableUntilMs"),
    Column::Time("refreshedAtMs"),
    Column::Of("clientTransactionId"),
    Column::Of("transactionId"),
    Column::Of("licenseTokenId"),
    Column::Of("reason.code"),
    Column::Of("reason.message"),
];

#[derive(Debug, Subcommand)]
pub(super) enum AssetCommand {
    /// Show licenses, the latest first
    List(Box<ListAssets>),
    /// Show everything that is known about one license
    Show {
        /// The asset's id
        asset: TypedId,
        /// Show the product key and the activation link unmasked
        #[arg(long)]
        show_keys: bool,
    },
    /// Show every attempt to buy a license: its time, its outcome and its correlation id
    History {
        /// The asset's id
        asset: TypedId,
    },
    /// Try to buy licenses again that failed or wait; the purchase of an earlier attempt is looked up first
    Retry(RetryAssets),
    #[command(flatten)]
    Return(ReturnCommand),
}

#[derive(Debug, Args)]
pub(super) struct ListAssets {
    /// Only licenses of this instance
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Only licenses of this order, by its id or the shop's key
    #[arg(long, value_name = "ORDER")]
    order: Option<TypedOrder>,
    /// Only licenses of this customer, by the platform's id
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// Only licenses of this product, by its code
    #[arg(long, value_name = "CODE")]
    product: Option<String>,
    /// Only licenses in this state
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// Only licenses with this provisioning sync status
    #[arg(long, value_name = "STATUS")]
    sync_status: Option<Sync>,
    /// Only licenses whose purchase has been open for longer than two hours
    #[arg(long)]
    overdue: bool,
    /// Show product keys and activation links unmasked
    #[arg(long)]
    show_keys: bool,
    #[command(flatten)]
    period: PeriodArguments,
    #[command(flatten)]
    page: PageArguments,
    #[command(flatten)]
    csv: CsvOption,
}

/// The state of a license, as it is typed in and shown.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum State {
    /// Not bought yet, or not known to be bought
    Open,
    /// Bought, and in use
    Licensed,
    /// Refused for good
    Refused,
    /// Withdrawn before it was bought
    Withdrawn,
    /// Taken back by the vendor, and not cancelled here
    Returned,
    /// Cancelled after it was bought
    Cancelled,
}

impl From<State> for LicenseState {
    fn from(typed: State) -> Self {
        match typed {
            State::Open => Self::Open,
            State::Licensed => Self::Licensed,
            State::Refused => Self::Refused,
            State::Withdrawn => Self::Withdrawn,
            State::Returned => Self::Returned,
            State::Cancelled => Self::Cancelled,
        }
    }
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(super) struct RetryAssets {
    /// The assets' ids; a single one is tried while you wait, several by `bss-host run`
    #[arg(group = "which", value_name = "ASSET")]
    assets: Vec<TypedId>,
    /// All licenses that failed, or those of them that the filters leave
    #[arg(long, group = "which")]
    failed: bool,
    /// Only failed licenses of this instance
    #[arg(long, requires = "failed", value_name = "NAME")]
    instance: Option<String>,
    /// Only failed licenses of this order
    #[arg(long, requires = "failed", value_name = "ORDER")]
    order: Option<TypedOrder>,
    /// Only failed licenses of this customer, by the platform's id
    #[arg(long, requires = "failed", value_name = "ID")]
    customer: Option<String>,
    /// Only failed licenses of this product, by its code
    #[arg(long, requires = "failed", value_name = "CODE")]
    product: Option<String>,
    #[command(flatten)]
    bulk: BulkArguments,
}

/// A provisioning sync status, as it is typed in.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Sync {
    /// Not bought yet, or not known to be bought
    Unsynchronised,
    /// Bought
    Synchronized,
    /// Definitely not bought
    Failed,
    /// Withdrawn before it was bought
    Withdrawn,
}

impl From<Sync> for SyncStatus {
    fn from(typed: Sync) -> Self {
        match typed {
            Sync::Unsynchronised => Self::Unsynchronised,
            Sync::Synchronized => Self::Synchronized,
            Sync::Failed => Self::Failed,
            Sync::Withdrawn => Self::Withdrawn,
        }
    }
}

pub(super) async fn run(host: &Host, command: AssetCommand, json: bool) -> Outcome {
    match command {
        AssetCommand::List(list) => self::list(host, *list, json).await,
        AssetCommand::Show { asset, show_keys } => {
            let asset = asset.of(IdKind::Asset, host).await?;
            self::show(host, asset, show_keys, json).await
        }
        AssetCommand::History { asset } => history(host, asset.of(IdKind::Asset, host).await?, json).await,
        AssetCommand::Retry(asked) => match asked.assets.as_slice() {
            [asset] if !asked.bulk.is_dry() => retry(host, asset.of(IdKind::Asset, host).await?, json).await,
            _ => retry_many(host, asked, json).await,
        },
        AssetCommand::Return(command) => returns::run(host, command, json).await,
    }
}

async fn list(host: &Host, list: ListAssets, json: bool) -> Outcome {
    let form = list.csv.form(json);
    let period = list.period.period()?;
    let filter = AssetFilter {
        instance: instances::filter_id(host, list.instance.as_deref()).await?,
        order: typed_ids::order(list.order.as_ref(), host).await?,
        customer: list.customer,
        product: list.product,
        sync_status: list.sync_status.map(SyncStatus::from),
        state: list.state.map(LicenseState::from),
        since_ms: period.since_ms,
        until_ms: period.until_ms,
        open_since_ms: list.overdue.then(|| overdue_since_ms(host.record().now_ms())),
    };
    let assets = list
        .page
        .read(form, async |page| host.record().assets(&filter, page).await);
    let assets = assets.await?;
    let operator = operator();
    let views = host
        .asset_views(&assets, show::keys(list.show_keys, &operator))
        .await?;
    let shown = csv_lines::list(form, &views, &COLUMNS, |views| table(views, list.show_keys));
    if form == Form::Table {
        // A license that was returned elsewhere has its state, which is enough in a list.
        let explained: Vec<_> = assets
            .into_iter()
            .filter(|asset| !is_returned_but_active(asset))
            .collect();
        show::asset_reasons(&explained).into_iter().for_each(output::note);
    }
    shown
}

/// A table of licenses, for people.
pub(super) fn table(assets: &[view::Asset], has_keys: bool) -> Table {
    let columns = [
        "Asset", "Ordered", "State", "Customer", "Instance", "Product", "Key",
    ];
    let link = has_keys.then_some("Activation link");
    let mut table = show::table(&columns.into_iter().chain(link).collect::<Vec<_>>());
    for asset in assets {
        let customer = &asset.parties.customer;
        let key = show::text(asset.product_key.as_ref());
        let key = match has_keys {
            true => key,
            // The hidden groups say nothing.
            false => key.rsplit('-').next().unwrap_or_default().to_owned(),
        };
        let link = has_keys.then(|| show::text(asset.activation_link.as_ref()));
        let columns = [
            show::short(asset.id),
            show::time(asset.ordered_at_ms),
            state(asset),
            show::party(&customer.name, &customer.id),
            asset.parties.instance.clone(),
            show::units(asset.quantity, &asset.product_code),
            key,
        ];
        table.add_row(columns.into_iter().chain(link));
    }
    table
}

fn state(asset: &view::Asset) -> String {
    match (asset.is_overdue, asset.is_cancellation_requested) {
        (true, _) => format!("{}, overdue", asset.state),
        (false, true) => format!("{}, {TO_DECIDE}", asset.state),
        (false, false) => asset.state.clone(),
    }
}

/// What is said of a license whose cancellation was requested, until somebody has decided.
const TO_DECIDE: &str = "cancellation requested";

/// Reads the secrets of assets that are to be shown whole.
pub(super) async fn secrets(
    host: &Host,
    assets: &[Asset],
) -> Result<BTreeMap<Uuid, LicenseSecrets>, Failure> {
    let ids: Vec<Uuid> = assets.iter().map(|asset| asset.id).collect();
    Ok(host.record().show_license_secrets(&ids, &operator()).await?)
}

/// Shows assets, with the secrets of those that are to be shown whole.
pub(super) fn show_assets(assets: &[Asset], secrets: &BTreeMap<Uuid, LicenseSecrets>) {
    output::table(&show::asset_table(assets, secrets, show::Ids::Whole));
    for reason in show::asset_reasons(assets) {
        output::note(reason);
    }
}

async fn known(host: &Host, asset_id: Uuid) -> Result<Asset, Failure> {
    let asset = host.record().asset(asset_id).await?;
    asset.ok_or_else(|| {
        let message = format!("asset `{asset_id}` does not exist");
        Failure::new(ErrorKind::NotFound, "no-asset", message).advise(&Advice::ListAssets)
    })
}

async fn show(host: &Host, asset_id: Uuid, show_keys: bool, json: bool) -> Outcome {
    let asset = known(host, asset_id).await?;
    let operator = operator();
    let view = host.asset_view(&asset, show::keys(show_keys, &operator)).await?;
    if json {
        show::json(&view)?;
        return Ok(ExitStatus::Done);
    }
    let party = |party: &view::Party| format!("{} ({}, {})", party.name, party.id, party.country);
    let token_status = asset.license_token_status;
    let time = |ms: Option<i64>| ms.map(show::time).unwrap_or_default();
    let mut table = show::table(&["Field", "Value"]);
    for (field, shown) in [
        ("Asset", asset.id.to_string()),
        ("Instance", view.parties.instance.clone()),
        ("Customer", party(&view.parties.customer)),
        ("Billed to", party(&view.parties.billing_to)),
        (
            "Status",
            match view.is_cancellation_requested {
                true => format!("{}, {TO_DECIDE}", asset.status),
                false => asset.status.to_string(),
            },
        ),
        ("Order", asset.order_id.to_string()),
        ("Ordered", show::time(asset.created_at_ms)),
        ("Purchase date", time(asset.purchased_at_ms)),
        ("Returnable until", time(asset.returnable_until_ms)),
        (
            "Product",
            format!("{}  {}", asset.product_code, asset.product_name),
        ),
        ("Quantity", asset.quantity.to_string()),
        (
            "Price",
            asset.price.as_ref().map(ToString::to_string).unwrap_or_default(),
        ),
        ("Provisioning sync status", asset.sync_status.to_string()),
        ("License token", show::text(view.product_key.as_ref())),
        (
            "License token status",
            token_status.map_or_else(String::new, |status| status.to_string()),
        ),
        ("Return status", asset.return_status.to_string()),
        ("Activation link", show::text(view.activation_link.as_ref())),
        ("Client transaction id", asset.client_transaction_id.to_string()),
        (
            "Vendor's transaction id",
            asset.transaction_id.clone().unwrap_or_default(),
        ),
        (
            "Vendor's license token id",
            asset.license_token_id.clone().unwrap_or_default(),
        ),
        ("Last refreshed", time(asset.refreshed_at_ms)),
    ] {
        table.add_row([field.to_owned(), shown]);
    }
    output::table(&table);
    for reason in show::asset_reasons(std::slice::from_ref(&asset)) {
        output::note(reason);
    }
    if view.is_cancellation_requested {
        output::note(format!(
            "hint: `bss-host asset cancellations {asset_id}` shows who asked for the cancellation and why; `bss-host asset confirm` and \
             `bss-host asset decline` decide"
        ));
    }
    Ok(ExitStatus::Done)
}

async fn history(host: &Host, asset_id: Uuid, json: bool) -> Outcome {
    known(host, asset_id).await?;
    let attempts = host.record().attempts(asset_id).await?;
    if json {
        let attempts: Vec<_> = attempts.iter().map(view::PurchaseAttempt::from).collect();
        show::json(&attempts)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Attempt", "Begun", "Took", "Outcome", "Correlation id", "Reason"]);
    for attempt in &attempts {
        let problem = attempt.problem.as_ref();
        table.add_row([
            attempt.number.to_string(),
            show::time(attempt.begun_at_ms),
            attempt
                .finished_at_ms
                .map(|ended| format!("{} ms", ended.saturating_sub(attempt.begun_at_ms)))
                .unwrap_or_default(),
            attempt
                .result
                .map_or_else(|| "no outcome on record".to_owned(), |result| result.to_string()),
            problem
                .map(|problem| problem.correlation_id.clone())
                .unwrap_or_default(),
            problem
                .map(|problem| format!("{} ({})", problem.message, problem.code))
                .unwrap_or_default(),
        ]);
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}

/// Makes many licenses due, and leaves them to the worker.
async fn retry_many(host: &Host, asked: RetryAssets, json: bool) -> Outcome {
    let assets = match asked.failed {
        false => typed_ids::all(&asked.assets, IdKind::Asset, host).await?,
        true => {
            let filter = AssetFilter {
                instance: instances::filter_id(host, asked.instance.as_deref()).await?,
                order: typed_ids::order(asked.order.as_ref(), host).await?,
                customer: asked.customer,
                product: asked.product,
                sync_status: Some(SyncStatus::Failed),
                ..AssetFilter::default()
            };
            let failed = pages::all(SortOrder::Ascending, async |page| {
                host.record().assets(&filter, page).await
            });
            failed.await?.into_iter().map(|asset| asset.id).collect()
        }
    };
    if assets.is_empty() {
        output::note("no license failed there");
    }
    if assets.is_empty() && !asked.bulk.is_dry() {
        return Tally::new(json).none();
    }
    if asked.bulk.is_dry() {
        returns::check_all(host, &assets).await?;
    }
    let what = format!(
        "try to buy {} again",
        show::counted(assets.len() as u64, "license")
    );
    if !asked.bulk.agreed(&what)? {
        return Tally::new(json).would(&assets);
    }
    let mut tally = Tally::new(json);
    for asset in assets {
        let due = async {
            host.asset(asset.into()).await?;
            Ok::<_, Failure>(host.record().retry_asset(asset, &operator()).await?)
        };
        tally.add(asset, due.await)?;
    }
    output::note("`bss-host run` buys them");
    tally.end("due now")
}

async fn retry(host: &Host, asset_id: Uuid, json: bool) -> Outcome {
    let handle = host.heard_by(listener()).asset(asset_id.into()).await?;
    let tried = handle.retry(&operator()).await?;
    let asset = known(host, asset_id).await?;
    if json {
        show::json(&tried)?;
    } else {
        show_assets(std::slice::from_ref(&asset), &BTreeMap::new());
    }
    match asset.sync_status {
        SyncStatus::Synchronized => Ok(ExitStatus::Done),
        SyncStatus::Failed | SyncStatus::Withdrawn => Err(Failure::new(
            ErrorKind::Refused,
            "not-bought",
            format!("the license of asset {asset_id} was not bought"),
        )),
        SyncStatus::Unsynchronised => Err(Failure::new(
            ErrorKind::Unavailable,
            "not-settled",
            format!("whether the license of asset {asset_id} was bought is not known yet"),
        )
        .advise(&Advice::ShowAttempts { asset: asset.id })),
    }
}

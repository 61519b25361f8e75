//! `asset cancel|withdraw|confirm|decline|cancellations|refresh`: what becomes of a license after it was bought.

use std::collections::BTreeMap;

use bss_model::{
    Advice, AssetFilter, AssetStatus, Cancellation, CancellationFilter, CancellationState, ErrorKind, IdKind,
    Requester, RequesterKind, ReturnAttempt, ReturnResult, SortOrder, SyncStatus,
};
use clap::{Args, Subcommand};
use host_harness::{Host, Refreshed, view};
use uuid::Uuid;

use super::bulk::{BulkArguments, Tally};
use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, problem_line, words};
use super::input::operator;
use super::output::{self, Table};
use super::pages::{self, PageArguments};
use super::progress::listener;
use super::typed_ids::{self, TypedId, TypedOrder};
use super::{instances, show};

/// Failures with one code that are told in a line each, of many.
const FAILURES_TOLD_MAX: u64 = 3;

const CANCELLATION_COLUMNS: [Column; 19] = [
    Column::Of("id"),
    Column::Of("assetId"),
    Column::Of("orderId"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("number"),
    Column::Of("state"),
    Column::Of("requestedBy.kind"),
    Column::Of("requestedBy.name"),
    Column::Time("requestedAtMs"),
    Column::Of("comment"),
    Column::Of("decision.by"),
    Column::Time("decision.atMs"),
    Column::Of("decision.comment"),
    Column::Of("reason.result"),
    Column::Of("reason.code"),
    Column::Of("reason.message"),
    Column::Time("endedAtMs"),
];

#[derive(Debug, Subcommand)]
pub(super) enum ReturnCommand {
    /// Return licenses to the vendor; once the vendor shows one returned, its asset is cancelled and credited
    Cancel(CancelAsset),
    /// Withdraw a cancellation request
    Withdraw(Decision),
    /// Confirm a cancellation request: the license is returned
    Confirm(Decision),
    /// Decline a cancellation request: the license is not returned
    Decline(Decision),
    /// Show cancellations; for a single asset, every attempt at the return too
    Cancellations {
        /// The id of the asset; without it, the cancellations of all assets
        asset: Option<TypedId>,
        /// Only cancellations that wait for a decision or for the vendor
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        page: PageArguments,
        #[command(flatten)]
        csv: CsvOption,
    },
    /// Ask the vendor for the present status of licenses
    Refresh(Refresh),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(super) struct CancelAsset {
    /// The assets' ids
    #[arg(group = "which", value_name = "ASSET")]
    assets: Vec<TypedId>,
    /// All assets of this order that have their license; what is not bought is withdrawn by `order withdraw`
    #[arg(long, group = "which", value_name = "ORDER")]
    order: Option<TypedOrder>,
    /// The reason, which the vendor gets too
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// The customer who requests the cancellation
    #[arg(long, value_name = "NAME", conflicts_with = "by_reseller")]
    by_customer: Option<String>,
    /// The reseller who requests the cancellation
    #[arg(long, value_name = "NAME")]
    by_reseller: Option<String>,
    /// Only request the cancellation: `asset confirm` or `asset decline` decides
    #[arg(long)]
    request: bool,
    #[command(flatten)]
    bulk: BulkArguments,
}

#[derive(Debug, Args)]
pub(super) struct Decision {
    /// The asset's id
    asset: TypedId,
    /// The reason
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Refresh {
    /// The asset's id
    asset: Option<TypedId>,
    /// All assets that have a license and are not cancelled
    #[arg(long)]
    all: bool,
    /// All assets of this instance that have a license and are not cancelled
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

pub(super) async fn run(host: &Host, command: ReturnCommand, json: bool) -> Outcome {
    match command {
        ReturnCommand::Cancel(asked) => cancel(host, asked, json).await,
        ReturnCommand::Withdraw(Decision { asset, comment }) => {
            let last = last_cancellation(host, asset.of(IdKind::Asset, host).await?).await?;
            let decided = host
                .record()
                .withdraw_cancellation(last, &comment, &operator())
                .await;
            ended(host, &decided?, json).await
        }
        ReturnCommand::Decline(Decision { asset, comment }) => {
            let last = last_cancellation(host, asset.of(IdKind::Asset, host).await?).await?;
            let decided = host
                .record()
                .decline_cancellation(last, &comment, &operator())
                .await;
            ended(host, &decided?, json).await
        }
        ReturnCommand::Confirm(Decision { asset, comment }) => {
            let last = last_cancellation(host, asset.of(IdKind::Asset, host).await?).await?;
            let confirmed = host.confirm_cancellation(last, &comment, &operator()).await;
            returned(host, confirmed?.id, json).await
        }
        ReturnCommand::Cancellations {
            asset,
            open,
            page,
            csv,
        } => {
            let asset = typed_ids::optional(asset.as_ref(), IdKind::Asset, host).await?;
            cancellations(host, asset, open, &page, csv.form(json)).await
        }
        ReturnCommand::Refresh(Refresh {
            asset: Some(asset), ..
        }) => refresh_one(host, asset.of(IdKind::Asset, host).await?, json).await,
        ReturnCommand::Refresh(Refresh { instance, .. }) => refresh_many(host, instance, json).await,
    }
}

async fn cancel(host: &Host, asked: CancelAsset, json: bool) -> Outcome {
    if let ([asset], false) = (asked.assets.as_slice(), asked.bulk.is_dry()) {
        let asset = asset.of(IdKind::Asset, host).await?;
        return cancel_one(host, &asked, asset, json).await;
    }
    let assets = match &asked.order {
        None => typed_ids::all(&asked.assets, IdKind::Asset, host).await?,
        Some(order) => bought_of(host, order.of(host).await?).await?,
    };
    let what = format!(
        "{} {}",
        match asked.request {
            true => "request the cancellation of",
            false => "return to the vendor, cancel and credit",
        },
        show::counted(assets.len() as u64, "license")
    );
    if assets.is_empty() && !asked.bulk.is_dry() {
        return Tally::new(json).none();
    }
    if asked.bulk.is_dry() {
        check_all(host, &assets).await?;
    }
    if !asked.bulk.agreed(&what)? {
        return Tally::new(json).would(&assets);
    }
    let mut tally = Tally::new(json);
    for asset in assets {
        let cancelled = cancellation_of(host, &asked, asset).await;
        tally.add(asset, cancelled.and_then(|cancellation| settled(&cancellation)))?;
    }
    tally.end(match asked.request {
        true => "requested",
        false => "cancelled and credited",
    })
}

/// The assets of an order that have their license and are not cancelled.
async fn bought_of(host: &Host, order: Uuid) -> Result<Vec<Uuid>, Failure> {
    host.order(order.into()).await?;
    let filter = AssetFilter {
        order: Some(order),
        ..AssetFilter::default()
    };
    let assets = pages::all(SortOrder::Ascending, async |page| {
        host.record().assets(&filter, page).await
    });
    let assets = assets.await?;
    let open = assets
        .iter()
        .filter(|asset| matches!(asset.sync_status, SyncStatus::Unsynchronised | SyncStatus::Failed));
    let open = open.count() as u64;
    if open > 0 {
        output::note(format!(
            "not bought, and left alone: {}; `bss-host order withdraw {order}` withdraws what is not bought",
            show::counted(open, "license")
        ));
    }
    let bought = assets
        .into_iter()
        .filter(|asset| asset.sync_status == SyncStatus::Synchronized && asset.status == AssetStatus::Active);
    let bought: Vec<Uuid> = bought.map(|asset| asset.id).collect();
    if bought.is_empty() {
        output::note(format!("order {order} has no license that could be returned"));
    }
    Ok(bought)
}

/// Fails where one of the assets does not exist.
pub(super) async fn check_all(host: &Host, assets: &[Uuid]) -> Result<(), Failure> {
    for asset in assets {
        host.asset((*asset).into()).await?;
    }
    Ok(())
}

/// Cancels an asset. A person on a terminal is told what that is, and asked; a script has named the asset.
async fn cancel_one(host: &Host, asked: &CancelAsset, asset: Uuid, json: bool) -> Outcome {
    let view = host.asset(asset.into()).await?.read().await?;
    let customer = &view.parties.customer;
    let price = view.price.as_ref();
    let license = format!(
        "the license of asset {} ({}, {}{})",
        show::short(asset),
        show::units(view.quantity, &view.product_code),
        show::party(&customer.name, &customer.id),
        price.map_or_else(String::new, |price| format!(", {}", show::amount(Some(price))))
    );
    asked.bulk.ask_on_a_terminal(&match asked.request {
        true => format!("request the cancellation of {license}"),
        false => format!("return {license} to the vendor, cancel and credit it"),
    })?;
    let cancellation = cancellation_of(host, asked, asset).await?;
    ended(host, &cancellation, json).await
}

/// Asks for a cancellation and makes it, unless it is only requested, and returns how it stands then.
async fn cancellation_of(host: &Host, asked: &CancelAsset, asset: Uuid) -> Result<Cancellation, Failure> {
    let requester = match (asked.by_customer.clone(), asked.by_reseller.clone()) {
        (Some(name), _) => (RequesterKind::Customer, name),
        (None, Some(name)) => (RequesterKind::Reseller, name),
        (None, None) => (RequesterKind::Operator, operator().name),
    };
    let requester = Requester {
        kind: requester.0,
        name: requester.1,
    };
    if asked.request {
        let requested = host
            .record()
            .request_cancellation(asset, &requester, &asked.comment, &operator())
            .await;
        return Ok(requested?);
    }
    let handle = host.asset(asset.into()).await?;
    let cancellation = handle.cancel(&requester, &asked.comment, &operator()).await?;
    attempted(host, cancellation.id).await
}

/// Attempts the return, and tells how the attempt ended.
async fn returned(host: &Host, cancellation_id: Uuid, json: bool) -> Outcome {
    ended(host, &attempted(host, cancellation_id).await?, json).await
}

async fn attempted(host: &Host, cancellation_id: Uuid) -> Result<Cancellation, Failure> {
    let ran = host.run_return(cancellation_id, listener()).await;
    ran.map_err(|error| Failure::from(error).unsettled())
}

async fn last_cancellation(host: &Host, asset_id: Uuid) -> Result<Uuid, Failure> {
    let last = host.record().last_cancellation(asset_id).await?;
    last.map(|cancellation| cancellation.id).ok_or_else(|| {
        let message = format!("there is no cancellation of asset `{asset_id}`");
        Failure::new(ErrorKind::NotFound, "no-cancellation", message).advise(&Advice::ListCancellations)
    })
}

/// Tells where a cancellation stands. A return that was refused or is not settled is a failure.
async fn ended(host: &Host, cancellation: &Cancellation, json: bool) -> Outcome {
    let asset = cancellation.asset_id;
    if json {
        let views = host.cancellation_views(std::slice::from_ref(cancellation)).await;
        views?.iter().try_for_each(show::json)?;
    }
    settled(cancellation)?;
    if json {
        return Ok(ExitStatus::Done);
    }
    match cancellation.state {
        CancellationState::Requested => {
            output::line(format!("the cancellation of asset {asset} is requested"));
            output::line(format!(
                "next: bss-host asset confirm {asset}, or bss-host asset decline {asset}"
            ));
        }
        CancellationState::Withdrawn | CancellationState::Declined => output::line(format!(
            "the cancellation of asset {asset} is {}; its license is not affected",
            cancellation.state
        )),
        CancellationState::Done | CancellationState::Refused | CancellationState::Returning => {
            output::line(format!(
                "asset {asset} is cancelled and credited: the vendor has taken its license back"
            ));
        }
    }
    Ok(ExitStatus::Done)
}

/// Fails where a return was refused or is not settled.
fn settled(cancellation: &Cancellation) -> Result<(), Failure> {
    let asset = cancellation.asset_id;
    let reason = cancellation.reason.as_ref();
    let problem = reason.map(|reason| view::Problem::from(&reason.problem));
    // A refusal that leaves the cancellation open says nothing of the return before it.
    let is_unknown = matches!(
        reason,
        Some(reason) if matches!(reason.result, ReturnResult::Unknown | ReturnResult::Refused)
    );
    match cancellation.state {
        CancellationState::Requested
        | CancellationState::Withdrawn
        | CancellationState::Declined
        | CancellationState::Done => Ok(()),
        CancellationState::Refused => Err(Failure::new(
            ErrorKind::Refused,
            "not-returned",
            format!("asset {asset} is not cancelled: the vendor did not take its license back"),
        )
        .reasons(problem.as_slice())),
        CancellationState::Returning => Err(Failure::new(
            ErrorKind::Unavailable,
            "return-not-settled",
            if is_unknown {
                format!("whether the license of asset {asset} is returned is not known yet")
            } else {
                format!("the license of asset {asset} is not returned yet")
            },
        )
        .reasons(problem.as_slice())
        .hint(format!(
            "`bss-host run` continues the return; `bss-host asset cancellations {asset}` shows its outcome"
        ))),
    }
}

async fn cancellations(
    host: &Host,
    asset: Option<Uuid>,
    open: bool,
    page: &PageArguments,
    form: Form,
) -> Outcome {
    let filter = CancellationFilter {
        asset,
        open,
        ..CancellationFilter::default()
    };
    let cancellations = page.read(form, async |page| {
        host.record().cancellations(&filter, page).await
    });
    let cancellations = cancellations.await?;
    // Attempts are read for a single asset only, which has few.
    let mut attempts = Vec::new();
    if asset.is_some() {
        for cancellation in &cancellations {
            attempts.push(host.record().return_attempts(cancellation.id).await?);
        }
    }
    let views = host.cancellation_views(&cancellations).await?;
    let views = with_attempts(views, &attempts);
    csv_lines::list(form, &views, &CANCELLATION_COLUMNS, |_| {
        cancellation_table(&cancellations)
    })?;
    if form == Form::Table {
        attempts.iter().flatten().map(attempt_line).for_each(output::line);
    }
    Ok(ExitStatus::Done)
}

fn cancellation_table(cancellations: &[Cancellation]) -> Table {
    let mut table = show::table(&[
        "Asset",
        "Requested",
        "By",
        "State",
        "Comment",
        "Decision",
        "Return",
    ]);
    for cancellation in cancellations {
        let decision = cancellation.decision.as_ref().map(|decision| {
            let comment = &decision.comment;
            let separator = if comment.is_empty() { "" } else { ": " };
            format!("{}{separator}{comment}", decision.by)
        });
        table.add_row([
            show::short(cancellation.asset_id),
            show::time(cancellation.requested_at_ms),
            format!(
                "{} ({})",
                cancellation.requester.name, cancellation.requester.kind
            ),
            cancellation.state.to_string(),
            cancellation.comment.clone(),
            decision.unwrap_or_default(),
            cancellation
                .reason
                .as_ref()
                .map(|reason| problem_line(&(&reason.problem).into()))
                .unwrap_or_default(),
        ]);
    }
    table
}

/// Cancellations with every attempt at their return, where these were asked for.
fn with_attempts(views: Vec<view::Cancellation>, attempts: &[Vec<ReturnAttempt>]) -> Vec<view::Cancellation> {
    let mut attempts = attempts.iter();
    let views = views.into_iter().map(|view| match attempts.next() {
        Some(attempts) => view.with_return_attempts(attempts),
        None => view,
    });
    views.collect()
}

fn attempt_line(attempt: &ReturnAttempt) -> String {
    let result = attempt
        .result
        .map_or_else(|| "no outcome on record".to_owned(), |result| result.to_string());
    let problem = attempt
        .problem
        .as_ref()
        .map(|problem| problem_line(&problem.into()));
    format!(
        "attempt {} at the return, {}: {result}{}",
        attempt.number,
        show::time(attempt.begun_at_ms),
        problem.map_or_else(String::new, |problem| format!(": {problem}"))
    )
}

async fn refresh_one(host: &Host, asset: Uuid, json: bool) -> Outcome {
    let answer = host.refresh_license(asset, listener()).await;
    if json {
        show::json(&view::RefreshedLicense::new(asset, &answer))?;
    }
    let refreshed = answer?;
    if !json {
        output::line(refreshed_line(&refreshed));
    }
    warn_of(&refreshed);
    Ok(ExitStatus::Done)
}

async fn refresh_many(host: &Host, instance: Option<String>, json: bool) -> Outcome {
    let instance = instances::filter_id(host, instance.as_deref()).await?;
    let filter = AssetFilter {
        instance,
        ..AssetFilter::default()
    };
    let answers = host.refresh_licenses(filter, &listener()).await?;
    if json {
        let views = answers
            .iter()
            .map(|(asset, answer)| view::RefreshedLicense::new(*asset, answer));
        show::json(&views.collect::<Vec<_>>())?;
    }
    let total = answers.len();
    let (mut failures, mut alike) = (Vec::new(), BTreeMap::<String, u64>::new());
    for (asset, answer) in answers {
        match answer {
            Ok(refreshed) => warn_of(&refreshed),
            Err(error) => {
                let failure = Failure::from(error);
                let so_far = alike.entry(failure.code().to_owned()).or_default();
                *so_far += 1;
                failures.push(failure.status);
                // A vendor that is down would be told for each license.
                if *so_far <= FAILURES_TOLD_MAX {
                    failure.after(&format!("asset {asset}")).show(false);
                }
            }
        }
    }
    for (code, count) in alike {
        if let Some(more) = count.checked_sub(FAILURES_TOLD_MAX).filter(|more| *more > 0) {
            output::note(format!(
                "and {} alike ({code})",
                show::counted(more, "more license")
            ));
        }
    }
    if failures.is_empty() {
        if !json {
            output::line(match total {
                1 => "1 license refreshed".to_owned(),
                _ => format!("{total} licenses refreshed"),
            });
        }
        return Ok(ExitStatus::Done);
    }
    let (kind, code) = match failures.contains(&ExitStatus::NoAnswer) {
        true => (ErrorKind::Unavailable, "not-refreshed"),
        false => (ErrorKind::Refused, "refresh-refused"),
    };
    let message = format!("{} of {total} licenses were not refreshed", failures.len());
    Err(Failure::new(kind, code, message))
}

fn refreshed_line(refreshed: &Refreshed) -> String {
    let asset = &refreshed.asset;
    let status = asset
        .license_token_status
        .map_or_else(String::new, |status| status.to_string());
    format!(
        "asset {}: license token status {status}, return status {}",
        asset.id, asset.return_status
    )
}

fn warn_of(refreshed: &Refreshed) {
    if refreshed.returned_elsewhere {
        let asset = refreshed.asset.id;
        let hint = words(&Advice::CancelAsset { asset });
        output::note(format!("warning: {}", show::returned_but_active(asset)));
        output::note(format!("hint: {hint}"));
    }
}

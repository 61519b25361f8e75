//! Runs of Get Services Definition: started, watched, and what each did to products.

use std::collections::BTreeMap;

use axum::extract::Path;
use bss_model::{DifferenceKind, Page, ProductFilter, RunLogLevel, RunState, ServicesRun};
use host_harness::{InstanceHandle, ProductError, ServicesError, StartRunError, view};
use http::StatusCode;
use minijinja::{Value, context};
use serde::Serialize;
use uuid::Uuid;

use super::instances::{head, named, way};
use super::wrong::Wrong;
use crate::answer::{Answer, see};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// The most lines of a log, and products of a list, on the page of a run.
const ROWS_MAX: usize = 200;

/// The runs of an instance, the latest first.
pub(crate) async fn list(me: Me, Path(name): Path<String>, query: Query) -> Answer {
    let shown = all(&me, &named(&me, &name).await?, &query).await?;
    me.page("runs.html", shown).await
}

async fn all(me: &Me, instance: &InstanceHandle, query: &Query) -> Result<Value, Failure> {
    let record = me.host().record();
    let rows = record.services_runs(instance.id().into(), &query.page()).await?;
    let runs: Vec<_> = rows
        .rows
        .iter()
        .map(|run| view::ServicesRun::new(run, instance.name()))
        .collect();
    let latest = record.services_runs(instance.id().into(), &latest()).await?;
    let running = latest.rows.first().filter(|run| !is_over(run)).map(|run| run.id);
    let next = query.next(rows.next.as_ref());
    Ok(context! { runs, running, next, ..context! { ..Wrong::default().shown(), ..head(instance).await? } })
}

/// The latest run alone.
fn latest() -> Page {
    Page::first(1).in_order(bss_model::SortOrder::Descending)
}

fn is_over(run: &ServicesRun) -> bool {
    !matches!(run.state, RunState::NotStarted | RunState::InProgress)
}

/// Starts a run, which a worker executes.
pub(crate) async fn start(me: Me, Path(name): Path<String>) -> Answer {
    let instance = named(&me, &name).await?;
    let started = me.host().start_services_run(instance.id(), &me.actor()).await;
    see_started(&me, &instance, started).await
}

/// Accepts what a run would discontinue: another run reads the catalog again and may do so.
pub(crate) async fn accept(me: Me, Path((name, id)): Path<(String, String)>, form: Form) -> Answer {
    let instance = named(&me, &name).await?;
    let run = found(&me, &instance, &id).await?;
    if !form.has("confirmed") {
        let run = view::ServicesRun::new(&run, instance.name());
        let shown = context! { run, fields => Value::from(Vec::<Value>::new()), ..head(&instance).await? };
        return me.page("run_accept.html", shown).await;
    }
    let started = me
        .host()
        .start_accepting_run(instance.id(), run.id, &me.actor())
        .await;
    see_started(&me, &instance, started).await
}

/// Leads to a run that was started, or says why none was, with the one that runs.
async fn see_started(me: &Me, instance: &InstanceHandle, started: Result<Uuid, ServicesError>) -> Answer {
    match started {
        Ok(id) => Ok(see(&format!("{}/runs/{id}", way(&instance.read().await?)))),
        Err(ServicesError::Start(error @ StartRunError::Running { .. })) => {
            let shown = all(me, instance, &Query::default()).await?;
            let shown = context! { ..Wrong::of("", &error).shown(), ..shown };
            me.page_with(StatusCode::CONFLICT, "runs.html", shown).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A run of the instance.
async fn found(me: &Me, instance: &InstanceHandle, id: &str) -> Result<ServicesRun, Failure> {
    let id = Uuid::try_parse(id).map_err(|_| Failure::no_page())?;
    let run = me.host().record().services_run(id).await?;
    let own = run.filter(|run| run.instance_id == Uuid::from(instance.id()));
    match own {
        Some(run) => Ok(run),
        None => Err(ProductError::NoRun { run: id }.into()),
    }
}

/// How far a run is: the part of its page that is asked for again and again.
pub(crate) async fn progress(me: Me, Path((name, id)): Path<(String, String)>) -> Answer {
    let instance = named(&me, &name).await?;
    let run = found(&me, &instance, &id).await?;
    let is_over = is_over(&run);
    let run = view::ServicesRun::new(&run, instance.name());
    me.part("run_progress.html", context! { run, is_over }, is_over)
}

/// A run: how far it is, what it did to products, and its log.
pub(crate) async fn show(me: Me, Path((name, id)): Path<(String, String)>, query: Query) -> Answer {
    let instance = named(&me, &name).await?;
    let run = found(&me, &instance, &id).await?;
    let is_over = is_over(&run);
    let lists = match is_over {
        true => lists(&me, &instance, run.id).await?,
        false => Vec::new(),
    };
    let log = log(&me, run.id, &query).await?;
    let levels: Vec<String> = RunLogLevel::ALL
        .iter()
        .map(|level| view::word(level.word()))
        .collect();
    let shown = context! {
        run => view::ServicesRun::new(&run, instance.name()),
        is_over,
        lists,
        log,
        levels,
        asked => query.shown(),
        ..head(&instance).await?
    };
    me.page("run.html", shown).await
}

/// The products to which a run made a kind of difference.
#[derive(Debug, Serialize)]
struct List {
    kind: String,
    count: usize,
    rows: Vec<Changed>,
}

/// A product that a run changed.
#[derive(Debug, Serialize)]
struct Changed {
    code: String,
    name: String,
    fields: Vec<String>,
}

/// What a run did to products, or would do, in a list for each kind. The kinds of the platform's own page are there even if empty.
async fn lists(me: &Me, instance: &InstanceHandle, run: Uuid) -> Result<Vec<List>, Failure> {
    let record = me.host().record();
    let differences = record.services_run_differences(run, &Page::all()).await?.rows;
    let products = record
        .products(instance.id().into(), &ProductFilter::default(), &Page::all())
        .await?
        .rows;
    let names: BTreeMap<&str, &str> = products
        .iter()
        .map(|product| (product.offered.code.as_str(), product.offered.name.as_str()))
        .collect();
    let list = |kind: DifferenceKind| {
        let of_kind: Vec<_> = differences.iter().filter(|made| made.kind == kind).collect();
        let rows = of_kind.iter().take(ROWS_MAX).map(|made| Changed {
            code: made.code.clone(),
            name: names
                .get(made.code.as_str())
                .copied()
                .unwrap_or_default()
                .to_owned(),
            fields: made.fields.clone(),
        });
        List {
            kind: view::word(kind.word()),
            count: of_kind.len(),
            rows: rows.collect(),
        }
    };
    let mut lists: Vec<List> = [
        DifferenceKind::New,
        DifferenceKind::Changed,
        DifferenceKind::Discontinued,
    ]
    .map(list)
    .into();
    lists.extend(Some(list(DifferenceKind::Revived)).filter(|revived| revived.count > 0));
    Ok(lists)
}

/// The lines of a run's log that are asked for.
async fn log(me: &Me, run: Uuid, query: &Query) -> Result<Value, Failure> {
    let level = query.word("level", RunLogLevel::ALL, RunLogLevel::word)?;
    let text = query.text("text").unwrap_or_default().to_lowercase();
    let lines = me.host().record().services_run_log(run, &Page::all()).await?.rows;
    let all = lines.len();
    let is_asked = |line: &&bss_model::RunLogLine| {
        level.is_none_or(|level| line.level == level)
            && [&line.offer, &line.message]
                .iter()
                .any(|part| part.to_lowercase().contains(&text))
    };
    let found: Vec<_> = lines.iter().filter(is_asked).collect();
    let count = found.len();
    let shown = found.into_iter().take(ROWS_MAX);
    let lines: Vec<_> = shown.map(view::ServicesRunLogLine::from).collect();
    Ok(context! { left => count - lines.len(), lines, count, all })
}

//! Runs of Get Services Definition: started, watched, and what each did to products.

use axum::extract::Path;
use bss_model::clock::rfc3339;
use bss_model::{
    DifferenceFilter, DifferenceKind, Page, RunLogFilter, RunLogLevel, RunLogLine, RunState, ServicesRun,
    SortOrder,
};
use host_harness::{InstanceHandle, ProductError, ServicesError, StartRunError, view};
use http::header::CONTENT_DISPOSITION;
use http::{HeaderValue, StatusCode};
use minijinja::{Value, context};
use serde::Serialize;
use uuid::Uuid;

use super::instances::{head, named, way};
use super::wrong::Wrong;
use crate::answer::{self, Answer, see};
use crate::failure::Failure;
use crate::form::Form;
use crate::me::Me;
use crate::query::Query;

/// The most products of a list on the page of a run.
const ROWS_MAX: u32 = 200;

/// The lines of a log that are read at a time for a file.
const LINES_AT_ONCE: u32 = 1_000;

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
        true => lists(&me, &instance, &run).await?,
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
    count: u32,
    rows: Vec<Changed>,
}

/// A product that a run changed.
#[derive(Debug, Serialize)]
struct Changed {
    name: String,
    #[serde(flatten)]
    made: view::RunDifference,
}

/// What a run did to products, or would do, in a list for each kind. The kinds of the platform's own page are there even if empty.
async fn lists(me: &Me, instance: &InstanceHandle, run: &ServicesRun) -> Result<Vec<List>, Failure> {
    let counts = &run.counts;
    let kinds = [
        (DifferenceKind::New, counts.new),
        (DifferenceKind::Changed, counts.changed),
        (DifferenceKind::Discontinued, counts.discontinued),
        (DifferenceKind::Revived, counts.revived),
    ];
    let mut lists = Vec::new();
    for (kind, count) in kinds {
        if kind == DifferenceKind::Revived && count == 0 {
            continue;
        }
        lists.push(List {
            kind: view::word(kind.word()),
            count,
            rows: changed(me, instance, run, kind).await?,
        });
    }
    Ok(lists)
}

/// The first products to which a run made a kind of difference.
async fn changed(
    me: &Me,
    instance: &InstanceHandle,
    run: &ServicesRun,
    kind: DifferenceKind,
) -> Result<Vec<Changed>, Failure> {
    let record = me.host().record();
    let filter = DifferenceFilter {
        kind: Some(kind),
        codes: None,
    };
    let made = record
        .services_run_differences(run.id, &filter, &Page::first(ROWS_MAX))
        .await?
        .rows;
    let codes: Vec<String> = made.iter().map(|made| made.code.clone()).collect();
    let names = record.product_names(instance.id().into(), &codes).await?;
    let changed = made.iter().map(|made| Changed {
        name: names.get(&made.code).cloned().unwrap_or_default(),
        made: made.into(),
    });
    Ok(changed.collect())
}

/// The lines of a run's log that are asked for.
async fn log(me: &Me, run: Uuid, query: &Query) -> Result<Value, Failure> {
    let record = me.host().record();
    let filter = RunLogFilter {
        level: query.word("level", RunLogLevel::ALL, RunLogLevel::word)?,
        text: query.text("text"),
    };
    let all = record
        .services_run_log_lines(run, &RunLogFilter::default())
        .await?;
    let count = record.services_run_log_lines(run, &filter).await?;
    let lines = record
        .services_run_log(run, &filter, &query.page_in(SortOrder::Ascending))
        .await?;
    let next = query.next(lines.next.as_ref());
    let lines: Vec<_> = lines.rows.iter().map(view::ServicesRunLogLine::from).collect();
    Ok(context! { lines, count, all, next })
}

/// The whole log of a run as a file of text: a line for each of its lines, the oldest first.
pub(crate) async fn download_log(me: Me, Path((name, id)): Path<(String, String)>) -> Answer {
    let instance = named(&me, &name).await?;
    let run = found(&me, &instance, &id).await?.id;
    let host = me.host().clone();
    let (mut response, pieces) = answer::streamed("text/plain; charset=utf-8");
    let file = format!("attachment; filename=\"run-{run}.log\"");
    if let Ok(file) = HeaderValue::from_str(&file) {
        response.headers_mut().insert(CONTENT_DISPOSITION, file);
    }
    tokio::spawn(async move {
        let all = RunLogFilter::default();
        let mut page = Page::first(LINES_AT_ONCE);
        loop {
            let lines = host.record().services_run_log(run, &all, &page);
            let lines = match lines.await {
                Ok(lines) => lines,
                Err(error) => {
                    tracing::warn!(%error, "the log of a run could not be read to its end");
                    pieces.send(format!("{error}\n")).await;
                    return;
                }
            };
            let text: String = lines.rows.iter().map(text_of).collect();
            if !pieces.send(text).await {
                return;
            }
            match lines.next {
                Some(next) => page = Page::first(LINES_AT_ONCE).after(next),
                None => return,
            }
        }
    });
    Ok(response)
}

/// A line of a log as text: its time (RFC 3339), its level, what it is about, and the message.
fn text_of(line: &RunLogLine) -> String {
    let (time, level) = (rfc3339(line.at_ms), line.level.word());
    let (action, message) = (line.action.word(), line.message.replace(['\r', '\n'], " "));
    let about = match line.offer.as_str() {
        "" => String::new(),
        offer => format!(" {offer}"),
    };
    format!("{time} {level}{about} {action} {message}\n")
}

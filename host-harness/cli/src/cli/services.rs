//! `services …`: readings of the vendor's catalog, and what they brought.

use std::path::{Path, PathBuf};

use bss_model::{
    Advice, Difference, DifferenceFilter, DifferenceKind, ErrorKind, IdKind, Instance, Product,
    ProductDifference, ProductFilter, RunLogFilter, RunState, ServicesRun as RecordedRun, SortOrder,
};
use clap::{Args, Subcommand};
use host_harness::view::{self, ServicesRunLogLine};
use host_harness::{BegunRun, CompletedRun, Host, product_type_collection};
use uuid::Uuid;

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, machine_failure, unwritable};
use super::files::write_whole;
use super::input::operator;
use super::interruption::Interruption;
use super::output::{self, Table, Text};
use super::products::{product_table, shown};
use super::progress::Progress;
use super::typed_ids::TypedId;
use super::{pages, show};

const RUN_COLUMNS: [Column; 15] = [
    Column::Of("id"),
    Column::Of("instance"),
    Column::Of("state"),
    Column::Time("askedAtMs"),
    Column::Time("startedAtMs"),
    Column::Time("endedAtMs"),
    Column::Of("new"),
    Column::Of("changed"),
    Column::Of("discontinued"),
    Column::Of("revived"),
    Column::Of("skipped"),
    Column::Of("unchanged"),
    Column::Of("problem.code"),
    Column::Of("problem.message"),
    Column::Of("accepts"),
];

const LOG_COLUMNS: [Column; 5] = [
    Column::Time("atMs"),
    Column::Of("level"),
    Column::Of("productCode"),
    Column::Of("action"),
    Column::Of("message"),
];

const PRODUCT_COLUMNS: [Column; 14] = [
    Column::Of("instance"),
    Column::Of("productCode"),
    Column::Of("productName"),
    Column::Of("description"),
    Column::Of("productType"),
    Column::Of("minQuantity"),
    Column::Of("maxQuantity"),
    Column::Of("returnable"),
    Column::Of("active"),
    Column::Of("published"),
    Column::Of("discontinued"),
    Column::Money("prices"),
    Column::Of("differences.kind"),
    Column::Of("differences.fields"),
];

#[derive(Debug, Subcommand)]
pub(super) enum ServicesCommand {
    /// Read the vendor's catalog and bring the products up to date
    Fetch {
        /// The instance's name
        instance: String,
        /// Leave the run to `bss-host run`, and print the run's id
        #[arg(long)]
        detach: bool,
        /// Only say what would change, and change nothing
        #[arg(long, conflicts_with = "detach")]
        dry_run: bool,
    },
    /// Read the catalog again, and discontinue what the last run would have, which awaits acceptance
    Accept {
        /// The instance's name
        instance: String,
    },
    /// Set or show the part of what is on sale that a run discontinues without being told to
    Limit {
        /// The instance's name
        instance: String,
        /// The most of what is on sale, in percent; 100 for any. Without this, the present limit is shown
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
        discontinue: Option<u8>,
    },
    /// Show the runs of an instance, the latest first
    Runs {
        /// The instance's name
        instance: String,
        #[command(flatten)]
        csv: CsvOption,
    },
    /// Show what a run did, line by line
    Log {
        /// The run's id
        run: TypedId,
        #[command(flatten)]
        csv: CsvOption,
    },
    /// Show the products of an instance
    Products(ProductsArguments),
    /// Write the services definition as the platform's own contract (ProductTypeCollection)
    Export {
        /// The instance's name
        instance: String,
        /// The file to write; without this option, the standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ProductsArguments {
    /// The instance's name
    instance: String,
    /// Only products that this run changed
    #[arg(long, value_name = "RUN")]
    run: Option<TypedId>,
    /// Only products that are active and that the vendor sells
    #[arg(long)]
    on_sale: bool,
    /// Only products without a price in the instance's currency
    #[arg(long)]
    without_price: bool,
    /// Only products whose name contains this text, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    name_contains: Option<String>,
    #[command(flatten)]
    list: List,
    #[command(flatten)]
    csv: CsvOption,
}

#[derive(Debug, Args)]
#[group(multiple = false, requires = "run")]
struct List {
    /// Only products that were new in the run
    #[arg(long)]
    new: bool,
    /// Only products that the run changed, with the fields that changed
    #[arg(long)]
    changed: bool,
    /// Only products that the vendor had stopped selling
    #[arg(long)]
    discontinued: bool,
    /// Only products that the vendor sold again
    #[arg(long)]
    revived: bool,
}

impl ProductsArguments {
    /// Whether a product that the record was asked for is shown.
    fn shows(&self, product: &Product, has_price: bool) -> bool {
        let named = self.name_contains.as_ref();
        !(has_price && self.without_price) && named.is_none_or(|text| product.name_contains(text))
    }
}

impl List {
    fn shows(&self, kind: DifferenceKind) -> bool {
        let asked = match kind {
            DifferenceKind::New => self.new,
            DifferenceKind::Changed => self.changed,
            DifferenceKind::Discontinued => self.discontinued,
            DifferenceKind::Revived => self.revived,
        };
        asked || !(self.new || self.changed || self.discontinued || self.revived)
    }
}

pub(super) async fn run(host: &Host, command: ServicesCommand, json: bool) -> Outcome {
    match command {
        ServicesCommand::Fetch {
            instance,
            dry_run: true,
            ..
        } => preview(host, &instance, json).await,
        ServicesCommand::Fetch {
            instance,
            detach: false,
            ..
        } => fetch(host, &instance, json).await,
        ServicesCommand::Fetch { instance, .. } => detach(host, &instance, json).await,
        ServicesCommand::Accept { instance } => accept(host, &instance, json).await,
        ServicesCommand::Limit {
            instance,
            discontinue,
        } => limit(host, &instance, discontinue, json).await,
        ServicesCommand::Runs { instance, csv } => runs(host, &instance, csv.form(json)).await,
        ServicesCommand::Log { run, csv } => {
            log(host, run.of(IdKind::ServicesRun, host).await?, csv.form(json)).await
        }
        ServicesCommand::Products(arguments) => products(host, &arguments, json).await,
        ServicesCommand::Export { instance, out } => export(host, &instance, out.as_deref()).await,
    }
}

async fn fetch(host: &Host, instance: &str, json: bool) -> Outcome {
    let mut interruption = Interruption::listen()?;
    let begun = host.begin_services_run(instance, &operator()).await?;
    to_the_end(host, &begun, &mut interruption, json).await
}

async fn accept(host: &Host, instance: &str, json: bool) -> Outcome {
    let mut interruption = Interruption::listen()?;
    let begun = host.begin_accepting_run(instance, &operator()).await?;
    to_the_end(host, &begun, &mut interruption, json).await
}

/// Executes a run, and shows what came of it.
async fn to_the_end(host: &Host, begun: &BegunRun, interruption: &mut Interruption, json: bool) -> Outcome {
    let accepted = named_run(host, begun.run).await?.accepts;
    let accepts = accepted.map_or_else(String::new, |accepted| format!(", and accepts run {accepted}"));
    output::note(format!("run {} is in progress{accepts}", begun.run));
    let run = execute(host, begun, interruption).await?;
    match (json, accepted) {
        (true, _) => show::json(&run_view(host, begun.run, &begun.instance.name).await?)?,
        (false, None) => output::line(run_line(&run)),
        (false, Some(accepted)) => output::line(format!("run {accepted} is accepted: {}", run_line(&run))),
    }
    warn_of_errors(&run);
    Ok(ExitStatus::Done)
}

/// Shows what a run would change.
async fn preview(host: &Host, instance: &str, json: bool) -> Outcome {
    let progress = Progress::start();
    let read = host.preview_services(instance, progress.listener()).await;
    progress.end();
    let (difference, shrinkage) = read?;
    if json {
        show::dry_json(&view::ServicesPreview::new(&difference, shrinkage))?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Product", "Would be"]);
    let changed = difference.changed.iter().map(|(code, fields)| {
        let fields: Vec<&str> = fields.iter().map(|change| change.field.as_str()).collect();
        let what = format!("changed: {}", fields.join(", "));
        (code, what)
    });
    let kinds = [
        (&difference.new, DifferenceKind::New),
        (&difference.discontinued, DifferenceKind::Discontinued),
        (&difference.revived, DifferenceKind::Revived),
    ];
    let others = kinds
        .into_iter()
        .flat_map(|(codes, kind)| codes.iter().map(move |code| (code, kind.to_string())));
    for (code, what) in changed.chain(others) {
        table.add_row([code.as_str(), &what]);
    }
    output::table(&table);
    output::line(format!(
        "{}; {shrinkage} would be discontinued; nothing was changed",
        differences_line(&difference)
    ));
    Ok(ExitStatus::Done)
}

async fn limit(host: &Host, instance: &str, percent: Option<u8>, json: bool) -> Outcome {
    let instance = host.named_instance(instance).await?;
    let record = host.record();
    if let Some(percent) = percent {
        record
            .limit_discontinuations(instance.id, percent, &operator())
            .await?;
    }
    let discontinue_percent = record.discontinue_percent(instance.id).await?;
    match json {
        true => show::json(&view::ServicesLimit { discontinue_percent })?,
        false => output::line(format!(
            "a run that would discontinue more than {discontinue_percent} % of what is on sale awaits `bss-host services accept`"
        )),
    }
    Ok(ExitStatus::Done)
}

/// Executes a run to its end, or until a signal asks the program to end.
async fn execute(
    host: &Host,
    begun: &BegunRun,
    interruption: &mut Interruption,
) -> Result<CompletedRun, Failure> {
    let progress = Progress::start();
    let ended = tokio::select! {
        ended = host.execute_services_run(begun, progress.listener()) => ended.map_err(Failure::from),
        () = interruption.asked() => {
            let abandoned = host.abandon_services_run(begun).await;
            abandoned.map_err(Failure::from).and_then(|()| Err(interrupted(begun.run)))
        }
    };
    progress.end();
    ended
}

/// The failure when the program was asked to end while a run was under way.
pub(super) fn interrupted(run: Uuid) -> Failure {
    let message = format!("run {run} was interrupted, so none of its changes were applied");
    Failure::new(ErrorKind::Unavailable, "interrupted", message)
}

fn warn_of_errors(run: &CompletedRun) {
    if run.state == RunState::CompletedWithErrors {
        output::note(format!(
            "warning: {} left out; `bss-host services log {}` shows why",
            if run.skipped == 1 {
                "1 item of the catalog was".to_owned()
            } else {
                format!("{} items of the catalog were", run.skipped)
            },
            run.run
        ));
    }
}

pub(super) fn run_line(run: &CompletedRun) -> String {
    if run.unchanged {
        return "the catalog has not changed since the last run".to_owned();
    }
    format!(
        "{}{}",
        differences_line(&run.difference),
        some(run.skipped.try_into().unwrap_or(usize::MAX), "left out"),
    )
}

fn differences_line(difference: &Difference) -> String {
    format!(
        "{} new, {} changed, {} discontinued{}",
        difference.new.len(),
        difference.changed.len(),
        difference.discontinued.len(),
        some(difference.revived.len(), "sold again"),
    )
}

/// A count after others, if there is any.
fn some(count: usize, what: &str) -> String {
    match count {
        0 => String::new(),
        _ => format!(", {count} {what}"),
    }
}

async fn detach(host: &Host, instance: &str, json: bool) -> Outcome {
    let run = host.start_services_run(instance, &operator()).await?;
    if json {
        show::json(&run_view(host, run, instance).await?)?;
    } else {
        output::line(run.to_string());
        output::note("`bss-host run` executes the run");
    }
    Ok(ExitStatus::Done)
}

async fn runs(host: &Host, instance: &str, form: Form) -> Outcome {
    let instance = host.named_instance(instance).await?;
    let record = host.record();
    record.end_dead_services_runs(record.uptime()).await?;
    let runs = pages::all(SortOrder::Descending, async |page| {
        host.record().services_runs(instance.id, page).await
    });
    let runs = runs.await?;
    let views = runs.iter().map(|run| view::ServicesRun::new(run, &instance.name));
    let views: Vec<_> = views.collect();
    csv_lines::list(form, &views, &RUN_COLUMNS, |_| run_table(&runs))
}

fn run_table(runs: &[RecordedRun]) -> Table {
    let mut table = show::table(&[
        "Run",
        "State",
        "Requested",
        "Ended",
        "New",
        "Changed",
        "Discontinued",
        "Left out",
        "Remark",
    ]);
    for run in runs {
        table.add_row([
            run.id.to_string(),
            run.state.to_string(),
            show::time(run.asked_at_ms),
            run.ended_at_ms.map(show::time).unwrap_or_default(),
            run.counts.new.to_string(),
            run.counts.changed.to_string(),
            run.counts.discontinued.to_string(),
            run.counts.skipped.to_string(),
            remark(run),
        ]);
    }
    table
}

fn remark(run: &RecordedRun) -> String {
    if let Some(reason) = &run.reason {
        return format!("{} ({})", reason.message, reason.code);
    }
    match (&run.progress, run.state) {
        (Some(progress), RunState::InProgress) => format!("{} {} read", progress.done, progress.unit),
        _ if run.unchanged => "the catalog had not changed".to_owned(),
        _ => String::new(),
    }
}

/// A run of an instance, as programs read it.
pub(super) async fn run_view(host: &Host, run: Uuid, instance: &str) -> Result<view::ServicesRun, Failure> {
    let run = named_run(host, run).await?;
    Ok(view::ServicesRun::new(&run, instance))
}

async fn named_run(host: &Host, run: Uuid) -> Result<RecordedRun, Failure> {
    let found = host.record().services_run(run).await?;
    found.ok_or_else(|| {
        let message = format!("there is no run `{run}`");
        let all = Advice::ListRuns {
            instance: String::new(),
        };
        Failure::new(ErrorKind::NotFound, "no-run", message).advise(&all)
    })
}

/// Shows the lines of a run's log, and one for each product that the run changed.
async fn log(host: &Host, run: Uuid, form: Form) -> Outcome {
    let run = named_run(host, run).await?;
    let lines = pages::all(SortOrder::Ascending, async |page| {
        host.record()
            .services_run_log(run.id, &RunLogFilter::default(), page)
            .await
    });
    let lines = lines.await?;
    let differences = differences(host, run.id).await?;
    let at_ms = run.ended_at_ms.unwrap_or(run.asked_at_ms);
    let changed = differences
        .iter()
        .map(|difference| ServicesRunLogLine::of_difference(difference, at_ms));
    let lines: Vec<_> = lines
        .iter()
        .map(ServicesRunLogLine::from)
        .chain(changed)
        .collect();
    csv_lines::list(form, &lines, &LOG_COLUMNS, log_table)?;
    if form == Form::Table {
        output::line(format!("run {}: {}", run.id, run.state));
    }
    Ok(ExitStatus::Done)
}

fn log_table(lines: &[ServicesRunLogLine]) -> Table {
    let mut table = show::table(&["Time", "Level", "Product", "Action", "Message"]);
    for line in lines {
        let time = show::time(line.at_ms);
        table.add_row([
            &time,
            &line.level,
            &line.product_code,
            &line.action,
            &line.message,
        ]);
    }
    table
}

async fn differences(host: &Host, run: Uuid) -> Result<Vec<ProductDifference>, Failure> {
    let differences = pages::all(SortOrder::Ascending, async |page| {
        host.record()
            .services_run_differences(run, &DifferenceFilter::default(), page)
            .await
    });
    Ok(differences.await?)
}

async fn products(host: &Host, arguments: &ProductsArguments, json: bool) -> Outcome {
    let instance = host.named_instance(&arguments.instance).await?;
    let record = host.record();
    let differences = match &arguments.run {
        None => None,
        Some(run) => Some(
            run_differences(
                host,
                &instance,
                run.of(IdKind::ServicesRun, host).await?,
                &arguments.list,
            )
            .await?,
        ),
    };
    let filter = match arguments.on_sale {
        true => ProductFilter::on_sale(),
        false => ProductFilter::default(),
    };
    let products = pages::all(SortOrder::Ascending, async |page| {
        record.products(instance.id, &filter, page).await
    });
    let mut products = products.await?;
    let prices = record.prices(instance.id).await?;
    products.retain(|product| {
        let prices = prices.get(&product.offered.code).map_or(&[][..], Vec::as_slice);
        arguments.shows(
            product,
            prices.iter().any(|price| price.currency == instance.currency),
        )
    });
    let shown = shown(&products, &prices, differences.as_deref());
    let views: Vec<_> = shown.iter().map(|product| product.view(&instance)).collect();
    let form = arguments.csv.form(json);
    csv_lines::list(form, &views, &PRODUCT_COLUMNS, |_| product_table(&shown))
}

/// Differences that a run made to products, of the kinds that were asked for.
async fn run_differences(
    host: &Host,
    instance: &Instance,
    run: Uuid,
    list: &List,
) -> Result<Vec<ProductDifference>, Failure> {
    if named_run(host, run).await?.instance_id != instance.id {
        let message = format!("run `{run}` does not belong to instance `{}`", instance.name);
        let all = Advice::ListRuns {
            instance: instance.name.clone(),
        };
        return Err(Failure::new(ErrorKind::NotFound, "no-run", message).advise(&all));
    }
    let mut differences = self::differences(host, run).await?;
    differences.retain(|difference| list.shows(difference.kind));
    Ok(differences)
}

async fn export(host: &Host, instance: &str, out: Option<&Path>) -> Outcome {
    let instance = host.named_instance(instance).await?;
    let collection = product_type_collection::of(host.record(), instance.id).await?;
    let text = serde_json::to_string_pretty(&collection).map_err(machine_failure)?;
    let text = Text::json(&text);
    match out {
        None => output::line(text),
        Some(path) => {
            let written = write_whole(path, format!("{text}\n").as_bytes());
            written.map_err(|error| unwritable(path, &error))?;
            output::note(format!(
                "the services definition was written to `{}`",
                path.display()
            ));
        }
    }
    Ok(ExitStatus::Done)
}

//! Many things at once: their number is said first, a person is asked, and a sum is told at the end.

use bss_model::ErrorKind;
use clap::Args;
use host_harness::view::{BulkItem, BulkSum};
use uuid::Uuid;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::{input, output, show};

/// The failures that are told in a line each; the others are in the sum.
const TOLD_MAX: u64 = 10;

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct BulkArguments {
    /// Do it without asking, as in a script
    #[arg(long)]
    yes: bool,
    /// Only say what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

impl BulkArguments {
    /// Whether only what would be done is asked for.
    pub(super) fn is_dry(self) -> bool {
        self.dry_run
    }

    /// Tells what is about to be done, and returns whether it is done: a person on a terminal is asked, and anybody else has to
    /// say `--yes`.
    pub(super) fn agreed(self, what: &str) -> Result<bool, Failure> {
        if self.dry_run {
            output::note(format!("would {what}; nothing was done"));
            return Ok(false);
        }
        if self.yes {
            return Ok(true);
        }
        let refused = |message: String| Failure::new(ErrorKind::Refused, "not-confirmed", message);
        if !input::is_on_a_terminal() {
            let message = format!("would {what}, but nobody can be asked; nothing was done");
            return Err(refused(message).hint("`--yes` does it without asking, `--dry-run` only says what"));
        }
        match input::confirms(&format!("This will {what}. Do it?"))? {
            true => Ok(true),
            false => Err(refused("nothing was done".to_owned())),
        }
    }

    /// Asks a person on a terminal about what is about to be done. Where there is none, it is done without `--yes`.
    pub(super) fn ask_on_a_terminal(self, what: &str) -> Result<(), Failure> {
        match input::is_on_a_terminal() {
            true => self.agreed(what).map(drop),
            false => Ok(()),
        }
    }
}

/// What became of each of many things so far.
#[derive(Default)]
pub(super) struct Tally {
    sum: BulkSum,
    json: bool,
}

impl Tally {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            ..Self::default()
        }
    }

    /// Tells of those that would be worked on.
    pub(super) fn would(mut self, ids: &[Uuid]) -> Outcome {
        for id in ids {
            self.sum.chosen += 1;
            self.tell(*id, "would", None)?;
        }
        if self.json {
            show::dry_json(&self.sum)?;
        }
        Ok(ExitStatus::Done)
    }

    /// Tells that there is none to work on.
    pub(super) fn none(self) -> Outcome {
        if self.json {
            show::json(&self.sum)?;
        }
        Ok(ExitStatus::Done)
    }

    /// Tells and counts what became of one.
    pub(super) fn add<T>(&mut self, id: Uuid, result: Result<T, Failure>) -> Result<(), Failure> {
        self.sum.chosen += 1;
        let Err(failure) = result else {
            self.sum.done += 1;
            return self.tell(id, "done", None);
        };
        let is_refused = failure.status == ExitStatus::Refused;
        let (count, result) = match is_refused {
            true => (&mut self.sum.refused, "refused"),
            false => (&mut self.sum.unsettled, "unsettled"),
        };
        *count += 1;
        if self.sum.refused + self.sum.unsettled <= TOLD_MAX {
            failure.show(false);
        }
        self.tell(id, result, Some(&failure))
    }

    fn tell(&self, id: Uuid, result: &'static str, failure: Option<&Failure>) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        show::json(&BulkItem {
            id,
            result,
            code: failure.map(|failure| failure.code().to_owned()),
            message: failure.map(|failure| failure.message().to_owned()),
        })
    }

    /// Tells the sum: `what` was done, as in `returned`. One that was refused, or whose outcome is not known, is a failure.
    pub(super) fn end(self, what: &str) -> Outcome {
        let BulkSum {
            chosen,
            done,
            refused,
            unsettled,
        } = self.sum;
        if self.json {
            show::json(&self.sum)?;
        } else {
            output::line(format!("{done} of {chosen} {what}"));
        }
        let message = format!("{refused} of {chosen} refused, {unsettled} not settled yet");
        match (refused, unsettled) {
            (0, 0) => Ok(ExitStatus::Done),
            (_, 0) => Err(Failure::new(ErrorKind::Refused, "some-refused", message)),
            (_, _) => Err(Failure::new(ErrorKind::Unavailable, "some-not-settled", message)
                .hint("`bss-host run` continues")),
        }
    }
}

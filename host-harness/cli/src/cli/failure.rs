//! Failures of commands: an exit code for each kind of error, a sentence for each advice, in this program's commands.

use std::borrow::Cow;
use std::path::Path;
use std::str::FromStr;

use bss_model::{Advice, Diagnose, ErrorKind, Owner, with_causes};
use host_harness::view::{Form, Problem};
use serde::Serialize;

use super::exit_status::ExitStatus;
use super::output::{self, Text};

impl From<ErrorKind> for ExitStatus {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::Refused => {
                Self::Refused
            }
            ErrorKind::Unavailable | ErrorKind::Damaged => Self::NoAnswer,
        }
    }
}

/// Words advice in this program's commands, without a period at its end.
pub(super) fn words(advice: &Advice) -> Cow<'static, str> {
    let words = match advice {
        Advice::Say(sentence) => return sentence.clone(),
        Advice::ListInstances => "`bss-host instance list` shows all instances",
        Advice::DisableInstance { instance } => {
            let instance = quoted(instance);
            return format!("`bss-host instance disable {instance}` has it take no orders").into();
        }
        Advice::EnableInstance { instance } => {
            let instance = quoted(instance);
            return format!("`bss-host instance enable {instance}` has it sell again").into();
        }
        Advice::CompleteForm { instance } => {
            let instance = quoted(instance);
            return format!("complete the form with `bss-host instance configure {instance}`").into();
        }
        Advice::AllowHosts { instance, hosts } => {
            let instance = quoted(instance);
            let flags: Vec<_> = hosts.iter().map(|host| format!("--allow-host {host}")).collect();
            return format!(
                "if it should reach them, give `bss-host instance configure {instance}` also `{}`",
                flags.join(" ")
            )
            .into();
        }
        Advice::ChooseCertificate { instance } => {
            let instance = quoted(instance);
            return format!(
                "import a usable certificate, then put it in the place of the other with `bss-host instance rotate-certificate \
                 {instance} --to THUMBPRINT`; a first one is chosen with `bss-host instance configure {instance}`"
            )
            .into();
        }
        Advice::ListCertificates => "`bss-host certificate list` shows the installed certificates",
        Advice::MakeCertificate => {
            "public authorities issue certificates for servers alone: `bss-host certificate new` makes a self-signed one to register \
             with the vendor, and `bss-host certificate new --request FILE` a request for an authority of your own"
        }
        Advice::NameTrustedAuthorities => "name a PEM file of certificate authorities with `--trust`",
        Advice::NamePlugin => "build the plugin with `cargo xtask build`, or name another file",
        Advice::ChoosePlugin => "name the plugin with `--of ID`; `bss-host plugin list` shows all plugins",
        Advice::ListPlugins => "`bss-host plugin list` shows all plugins",
        Advice::TrustPlugin { path } => {
            return format!(
                "if it is the plugin that should run, allow that with `bss-host plugin trust {}`",
                quoted(&path.display().to_string())
            )
            .into();
        }
        Advice::ReportPlugin => return advice.sentence(),
        Advice::ShowTraces => {
            "this is a defect of the plugin; `bss-host trace` shows the last calls, and `bss-host trace CALL` what the plugin did and wrote in one"
        }
        Advice::RecordAgain => "record the calls again with `--record`",
        Advice::ListAssets => "`bss-host asset list` shows all assets",
        Advice::RetryAsset { asset } => {
            return format!("`bss-host asset retry {asset}` tries to buy the license again").into();
        }
        Advice::CancelAsset { asset } => {
            return format!(
                "`bss-host asset cancel {asset}` cancels and credits the asset, unless its cancellation is under way"
            )
            .into();
        }
        Advice::ShowAttempts { asset } => {
            return format!(
                "`bss-host run` keeps looking the purchase up; `bss-host asset history {asset}` shows every attempt"
            )
            .into();
        }
        Advice::ListOrders => "`bss-host order list` shows the orders",
        Advice::ShowOrder { order } => {
            return format!(
                "look at it (`bss-host order show {order}`) before anything is ordered again; an order of something else \
                 needs a key of its own"
            )
            .into();
        }
        Advice::GiveAsSecret { field } => {
            return format!(
                "give it as a secret: `--secret {field}` asks for it, `--secret-file {field}=FILE` reads it"
            )
            .into();
        }
        Advice::GiveAsValue { field } => return format!("give it as a value: `--set {field}=VALUE`").into(),
        Advice::ClearSecret { field } => {
            return format!("remove it with `--clear-secret {field}`, if it is not needed").into();
        }
        Advice::ResumeOrder { order } => {
            return format!("`bss-host run`, or `bss-host order resume {order}`, continues the order").into();
        }
        Advice::ListCharges => "`bss-host charge list` shows all charges",
        Advice::ListCancellations => "`bss-host asset cancellations` shows all cancellations",
        Advice::ShowCancellations { asset } => {
            return format!("`bss-host asset cancellations {asset}` shows the cancellation").into();
        }
        Advice::ListProducts => "`bss-host services products INSTANCE` shows the products",
        Advice::FetchServices => "run `bss-host services fetch INSTANCE`, or check the product's code",
        Advice::ActivateProduct { code } => {
            let code = quoted(code);
            return format!("`bss-host product activate INSTANCE {code}` lets the product be sold").into();
        }
        Advice::PriceProduct { code, currency } => {
            let code = quoted(code);
            return format!(
                "set a price with `bss-host product price INSTANCE {code} --currency {currency} --minor-units N`, 0 for a free product"
            )
            .into();
        }
        Advice::ListRuns { instance } if instance.is_empty() => {
            "`bss-host services runs INSTANCE` shows the runs"
        }
        Advice::ListRuns { instance } => {
            let instance = quoted(instance);
            return format!("`bss-host services runs {instance}` shows the runs").into();
        }
        Advice::AcceptServices { instance } => {
            let instance = quoted(instance);
            return format!(
                "`bss-host services products {instance} --run RUN --discontinued` shows them; if the vendor means it, \
                 `bss-host services accept {instance}` reads the catalog again and discontinues them"
            )
            .into();
        }
        Advice::StartWorker => "start `bss-host run`, which executes waiting runs",
        Advice::ListMails => "`bss-host mail list` shows all e-mails",
        Advice::ConfigureMail => "save mail settings with `bss-host mail configure`",
        Advice::WriteTemplates => {
            "`bss-host mail templates DIR` writes the built-in templates into a directory to start from"
        }
        Advice::MakePrivate { path, mode } => {
            return format!("run `chmod {mode:o} {}`", quoted(&path.display().to_string())).into();
        }
        Advice::RunAsOwner { uid } => {
            return format!("run it as the owner, with `sudo -u '#{uid}' bss-host`, or name another directory with `--data-dir`")
                .into();
        }
        Advice::RestoreHostKey => {
            "restore the former file `host.key`, or the former value of the variable `BSS_HOST_KEY`"
        }
        Advice::AddHostKey { id } => {
            return format!(
                "add host key {id} as a line of its own below the first one, in the file of the host key or wherever else it comes from"
            )
            .into();
        }
        Advice::MakeRecord => {
            "name the directory with `--data-dir` or `BSS_DATA_DIR`; where a new one is wanted, `bss-host init` makes it"
        }
        Advice::RestoreBackup => "restore a backup with `bss-host record restore FILE --replace`",
        Advice::ReplaceRecord => {
            "`--replace` keeps that record under another name, and puts the backup in its place"
        }
        Advice::AdoptRecord => {
            "make sure that no other copy of the record is in use, then run `bss-host record adopt`"
        }
        Advice::ReleaseMails => {
            "`bss-host mail retry MAIL` sends one, `bss-host mail retry --held` all of them"
        }
        Advice::SendOrWithdrawMails => {
            "`bss-host run` sends e-mails that wait; `--withdraw-mails` gives up those that were not sent"
        }
    };
    words.into()
}

/// Quotes a word so that a shell reads it as one, whatever stands in it: a product's code is its vendor's.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

/// The most lines of a file whose mistakes are named; the message has the number of all.
const LINES_NAMED_MAX: usize = 50;

/// The failure of a command, as a person or a program is told of it.
pub(super) struct Failure {
    pub(super) status: ExitStatus,
    kind: ErrorKind,
    code: Cow<'static, str>,
    message: String,
    hints: Vec<String>,
    problems: Vec<GivenProblem>,
    /// The number of problems that are not named.
    problems_left_out: usize,
}

/// A problem with what was given.
struct GivenProblem {
    place: Place,
    problem: Problem,
}

/// The place of a problem in what was given.
enum Place {
    /// The whole.
    Whole,
    /// A field of a form, by its id and label.
    Field(String, String),
    /// A line of a file, from 1.
    Line(u64),
}

impl<E: Diagnose + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

impl Failure {
    /// Makes a failure of an error with its causes; the error's advice becomes a hint.
    pub(super) fn of(error: &(impl Diagnose + 'static)) -> Self {
        let diagnosis = error.diagnosis();
        let failure = Self::new(diagnosis.kind, diagnosis.code, with_causes(error));
        match &diagnosis.advice {
            None => failure,
            Some(advice) => failure.advise(advice),
        }
    }

    pub(super) fn new(
        kind: ErrorKind,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status: kind.into(),
            kind,
            code: code.into(),
            message: message.into(),
            hints: Vec::new(),
            problems: Vec::new(),
            problems_left_out: 0,
        }
    }

    /// A command line that contradicts itself.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, "usage", message).on_the_command_line()
    }

    /// Gives the failure the exit code of a command line that was not understood.
    pub(super) fn on_the_command_line(self) -> Self {
        Self {
            status: ExitStatus::Usage,
            ..self
        }
    }

    /// Adds advice as a hint.
    pub(super) fn advise(self, advice: &Advice) -> Self {
        self.hint(words(advice))
    }

    /// Adds a hint in words; an empty one is left out.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints
            .extend(Some(hint.into()).filter(|hint| !hint.is_empty()));
        self
    }

    /// Says whose instances the commands of the hints are about, where there are any.
    pub(super) fn of_owner(self, owner: &Owner) -> Self {
        let names_commands = self.hints.iter().any(|hint| hint.contains("bss-host "));
        let hint = format!("add `--owner {}` to these commands", quoted(owner.as_str()));
        match names_commands {
            true => self.hint(hint),
            false => self,
        }
    }

    /// Makes the failure one without an answer, where what is on record settles nothing: the kind of its cause says
    /// nothing of what was asked for. What does not exist stays what it is.
    pub(super) fn unsettled(self) -> Self {
        if self.kind == ErrorKind::NotFound {
            return self;
        }
        Self {
            status: ExitStatus::NoAnswer,
            kind: ErrorKind::Unavailable,
            ..self
        }
    }

    /// Puts what was done before the failure in front of its message.
    pub(super) fn after(self, done: &str) -> Self {
        Self {
            message: format!("{done}: {}", self.message),
            ..self
        }
    }

    /// A form that was not saved, with all that is wrong with it.
    pub(super) fn form(form: &Form) -> Self {
        let wrong = form
            .fields
            .iter()
            .filter(|field| !field.problems.is_empty())
            .count();
        let what = match wrong {
            1 => "1 field of the form has a problem".to_owned(),
            _ => format!("{wrong} fields of the form have a problem"),
        };
        let problems = form.fields.iter().flat_map(|field| {
            field.problems.iter().map(|problem| GivenProblem {
                place: Place::Field(field.id.clone(), field.label.clone()),
                problem: problem.clone(),
            })
        });
        Self {
            problems: problems.collect(),
            ..Self::new(
                ErrorKind::Refused,
                "form-refused",
                format!("the settings were not saved: {what}"),
            )
        }
    }

    /// Adds the reasons that the plugin or the vendor gives, if there are any; their advice replaces the hints.
    pub(super) fn reasons(self, problems: &[Problem]) -> Self {
        if problems.is_empty() {
            return self;
        }
        let lines: Vec<String> = problems.iter().map(problem_line).collect();
        let advice = problems.iter().map(|problem| problem.advice.clone());
        let reasons = problems.iter().map(|problem| GivenProblem {
            place: Place::Whole,
            problem: problem.clone(),
        });
        Self {
            message: format!("{}: {}", self.message, lines.join("; ")),
            hints: advice.filter(|advice| !advice.is_empty()).collect(),
            problems: reasons.collect(),
            ..self
        }
    }

    /// A file that was not taken, as `what` says, because of the mistakes on its lines, by their numbers.
    pub(super) fn of_lines(code: &'static str, what: &str, mistakes: Vec<(u64, bss_model::Problem)>) -> Self {
        let lines = match mistakes.len() {
            1 => "1 line has".to_owned(),
            wrong => format!("{wrong} lines have"),
        };
        let problems_left_out = mistakes.len().saturating_sub(LINES_NAMED_MAX);
        let named = mistakes.into_iter().take(LINES_NAMED_MAX);
        let problems = named.map(|(line, problem)| GivenProblem {
            place: Place::Line(line),
            problem: Problem::from(&problem),
        });
        Self {
            problems: problems.collect(),
            problems_left_out,
            ..Self::new(
                ErrorKind::Invalid,
                code,
                format!("{what}, because {lines} a mistake"),
            )
        }
    }

    /// A stable name for programs.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// What has failed, as one sentence.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Tells a person on the standard error, and a program on the standard output too.
    pub(super) fn show(&self, json: bool) {
        self.lines().iter().for_each(output::error);
        if json && let Ok(line) = serde_json::to_string(&ErrorLine { error: self.view() }) {
            output::line(Text::json(&line));
        }
    }

    /// The error, what it is made of, and what to do, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("error: {}", self.message)];
        for GivenProblem { place, problem } in &self.problems {
            let Problem {
                message,
                code,
                advice,
                ..
            } = problem;
            lines.extend(match place {
                Place::Whole => None,
                Place::Field(id, label) => Some(format!("  {label} (`{id}`): {message} ({code})")),
                Place::Line(line) => Some(format!("  line {line}: {message} ({code})")),
            });
            if matches!(place, Place::Field(..)) && !advice.is_empty() {
                lines.push(format!("    hint: {advice}"));
            }
        }
        if self.problems_left_out > 0 {
            lines.push(format!("  and {} more", self.problems_left_out));
        }
        lines.extend(self.hints.iter().map(|hint| format!("hint: {hint}")));
        lines
    }

    fn view(&self) -> ErrorView<'_> {
        ErrorView {
            code: &self.code,
            kind: self.kind.word(),
            message: &self.message,
            advice: (!self.hints.is_empty()).then(|| self.hints.join("; ")),
            problems: self.problems.iter().map(problem_view).collect(),
        }
    }
}

/// A failure of this machine, or of what runs on it beside the host.
pub(super) fn machine_failure(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(
        ErrorKind::Unavailable,
        "machine",
        with_causes(error.into().as_ref()),
    )
}

/// Parses a value of the command line; an error that has advice comes with a hint.
pub(super) fn parsed<T>(text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: Diagnose,
{
    text.parse()
        .map_err(|error: T::Err| match error.diagnosis().advice {
            None => error.to_string(),
            Some(advice) => format!("{error}\nhint: {}", words(&advice)),
        })
}

/// A failure to write a file that was named.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        ErrorKind::Invalid,
        "file-unwritable",
        format!("`{}` can't be written: {error}", path.display()),
    )
}

/// A failure to read a file that was named.
pub(super) fn unreadable(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(
        ErrorKind::Invalid,
        "file-unreadable",
        format!("{what} can't be read: {error}"),
    )
}

/// The line that tells a problem, with the vendor's name for the exchange if there is one.
pub(super) fn problem_line(problem: &Problem) -> String {
    let correlation = match problem.correlation_id.as_str() {
        "" => String::new(),
        id => format!(", correlation id {id}"),
    };
    format!("{} ({}{correlation})", problem.message, problem.code)
}

/// The line that a program reads on the standard output.
#[derive(Serialize)]
struct ErrorLine<'a> {
    error: ErrorView<'a>,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    code: &'a str,
    kind: &'static str,
    message: &'a str,
    advice: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemView<'a>>,
}

#[derive(Serialize)]
struct ProblemView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(flatten)]
    problem: &'a Problem,
}

fn problem_view(GivenProblem { place, problem }: &GivenProblem) -> ProblemView<'_> {
    let (field, line) = match place {
        Place::Whole => (None, None),
        Place::Field(id, _) => (Some(id.as_str()), None),
        Place::Line(line) => (None, Some(*line)),
    };
    ProblemView { field, line, problem }
}

pub(super) type Outcome = Result<ExitStatus, Failure>;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bss_model::Diagnosis;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug)]
    struct Broken(std::io::Error);

    impl std::fmt::Display for Broken {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the record could not be read")
        }
    }

    impl std::error::Error for Broken {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    impl Diagnose for Broken {
        fn diagnosis(&self) -> Diagnosis {
            Diagnosis::new(ErrorKind::Unavailable, "broken").advise(Advice::RestoreBackup)
        }
    }

    fn broken() -> Broken {
        Broken(std::io::Error::other("no space"))
    }

    /// Advice of each case. A case that is missing in `words` does not compile.
    fn advice() -> Vec<Advice> {
        let (instance, asset) = ("esd".to_owned(), Uuid::nil());
        vec![
            Advice::say("try again"),
            Advice::ListInstances,
            Advice::DisableInstance {
                instance: instance.clone(),
            },
            Advice::EnableInstance {
                instance: instance.clone(),
            },
            Advice::CompleteForm {
                instance: instance.clone(),
            },
            Advice::ChooseCertificate {
                instance: instance.clone(),
            },
            Advice::AllowHosts {
                instance: instance.clone(),
                hosts: vec!["login.example.com".to_owned(), "localhost:1".to_owned()],
            },
            Advice::ListCertificates,
            Advice::MakeCertificate,
            Advice::NameTrustedAuthorities,
            Advice::NamePlugin,
            Advice::ChoosePlugin,
            Advice::ListPlugins,
            Advice::TrustPlugin {
                path: PathBuf::from("plugin.wasm"),
            },
            Advice::ReportPlugin,
            Advice::ShowTraces,
            Advice::RecordAgain,
            Advice::ListAssets,
            Advice::RetryAsset { asset },
            Advice::CancelAsset { asset },
            Advice::ShowAttempts { asset },
            Advice::ListOrders,
            Advice::ShowOrder { order: asset },
            Advice::GiveAsSecret {
                field: "key".to_owned(),
            },
            Advice::GiveAsValue {
                field: "name".to_owned(),
            },
            Advice::ClearSecret {
                field: "key".to_owned(),
            },
            Advice::ResumeOrder { order: asset },
            Advice::ListCharges,
            Advice::ListCancellations,
            Advice::ShowCancellations { asset },
            Advice::ListProducts,
            Advice::FetchServices,
            Advice::ActivateProduct {
                code: "A-1".to_owned(),
            },
            Advice::PriceProduct {
                code: "A-1".to_owned(),
                currency: "EUR".to_owned(),
            },
            Advice::ListRuns {
                instance: String::new(),
            },
            Advice::AcceptServices {
                instance: instance.clone(),
            },
            Advice::ListRuns { instance },
            Advice::StartWorker,
            Advice::ListMails,
            Advice::ConfigureMail,
            Advice::WriteTemplates,
            Advice::MakePrivate {
                path: PathBuf::from("host.key"),
                mode: 0o600,
            },
            Advice::RunAsOwner { uid: 1_000 },
            Advice::RestoreHostKey,
            Advice::AddHostKey {
                id: "1a2b3c4d".to_owned(),
            },
            Advice::MakeRecord,
            Advice::RestoreBackup,
            Advice::ReplaceRecord,
            Advice::AdoptRecord,
            Advice::ReleaseMails,
            Advice::SendOrWithdrawMails,
        ]
    }

    #[test]
    fn every_advice_has_words_without_a_period_and_a_sentence_without_a_command() {
        for advice in advice() {
            let (words, sentence) = (words(&advice), advice.sentence());
            for text in [&words, &sentence] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{advice:?}: {text}");
            }
            assert!(
                !sentence.contains("bss-host") && !sentence.contains("--"),
                "{sentence}"
            );
        }
        let private = Advice::MakePrivate {
            path: PathBuf::from("host.key"),
            mode: 0o600,
        };
        assert_eq!(words(&private), "run `chmod 600 host.key`");
    }

    #[test]
    fn a_hint_that_is_copied_into_a_shell_is_one_command() {
        let code = |code: &str| {
            words(&Advice::ActivateProduct {
                code: code.to_owned(),
            })
            .into_owned()
        };
        assert!(code("EP2-06798").contains("INSTANCE EP2-06798`"));
        assert!(code("$(reboot)").contains("INSTANCE '$(reboot)'`"));
        assert!(code("a'; reboot '").contains(r"INSTANCE 'a'\''; reboot '\'''`"));
        assert!(code("").contains("INSTANCE ''`"));
    }

    #[test]
    fn a_no_is_1_and_no_answer_is_3() {
        use ErrorKind::{Conflict, Damaged, Invalid, NotFound, Refused, Unavailable};
        for kind in [NotFound, Invalid, Conflict, Refused] {
            assert_eq!(ExitStatus::from(kind), ExitStatus::Refused, "{kind:?}");
        }
        for kind in [Unavailable, Damaged] {
            assert_eq!(ExitStatus::from(kind), ExitStatus::NoAnswer, "{kind:?}");
        }
    }

    #[test]
    fn a_person_reads_the_causes_and_a_hint_and_a_program_the_code_and_the_kind() {
        let failure = Failure::from(broken());
        assert_eq!(failure.status, ExitStatus::NoAnswer);
        assert_eq!(
            failure.lines().join("\n"),
            "error: the record could not be read: no space\nhint: restore a backup with `bss-host record restore FILE --replace`"
        );
        let line = serde_json::to_value(ErrorLine {
            error: failure.view(),
        })
        .unwrap();
        let expected = serde_json::json!({ "error": {
            "code": "broken",
            "kind": "unavailable",
            "message": "the record could not be read: no space",
            "advice": "restore a backup with `bss-host record restore FILE --replace`",
        }});
        assert_eq!(line, expected);
    }

    #[test]
    fn what_is_on_record_already_is_no_refusal_whatever_its_cause() {
        let refused = Failure::new(ErrorKind::Conflict, "not-ready", "instance `esd` is not ready");
        let failure = refused.unsettled().after("order 1 is placed");
        assert_eq!(failure.status, ExitStatus::NoAnswer);
        assert_eq!(
            failure.lines().join("\n"),
            "error: order 1 is placed: instance `esd` is not ready"
        );
    }

    #[test]
    fn each_reason_of_a_refusal_is_told_with_its_advice() {
        let problem = |code: &str, advice: &str| Problem {
            code: code.to_owned(),
            message: format!("it is {code}"),
            advice: advice.to_owned(),
            correlation_id: String::new(),
        };
        let problems = [problem("old", "take a new one"), problem("short", "")];
        let failure = Failure::new(ErrorKind::Refused, "certificate-refused", "no").reasons(&problems);
        assert_eq!(
            failure.lines().join("\n"),
            "error: no: it is old (old); it is short (short)\nhint: take a new one"
        );
        let codes: Vec<_> = failure
            .view()
            .problems
            .iter()
            .map(|view| view.problem.code.as_str())
            .collect();
        assert_eq!(codes, ["old", "short"]);
    }
}

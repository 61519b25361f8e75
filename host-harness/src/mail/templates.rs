//! The texts of e-mails: an operator's own templates, and built-in ones in three languages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind, Problem};
use minijinja::{AutoEscape, Environment, HtmlEscape, Output, State, UndefinedBehavior, Value};
use zeroize::Zeroizing;

use super::context::Context;
use super::long_date::long_date;
use super::text::one_line;

/// The longest template. A longer one is a picture or a mistake; mail programs cut messages off far below.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;

/// The language whose templates are always there, for customers whose own language has none.
const LAST_RESORT: &str = "en";

/// What an e-mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LetterKind {
    /// A license.
    Welcome,
    /// Several licenses of an order.
    Order,
    /// The return of a license.
    Return,
}

impl LetterKind {
    const ALL: [Self; 3] = [Self::Welcome, Self::Order, Self::Return];

    /// The names of the three templates, in the order of [`Part::ALL`]. A file that ends in `.html` is escaped as HTML.
    fn files(self) -> [&'static str; 3] {
        match self {
            Self::Welcome => ["welcome.subject.txt", "welcome.txt", "welcome.html"],
            Self::Order => ["order.subject.txt", "order.txt", "order.html"],
            Self::Return => ["return.subject.txt", "return.txt", "return.html"],
        }
    }

    fn file(self, part: Part) -> &'static str {
        let [subject, text, html] = self.files();
        match part {
            Part::Subject => subject,
            Part::Text => text,
            Part::Html => html,
        }
    }
}

/// A text of the three that an e-mail is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Subject,
    Text,
    Html,
}

impl Part {
    const ALL: [Self; 3] = [Self::Subject, Self::Text, Self::Html];
}

/// The built-in templates of a language, each in the order of [`Part::ALL`].
struct BuiltIn {
    language: &'static str,
    welcome: [&'static str; 3],
    order: [&'static str; 3],
    returned: [&'static str; 3],
}

impl BuiltIn {
    fn sources(&self, kind: LetterKind) -> &[&'static str; 3] {
        match kind {
            LetterKind::Welcome => &self.welcome,
            LetterKind::Order => &self.order,
            LetterKind::Return => &self.returned,
        }
    }
}

macro_rules! sources {
    ($language:literal, $kind:literal) => {
        [
            include_str!(concat!("templates/", $language, "/", $kind, ".subject.txt")),
            include_str!(concat!("templates/", $language, "/", $kind, ".txt")),
            include_str!(concat!("templates/", $language, "/", $kind, ".html")),
        ]
    };
}

macro_rules! built_in {
    ($language:literal) => {
        BuiltIn {
            language: $language,
            welcome: sources!($language, "welcome"),
            order: sources!($language, "order"),
            returned: sources!($language, "return"),
        }
    };
}

const BUILT_IN: [BuiltIn; 3] = [built_in!("en"), built_in!("de"), built_in!("el")];

/// Why templates can't be used or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A file or a directory can't be read.
    #[error("template file or directory `{}` can't be read", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error("template file or directory `{}` can't be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// There is a file already, which may have been edited.
    #[error("template `{}` exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The directory holds no language's templates.
    #[error("template directory `{}` contains no templates", path.display())]
    None {
        /// The directory.
        path: PathBuf,
    },
    /// A file is missing that no built-in one stands in for.
    #[error("template `{language}/{file}` is missing in `{}`", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// The language.
        language: String,
        /// The file in the language's directory.
        file: &'static str,
    },
    /// A file is longer than a template can be.
    #[error("template `{}` is longer than {TEMPLATE_BYTES_MAX} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The template can't be filled in.
    #[error("template `{name}` can't be filled in{}: {why}", line.map_or_else(String::new, |line| format!(", line {line}")))]
    Broken {
        /// The language and the file.
        name: String,
        /// The line of the template with the fault, where it is known.
        line: Option<usize>,
        /// The fault, without any of the values that would have been filled in.
        why: String,
    },
}

impl Diagnose for TemplateError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Read { .. } => Diagnosis::new(ErrorKind::Invalid, "template-unreadable"),
            Self::Write { .. } => Diagnosis::new(ErrorKind::Invalid, "template-unwritable"),
            Self::Exists { .. } => Diagnosis::new(ErrorKind::Conflict, "template-exists")
                .say("name another directory, or remove the template first"),
            Self::None { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "no-templates").advise(Advice::WriteTemplates)
            }
            Self::Missing { .. } => Diagnosis::new(ErrorKind::Invalid, "template-missing")
                .say(format!("start from the built-in template in `{LAST_RESORT}`")),
            Self::TooLong { .. } => Diagnosis::new(ErrorKind::Invalid, "template-too-long"),
            Self::Broken { .. } => Diagnosis::new(ErrorKind::Invalid, "template-broken"),
        }
    }
}

/// A template filled in.
pub(super) struct Rendered {
    /// The subject, on one line.
    pub(super) subject: String,
    pub(super) text: Zeroizing<String>,
    pub(super) html: Zeroizing<String>,
    /// Why a built-in template was used instead of the operator's.
    pub(super) problem: Option<Problem>,
}

/// Fills in the templates of a language, or of the next one that it falls back to. A broken operator's template does
/// not delay a license: the built-in one stands in for it, and `Rendered::problem` says why.
pub(super) fn render(
    directory: Option<&Path>,
    kind: LetterKind,
    language: &str,
    context: &Context<'_>,
) -> Result<Rendered, TemplateError> {
    let chain = fallbacks(language);
    let own = directory.map(|directory| render_first(Some(directory), kind, &chain, context));
    let problem = match own {
        Some(Ok(rendered)) => return Ok(rendered),
        Some(Err(error)) => Some(with_built_in(&error)),
        None => None,
    };
    let built_in = render_first(None, kind, &chain, context)?;
    Ok(Rendered { problem, ..built_in })
}

fn with_built_in(error: &TemplateError) -> Problem {
    tracing::warn!("{error}; the built-in template was used instead");
    Problem::new(
        "template-broken",
        format!("the built-in template was used: {error}"),
        "correct the template",
    )
}

/// Languages to try in turn: the language itself, then without its last subtag and so on, then the last resort (RFC
/// 4647 section 3.4).
fn fallbacks(language: &str) -> Vec<String> {
    let mut chain = Vec::new();
    let mut subtags: Vec<&str> = language.split('-').collect();
    while !subtags.is_empty() {
        let is_tag = |subtag: &&str| !subtag.is_empty() && subtag.bytes().all(|b| b.is_ascii_alphanumeric());
        if subtags.iter().all(is_tag) {
            chain.push(subtags.join("-"));
        }
        subtags.pop();
        // A single-letter subtag only introduces the one after it.
        if subtags.len() > 1 && subtags.last().is_some_and(|subtag| subtag.len() == 1) {
            subtags.pop();
        }
    }
    chain.push(LAST_RESORT.to_owned());
    chain
}

fn render_first(
    directory: Option<&Path>,
    kind: LetterKind,
    chain: &[String],
    context: &Context<'_>,
) -> Result<Rendered, TemplateError> {
    for language in chain {
        if let Some(sources) = sources(directory, kind, language)? {
            return fill_in(language, kind, &sources, context);
        }
    }
    Err(TemplateError::None {
        path: directory.unwrap_or(Path::new("")).to_owned(),
    })
}

/// The three templates of a language: the operator's if there are any, or else the built-in ones. `None`: there are
/// neither for this language. Of e-mails that not every instance sends, an operator may have none.
fn sources(
    directory: Option<&Path>,
    kind: LetterKind,
    language: &str,
) -> Result<Option<[String; 3]>, TemplateError> {
    let built_in = BUILT_IN
        .iter()
        .find(|built_in| built_in.language.eq_ignore_ascii_case(language));
    let own = match directory {
        Some(directory) => language_directory(directory, language)?,
        None => None,
    };
    let is_there = |own: &PathBuf| kind.files().iter().any(|file| own.join(file).exists());
    let has_own = own
        .as_ref()
        .is_some_and(|own| kind == LetterKind::Welcome || is_there(own));
    if !has_own && built_in.is_none() {
        return Ok(None);
    }
    let mut sources = [const { String::new() }; 3];
    for (index, (source, part)) in sources.iter_mut().zip(Part::ALL).enumerate() {
        let file = match &own {
            Some(own) => read(&own.join(kind.file(part)))?,
            None => None,
        };
        let built_in = built_in.and_then(|built_in| built_in.sources(kind).get(index));
        *source = file
            .or_else(|| built_in.map(|source| (*source).to_owned()))
            .ok_or_else(|| TemplateError::Missing {
                path: directory.unwrap_or(Path::new("")).to_owned(),
                language: language.to_owned(),
                file: kind.file(part),
            })?;
    }
    Ok(Some(sources))
}

/// The operator's directory of a language, found in upper or lower case.
fn language_directory(directory: &Path, language: &str) -> Result<Option<PathBuf>, TemplateError> {
    let own = languages(directory)?;
    Ok(own
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(language))
        .map(|(_, path)| path))
}

/// The languages that an operator has a directory for.
fn languages(directory: &Path) -> Result<Vec<(String, PathBuf)>, TemplateError> {
    let failed = |source| TemplateError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut languages = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if bss_model::is_language(&name) && entry.path().is_dir() {
            languages.push((name, entry.path()));
        }
    }
    languages.sort();
    Ok(languages)
}

/// Reads a template file. `None`: there is none.
fn read(path: &Path) -> Result<Option<String>, TemplateError> {
    let failed = |source| TemplateError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let mut limited = file.take(TEMPLATE_BYTES_MAX + 1);
    let length = limited.read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(length).is_ok_and(|length| length > TEMPLATE_BYTES_MAX) {
        return Err(TemplateError::TooLong {
            path: path.to_owned(),
        });
    }
    Ok(Some(text))
}

fn fill_in(
    language: &str,
    kind: LetterKind,
    sources: &[String; 3],
    context: &Context<'_>,
) -> Result<Rendered, TemplateError> {
    let mut environment = Environment::new();
    // A mistyped name is an error, not an empty place in a customer's e-mail.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".html") {
            AutoEscape::Html
        } else {
            AutoEscape::None
        }
    });
    environment.set_formatter(write_value);
    let own_language = language.to_owned();
    environment.add_filter("long_date", move |day: String| long_date(&own_language, &day));
    let fill = |part: Part, source: &str| -> Result<Zeroizing<String>, TemplateError> {
        let name = format!("{language}/{}", kind.file(part));
        let broken = |error: &minijinja::Error, why: String| TemplateError::Broken {
            name: name.clone(),
            line: error.line(),
            why,
        };
        let template = environment
            .template_from_named_str(&name, source)
            // Nothing has been filled in yet, so the detail is the operator's own text.
            .map_err(|error| broken(&error, error.detail().unwrap_or("syntax error").to_owned()))?;
        let text = template.render(context);
        Ok(Zeroizing::new(
            text.map_err(|error| broken(&error, error.kind().to_string()))?,
        ))
    };
    let [subject, text, html] = sources;
    Ok(Rendered {
        subject: one_line(&fill(Part::Subject, subject)?),
        text: fill(Part::Text, text)?,
        html: fill(Part::Html, html)?,
        problem: None,
    })
}

/// Writes a value as the library does, but leaves its slashes as they are in HTML: spam filters distrust a link whose
/// slashes are entities, and no place that a value can be filled into needs them so.
fn write_value(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let is_html = matches!(state.auto_escape(), AutoEscape::Html);
    match value.as_str() {
        Some(text) if is_html && !value.is_safe() => {
            // An ampersand of the text's own is an entity by now, so that every such entity was a slash.
            let escaped = Zeroizing::new(HtmlEscape(text).to_string());
            Ok(out.write_str(&Zeroizing::new(escaped.replace("&#x2f;", "/")))?)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Checks that every language that an operator has templates for can be filled in. Returns the languages.
///
/// # Errors
/// When there are none, when one of them is incomplete, and when one can't be filled in.
pub(super) fn check(directory: &Path) -> Result<Vec<String>, TemplateError> {
    let languages = languages(directory)?;
    if languages.is_empty() {
        return Err(TemplateError::None {
            path: directory.to_owned(),
        });
    }
    let mut checked = Vec::new();
    for (language, _) in languages {
        for kind in LetterKind::ALL {
            if let Some(sources) = sources(Some(directory), kind, &language)? {
                // A template must not need a value that an e-mail may lack.
                fill_in(&language, kind, &sources, &Context::sample())?;
                fill_in(&language, kind, &sources, &Context::bare_sample())?;
            }
        }
        checked.push(language);
    }
    Ok(checked)
}

/// Writes the built-in templates into a directory, to start from. Returns the files.
///
/// # Errors
/// When one of them is there already, which leaves the rest as it is, and when one can't be written.
pub fn write_templates(directory: &Path) -> Result<Vec<PathBuf>, TemplateError> {
    let files: Vec<(PathBuf, &str)> = BUILT_IN
        .iter()
        .flat_map(|built_in| {
            let files = LetterKind::ALL
                .into_iter()
                .flat_map(|kind| kind.files().into_iter().zip(*built_in.sources(kind)));
            files.map(|(file, source)| (directory.join(built_in.language).join(file), source))
        })
        .collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(TemplateError::Exists { path: path.clone() });
    }
    for (path, source) in &files {
        let write = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
            file.write_all(source.as_bytes())
        };
        write().map_err(|source| TemplateError::Write {
            path: path.clone(),
            source,
        })?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_falls_back_to_its_parents_and_then_to_english() {
        for (language, chain) in [
            ("de-AT", vec!["de-AT", "de", "en"]),
            ("zh-Hant-TW", vec!["zh-Hant-TW", "zh-Hant", "zh", "en"]),
            ("de-x-formal", vec!["de-x-formal", "de", "en"]),
            ("en", vec!["en", "en"]),
            ("../etc", vec!["en"]),
            ("", vec!["en"]),
        ] {
            assert_eq!(fallbacks(language), chain, "{language}");
        }
    }

    #[test]
    fn every_built_in_template_can_be_filled_in_whatever_is_missing() {
        for built_in in BUILT_IN {
            for context in [Context::sample(), Context::bare_sample()] {
                let rendered = render(None, LetterKind::Welcome, built_in.language, &context).unwrap();
                for part in [&rendered.text, &rendered.html] {
                    assert!(part.contains(context.product_key.unwrap()) && part.contains("Example Customer"));
                    assert_eq!(part.contains("https:"), context.activation_link.is_some());
                    assert_eq!(
                        part.contains("Example Reseller"),
                        context.reseller.is_some(),
                        "{}",
                        **part
                    );
                }
                assert_eq!(rendered.problem, None);
            }
        }
    }

    #[test]
    fn the_e_mail_of_an_order_has_every_license_and_that_of_a_return_no_key_but_its_credit() {
        for built_in in BUILT_IN {
            for context in [Context::sample(), Context::bare_sample()] {
                let fill = |kind| render(None, kind, built_in.language, &context).unwrap();
                let (order, returned) = (fill(LetterKind::Order), fill(LetterKind::Return));
                for part in [&order.text, &order.html] {
                    let keys = part.matches(context.licenses[0].product_key).count();
                    assert_eq!(keys, context.licenses.len(), "{}", **part);
                }
                for part in [&returned.text, &returned.html] {
                    assert!(
                        !part.contains("XXXXX") && part.contains("Example Product"),
                        "{}",
                        **part
                    );
                    assert_eq!(part.contains("ESD-CR-000001"), context.credit.is_some());
                    assert_eq!(part.contains("149.00 EUR"), context.credit.is_some());
                }
            }
        }
    }

    #[test]
    fn a_link_keeps_its_slashes_and_nothing_else_that_html_needs_escaped() {
        let link = "https://shop.example/a?b=1&c=\"'<x>&#x2f;";
        let context = Context {
            activation_link: Some(link),
            ..Context::sample()
        };
        let rendered = render(None, LetterKind::Welcome, "en", &context).unwrap();
        let href = "href=\"https://shop.example/a?b=1&amp;c=&quot;&#x27;&lt;x&gt;&amp;#x2f;\"";
        assert_eq!(rendered.html.matches(href).count(), 2, "{}", *rendered.html);
        assert!(rendered.text.contains(link));
    }

    #[test]
    fn days_are_written_as_the_template_s_language_writes_them() {
        for (language, bought, returnable) in [
            ("en", "31 January 2026", "2 March 2026"),
            ("de-AT", "31. Januar 2026", "2. März 2026"),
            ("el", "31 Ιανουαρίου 2026", "2 Μαρτίου 2026"),
            ("fr", "31 January 2026", "2 March 2026"),
        ] {
            let rendered = render(None, LetterKind::Welcome, language, &Context::sample()).unwrap();
            for part in [&rendered.text, &rendered.html] {
                assert!(part.contains(bought) && part.contains(returnable), "{}", **part);
            }
        }
    }

    #[test]
    fn what_an_error_says_holds_no_key() {
        let sources = [
            "subject".to_owned(),
            "{{ product_key|int }}".to_owned(),
            String::new(),
        ];
        let Err(error) = fill_in("en", LetterKind::Welcome, &sources, &Context::sample()) else {
            panic!("a key is no number");
        };
        assert!(!error.to_string().contains("XXXXX"), "{error}");
        assert!(
            error.to_string().starts_with("template `en/welcome.txt`"),
            "{error}"
        );
    }
}

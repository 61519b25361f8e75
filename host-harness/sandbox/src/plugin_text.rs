//! Everything that a plugin says, bounded where it enters the host: what people read is cut and made one line, and what
//! names something is taken as it is or not at all.

use crate::bindings::Description;
use crate::bindings::connection::{Step, StepResult};
use crate::bindings::failures::{ChangeFailure, Delay, Problem, ReadFailure};
use crate::bindings::instance_settings::{Choice, Field, Form, Standing};
use crate::bindings::license_lifecycle::LookUp;
use crate::bindings::license_order::{License, OrderAnswer};
use crate::bindings::services_definition::{Outcome, Product, ProductType, Summary};
use crate::error::PluginDefect;
use crate::limits;

/// What a plugin has answered, bounded.
pub(crate) trait Bounded: Sized {
    /// Cuts what is shown, and checks what names something.
    ///
    /// # Errors
    /// When a name can't be one, or a list is too long: a name that is cut would be another's.
    fn bounded(self) -> Result<Self, PluginDefect>;
}

/// Makes a text that people read one line of at most so many characters: it can't pretend to be two, nor to be another
/// one by turning the direction of what is read.
pub(crate) fn one_line(text: impl Into<String>, chars_max: usize) -> String {
    cut(text.into(), chars_max, is_forging)
}

/// Makes a name in some language one line of at most so many characters. The marks that some scripts need stay.
fn name(text: String, chars_max: usize) -> String {
    cut(text, chars_max, |c| {
        is_forging(c) && !matches!(c, '\u{200e}' | '\u{200f}')
    })
}

/// Makes a description in some language at most so many characters, in which lines may end.
fn paragraphs(text: String, chars_max: usize) -> String {
    cut(text, chars_max, |c| {
        is_forging(c) && !matches!(c, '\n' | '\u{200e}' | '\u{200f}')
    })
}

fn cut(text: String, chars_max: usize, is_forbidden: impl Fn(char) -> bool) -> String {
    // Nearly all of a catalog's text is short and holds nothing else.
    if text.len() <= chars_max && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text;
    }
    let replaced = text.chars().map(|c| if is_forbidden(c) { ' ' } else { c });
    replaced.take(chars_max).collect()
}

/// What steers whatever shows it, or hides; and the marks of direction, which only names in some scripts need.
fn is_forging(c: char) -> bool {
    bss_model::text::steers(c) || matches!(c, '\u{200e}' | '\u{200f}')
}

/// Checks a text by which the host finds something again. It may be empty. Two that look the same are the same.
fn check_name(text: &str, chars_max: usize, what: &'static str) -> Result<(), PluginDefect> {
    check(text, chars_max, what, bss_model::text::takes_no_place)
}

/// Checks a value that an operator has typed, in whatever script. It may be empty.
fn check_value(text: &str, chars_max: usize, what: &'static str) -> Result<(), PluginDefect> {
    check(text, chars_max, what, is_forging)
}

fn check(
    text: &str,
    chars_max: usize,
    what: &'static str,
    is_forbidden: impl Fn(char) -> bool,
) -> Result<(), PluginDefect> {
    if text.chars().take(chars_max + 1).count() > chars_max {
        return Err(PluginDefect::LongName { what, chars_max });
    }
    match text.chars().any(is_forbidden) {
        true => Err(PluginDefect::UnprintableName { what }),
        false => Ok(()),
    }
}

fn check_number<T>(list: &[T], most: usize, what: &'static str) -> Result<(), PluginDefect> {
    match list.len() > most {
        true => Err(PluginDefect::LongList { what, most }),
        false => Ok(()),
    }
}

fn all_bounded<T: Bounded>(list: Vec<T>, most: usize, what: &'static str) -> Result<Vec<T>, PluginDefect> {
    check_number(&list, most, what)?;
    list.into_iter().map(T::bounded).collect()
}

fn problem(problem: Problem) -> Problem {
    Problem {
        code: one_line(problem.code, limits::PROBLEM_CODE_CHARS),
        message: one_line(problem.message, limits::SENTENCE_CHARS),
        advice: one_line(problem.advice, limits::SENTENCE_CHARS),
        correlation_id: one_line(problem.correlation_id, limits::NAME_CHARS),
    }
}

fn delay(delay: Delay) -> Delay {
    Delay {
        problem: problem(delay.problem),
        ..delay
    }
}

impl Bounded for Problem {
    /// Cuts all of it: a failure that is reported badly is still the failure that it is.
    fn bounded(self) -> Result<Self, PluginDefect> {
        Ok(problem(self))
    }
}

impl Bounded for ReadFailure {
    fn bounded(self) -> Result<Self, PluginDefect> {
        Ok(match self {
            Self::Refused(said) => Self::Refused(problem(said)),
            Self::Unavailable(said) => Self::Unavailable(delay(said)),
            Self::Misconfigured(said) => Self::Misconfigured(problem(said)),
            Self::Malformed(said) => Self::Malformed(problem(said)),
        })
    }
}

impl Bounded for ChangeFailure {
    fn bounded(self) -> Result<Self, PluginDefect> {
        Ok(match self {
            Self::Refused(said) => Self::Refused(problem(said)),
            Self::Unavailable(said) => Self::Unavailable(delay(said)),
            Self::Misconfigured(said) => Self::Misconfigured(problem(said)),
            Self::Unknown(said) => Self::Unknown(problem(said)),
        })
    }
}

impl<T: Bounded, F: Bounded> Bounded for Result<T, F> {
    fn bounded(self) -> Result<Self, PluginDefect> {
        match self {
            Ok(answer) => answer.bounded().map(Ok),
            Err(failure) => failure.bounded().map(Err),
        }
    }
}

impl Bounded for Description {
    fn bounded(self) -> Result<Self, PluginDefect> {
        let all = [
            (&self.id, "plugin's id"),
            (&self.vendor, "vendor's name"),
            (&self.offering, "offering's name"),
            (&self.version, "version"),
        ];
        for (text, what) in all {
            check_name(text, limits::NAME_CHARS, what)?;
        }
        for (names, what) in [
            (&self.options, "options"),
            (&self.correlation_headers, "correlation headers"),
            (&self.harmless.requests, "harmless fields of requests"),
            (&self.harmless.answers, "harmless fields of answers"),
        ] {
            check_number(names, limits::DESCRIBED_NAMES, what)?;
            for name in names {
                check_name(name, limits::NAME_CHARS, "name in the description")?;
            }
        }
        Ok(self)
    }
}

impl Bounded for Form {
    fn bounded(self) -> Result<Self, PluginDefect> {
        let certificate_field = self.certificate_field.as_deref().unwrap_or_default();
        check_name(certificate_field, limits::NAME_CHARS, "field's id")?;
        if let Standing::Ready(authorities) = &self.standing {
            check_number(authorities, limits::AUTHORITIES, "authorities")?;
            for authority in authorities {
                check_name(&authority.name, limits::VALUE_CHARS, "authority")?;
                check_number(
                    &authority.secret_headers,
                    limits::SECRET_HEADERS,
                    "secret headers",
                )?;
                for header in &authority.secret_headers {
                    for text in [&header.name, &header.prefix, &header.field] {
                        check_name(text, limits::NAME_CHARS, "secret header")?;
                    }
                }
            }
        }
        Ok(Self {
            fields: all_bounded(self.fields, limits::FIELDS, "fields")?,
            ..self
        })
    }
}

impl Bounded for Field {
    fn bounded(self) -> Result<Self, PluginDefect> {
        check_name(&self.id, limits::NAME_CHARS, "field's id")?;
        let value = match self.problems.is_empty() {
            true => {
                check_value(&self.value, limits::VALUE_CHARS, "field's value")?;
                self.value
            }
            // A value with a problem is shown, and never saved.
            false => one_line(self.value, limits::VALUE_CHARS),
        };
        Ok(Self {
            label: one_line(self.label, limits::LABEL_CHARS),
            help: one_line(self.help, limits::SENTENCE_CHARS),
            choices: all_bounded(self.choices, limits::CHOICES, "choices of a field")?,
            problems: all_bounded(self.problems, limits::PROBLEMS, "problems of a field")?,
            value,
            ..self
        })
    }
}

impl Bounded for Choice {
    fn bounded(self) -> Result<Self, PluginDefect> {
        check_name(&self.key, limits::VALUE_CHARS, "choice's key")?;
        Ok(Self {
            label: one_line(self.label, limits::LABEL_CHARS),
            unusable_because: one_line(self.unusable_because, limits::SENTENCE_CHARS),
            ..self
        })
    }
}

impl Bounded for Vec<Step> {
    fn bounded(self) -> Result<Self, PluginDefect> {
        all_bounded(self, limits::STEPS, "steps")
    }
}

impl Bounded for Step {
    fn bounded(self) -> Result<Self, PluginDefect> {
        check_name(&self.id, limits::NAME_CHARS, "step's id")?;
        Ok(Self {
            name: one_line(self.name, limits::LABEL_CHARS),
            result: match self.result {
                StepResult::Failed(said) => StepResult::Failed(problem(said)),
                other => other,
            },
            ..self
        })
    }
}

impl Bounded for Outcome {
    fn bounded(self) -> Result<Self, PluginDefect> {
        match self {
            Self::Complete(summary) => summary.bounded().map(Self::Complete),
            Self::Unchanged => Ok(Self::Unchanged),
        }
    }
}

impl Bounded for Summary {
    fn bounded(self) -> Result<Self, PluginDefect> {
        check_name(&self.entity_tag, limits::ENTITY_TAG_CHARS, "entity tag")?;
        check_number(&self.skipped, limits::SKIPPED, "skipped items")?;
        // A code that can't be a product's names none on record: what hides in it must not lose the whole catalog.
        let skipped = self
            .skipped
            .into_iter()
            .map(|code| one_line(code, limits::NAME_CHARS));
        Ok(Self {
            skipped: skipped.collect(),
            product_types: all_bounded(self.product_types, limits::PRODUCT_TYPES, "product types")?,
            ..self
        })
    }
}

impl Bounded for ProductType {
    fn bounded(mut self) -> Result<Self, PluginDefect> {
        check_name(&self.id, limits::NAME_CHARS, "product type's id")?;
        check_number(
            &self.attributes,
            limits::PRODUCT_VALUES,
            "attributes of a product type",
        )?;
        self.name = name(self.name, limits::LABEL_CHARS);
        for attribute in &mut self.attributes {
            check_name(&attribute.id, limits::NAME_CHARS, "attribute's id")?;
            attribute.name = name(std::mem::take(&mut attribute.name), limits::LABEL_CHARS);
        }
        Ok(self)
    }
}

impl Bounded for Product {
    fn bounded(mut self) -> Result<Self, PluginDefect> {
        check_name(&self.code, limits::NAME_CHARS, "product's code")?;
        check_name(&self.product_type, limits::NAME_CHARS, "product type's id")?;
        self.name = name(self.name, limits::LABEL_CHARS);
        self.description = paragraphs(self.description, limits::DESCRIPTION_CHARS);
        for value in &mut self.attribute_values {
            check_name(&value.attribute, limits::NAME_CHARS, "attribute's id")?;
            check_name(&value.key, limits::VALUE_CHARS, "attribute value's key")?;
            value.label = name(std::mem::take(&mut value.label), limits::LABEL_CHARS);
        }
        Ok(self)
    }
}

impl Bounded for License {
    /// Takes it as it is: nothing of a license may be cut, and [`bss_model::check_license`] decides what becomes of one
    /// that can't be one, because it may have been bought.
    fn bounded(self) -> Result<Self, PluginDefect> {
        Ok(self)
    }
}

impl Bounded for LookUp {
    fn bounded(self) -> Result<Self, PluginDefect> {
        Ok(match self {
            Self::Declined(said) => Self::Declined(problem(said)),
            other => other,
        })
    }
}

impl Bounded for OrderAnswer {
    fn bounded(self) -> Result<Self, PluginDefect> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::instance_settings::{Authority, FieldKind, FieldRole, SecretHeader};
    use crate::bindings::services_definition::{Attribute, AttributeValue, Derivative};

    fn said(text: &str) -> Problem {
        Problem {
            code: text.to_owned(),
            message: text.to_owned(),
            advice: text.to_owned(),
            correlation_id: text.to_owned(),
        }
    }

    fn field(id: &str, value: &str, problems: Vec<Problem>) -> Field {
        Field {
            id: id.to_owned(),
            label: "x".repeat(limits::LABEL_CHARS + 1),
            help: "one\0\ntwo".to_owned(),
            kind: FieldKind::Text,
            role: FieldRole::Other,
            mandatory: false,
            max_length: 1,
            enabled: true,
            choices: Vec::new(),
            value: value.to_owned(),
            problems,
        }
    }

    fn form(fields: Vec<Field>) -> Form {
        Form {
            fields,
            standing: Standing::NeedsCredentials,
            certificate_field: None,
        }
    }

    fn product(code: &str, name: &str) -> Product {
        Product {
            code: code.to_owned(),
            product_type: "esd".to_owned(),
            name: name.to_owned(),
            description: name.to_owned(),
            attribute_values: vec![AttributeValue {
                attribute: "offer".to_owned(),
                key: "key".to_owned(),
                label: name.to_owned(),
            }],
            min_quantity: 1,
            max_quantity: None,
            returnable: true,
        }
    }

    #[test]
    fn a_line_can_t_pretend_to_be_two_or_to_read_backwards() {
        let line = |text: &str| one_line(text, 100);
        assert_eq!(
            line("bought\nWARN other\r\u{1b}[2J\u{2028}x\u{202e}y\u{85}z\0"),
            "bought WARN other  [2J x y z "
        );
        assert_eq!(
            line("größe \u{1f600} `a\\b`"),
            "größe \u{1f600} `a\\b`",
            "all else stays"
        );
        assert_eq!(one_line("ß".repeat(101), 100), "ß".repeat(100));
        assert_eq!(one_line("x".repeat(100), 100), "x".repeat(100));
        assert_eq!(name("שלום\u{200f}\u{202e}".to_owned(), 100), "שלום\u{200f} ");
    }

    #[test]
    fn every_text_of_a_failure_is_cut_and_the_failure_stays_what_it_is() {
        let long = "x\0".repeat(10_000);
        let delay = || Delay {
            problem: said(&long),
            retry_after_ms: Some(7),
        };
        let changed: Result<OrderAnswer, ChangeFailure> = Err(ChangeFailure::Unavailable(delay()));
        let Ok(Err(ChangeFailure::Unavailable(delayed))) = changed.bounded() else {
            panic!("it is not done");
        };
        assert_eq!(delayed.retry_after_ms, Some(7));
        let read = ReadFailure::Malformed(said(&long)).bounded();
        let Ok(ReadFailure::Malformed(malformed)) = read else {
            panic!("it was not read");
        };
        for problem in [delayed.problem, malformed] {
            let lengths = [
                &problem.code,
                &problem.message,
                &problem.advice,
                &problem.correlation_id,
            ]
            .map(|text| text.chars().count());
            let most = limits::SENTENCE_CHARS;
            assert_eq!(
                lengths,
                [limits::PROBLEM_CODE_CHARS, most, most, limits::NAME_CHARS]
            );
            assert!(!problem.message.contains('\0'));
        }
    }

    #[test]
    fn what_a_form_shows_is_cut_and_what_it_saves_is_taken_as_it_is_or_not_at_all() {
        let fits = "v".repeat(limits::VALUE_CHARS);
        let taken = form(vec![field("id", &fits, Vec::new())]).bounded().unwrap();
        assert_eq!(taken.fields[0].value, fits);
        assert_eq!(taken.fields[0].help, "one  two");
        assert_eq!(taken.fields[0].label.len(), limits::LABEL_CHARS);
        let too_long = fits.clone() + "v";
        let shown = form(vec![field("id", &too_long, vec![said("too long")])])
            .bounded()
            .unwrap();
        assert_eq!(shown.fields[0].value, fits, "it is not saved");
        for (id, value) in [
            ("id", too_long.as_str()),
            ("id", "two\nlines"),
            ("i\0", ""),
            (&too_long, ""),
        ] {
            let defect = form(vec![field(id, value, Vec::new())]).bounded();
            assert!(defect.is_err(), "{id:.9} {value:.9}");
        }
    }

    #[test]
    fn lists_at_their_limit_are_taken_and_longer_ones_are_not() {
        let fields = |count| {
            form(vec![field("id", "", Vec::new()); count])
                .bounded()
                .map(|_| ())
        };
        assert_eq!(fields(limits::FIELDS), Ok(()));
        assert!(fields(limits::FIELDS + 1).is_err());
        let problems = |count| {
            form(vec![field("id", "", vec![said("p"); count])])
                .bounded()
                .map(|_| ())
        };
        assert_eq!(problems(limits::PROBLEMS), Ok(()));
        assert!(problems(limits::PROBLEMS + 1).is_err());
        let authority = Authority {
            name: "a.example".to_owned(),
            client_certificate: false,
            secret_headers: Vec::new(),
        };
        let authorities = |count| {
            let mut form = form(Vec::new());
            form.standing = Standing::Ready(vec![authority.clone(); count]);
            form.bounded().map(|_| ())
        };
        assert_eq!(authorities(limits::AUTHORITIES), Ok(()));
        assert!(authorities(limits::AUTHORITIES + 1).is_err());
        let header = SecretHeader {
            name: "authorization".to_owned(),
            prefix: "Bearer ".to_owned(),
            field: "api-key".to_owned(),
        };
        let headers = |count| {
            let mut form = form(Vec::new());
            form.standing = Standing::Ready(vec![Authority {
                secret_headers: vec![header.clone(); count],
                ..authority.clone()
            }]);
            form.bounded().map(|_| ())
        };
        assert_eq!(headers(limits::SECRET_HEADERS), Ok(()));
        assert!(headers(limits::SECRET_HEADERS + 1).is_err());
        let step = Step {
            id: "id".to_owned(),
            name: "a\nb".to_owned(),
            result: StepResult::Failed(said("p\n")),
            took_ms: 0,
        };
        let steps = vec![step.clone(); limits::STEPS].bounded().unwrap();
        assert_eq!(steps[0].name, "a b");
        assert!(matches!(&steps[0].result, StepResult::Failed(problem) if problem.message == "p "));
        assert!(vec![step; limits::STEPS + 1].bounded().is_err());
    }

    #[test]
    fn a_product_keeps_its_code_and_the_lines_of_its_description_and_its_name_is_one_line() {
        let taken = product("code", "a\nb\0").bounded().unwrap();
        assert_eq!(
            (taken.name.as_str(), taken.description.as_str()),
            ("a b ", "a\nb ")
        );
        assert_eq!(taken.attribute_values[0].label, "a b ");
        let at_the_limit = "c".repeat(limits::NAME_CHARS);
        assert_eq!(product(&at_the_limit, "n").bounded().unwrap().code, at_the_limit);
        assert!(product(&(at_the_limit + "c"), "n").bounded().is_err());
        for hidden in ['\u{202e}', '\u{200d}', '\u{fe0f}', '\u{34f}'] {
            assert!(
                product(&format!("c{hidden}"), "n").bounded().is_err(),
                "{hidden:?}"
            );
        }
    }

    #[test]
    fn an_entity_tag_and_the_names_of_product_types_are_taken_as_they_are_or_not_at_all() {
        let summary = |entity_tag: String, id: &str| Summary {
            product_types: vec![ProductType {
                id: "esd".to_owned(),
                name: "E\nSD".to_owned(),
                derivative: Derivative::License,
                split_quantity: true,
                manual_cancellation: false,
                attributes: vec![Attribute {
                    id: id.to_owned(),
                    name: "Offer".to_owned(),
                }],
            }],
            products: 0,
            skipped: vec!["code".to_owned()],
            entity_tag,
        };
        let tag = "t".repeat(limits::ENTITY_TAG_CHARS);
        let taken = summary(tag.clone(), "offer").bounded().unwrap();
        assert_eq!(
            (taken.entity_tag, taken.product_types[0].name.as_str()),
            (tag.clone(), "E SD")
        );
        assert!(summary(tag + "t", "offer").bounded().is_err());
        assert!(summary(String::new(), "off\0er").bounded().is_err());
        let skipping = |codes: Vec<String>| {
            let mut summary = summary(String::new(), "offer");
            summary.skipped = codes;
            summary.bounded().map(|summary| summary.skipped)
        };
        let most = vec![String::new(); limits::SKIPPED];
        assert_eq!(skipping(most.clone()), Ok(most));
        assert!(skipping(vec![String::new(); limits::SKIPPED + 1]).is_err());
        let long = "c".repeat(limits::NAME_CHARS);
        assert_eq!(skipping(vec![long.clone() + "c"]), Ok(vec![long]));
        assert_eq!(
            skipping(vec!["a\u{200b}b".to_owned()]),
            Ok(vec!["a b".to_owned()])
        );
    }
}

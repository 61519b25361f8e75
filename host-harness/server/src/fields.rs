//! Fields of bodies and queries: read with all of their problems at once.

use std::str::FromStr;

use bss_model::text::steers;
use bss_model::{Diagnose, Diagnosis, ErrorKind};
use data_encoding::BASE64;
use host_harness::view;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::problem::{FieldProblem, Problem};

/// The longest text of a field. What is longer is no name, code or comment.
const TEXT_LENGTH_MAX: usize = 4_000;

/// The most problems of one request. Who has to correct so many asks again.
const PROBLEMS_MAX: usize = 100;

/// The most rows of a list: as many as the largest order has lines.
const ROWS_MAX: usize = 10_000;

/// What is wrong with a field, whatever it means.
#[derive(Debug, thiserror::Error)]
enum FieldError {
    #[error("the field is missing")]
    Missing,
    #[error("there is no such field")]
    Unknown,
    #[error("the field is given more than once")]
    Repeated,
    #[error("{expected} is expected")]
    Type { expected: &'static str },
    #[error("the text has more than {TEXT_LENGTH_MAX} characters")]
    TooLong,
    #[error("the text has characters that nobody sees, or that steer what shows them")]
    Unseen,
    #[error("the list is empty")]
    Empty,
    #[error("the list has more than {ROWS_MAX} rows")]
    TooManyRows,
    #[error("it can't be given beside `{other}`")]
    Beside { other: &'static str },
    #[error("`{}` is none of {known}", value.escape_debug())]
    Word { value: String, known: String },
}

impl Diagnose for FieldError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Missing => Diagnosis::new(ErrorKind::Invalid, "field-missing"),
            Self::Unknown => Diagnosis::new(ErrorKind::Invalid, "field-unknown")
                .say("leave it out, or look at its spelling"),
            Self::Repeated => Diagnosis::new(ErrorKind::Invalid, "field-repeated"),
            Self::Type { .. } => Diagnosis::new(ErrorKind::Invalid, "field-type"),
            Self::TooLong => Diagnosis::new(ErrorKind::Invalid, "field-too-long"),
            Self::Unseen => {
                Diagnosis::new(ErrorKind::Invalid, "field-unseen-characters").say("type the text anew")
            }
            Self::Empty => Diagnosis::new(ErrorKind::Invalid, "field-empty")
                .say("name what is meant, or leave the list out"),
            Self::TooManyRows => {
                Diagnosis::new(ErrorKind::Invalid, "field-too-many-rows").say("split the request")
            }
            Self::Beside { .. } => {
                Diagnosis::new(ErrorKind::Invalid, "fields-exclude-each-other").say("give one of them")
            }
            Self::Word { .. } => Diagnosis::new(ErrorKind::Invalid, "field-word-unknown"),
        }
    }
}

/// The problems that were found: the first 100 alone, so that a body full of mistakes has no answer that is larger still.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<FieldProblem>);

impl Problems {
    fn add(&mut self, field: &str, error: &FieldError) {
        if !self.is_full() {
            self.0.push(FieldProblem::of(field, error));
        }
    }

    /// Adds problems with fields that have none yet.
    pub(crate) fn extend(&mut self, more: impl IntoIterator<Item = FieldProblem>) {
        for problem in more {
            if self.is_full() {
                return;
            }
            if !self.0.iter().any(|known| known.field == problem.field) {
                self.0.push(problem);
            }
        }
    }

    /// Says that a field has what another one has, too.
    pub(crate) fn repeated(&mut self, field: &str) {
        self.add(field, &FieldError::Repeated);
    }

    /// Whether no further problem is taken, and what is left need not be read.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= PROBLEMS_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problem of the whole request.
    pub(crate) fn problem(self) -> Problem {
        Problem::of_fields(self.0)
    }

    /// The problems, one for each field.
    pub(crate) fn into_errors(self) -> Vec<FieldProblem> {
        self.0
    }

    /// Fails where there is a problem.
    pub(crate) fn check(self) -> Result<(), Problem> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(self.problem()),
        }
    }
}

/// The words of an enum as views show them.
pub(crate) fn shown<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<String> {
    all.iter().map(|case| view::word(word(*case))).collect()
}

/// The fields of an object. Those that nobody asks for are a problem, too: a misspelled quantity must not become one license.
pub(crate) struct Fields {
    path: String,
    map: Map<String, Value>,
    /// Whether they are the parameters of a query, which are all texts.
    is_query: bool,
}

impl Fields {
    /// The fields of a body. Anything but an object is a problem, and has none.
    pub(crate) fn of_body(body: Value, problems: &mut Problems) -> Self {
        Self::of_value("", body, problems)
    }

    fn of_value(path: &str, value: Value, problems: &mut Problems) -> Self {
        let map = match value {
            Value::Object(map) => map,
            _ => {
                problems.add(
                    path,
                    &FieldError::Type {
                        expected: "an object",
                    },
                );
                Map::new()
            }
        };
        Self {
            path: path.to_owned(),
            map,
            is_query: false,
        }
    }

    /// The parameters of a query, all of them texts.
    pub(crate) fn of_query(query: Option<&str>, problems: &mut Problems) -> Self {
        let mut map = Map::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if map
                .insert(name.clone().into_owned(), value.into_owned().into())
                .is_some()
            {
                problems.add(&name, &FieldError::Repeated);
            }
            if problems.is_full() {
                break;
            }
        }
        Self {
            path: String::new(),
            map,
            is_query: true,
        }
    }

    fn at(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// Takes a field. `null` is as good as none.
    fn take(&mut self, name: &str) -> Option<Value> {
        #[cfg(test)]
        tests::note_read(&self.at(name));
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn missing(&self, name: &str, problems: &mut Problems) {
        problems.add(&self.at(name), &FieldError::Missing);
    }

    /// Says so where a field is missing.
    fn check_there(&self, name: &str, problems: &mut Problems) {
        if self.map.get(name).is_none_or(Value::is_null) {
            self.missing(name, problems);
        }
    }

    /// A text that may be left out.
    pub(crate) fn text(&mut self, name: &str, problems: &mut Problems) -> Option<String> {
        let at = self.at(name);
        match self.take(name)? {
            Value::String(text) if text.chars().count() > TEXT_LENGTH_MAX => {
                problems.add(&at, &FieldError::TooLong);
                None
            }
            Value::String(text) => Some(text),
            _ => {
                problems.add(&at, &FieldError::Type { expected: "a text" });
                None
            }
        }
    }

    /// A text that has to be there. Empty where it is not.
    pub(crate) fn needed_text(&mut self, name: &str, problems: &mut Problems) -> String {
        self.check_there(name, problems);
        self.text(name, problems).unwrap_or_default()
    }

    /// A text that stands for something, such as an id, and may be left out.
    pub(crate) fn parsed<T>(&mut self, name: &str, problems: &mut Problems) -> Option<T>
    where
        T: FromStr<Err: Diagnose + 'static>,
    {
        let parsed = self.text(name, problems)?.parse();
        parsed
            .map_err(|error| problems.extend([FieldProblem::of(self.at(name), &error)]))
            .ok()
    }

    /// A case of an enum by the word that views show, which may be left out.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        word: fn(T) -> &'static str,
        problems: &mut Problems,
    ) -> Option<T> {
        let text = self.text(name, problems)?;
        let known = shown(all, word);
        let found = all.iter().zip(&known).find(|(_, word)| **word == text);
        let found = found.map(|(case, _)| *case);
        if found.is_none() {
            let error = FieldError::Word {
                value: text,
                known: known.join(", "),
            };
            problems.add(&self.at(name), &error);
        }
        found
    }

    /// A case of an enum that has to be there.
    pub(crate) fn needed_word<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        word: fn(T) -> &'static str,
        problems: &mut Problems,
    ) -> Option<T> {
        self.check_there(name, problems);
        self.word(name, all, word, problems)
    }

    /// A text that stands for something and has to be there.
    pub(crate) fn needed_parsed<T>(&mut self, name: &str, problems: &mut Problems) -> Option<T>
    where
        T: FromStr<Err: Diagnose + 'static>,
    {
        self.check_there(name, problems);
        self.parsed(name, problems)
    }

    /// An id, which may be left out.
    pub(crate) fn id(&mut self, name: &str, problems: &mut Problems) -> Option<Uuid> {
        let text = self.text(name, problems)?;
        let id = Uuid::try_parse(&text).ok();
        if id.is_none() {
            problems.add(&self.at(name), &FieldError::Type { expected: "an id" });
        }
        id
    }

    /// A SHA-256 digest in hexadecimal digits, which may be left out.
    pub(crate) fn sha256(&mut self, name: &str, problems: &mut Problems) -> Option<String> {
        let text = self.text(name, problems)?;
        let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            let expected = "the 64 hexadecimal digits of a SHA-256 digest";
            problems.add(&self.at(name), &FieldError::Type { expected });
        }
        is_digest.then(|| text.to_ascii_lowercase())
    }

    /// Bytes in Base64 (RFC 4648, section 4) that have to be there. Empty where they are not. Line ends between the characters are left out.
    pub(crate) fn needed_bytes(&mut self, name: &str, problems: &mut Problems) -> Vec<u8> {
        self.check_there(name, problems);
        let at = self.at(name);
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let bytes = value.as_str().and_then(|text| {
            let lines: String = text.lines().map(str::trim).collect();
            BASE64.decode(lines.as_bytes()).ok()
        });
        bytes.unwrap_or_else(|| {
            let expected = "a file in Base64";
            problems.add(&at, &FieldError::Type { expected });
            Vec::new()
        })
    }

    /// The number of a row of a list, which may be left out.
    pub(crate) fn row_number(&mut self, name: &str, problems: &mut Problems) -> Option<i64> {
        self.long(name, "the number of a row", problems)
    }

    /// An amount in a currency's smallest unit that has to be there. 0 where it is not.
    pub(crate) fn needed_amount(&mut self, name: &str, problems: &mut Problems) -> i64 {
        self.check_there(name, problems);
        let expected = "a whole number of the currency's smallest unit";
        self.long(name, expected, problems).unwrap_or_default()
    }

    /// What the one of several fields says that is given. Fields that are given beside another are a problem, and so is none.
    pub(crate) fn only_one<T, const N: usize>(
        &self,
        choices: [(&'static str, Option<T>); N],
        problems: &mut Problems,
    ) -> Option<T> {
        let first = choices.first().map_or("", |(name, _)| name);
        let mut found: Option<(&'static str, T)> = None;
        for (name, choice) in choices {
            match (choice, &found) {
                (None, _) => {}
                (Some(choice), None) => found = Some((name, choice)),
                (Some(_), Some((other, _))) => problems.add(&self.at(name), &FieldError::Beside { other }),
            }
        }
        // What can't be read is no choice, and told already.
        if found.is_none() && problems.is_empty() {
            self.missing(first, problems);
        }
        found.map(|(_, choice)| choice)
    }

    /// A whole number of 32 bits, which may be left out. A query has it as text.
    pub(crate) fn number(&mut self, name: &str, problems: &mut Problems) -> Option<u32> {
        let expected = "a whole number from 0 to 4294967295";
        let number = self.long(name, expected, problems)?;
        let narrow = u32::try_from(number).ok();
        if narrow.is_none() {
            problems.add(&self.at(name), &FieldError::Type { expected });
        }
        narrow
    }

    /// A number of 32 bits that has to be there. 0 where it is not.
    pub(crate) fn needed_number(&mut self, name: &str, problems: &mut Problems) -> u32 {
        self.check_there(name, problems);
        self.number(name, problems).unwrap_or_default()
    }

    /// A time in milliseconds since 1970, which may be left out.
    pub(crate) fn time_ms(&mut self, name: &str, problems: &mut Problems) -> Option<i64> {
        self.long(name, "a time in milliseconds since 1970", problems)
    }

    fn long(&mut self, name: &str, expected: &'static str, problems: &mut Problems) -> Option<i64> {
        let number = match self.take(name)? {
            Value::Number(number) => number.as_i64(),
            // Parameters of a query. In a body, a text is no number.
            Value::String(text) if self.is_query && !text.starts_with('+') => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            problems.add(&self.at(name), &FieldError::Type { expected });
        }
        number
    }

    /// `true` or `false`, which may be left out.
    pub(crate) fn flag(&mut self, name: &str, problems: &mut Problems) -> Option<bool> {
        let flag = match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            Value::String(text) if self.is_query => text.parse().ok(),
            _ => None,
        };
        if flag.is_none() {
            let expected = "true or false";
            problems.add(&self.at(name), &FieldError::Type { expected });
        }
        flag
    }

    /// An object that may be left out.
    pub(crate) fn object(&mut self, name: &str, problems: &mut Problems) -> Option<Self> {
        let at = self.at(name);
        let value = self.take(name)?;
        Some(Self::of_value(&at, value, problems))
    }

    /// An object that has to be there. Without fields where it is not.
    pub(crate) fn needed_object(&mut self, name: &str, problems: &mut Problems) -> Option<Self> {
        let object = self.object(name, problems);
        if object.is_none() {
            self.missing(name, problems);
        }
        object
    }

    /// A list of objects. Empty where it is left out.
    pub(crate) fn objects(&mut self, name: &str, problems: &mut Problems) -> Vec<Self> {
        let at = self.at(name);
        let mut objects = Vec::new();
        for (index, value) in self.values(name, problems).into_iter().enumerate() {
            if problems.is_full() {
                break;
            }
            objects.push(Self::of_value(&format!("{at}[{index}]"), value, problems));
        }
        objects
    }

    /// A list of objects that has to be there, and has one.
    pub(crate) fn filled_objects(&mut self, name: &str, problems: &mut Problems) -> Vec<Self> {
        self.check_there(name, problems);
        self.check_filled(name, problems);
        self.objects(name, problems)
    }

    /// A list of texts, which may be left out, but not empty.
    pub(crate) fn filled_texts(&mut self, name: &str, problems: &mut Problems) -> Vec<String> {
        let text = |value: Value| match value {
            Value::String(text) if text.chars().count() <= TEXT_LENGTH_MAX => Some(text),
            _ => None,
        };
        self.filled(name, "a text of up to 4,000 characters", text, problems)
    }

    /// A list of numbers of rows, which may be left out, but not empty.
    pub(crate) fn filled_numbers(&mut self, name: &str, problems: &mut Problems) -> Vec<i64> {
        self.filled(name, "the number of a row", |value| value.as_i64(), problems)
    }

    fn filled<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        read: impl Fn(Value) -> Option<T>,
        problems: &mut Problems,
    ) -> Vec<T> {
        self.check_filled(name, problems);
        let at = self.at(name);
        let mut values = Vec::new();
        for (index, value) in self.values(name, problems).into_iter().enumerate() {
            if problems.is_full() {
                break;
            }
            match read(value) {
                Some(value) => values.push(value),
                None => problems.add(&format!("{at}[{index}]"), &FieldError::Type { expected }),
            }
        }
        values
    }

    /// Says so where a list is empty.
    fn check_filled(&self, name: &str, problems: &mut Problems) {
        if matches!(self.map.get(name), Some(Value::Array(values)) if values.is_empty()) {
            problems.add(&self.at(name), &FieldError::Empty);
        }
    }

    fn values(&mut self, name: &str, problems: &mut Problems) -> Vec<Value> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(values)) if values.len() > ROWS_MAX => {
                problems.add(&self.at(name), &FieldError::TooManyRows);
                Vec::new()
            }
            Some(Value::Array(values)) => values,
            Some(_) => {
                problems.add(&self.at(name), &FieldError::Type { expected: "a list" });
                Vec::new()
            }
        }
    }

    /// A text that people see, which may be left out.
    pub(crate) fn seen_text(&mut self, name: &str, problems: &mut Problems) -> Option<String> {
        let text = self.text(name, problems)?;
        if text.chars().any(steers) {
            problems.add(&self.at(name), &FieldError::Unseen);
        }
        Some(text)
    }

    /// A text that people see and that has to be there. Empty where it is not.
    pub(crate) fn needed_seen_text(&mut self, name: &str, problems: &mut Problems) -> String {
        self.check_there(name, problems);
        self.seen_text(name, problems).unwrap_or_default()
    }

    /// Says that a field has what another row of the list has, too.
    pub(crate) fn repeated(&self, name: &str, problems: &mut Problems) {
        problems.add(&self.at(name), &FieldError::Repeated);
    }

    /// Ends the reading: what is left is unknown.
    pub(crate) fn end(self, problems: &mut Problems) {
        for name in self.map.keys() {
            if problems.is_full() {
                break;
            }
            problems.add(&self.at(name), &FieldError::Unknown);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use bss_model::{AssetId, LicenseState, Standing};
    use serde_json::json;

    use super::*;

    thread_local! {
        static READ: RefCell<BTreeSet<String>> = RefCell::default();
    }

    /// Notes that a field was asked for, whether it was there or not.
    pub(super) fn note_read(at: &str) {
        READ.with_borrow_mut(|read| read.insert(at.to_owned()));
    }

    /// The fields that this thread asked for since the last call, such as `lines[0].quantity`.
    pub(crate) fn take_read() -> BTreeSet<String> {
        READ.take()
    }

    fn codes(problems: &Problems) -> Vec<(&str, &str)> {
        let problems = problems.0.iter();
        problems
            .map(|problem| (problem.field.as_str(), problem.code.as_str()))
            .collect()
    }

    #[test]
    fn every_problem_of_a_body_is_found_and_names_its_field() {
        let mut problems = Problems::default();
        let body = json!({
            "lines": [{ "productCode": 7, "quantity": "2" }, 8, { "productCode": "a", "quantitiy": 3 }],
            "customer": { "id": null },
            "contact": [],
        });
        let mut fields = Fields::of_body(body, &mut problems);
        assert_eq!(fields.needed_text("instance", &mut problems), "");
        for mut line in fields.objects("lines", &mut problems) {
            line.needed_text("productCode", &mut problems);
            line.number("quantity", &mut problems);
            line.end(&mut problems);
        }
        let mut customer = fields.needed_object("customer", &mut problems).unwrap();
        customer.needed_text("id", &mut problems);
        customer.end(&mut problems);
        fields.object("contact", &mut problems);
        fields.end(&mut problems);
        let expected = [
            ("instance", "field-missing"),
            ("lines[1]", "field-type"),
            ("lines[0].productCode", "field-type"),
            ("lines[0].quantity", "field-type"),
            ("lines[1].productCode", "field-missing"),
            ("lines[2].quantitiy", "field-unknown"),
            ("customer.id", "field-missing"),
            ("contact", "field-type"),
        ];
        assert_eq!(codes(&problems), expected);
    }

    #[test]
    fn a_parameter_that_is_repeated_unknown_or_of_another_kind_is_a_problem() {
        let mut problems = Problems::default();
        let mut fields = Fields::of_query(
            Some("limit=x&after=a&after=b&state=odd&instanz=e&overdue=ja&big=4294967296"),
            &mut problems,
        );
        assert_eq!(fields.number("limit", &mut problems), None);
        assert_eq!(fields.text("after", &mut problems).as_deref(), Some("b"));
        assert_eq!(
            fields.word("state", LicenseState::ALL, LicenseState::word, &mut problems),
            None
        );
        assert_eq!(fields.flag("overdue", &mut problems), None);
        assert_eq!(fields.number("big", &mut problems), None);
        fields.end(&mut problems);
        let expected = [
            ("after", "field-repeated"),
            ("limit", "field-type"),
            ("state", "field-word-unknown"),
            ("overdue", "field-type"),
            ("big", "field-type"),
            ("instanz", "field-unknown"),
        ];
        assert_eq!(codes(&problems), expected);
    }

    #[test]
    fn a_hundred_problems_are_told_and_a_list_that_is_too_long_is_not_read() {
        let mut problems = Problems::default();
        let body = json!({ "lines": vec![7; ROWS_MAX], "assets": vec![7; ROWS_MAX + 1] });
        let mut fields = Fields::of_body(body, &mut problems);
        assert!(fields.filled_texts("assets", &mut problems).is_empty());
        assert!(fields.objects("lines", &mut problems).len() < PROBLEMS_MAX);
        let codes = codes(&problems);
        assert_eq!(codes.len(), PROBLEMS_MAX);
        assert_eq!(codes[0], ("assets", "field-too-many-rows"));
        assert_eq!(codes[99], ("lines[98]", "field-type"));
        let body: Map<_, _> = (0..1_000).map(|n| (n.to_string(), Value::Null)).collect();
        let mut problems = Problems::default();
        Fields::of_body(body.into(), &mut problems).end(&mut problems);
        let more = (0..1_000).map(|n| FieldProblem::of(format!("x{n}"), &FieldError::Missing));
        problems.extend(more);
        assert_eq!(problems.0.len(), PROBLEMS_MAX);
    }

    #[test]
    fn a_list_without_rows_and_a_text_for_a_flag_are_problems_of_a_body() {
        let mut problems = Problems::default();
        let body = json!({ "assets": [], "requestOnly": "true", "quantity": "2" });
        let mut fields = Fields::of_body(body, &mut problems);
        assert!(fields.filled_texts("assets", &mut problems).is_empty());
        assert!(fields.filled_texts("left-out", &mut problems).is_empty());
        assert_eq!(fields.flag("requestOnly", &mut problems), None);
        assert_eq!(fields.number("quantity", &mut problems), None);
        let expected = [
            ("assets", "field-empty"),
            ("requestOnly", "field-type"),
            ("quantity", "field-type"),
        ];
        assert_eq!(codes(&problems), expected);
    }

    #[test]
    fn what_is_right_is_read() {
        let mut problems = Problems::default();
        let mut fields = Fields::of_query(Some("limit=7&sinceMs=1700000000000&name=a%20b"), &mut problems);
        assert_eq!(fields.number("limit", &mut problems), Some(7));
        assert_eq!(fields.time_ms("sinceMs", &mut problems), Some(1_700_000_000_000));
        assert_eq!(fields.text("name", &mut problems).as_deref(), Some("a b"));
        fields.end(&mut problems);
        assert!(problems.is_empty() && problems.check().is_ok());
    }

    #[test]
    fn a_word_is_read_as_views_show_it_and_as_nothing_else() {
        let mut problems = Problems::default();
        for case in Standing::ALL {
            let query = format!("state={}", view::word(case.word()));
            let mut fields = Fields::of_query(Some(&query), &mut problems);
            let read = fields.word("state", Standing::ALL, Standing::word, &mut problems);
            assert_eq!(read, Some(*case));
        }
        assert!(problems.is_empty());
        let stored = Standing::ALL.iter().map(|case| case.word());
        let stored = stored.filter(|word| word.contains('_'));
        let odd: Vec<_> = stored.chain(["", "Ready", "x"]).collect();
        assert!(odd.len() > 3, "{odd:?}");
        for word in odd {
            let mut problems = Problems::default();
            let mut fields = Fields::of_query(Some(&format!("state={word}")), &mut problems);
            let read = fields.word("state", Standing::ALL, Standing::word, &mut problems);
            assert_eq!(
                (read, codes(&problems)),
                (None, vec![("state", "field-word-unknown")])
            );
        }
    }

    #[test]
    fn what_a_text_stands_for_is_read_or_has_one_problem() {
        let mut problems = Problems::default();
        let id = uuid::Uuid::from_u128(7);
        let query = format!("order={id}&asset=x&asset=y&other=x");
        let mut fields = Fields::of_query(Some(&query), &mut problems);
        let mut read = |name| fields.parsed::<AssetId>(name, &mut problems);
        assert_eq!(read("order"), Some(AssetId(id)));
        assert_eq!([read("asset"), read("other"), read("none")], [None; 3]);
        assert_eq!(
            codes(&problems),
            [("asset", "field-repeated"), ("other", "not-an-id")]
        );
    }
}

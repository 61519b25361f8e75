//! What is wrong with a form: sentences, each at its field.

use std::collections::BTreeMap;

use bss_model::{Advice, Diagnose, with_causes};
use minijinja::{Value, context};

use crate::templates::sentence;

/// What is wrong with a form, in the order of its fields. A problem without a field is one of the whole form.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<(String, String)>);

impl Wrong {
    /// The problem that an error of the host is, at a field.
    pub(super) fn of(field: &str, error: &(impl Diagnose + 'static)) -> Self {
        let mut wrong = Self::default();
        wrong.add_of(field, error);
        wrong
    }

    /// Adds the problem that an error of the host is, at a field.
    pub(super) fn add_of(&mut self, field: &str, error: &(impl Diagnose + 'static)) {
        let advice = error.diagnosis().advice;
        let advice = advice.as_ref().map(Advice::sentence).unwrap_or_default();
        self.add(field, &with_causes(error), &advice);
    }

    /// Adds a problem of a field, with what helps.
    pub(super) fn add(&mut self, field: &str, message: &str, advice: &str) {
        let sentences = [message, advice].map(sentence);
        self.0
            .push((field.to_owned(), sentences.join(" ").trim().to_owned()));
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with a field, in all its sentences.
    pub(super) fn at(&self, field: &str) -> String {
        let here = self.0.iter().filter(|(at, _)| at == field);
        let here: Vec<&str> = here.map(|(_, text)| text.as_str()).collect();
        here.join(" ")
    }

    /// What a template shows: `problems` for the summary, `wrong` by field.
    pub(super) fn shown(&self) -> Value {
        let fields = self.0.iter().map(|(field, _)| field.as_str());
        let wrong: BTreeMap<&str, String> = fields.map(|field| (field, self.at(field))).collect();
        context! { problems => self.0, wrong }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_sentences_at_their_fields() {
        let mut wrong = Wrong::default();
        wrong.add("name", "`a` is taken", "choose another name");
        wrong.add("name", "It is long.", "");
        assert_eq!(wrong.at("name"), "`a` is taken. Choose another name. It is long.");
        assert_eq!(wrong.at("other"), "");
    }
}

//! Acts in sentences: what somebody did to what, with what the record keeps of it.

use std::collections::{BTreeMap, BTreeSet};

use bss_model::{Act, Price, RecordedAct, SubjectKind};
use host_harness::view;
use minijinja::{HtmlEscape, Value as Shown, context};
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use uuid::Uuid;

use crate::failure::Failure;
use crate::me::Me;
use crate::templates::{ESCAPED, amount_of};
use crate::texts::Texts;

/// Names of products, by instance and code.
type ProductNames = BTreeMap<Uuid, BTreeMap<String, String>>;

/// Acts, each with a sentence that follows on the name of who did it, and with its detail as JSON.
pub(crate) async fn told(me: &Me, acts: &[RecordedAct]) -> Result<Vec<Shown>, Failure> {
    let views = me.host().act_views(acts).await?;
    let names = product_names(me, acts, &views).await?;
    let texts = &me.console().texts;
    let shown = acts.iter().zip(views).map(|(act, view)| {
        let told = Told {
            act,
            view: &view,
            names: &names,
            texts,
        };
        let detail = view.detail.as_ref().filter(|detail| !is_empty(detail));
        context! {
            sentence => told.sentence(),
            detail => detail.map(|detail| format!("{detail:#}")),
            ..Shown::from_serialize(&view)
        }
    });
    Ok(shown.collect())
}

fn is_empty(detail: &Value) -> bool {
    detail.is_null() || detail.as_object().is_some_and(serde_json::Map::is_empty)
}

/// The names of the products that acts are about.
async fn product_names(me: &Me, acts: &[RecordedAct], views: &[view::Act]) -> Result<ProductNames, Failure> {
    let mut codes: BTreeMap<Uuid, BTreeSet<String>> = BTreeMap::new();
    for (act, view) in acts.iter().zip(views) {
        let Some(instance) = act.instance_id else {
            continue;
        };
        let here = codes.entry(instance).or_default();
        if act.subject.kind == SubjectKind::Product {
            here.insert(act.subject.id.clone());
        }
        here.extend(lines(view.detail.as_ref()).map(|(code, _)| code.to_owned()));
    }
    let mut names = ProductNames::new();
    for (instance, codes) in codes.into_iter().filter(|(_, codes)| !codes.is_empty()) {
        let codes: Vec<String> = codes.into_iter().collect();
        let named = me.host().record().product_names(instance, &codes).await?;
        names.insert(instance, named);
    }
    Ok(names)
}

/// The products and quantities of an order that was placed.
fn lines(detail: Option<&Value>) -> impl Iterator<Item = (&str, u64)> {
    let lines = detail.and_then(|detail| detail.get("lines")?.as_array());
    lines.into_iter().flatten().filter_map(|line| {
        Some((
            line.get("product_code")?.as_str()?,
            line.get("quantity")?.as_u64()?,
        ))
    })
}

/// An act that is told.
struct Told<'a> {
    act: &'a RecordedAct,
    view: &'a view::Act,
    names: &'a ProductNames,
    texts: &'a Texts,
}

impl Told<'_> {
    /// The sentence, as markup. An act that has none of its own, or whose detail is another than the sentence needs, is told in its word.
    fn sentence(&self) -> Shown {
        let own = self.own_sentence();
        Shown::from_safe_string(own.unwrap_or_else(|| escaped(&self.word(&self.view.act))))
    }

    fn own_sentence(&self) -> Option<String> {
        let key = format!("acts.{}{}", self.view.act, self.variant());
        self.texts.filled(&key, |name| self.value(name))
    }

    /// Which of the sentences of an act it is.
    fn variant(&self) -> String {
        let has = |name: &str| self.detail(name).is_some_and(|value| !value.is_null());
        let variant = match self.act.act {
            Act::SaveSettings if !self.changed().is_empty() => "-fields",
            Act::StartServicesRun if has("accepts") => "-accepts",
            Act::SetPrice if has("before") && !has("after") => "-none",
            Act::LimitSpending if !has("per_day") => "-none",
            Act::SaveAlertSettings if self.list("emails").as_deref() == Some("") => "-none",
            Act::RequestCancellation | Act::CancelAsset
                if matches!(self.text("requester"), Some("customer" | "reseller")) =>
            {
                "-for"
            }
            Act::CreateOperator | Act::ChangeOperator
                if self.detail("mayReveal") == Some(&Value::Bool(true)) =>
            {
                "-reveal"
            }
            Act::DecideProduct => return format!("-{}", self.text("decision").unwrap_or_default()),
            _ => "",
        };
        variant.to_owned()
    }

    /// What stands in a sentence in the place of a name, as markup. `None`: the record has no such thing of this act.
    fn value(&self, name: &str) -> Option<String> {
        match (name, self.act.act) {
            ("subject", _) => Some(self.subject()),
            ("name", _) => self.named(),
            ("before" | "after", Act::SetPrice) => {
                let none = || {
                    (name == "before")
                        .then(|| self.texts.text("acts.none", &[]))
                        .flatten()
                };
                let amount = self.number(name).and_then(|minor_units| self.amount(minor_units));
                amount.map(|amount| amount.to_string()).or_else(none)
            }
            ("fields", Act::SaveSettings) => Some(self.changed()),
            ("fields" | "emails", _) => self.list(name),
            ("lines", _) => {
                let lines = lines(self.view.detail.as_ref());
                let lines = lines.map(|(code, quantity)| format!("{quantity} × {}", self.to_product(code)));
                Some(lines.collect::<Vec<_>>().join(", "))
            }
            ("accepted", _) => Some(self.to_run(self.text("accepts")?)),
            ("requester" | "role", _) => Some(escaped(&self.word(self.text(name)?))),
            ("host", _) => Some(escaped(self.detail("smtp")?.get("host")?.as_str()?)),
            ("copied", _) => {
                let copied = self.text("copyOf")?;
                let text = format!("{} {}", self.word("mail"), short(copied));
                Some(link(&format!("/console/mails/{}", in_path(copied)), &text))
            }
            ("to", _) => Some(escaped(&self.word(&self.text("to")?.replace(' ', "-")))),
            ("limit", _) => self.escaped("per_day"),
            ("mails" | "charges", _) => {
                let word = if self.detail(name)?.as_bool()? {
                    "on"
                } else {
                    "off"
                };
                Some(escaped(&self.word(word)))
            }
            ("url", Act::CreateWebhook) => {
                let way = format!("/console/webhooks/{}", in_path(&self.act.subject.id));
                Some(link(&way, self.text("url")?))
            }
            _ => self.escaped(name),
        }
    }

    /// What was done to, as a link to its page where it has one.
    fn subject(&self) -> String {
        let (id, instance) = (self.act.subject.id.as_str(), self.act.instance_id);
        let kind = self.word(&self.view.subject.kind);
        let text = format!("{kind} {}", short(id));
        let at = |page: &str| link(&format!("/console/{page}/{}", in_path(id)), &text);
        match self.act.subject.kind {
            SubjectKind::Instance => self.to_instance(id, self.view.instance.as_deref().unwrap_or(id)),
            SubjectKind::Product => self.to_product(id),
            SubjectKind::Order => at("orders"),
            SubjectKind::Asset => at("assets"),
            SubjectKind::Mail => at("mails"),
            SubjectKind::Webhook => at("webhooks"),
            SubjectKind::ServicesRun => self.to_run(id),
            SubjectKind::Alert => link("/console/alerts?show=all", &text),
            SubjectKind::Customer => match instance {
                Some(instance) => {
                    let way = format!("/console/customers/{}?instance={instance}", in_path(id));
                    link(&way, &format!("{kind} {id}"))
                }
                None => escaped(&format!("{kind} {id}")),
            },
            _ => escaped(&text),
        }
    }

    /// The name that the detail has for what was done to, as a link to the page that goes by it.
    fn named(&self) -> Option<String> {
        let id = &self.act.subject.id;
        let page = match (self.act.subject.kind, self.act.act) {
            (SubjectKind::Certificate, _) => return self.escaped("subject"),
            (SubjectKind::Plugin, _) => return Some(link("/console/plugins", self.text("id")?)),
            (_, Act::SaveSeller) => return Some(escaped(self.detail("seller")?.get("name")?.as_str()?)),
            (SubjectKind::Instance, Act::CreateInstance) => {
                return Some(self.to_instance(id, self.text("name")?));
            }
            (SubjectKind::ApiClient, _) => "api-clients",
            (SubjectKind::Platform, _) => "platforms",
            (SubjectKind::Operator, _) => "operators",
            _ => return self.escaped("name"),
        };
        let name = self.text("name")?;
        Some(link(&format!("/console/{page}/{}", in_path(name)), name))
    }

    /// An instance, as a link where it is still there.
    fn to_instance(&self, id: &str, name: &str) -> String {
        match self.view.instance {
            Some(_) => link(&format!("/console/instances/{}", in_path(id)), name),
            None => escaped(name),
        }
    }

    /// A product by its name, as a link where its instance is still there.
    fn to_product(&self, code: &str) -> String {
        let Some(instance) = self.act.instance_id.filter(|_| self.view.instance.is_some()) else {
            return escaped(code);
        };
        let name = self.names.get(&instance).and_then(|names| names.get(code));
        match name {
            Some(name) => link(
                &format!("/console/instances/{instance}/products/{}", in_path(code)),
                name,
            ),
            None => escaped(code),
        }
    }

    fn to_run(&self, id: &str) -> String {
        let text = format!("{} {}", self.word("run"), short(id));
        match self.act.instance_id.filter(|_| self.view.instance.is_some()) {
            Some(instance) => link(
                &format!("/console/instances/{instance}/runs/{}", in_path(id)),
                &text,
            ),
            None => escaped(&text),
        }
    }

    /// What was changed of settings: the fields, and what stands beside the form.
    fn changed(&self) -> String {
        let detail = self.view.detail.as_ref().and_then(Value::as_object);
        let fields = detail.and_then(|detail| detail.get("fields")?.as_array());
        let fields = fields.into_iter().flatten().filter_map(Value::as_str);
        let beside = detail.into_iter().flatten().map(|(name, _)| name.as_str());
        let all = fields.chain(beside.filter(|name| !["version", "fields"].contains(name)));
        listed(all)
    }

    fn amount(&self, minor_units: i64) -> Option<Shown> {
        let currency = self.text("currency")?.to_owned();
        Some(amount_of(&Price {
            currency,
            minor_units,
        }))
    }

    fn detail(&self, name: &str) -> Option<&Value> {
        self.view.detail.as_ref()?.get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.detail(name)?.as_str()
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.detail(name)?.as_i64()
    }

    /// A text or a number of the detail, as markup.
    fn escaped(&self, name: &str) -> Option<String> {
        let number = || self.number(name).map(|number| number.to_string());
        self.text(name).map(escaped).or_else(number)
    }

    /// A list of the detail, as markup.
    fn list(&self, name: &str) -> Option<String> {
        let list = self.detail(name)?.as_array()?;
        Some(listed(list.iter().filter_map(Value::as_str)))
    }

    /// A word of the catalog, as it is where there is none.
    fn word(&self, word: &str) -> String {
        let known = self.texts.text(&format!("words.{word}"), &[]);
        known.unwrap_or_else(|| word.to_owned())
    }
}

fn listed<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts = texts.map(|text| format!("<code>{}</code>", escaped(text)));
    texts.collect::<Vec<_>>().join(", ")
}

fn escaped(text: &str) -> String {
    HtmlEscape(text).to_string()
}

fn in_path(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The beginning of an id, which is enough to tell it from others at a glance.
fn short(id: &str) -> String {
    id.chars().take(8).collect()
}

fn link(way: &str, text: &str) -> String {
    format!("<a href=\"{}\">{}</a>", escaped(way), escaped(text))
}

#[cfg(test)]
mod tests {
    use bss_model::{Actor, Subject};
    use serde_json::json;

    use super::*;

    const INSTANCE: Uuid = Uuid::from_u128(1);

    /// The sentence of an act on something, with what the record keeps of it.
    fn told(act: Act, subject: Subject, detail: &Value) -> String {
        let act = RecordedAct {
            number: 1,
            at_ms: 0,
            actor: Actor::host("record"),
            act,
            subject,
            instance_id: Some(INSTANCE),
            detail: Some(detail.to_string()),
        };
        let view = view::Act {
            number: 1,
            done_at_ms: 0,
            actor: view::Actor {
                kind: "host".to_owned(),
                name: "record".to_owned(),
            },
            act: view::word(act.act.word()),
            subject: view::Subject {
                kind: view::word(act.subject.kind.word()),
                id: act.subject.id.clone(),
            },
            instance: Some("esd".to_owned()),
            detail: Some(detail.clone()),
        };
        let names = [("a".to_owned(), "Office <2024>".to_owned())].into();
        let names = [(INSTANCE, names)].into();
        let told = Told {
            act: &act,
            view: &view,
            names: &names,
            texts: &Texts::english(),
        };
        told.sentence().to_string()
    }

    /// A sentence without its markup.
    fn plain(sentence: &str) -> String {
        let mut text = String::new();
        for part in sentence.split('<') {
            text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
        }
        text
    }

    #[test]
    fn an_act_is_a_sentence_with_the_names_of_what_it_is_about() {
        let product = || Subject::product("a");
        let price = json!({ "currency": "EUR", "before": null, "after": 14_900 });
        let sentence = told(Act::SetPrice, product(), &price);
        assert_eq!(
            plain(&sentence),
            "set the price of Office &lt;2024&gt; from none to 149.00 EUR"
        );
        let way = format!("href=\"&#x2f;console&#x2f;instances&#x2f;{INSTANCE}&#x2f;products&#x2f;a\"");
        assert!(sentence.contains(&way), "{sentence}");
        let removed = json!({ "currency": "EUR", "before": 14_900, "after": null });
        assert_eq!(
            plain(&told(Act::SetPrice, product(), &removed)),
            "removed the price 149.00 EUR of Office &lt;2024&gt;"
        );
        let order = Subject::order(Uuid::from_u128(2));
        let lines = json!({ "lines": [{ "product_code": "a", "quantity": 2 }, { "product_code": "b", "quantity": 1 }] });
        assert_eq!(
            plain(&told(Act::PlaceOrder, order, &lines)),
            "placed order 00000000: 2 × Office &lt;2024&gt;, 1 × b"
        );
        let saved =
            json!({ "version": 2, "fields": ["country"], "thumbprint": { "before": null, "after": "A" } });
        assert_eq!(
            plain(&told(Act::SaveSettings, Subject::instance(INSTANCE), &saved)),
            "saved version 2 of the settings of esd: country, thumbprint"
        );
    }

    #[test]
    fn every_decision_about_a_product_has_its_sentence() {
        for decision in ["activate", "deactivate", "publish", "unpublish"] {
            let told = told(
                Act::DecideProduct,
                Subject::product("a"),
                &json!({ "decision": decision }),
            );
            assert!(told.contains("Office"), "{told}");
        }
    }

    #[test]
    fn an_act_that_lacks_what_its_sentence_needs_is_told_in_its_word() {
        let product = Subject::product("a");
        assert_eq!(told(Act::SetPrice, product, &json!({})), "set a price");
        let operator = Subject::operator(Uuid::nil());
        assert_eq!(told(Act::SignIn, operator, &Value::Null), "signed in");
    }

    #[test]
    fn every_sentence_of_the_catalog_is_one_of_an_act_and_has_no_markup() {
        let texts = Texts::english();
        let acts: Vec<String> = Act::ALL.iter().map(|act| view::word(act.word())).collect();
        for key in texts.keys().filter_map(|key| key.strip_prefix("acts.")) {
            let text = texts.text(&format!("acts.{key}"), &[]).unwrap_or_default();
            assert!(!text.contains(['<', '>', '&']), "{text}");
            assert!(
                key == "none" || acts.iter().any(|act| key.starts_with(act.as_str())),
                "{key}"
            );
        }
    }
}

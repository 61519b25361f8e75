//! The templates of all pages, and what they can call.

use std::fmt::Write as _;
use std::sync::Arc;

use bss_model::clock::rfc3339;
use minijinja::value::{Kwargs, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, HtmlEscape, UndefinedBehavior, escape_formatter};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::static_files;
use crate::texts::Texts;

/// What stands in a path or a query as it is: all else is escaped.
pub(crate) const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        /// Every template, by its name.
        const TEMPLATES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../templates/", $name)))),*];
    };
}

templates! {
    "base.html",
    "parts.html",
    "failure.html",
    "confirm.html",
    "kept.html",
    "sign_in.html",
    "welcome.html",
    "overview.html",
    "sales_parts.html",
    "orders.html",
    "order_new.html",
    "order_confirm.html",
    "order_lines.html",
    "order.html",
    "order_withdrawal.html",
    "assets.html",
    "asset.html",
    "asset_progress.html",
    "asset_key.html",
    "asset_retry.html",
    "asset_cancellation.html",
    "cancellation_parts.html",
    "cancellations.html",
    "cancellations_recent.html",
    "cancellation_confirm.html",
    "customers.html",
    "customer.html",
    "find.html",
    "instances.html",
    "instance_new.html",
    "instance.html",
    "instance_act.html",
    "settings.html",
    "settings_history.html",
    "connection_check.html",
    "connection_check_event.html",
    "connection_check_end.html",
    "connection_parts.html",
    "rotation.html",
    "certificates.html",
    "certificate.html",
    "certificate_remove.html",
    "certificate_request.html",
    "certificate_request_remove.html",
    "runs.html",
    "run.html",
    "run_parts.html",
    "run_progress.html",
    "run_accept.html",
    "products.html",
    "products_of_run.html",
    "product.html",
    "price_confirm.html",
    "price_remove.html",
    "prerequisites.html",
    "house.html",
    "operators.html",
    "operator.html",
    "operator_disable.html",
    "operator_invited.html",
    "me.html",
    "alerts.html",
    "charges.html",
    "credits.html",
    "report.html",
    "mails.html",
    "mail.html",
    "mail_preview.html",
    "mail_release.html",
    "mail_resend.html",
    "platforms.html",
    "platform.html",
    "platform_revoke.html",
    "api_client.html",
    "api_client_rotate.html",
    "api_client_revoke.html",
    "api_client_key.html",
    "webhook.html",
    "webhook_attempts.html",
    "webhook_test.html",
    "webhook_redeliver.html",
    "webhook_rotate.html",
    "webhook_remove.html",
    "webhook_secret.html",
    "audit.html",
    "audit_digest.html",
    "plugins.html",
    "traces.html",
    "trace.html",
}

/// The templates.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(crate) fn new(texts: Arc<Texts>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        // What a view has not is nothing on a page.
        environment.set_formatter(|out, state, value| match value.is_none() {
            true => Ok(()),
            false => escape_formatter(out, state, value),
        });
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.add_function("t", move |key: &str, values: Kwargs| text(&texts, key, &values));
        environment.add_function("asset_path", static_files::path);
        environment.add_filter("time", |ms: Value| time(&ms, 16, ""));
        environment.add_filter("second", |ms: Value| time(&ms, 19, " class=\"second\""));
        environment.add_filter("day", day);
        environment.add_filter("said", |text: Value| prose(&text, true));
        environment.add_filter("marked", |text: Value| prose(&text, false));
        environment.add_filter("amount", amount);
        environment.add_filter("short", |id: &str| id.chars().take(8).collect::<String>());
        environment.add_filter("path", |text: &str| {
            utf8_percent_encode(text, ESCAPED).to_string()
        });
        for (name, source) in TEMPLATES {
            // A test renders each; one that can't be read is not there, and its page says so.
            if let Err(error) = environment.add_template(name, source) {
                tracing::error!(name, %error, "a template can't be read");
            }
        }
        Self { environment }
    }

    /// A page.
    ///
    /// # Errors
    /// When the template has a mistake.
    pub(crate) fn render(&self, name: &str, context: Value) -> Result<String, Error> {
        self.environment.get_template(name)?.render(context)
    }
}

/// `t("key", name=value)`: a text of the catalog.
fn text(texts: &Texts, key: &str, values: &Kwargs) -> Result<String, Error> {
    let mut given = Vec::new();
    for name in values.args() {
        let value: Value = values.get(name)?;
        given.push((name, value.to_string()));
    }
    let text = texts.text(key, &given);
    text.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("there is no text `{key}`")))
}

/// `ms | time`, or `ms | second` where a minute is too coarse, as in a log: a time, in UTC until the reader's browser has made it the
/// reader's own. Nothing where there is none. `letters`: how much of it is shown until then.
fn time(ms: &Value, letters: usize, class: &str) -> Value {
    match ms.as_i64() {
        Some(ms) => Value::from_safe_string(time_html(&rfc3339(ms), letters, class)),
        None => Value::from_safe_string(String::new()),
    }
}

/// The markup of a time that is written as in RFC 3339.
fn time_html(exact: &str, letters: usize, class: &str) -> String {
    let shown: String = exact.chars().take(letters).collect();
    let shown = shown.replace('T', " ");
    format!("<time{class} datetime=\"{exact}\">{shown} UTC</time>")
}

/// `ms | day`: a day of UTC, which is the same day for every reader.
fn day(ms: i64) -> Value {
    let day: String = rfc3339(ms).chars().take(10).collect();
    Value::from_safe_string(format!("<time class=\"day\" datetime=\"{day}\">{day}</time>"))
}

/// `message | said`: what the host says, as a sentence: errors begin in lower case and have no period. `text | marked` leaves that as it
/// is. Both show what stands between backticks as code, and times as times. What is markup already stays as it is.
fn prose(text: &Value, is_sentence: bool) -> Value {
    if text.is_safe() {
        return text.clone();
    }
    if text.is_none() || text.is_undefined() {
        return Value::from_safe_string(String::new());
    }
    let text = match is_sentence {
        true => sentence(&text.to_string()),
        false => text.to_string(),
    };
    let mut html = String::new();
    let parts: Vec<&str> = text.split('`').collect();
    for (index, part) in parts.iter().enumerate() {
        let is_code = index % 2 == 1;
        // Writing to a string can't fail.
        let _ = match (is_code, index + 1 == parts.len()) {
            (true, false) => write!(html, "<code>{}</code>", HtmlEscape(part)),
            // A backtick that nothing closes is a backtick.
            (true, true) => write!(html, "`{}", HtmlEscape(part)),
            (false, _) => write!(html, "{}", with_times(part)),
        };
    }
    Value::from_safe_string(html)
}

/// A text as markup, with its times as the pages show them.
fn with_times(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let exact = word.trim_end_matches([',', '.', ';', ':', ')']);
        match is_time(exact) {
            true => time_html(exact, 16, "") + &word[exact.len()..],
            false => HtmlEscape(word).to_string(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a word is a time as `rfc3339` writes it, to the second.
fn is_time(word: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00Z";
    let fits = |(form, byte): (&u8, u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte == *form,
    };
    word.len() == FORM.len() && FORM.iter().zip(word.bytes()).all(fits)
}

/// A text as a sentence: errors begin in lower case and have no period.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        None => String::new(),
        Some(first) => {
            let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
            first
                .to_uppercase()
                .chain(letters.as_str().chars())
                .collect::<String>()
                + end
        }
    }
}

/// `price | amount`: an amount with its currency, plain until the reader's browser has made it the reader's own. Nothing where there is
/// none.
fn amount(price: Value) -> Value {
    let part = |name: &str| price.get_attr(name).ok().filter(|part| !part.is_undefined());
    let (Some(currency), Some(minor_units)) = (
        part("currency").and_then(|currency| currency.as_str().map(ToOwned::to_owned)),
        part("minorUnits").and_then(|units| units.as_i64()),
    ) else {
        return Value::from_safe_string(String::new());
    };
    amount_of(&bss_model::Price {
        currency,
        minor_units,
    })
}

/// The markup of an amount.
pub(crate) fn amount_of(price: &bss_model::Price) -> Value {
    let shown = price.to_string();
    let mut html = String::new();
    // A currency is three letters, and an amount digits: nothing of them is markup. Writing to a string can't fail.
    let number = shown.split(' ').next().unwrap_or_default();
    let _ = write!(
        html,
        "<data class=\"amount\" value=\"{number}\" data-currency=\"{}\">{shown}</data>",
        price.currency
    );
    match price.currency.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        true => Value::from_safe_string(html),
        false => Value::from(shown),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use minijinja::context;

    use super::*;

    fn rendered(source: &'static str, context: Value) -> String {
        let mut templates = Templates::new(Arc::new(Texts::english()));
        templates
            .environment
            .add_template("test", source)
            .expect("a template");
        templates.render("test", context).expect("a page")
    }

    #[test]
    fn every_template_can_be_read() {
        let templates = Templates::new(Arc::new(Texts::english()));
        for (name, _) in TEMPLATES {
            assert!(templates.environment.get_template(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn each_text_that_a_template_says_is_in_the_catalog_and_each_in_the_catalog_is_said() {
        let texts = Texts::english();
        let known: BTreeSet<&str> = texts.keys().collect();
        let mut said = BTreeSet::new();
        for (name, source) in TEMPLATES {
            for call in source.split("t(\"").skip(1) {
                let key = call.split('"').next().expect("a key");
                // The end of another word, such as `list(`, is no call.
                if key.contains('.') && !key.ends_with('.') {
                    assert!(known.contains(key), "{name}: {key}");
                    said.insert(key);
                }
            }
        }
        let code = [
            include_str!("pages/overview.rs"),
            include_str!("pages/settings.rs"),
        ]
        .concat();
        let unsaid: Vec<_> = known
            .difference(&said)
            .filter(|key| !is_said_by_name(key) && !code.contains(*key))
            .collect();
        assert!(unsaid.is_empty(), "nobody says {unsaid:?}");
    }

    /// Whether a text is of a table whose keys are words of views.
    fn is_said_by_name(key: &str) -> bool {
        ["acts.", "done.", "nav.", "steps.", "words."]
            .iter()
            .any(|table| key.starts_with(table))
    }

    #[test]
    fn a_page_says_what_its_template_says_in_the_frame_of_all() {
        let templates = Templates::new(Arc::new(Texts::english()));
        let page = templates.render("welcome.html", context! { name => "maria", code => "abc" });
        let page = page.map_err(|error| format!("{error:#}")).unwrap();
        assert!(page.contains("You will sign in as maria.") && page.ends_with("</html>"));
    }

    #[test]
    fn what_a_run_changed_of_a_product_is_told_with_its_values() {
        let values = |before: &str, after: &str| {
            let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            context! { field => "name", before => json(before), after => json(after) }
        };
        for (before, after, said) in [
            (
                r#""Office""#,
                r#""<b>""#,
                "<del>Office</del> <ins>&lt;b&gt;</ins>",
            ),
            ("1", "null", "<del>1</del> <ins>none</ins>"),
            ("false", "true", "<del>no</del> <ins>yes</ins>"),
            (
                "{}",
                r#"{"term":"one year"}"#,
                "<del>none</del> <ins>term: one year</ins>",
            ),
        ] {
            let page = rendered(
                r#"{% import "run_parts.html" as run_parts %}{{ run_parts.changes(changes) }}"#,
                context! { changes => [values(before, after)] },
            );
            assert!(page.contains(said), "{page}");
        }
    }

    #[test]
    fn what_a_view_says_is_text_and_never_markup() {
        let page = rendered(
            "<p title=\"{{ name }}\">{{ name }}</p>",
            context! { name => "<b>\"&'</b>" },
        );
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt;"), "{page}");
    }

    #[test]
    fn what_a_view_has_not_is_nothing_on_a_page() {
        assert_eq!(
            rendered("<{{ none }}>", context! { none => Value::from(()) }),
            "<>"
        );
    }

    #[test]
    fn a_time_is_exact_for_a_browser_and_plain_for_a_reader() {
        assert_eq!(
            rendered("{{ ms | time }}|{{ none | time }}", context! { ms => 0_i64 }),
            "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00 UTC</time>|"
        );
    }

    #[test]
    fn a_second_and_a_day_say_that_they_are() {
        assert_eq!(
            rendered("{{ ms | second }}|{{ ms | day }}", context! { ms => 1000_i64 }),
            "<time class=\"second\" datetime=\"1970-01-01T00:00:01Z\">1970-01-01 00:00:01 UTC</time>|\
             <time class=\"day\" datetime=\"1970-01-01\">1970-01-01</time>"
        );
    }

    #[test]
    fn what_the_host_says_is_a_sentence_with_its_code_and_its_times_and_no_markup_of_its_own() {
        let said = |text: &str| rendered("{{ text | said }}|{{ text | marked }}", context! { text });
        assert_eq!(
            said("it begins with `<b>` & ends"),
            "It begins with <code>&lt;b&gt;</code> &amp; ends.|it begins with <code>&lt;b&gt;</code> &amp; ends"
        );
        assert_eq!(said("One ` is one."), "One ` is one.|One ` is one.");
        assert_eq!(
            said("Since 1970-01-01T00:00:00Z."),
            ["<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00 UTC</time>."; 2]
                .map(|time| format!("Since {time}"))
                .join("|")
        );
        let twice = rendered("{{ text | said | said }}", context! { text => "a `b`" });
        assert_eq!(twice, "A <code>b</code>.");
        let none = context! { text => Value::from(()) };
        assert_eq!(rendered("{{ text | said }}", none), "");
    }

    #[test]
    fn an_amount_is_exact_for_a_browser_and_plain_for_a_reader() {
        let price = context! { currency => "EUR", minorUnits => 24_900 };
        assert_eq!(
            rendered("{{ price | amount }}|{{ none | amount }}", context! { price }),
            "<data class=\"amount\" value=\"249.00\" data-currency=\"EUR\">249.00 EUR</data>|"
        );
        let odd = context! { currency => "<b>", minorUnits => 1 };
        let shown = rendered("{{ price | amount }}", context! { price => odd });
        assert!(!shown.contains("<b>"), "{shown}");
    }

    #[test]
    fn an_id_in_an_address_is_one_part_of_it() {
        assert_eq!(
            rendered("{{ id | path }}", context! { id => "a/b ?ä" }),
            "a%2Fb%20%3F%C3%A4"
        );
    }
}

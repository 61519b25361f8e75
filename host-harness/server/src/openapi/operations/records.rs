//! What concerns the desk: charges, credits, e-mails, alerts and acts.

use bss_model::{Act, MailKind, MailState, SubjectKind};
use serde_json::json;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::{ObjectBuilder, Type};

use crate::fields::shown;
use crate::openapi::described::{
    Described, ROW, flag, get, id_schema, in_query, instance_filter, known, one, page, post, text, time, word,
};

pub(super) fn described() -> Vec<Described> {
    let groups = [of_money(), of_mails(), of_alerts(), of_acts()];
    groups.into_iter().flatten().collect()
}

fn of_money() -> Vec<Described> {
    let filters = |what: &str, done: &str| -> [Parameter; 6] {
        [
            instance_filter(),
            in_query("order", "The id of an order.", id_schema()),
            text("customer", "The customer's id."),
            text("number", &format!("The number of a {what}.")),
            time(
                "sinceMs",
                &format!("Those that were {done} at that time or later."),
            ),
            time("untilMs", &format!("Those that were {done} before that time.")),
        ]
    };
    vec![
        get(
            "/v1/charges",
            "listCharges",
            "money",
            "Lists what customers were charged, with credits",
        )
        .about("One for each license that was bought, the latest first. A charge never changes.")
        .query(filters("charge", "charged"))
        .paged()
        .answer(200, page("Charge")),
        get(
            "/v1/credits",
            "listCredits",
            "money",
            "Lists what customers were credited",
        )
        .about("One for each license that was charged and returned, the latest first.")
        .query(filters("credit", "credited"))
        .paged()
        .answer(200, page("Credit")),
    ]
}

fn of_mails() -> Vec<Described> {
    vec![
        get(
            "/v1/mails",
            "listMails",
            "mails",
            "Lists e-mails to customers, without their texts",
        )
        .about("The latest first.")
        .query([
            instance_filter(),
            word(
                "state",
                "The state of the e-mail.",
                shown(MailState::ALL, MailState::word),
            ),
            word(
                "kind",
                "The e-mail's purpose.",
                shown(MailKind::ALL, MailKind::word),
            ),
            in_query("order", "The id of an order.", id_schema()),
            in_query("asset", "The id of an asset.", id_schema()),
            text("customer", "The customer's id."),
        ])
        .paged()
        .answer(200, page("Mail"))
        .leads_to("getMail", [("mail", ROW)])
        .leads_to("resendMail", [("mail", ROW)]),
        get(
            "/v1/mails/{mail}",
            "getMail",
            "mails",
            "Shows an e-mail, without its text",
        )
        .answer(200, one("The e-mail.", "Mail")),
        post(
            "/v1/mails/{mail}/retry",
            "retryMail",
            "mails",
            "Makes an e-mail due now that waits or was refused",
        )
        .about("A worker sends it. What is held back stays so (`mail-held`), and what stops all e-mails goes on.")
        .problem(409)
        .answer(200, known("The e-mail as it stands.", "Mail")),
        post(
            "/v1/mails/{mail}/copies",
            "resendMail",
            "mails",
            "Has an e-mail sent once more, as a copy",
        )
        .about(
            "The copy says that it brings the same key. To the contact of the order where no body is sent.",
        )
        .body("MailCopyBody", false, json!({ "to": "kontakt@beispiel.example" }))
        .answer(201, known("The copy, which a worker sends.", "Mail")),
    ]
}

fn of_alerts() -> Vec<Described> {
    vec![
        get(
            "/v1/alerts",
            "listAlerts",
            "alerts",
            "Lists what has ended badly or stands still",
        )
        .about("The oldest first. Only what is neither over nor acknowledged, unless `all` is `true`.")
        .query([
            text(
                "instance",
                "The name of an instance, or its id. Left out: all that the client may use.",
            ),
            flag("all", "Whether alerts are listed that are over or acknowledged."),
        ])
        .numbered()
        .answer(200, page("Alert")),
        post(
            "/v1/alert-acknowledgements",
            "acknowledgeAlerts",
            "alerts",
            "Takes note of alerts",
        )
        .about("Whomever they concern, they are nobody's open alerts any more: for the operator's clients alone.")
        .body("AcknowledgementBody", true, json!({ "numbers": [7] }))
        .answer(200, one("How many of them were open.", "AcknowledgedAlerts")),
    ]
}

fn of_acts() -> Vec<Described> {
    let digest = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[0-9A-Fa-f]{64}$"))
        .examples([json!("0".repeat(64))]);
    vec![
        get("/v1/acts", "listActs", "audit", "Lists who did what")
            .about("The oldest first.")
            .query([
                instance_filter(),
                text("subject", "The id of what the act was done to."),
                word(
                    "kind",
                    "The kind of what the act was done to.",
                    shown(SubjectKind::ALL, SubjectKind::word),
                ),
                word("act", "What was done.", shown(Act::ALL, Act::word)),
                text("actor", "The name of who did it."),
            ])
            .numbered()
            .answer(200, page("Act")),
        get(
            "/v1/acts/digest",
            "verifyActs",
            "audit",
            "Verifies that no act was altered or removed since it was written",
        )
        .about("Keep the digest elsewhere: `noted` shows later if all acts were written anew.")
        .query([in_query(
            "noted",
            "A digest that was answered before: the acts up to then must be the same.",
            digest,
        )])
        .problem(409)
        .answer(200, one("The number of acts and their digest.", "AuditedActs")),
    ]
}

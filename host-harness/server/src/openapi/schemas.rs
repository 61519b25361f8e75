//! The schemas of bodies and answers: those of the views, and what their types don't say.

use std::collections::BTreeMap;

use bss_model::{
    Act, ActorKind, AlertKind, AssetStatus, AttemptResult, CancellationState, CreditReason, Decision,
    DifferenceKind, LicenseState, LicenseTokenStatus, MailKind, MailState, OutcomeKind, RequesterKind,
    ReturnResult, ReturnStatus, RunLogLevel, RunState, Standing, SubjectKind, SyncStatus, WithdrawalEnd,
    event_type,
};
use host_harness::view;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat, SchemaFormat, SchemaType};
use utoipa::openapi::{ArrayBuilder, Object, ObjectBuilder, Ref, RefOr, Schema, Type};

use crate::fields::shown;
use crate::{
    alerts, assets, cancellations, certificates, health, instances, mails, orders, problem, products,
    services_runs, settings,
};

/// A schema with its name.
type Named = (String, RefOr<Schema>);

/// All schemas, by name.
pub(super) fn all() -> BTreeMap<String, RefOr<Schema>> {
    let mut found = asked();
    add::<view::Instance>(&mut found);
    add::<view::Product>(&mut found);
    add::<view::ServicesRun>(&mut found);
    add::<view::InstanceForm>(&mut found);
    add::<view::Order>(&mut found);
    add::<view::OrderCheck>(&mut found);
    add::<view::OrderWithdrawal>(&mut found);
    add::<view::Asset>(&mut found);
    add::<view::PurchaseAttempt>(&mut found);
    add::<view::Cancellation>(&mut found);
    add::<assets::LicenseKey<'static>>(&mut found);
    add::<problem::Told>(&mut found);
    add::<view::EventBody>(&mut found);
    add::<view::Events>(&mut found);
    add::<health::Health>(&mut found);
    add::<orders::UnreadOrder>(&mut found);
    add::<cancellations::UnreadCancellation>(&mut found);
    add::<services_runs::UnreadRun>(&mut found);
    add::<view::SpendingToday>(&mut found);
    add::<view::ConnectionCheck>(&mut found);
    add::<view::CertificateRotation>(&mut found);
    add::<view::DecidedProducts>(&mut found);
    add::<view::PricedProducts>(&mut found);
    add::<view::CheckedPrices>(&mut found);
    add::<mails::UnreadMail>(&mut found);
    add::<assets::UnreadAsset>(&mut found);
    add::<view::RecordedPriceChange>(&mut found);
    add::<view::ServicesRunLogLine>(&mut found);
    add::<view::RunDifference>(&mut found);
    add::<view::SettingsVersion>(&mut found);
    add::<view::Certificate>(&mut found);
    add::<view::CertificateWithPem>(&mut found);
    add::<view::CertificateRequest>(&mut found);
    add::<view::RemovedCertificate>(&mut found);
    add::<view::RemovedCertificateRequest>(&mut found);
    add::<view::Charge>(&mut found);
    add::<view::Credit>(&mut found);
    add::<view::Mail>(&mut found);
    add::<view::Alert>(&mut found);
    add::<view::AcknowledgedAlerts>(&mut found);
    add::<view::Act>(&mut found);
    add::<view::AuditedActs>(&mut found);
    let mut schemas: BTreeMap<_, _> = found.into_iter().collect();
    for (schema, field, words) in words() {
        if let Some(property) = schemas.get_mut(schema).and_then(|schema| property(schema, field)) {
            set_words(property, words);
        }
    }
    for (schema, field, about) in REWORDED {
        if let Some(property) = schemas.get_mut(schema).and_then(|schema| property(schema, field)) {
            property.description = Some(about.to_owned());
        }
    }
    schemas.values_mut().for_each(reword);
    for rows in [
        "Instance",
        "Product",
        "ServicesRun",
        "ServicesRunLogLine",
        "RunDifference",
        "RecordedPriceChange",
        "SettingsVersion",
        "Certificate",
        "CertificateRequest",
        "Order",
        "Asset",
        "Cancellation",
        "Charge",
        "Credit",
        "Mail",
        "Alert",
        "Act",
    ] {
        schemas.insert(format!("{rows}Page"), page_of(rows));
    }
    schemas
}

/// The schemas of the bodies of requests, closed: what nobody reads is refused, since a misspelled quantity must not become one
/// license.
fn asked() -> Vec<Named> {
    let mut found = Vec::new();
    add::<orders::OrderBody>(&mut found);
    add::<orders::WithdrawalBody>(&mut found);
    add::<cancellations::CancellationBody>(&mut found);
    add::<cancellations::DecisionBody>(&mut found);
    add::<settings::SettingsBody>(&mut found);
    add::<instances::InstanceBody>(&mut found);
    add::<instances::RenamingBody>(&mut found);
    add::<instances::RotationBody>(&mut found);
    add::<products::ProductDecisionBody>(&mut found);
    add::<products::PricesBody>(&mut found);
    add::<certificates::CertificateBody>(&mut found);
    add::<certificates::SelfSignedBody>(&mut found);
    add::<certificates::CertificateRequestBody>(&mut found);
    add::<mails::MailCopyBody>(&mut found);
    add::<alerts::AcknowledgementBody>(&mut found);
    for (_, schema) in &mut found {
        if let RefOr::T(Schema::Object(object)) = schema {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
    found
}

/// Fields whose documentation speaks of what only Rust has, and what is said of them instead.
pub(super) const REWORDED: [(&str, &str, &str); 2] = [
    (
        "Asset",
        "productKey",
        "The last group of the product key, masked; `/v1/assets/{asset}/key` has the whole.",
    ),
    (
        "Asset",
        "activationLink",
        "The host of the activation link; `/v1/assets/{asset}/key` has the whole.",
    ),
];

fn add<T: ToSchema>(found: &mut Vec<Named>) {
    found.push((T::name().into_owned(), T::schema()));
    T::schemas(found);
}

/// The fields of words, with every word that they can have.
pub(super) fn words() -> Vec<(&'static str, &'static str, Vec<String>)> {
    let results = shown(AttemptResult::ALL, AttemptResult::word);
    let mut reasons = results.clone();
    let of_returns = shown(ReturnResult::ALL, ReturnResult::word);
    reasons.extend(of_returns.into_iter().filter(|word| !results.contains(word)));
    vec![
        ("Instance", "state", shown(Standing::ALL, Standing::word)),
        ("ServicesRun", "state", shown(RunState::ALL, RunState::word)),
        ("UnreadRun", "state", vec!["not-started".to_owned()]),
        ("UnreadAsset", "state", vec!["open".to_owned()]),
        ("UnreadMail", "state", shown(MailState::ALL, MailState::word)),
        ("Order", "state", shown(&view::SETTLEMENTS, view::settlement_word)),
        ("UnreadOrder", "state", vec!["open".to_owned()]),
        (
            "LineWithdrawal",
            "end",
            shown(WithdrawalEnd::ALL, WithdrawalEnd::word),
        ),
        ("Asset", "state", shown(LicenseState::ALL, LicenseState::word)),
        ("Asset", "status", shown(AssetStatus::ALL, AssetStatus::word)),
        ("Asset", "syncStatus", shown(SyncStatus::ALL, SyncStatus::word)),
        (
            "Asset",
            "licenseTokenStatus",
            shown(LicenseTokenStatus::ALL, LicenseTokenStatus::word),
        ),
        (
            "Asset",
            "returnStatus",
            shown(ReturnStatus::ALL, ReturnStatus::word),
        ),
        ("PurchaseAttempt", "result", results),
        ("Reason", "result", reasons),
        (
            "Cancellation",
            "state",
            shown(CancellationState::ALL, CancellationState::word),
        ),
        (
            "UnreadCancellation",
            "state",
            shown(CancellationState::ALL, CancellationState::word),
        ),
        (
            "Requester",
            "kind",
            shown(RequesterKind::ALL, RequesterKind::word),
        ),
        (
            "RequesterBody",
            "kind",
            shown(RequesterKind::ALL, RequesterKind::word),
        ),
        (
            "EventBody",
            "type",
            OutcomeKind::ALL.iter().map(|kind| event_type(*kind)).collect(),
        ),
        (
            "ProductDecisionBody",
            "decision",
            shown(Decision::ALL, Decision::word),
        ),
        ("SettingsVersion", "state", shown(Standing::ALL, Standing::word)),
        (
            "ServicesRunLogLine",
            "level",
            shown(RunLogLevel::ALL, RunLogLevel::word),
        ),
        (
            "ProductDifference",
            "kind",
            shown(DifferenceKind::ALL, DifferenceKind::word),
        ),
        ("Credit", "reason", shown(CreditReason::ALL, CreditReason::word)),
        ("Mail", "state", shown(MailState::ALL, MailState::word)),
        ("Mail", "kind", shown(MailKind::ALL, MailKind::word)),
        ("Alert", "kind", shown(AlertKind::ALL, AlertKind::word)),
        ("Actor", "kind", shown(ActorKind::ALL, ActorKind::word)),
        ("Subject", "kind", shown(SubjectKind::ALL, SubjectKind::word)),
        ("Act", "act", shown(Act::ALL, Act::word)),
        ("Health", "status", vec!["alive".to_owned(), "ready".to_owned()]),
    ]
}

/// A field of a schema, its own or one of a part of it.
fn property<'a>(schema: &'a mut RefOr<Schema>, name: &str) -> Option<&'a mut Object> {
    match schema {
        RefOr::T(Schema::Object(object)) => match object.properties.get_mut(name)? {
            RefOr::T(Schema::Object(property)) => Some(property),
            _ => None,
        },
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().find_map(|part| property(part, name)),
        _ => None,
    }
}

fn set_words(property: &mut Object, words: Vec<String>) {
    let mut values: Vec<_> = words.into_iter().map(Value::String).collect();
    // `null` is one of the words where the field may have no value.
    if matches!(&property.schema_type, SchemaType::Array(types) if types.contains(&Type::Null)) {
        values.push(Value::Null);
    }
    property.enum_values = Some(values);
}

/// Has the documentation of Rust speak of JSON.
fn reword(schema: &mut RefOr<Schema>) {
    let json = |text: &str| text.replace("`None`", "`null`").replace('\n', " ");
    let all = match schema {
        RefOr::Ref(reference) => {
            reference.description = json(&reference.description);
            return;
        }
        RefOr::T(Schema::Object(object)) => {
            object.description = object.description.as_deref().map(json);
            object.format = object.format.take().map(registered);
            object.properties.values_mut().for_each(reword);
            return;
        }
        RefOr::T(Schema::Array(array)) => {
            array.description = array.description.as_deref().map(json);
            return;
        }
        RefOr::T(Schema::AllOf(all)) => {
            all.description = all.description.as_deref().map(json);
            &mut all.items
        }
        RefOr::T(Schema::OneOf(one)) => {
            one.description = one.description.as_deref().map(json);
            &mut one.items
        }
        RefOr::T(Schema::AnyOf(any)) => {
            any.description = any.description.as_deref().map(json);
            &mut any.items
        }
        _ => return,
    };
    all.iter_mut().for_each(reword);
}

/// The format of a number as the registry of OpenAPI writes it. The library's own names have hyphens.
fn registered(format: SchemaFormat) -> SchemaFormat {
    let name = match format {
        SchemaFormat::KnownFormat(KnownFormat::UInt16) => "uint16",
        SchemaFormat::KnownFormat(KnownFormat::UInt32) => "uint32",
        SchemaFormat::KnownFormat(KnownFormat::UInt64) => "uint64",
        format => return format,
    };
    SchemaFormat::Custom(name.to_owned())
}

/// The schema of a page of a list.
fn page_of(rows: &str) -> RefOr<Schema> {
    let next = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "What `after` is for the next page. `null`: this is the last one.",
        ));
    let rows = ArrayBuilder::new()
        .items(Ref::from_schema_name(rows))
        .description(Some("The rows."));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A page of a list."))
        .property("rows", rows)
        .required("rows")
        .property("next", next)
        .required("next")
        .into()
}

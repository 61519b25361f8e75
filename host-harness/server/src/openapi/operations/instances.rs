//! What concerns instances: their life, settings, products and catalogs.

use serde_json::json;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, Required, Type};

use crate::openapi::described::{
    Described, INSTANCE, OWN, ROW, delete, flag, form, get, header, header_of, json_answer, one, page, patch,
    plain, post, whole,
};

pub(super) fn described() -> Vec<Described> {
    let groups = [of_instances(), of_products(), of_runs(), of_settings()];
    groups.into_iter().flatten().collect()
}

fn of_instances() -> Vec<Described> {
    vec![
        get(
            "/v1/instances",
            "listInstances",
            "instances",
            "Lists the instances that the client may use",
        )
        .about("By name, all on one page.")
        .query([])
        .answer(200, one("The instances.", "InstancePage"))
        .leads_to("getInstance", [("instance", ROW)])
        .leads_to("listProducts", [("instance", ROW)])
        .leads_to("getSettings", [("instance", ROW)])
        .leads_to("checkConnection", [("instance", ROW)])
        .leads_to("startServicesRun", [("instance", ROW)]),
        post("/v1/instances", "createInstance", "instances", "Creates an instance, whose form is filled in next")
            .about("With the plugin's default options; others, trust and networks are for the operator at the host. Not for clients that are bound to instances (`client-bound`).")
            .body("InstanceBody", true, json!({ "name": "esd", "currency": "EUR", "plugin": "microsoft-esd" }))
            .answer(201, one("The instance.", "Instance")),
        get(
            "/v1/instances/{instance}",
            "getInstance",
            "instances",
            "Shows an instance",
        )
        .answer(200, one("The instance.", "Instance")),
        delete("/v1/instances/{instance}", "removeInstance", "instances", "Removes an instance on which nothing depends")
            .about("Not for clients that are bound to instances (`client-bound`).")
            .problem(409)
            .answer(200, one("The instance as it was.", "Instance")),
        post("/v1/instances/{instance}/renaming", "renameInstance", "instances", "Gives an instance another name")
            .about("Not for clients that are bound to instances (`client-bound`).")
            .body("RenamingBody", true, json!({ "name": "esd-eu" }))
            .answer(200, one("The instance.", "Instance")),
        post("/v1/instances/{instance}/disablement", "disableInstance", "instances", "Has an instance take no orders and buy nothing")
            .about("What may have been bought is looked up all the same; returns and e-mails go on. Not for clients that are bound to instances (`client-bound`).")
            .answer(200, one("The instance.", "Instance")),
        post("/v1/instances/{instance}/enablement", "enableInstance", "instances", "Has an instance sell again")
            .about("Not for clients that are bound to instances (`client-bound`).")
            .answer(200, one("The instance.", "Instance")),
        get("/v1/instances/{instance}/spending", "getSpending", "instances", "Shows what an instance has sold today, and may")
            .about("The limit is set by the operator at the host.")
            .answer(200, one("What it has sold today.", "SpendingToday")),
        post("/v1/instances/{instance}/connection-checks", "checkConnection", "instances", "Checks each step on the way to the vendor")
            .about("A step that did not pass is in the answer, with what to do. What keeps the check from being made is a problem.")
            .problem(409)
            .problem(422)
            .answer(200, one("The steps, and the ways that were taken.", "ConnectionCheck")),
        post("/v1/instances/{instance}/certificate-rotation", "rotateCertificate", "instances", "Has another certificate take over, if the vendor takes it")
            .about("The connection is checked with it first; where a step fails, the instance keeps its former certificate (`check-failed`). Not for clients that are bound to instances (`client-bound`).")
            .body("RotationBody", true, json!({ "to": "8D30B1B0B53E1E2C5D6B7D7F4A6E0E1B2C3D4E5F" }))
            .answer(200, one("The instance with its certificate, and the steps of the check.", "CertificateRotation")),
    ]
}

fn of_products() -> Vec<Described> {
    vec![
        get(
            "/v1/instances/{instance}/products",
            "listProducts",
            "instances",
            "Lists the products of an instance",
        )
        .about("The last code first.")
        .query([
            flag("active", "Whether the operator has activated the product."),
            flag("published", "Whether the operator has published the product."),
            flag(
                "discontinued",
                "Whether the vendor has stopped selling the product.",
            ),
        ])
        .paged()
        .answer(200, page("Product"))
        .leads_to("getProduct", [INSTANCE, ("product", "$response.body#/rows/0/productCode")]),
        get("/v1/instances/{instance}/products/{product}", "getProduct", "instances", "Shows a product")
            .answer(200, one("The product.", "Product")),
        post("/v1/instances/{instance}/product-decisions", "decideProducts", "instances", "Has products be sold, or shown in the storefront, or not any more")
            .about("Licenses that were sold are not affected. Of all or a run's products, those that the vendor has stopped selling are left out.")
            .body("ProductDecisionBody", true, json!({ "decision": "activate", "productCodes": ["EP2-06798"] }))
            .answer(200, one("How many products were changed, were so before, and were left out.", "DecidedProducts")),
        post("/v1/instances/{instance}/prices", "setPrices", "instances", "Sets prices, all or none")
            .about(
                "Where a price may be a mistake (it is 0, ten times off the last, or in another currency than the instance sells in), none is \
                 set and `errors` names them (`prices-doubtful`): `acceptDoubtful` sets them.",
            )
            .body(
                "PricesBody",
                true,
                json!({ "prices": [{ "productCode": "EP2-06798", "minorUnits": 24_900, "currency": "EUR" }], "acceptDoubtful": false, "dryRun": false }),
            )
            .answer(200, one("What was changed, or would be.", "CheckedPrices")),
        get("/v1/instances/{instance}/products/{product}/price-changes", "listPriceChanges", "instances", "Lists who changed the price of a product, and when")
            .about("The oldest first, all on one page.")
            .query([])
            .answer(200, whole("The changes.", "RecordedPriceChange")),
        delete("/v1/instances/{instance}/products/{product}/prices/{currency}", "removePrice", "instances", "Removes the price of a product in a currency")
            .answer(200, one("What was changed.", "PricedProducts")),
    ]
}

fn of_runs() -> Vec<Described> {
    vec![
        get(
            "/v1/instances/{instance}/services-runs",
            "listServicesRuns",
            "instances",
            "Lists the runs that read the catalog of an instance",
        )
        .about("The latest first.")
        .query([])
        .paged()
        .answer(200, page("ServicesRun"))
        .leads_to("getServicesRun", [INSTANCE, ("run", ROW)])
        .leads_to("listServicesRunLog", [INSTANCE, ("run", ROW)])
        .leads_to("listServicesRunDifferences", [INSTANCE, ("run", ROW)]),
        post(
            "/v1/instances/{instance}/services-runs",
            "startServicesRun",
            "instances",
            "Has the catalog of an instance read",
        )
        .about("A worker reads it; the run says how far it is. There is one run at a time.")
        .problem(409)
        .problem(422)
        .answer(
            202,
            started(),
        )
        .leads_to("getServicesRun", [INSTANCE, ("run", OWN)]),
        get(
            "/v1/instances/{instance}/services-runs/{run}",
            "getServicesRun",
            "instances",
            "Shows a run that reads the catalog of an instance",
        )
        .answer(200, one("The run.", "ServicesRun")),
        get("/v1/instances/{instance}/services-runs/{run}/log", "listServicesRunLog", "instances", "Lists what a run could not take, or took with a correction")
            .about("The oldest first.")
            .query([])
            .paged()
            .answer(200, page("ServicesRunLogLine")),
        get("/v1/instances/{instance}/services-runs/{run}/differences", "listServicesRunDifferences", "instances", "Lists what a run did to products")
            .about("By code.")
            .query([])
            .paged()
            .answer(200, page("RunDifference")),
        post("/v1/instances/{instance}/services-runs/{run}/acceptance", "acceptServicesRun", "instances", "Accepts what a run would discontinue")
            .about(
                "Another run reads the catalog again, and discontinues no more than the accepted one would have; where more is gone by then, it \
                 awaits acceptance in turn.",
            )
            .problem(409)
            .problem(422)
            .answer(202, started()),
        get("/v1/instances/{instance}/services-definition", "getServicesDefinition", "instances", "Shows the products as the platform's own contract has them")
            .about("A `ProductTypeCollection`; `docs/product-type-collection.schema.json` is its schema. Prices are not in it.")
            .answer(200, json_answer("The definition.", plain(Type::Object))),
    ]
}

fn of_settings() -> Vec<Described> {
    vec![
        get(
            "/v1/instances/{instance}/settings",
            "getSettings",
            "instances",
            "Shows the form of an instance with what is saved",
        )
        .about("The plugin makes the form. No secret is in it. Not for clients that are bound to instances (`client-bound`).")
        .problem(409)
        .problem(422)
        .answer(200, form("The form.")),
        patch(
            "/v1/instances/{instance}/settings",
            "changeSettings",
            "instances",
            "Changes settings of an instance, and saves them if no field has a problem",
        )
        .about(
            "An address in the form is a server that the instance reaches from then on, with its certificate and access tokens; a secret goes \
             there only once it is typed again. Trust, networks, further servers and the currency are not changed here. Not for clients that are \
             bound to instances (`client-bound`).",
        )
        .header(
            header("If-Match", "The `ETag` of the form that the change is based on.", "\"1\"")
                .required(Required::True),
        )
        .body(
            "SettingsBody",
            true,
            json!({
                "values": [{ "field": "country", "value": "DE" }],
                "secrets": [{ "field": "api-key", "value": "s3cr3t-0f-y0ur-v3nd0r" }],
            }),
        )
        .problem(412)
        .problem(428)
        .answer(200, form("The settings are saved.")),
        get("/v1/instances/{instance}/settings-versions", "listSettingsVersions", "instances", "Lists every change of an instance's settings")
            .about("Who made it, when, and the old and new values; no secret. The latest first. Not for clients that are bound to instances (`client-bound`).")
            .query([])
            .paged()
            .answer(200, page("SettingsVersion")),
    ]
}

/// A run that was started: whole, or what is known of it where it can't be read at that moment.
fn started() -> ResponseBuilder {
    json_answer(
        "The run is on record.",
        AnyOfBuilder::new()
            .item(Ref::from_schema_name("ServicesRun"))
            .item(Ref::from_schema_name("UnreadRun")),
    )
    .header("Location", header_of(Type::String, "The address of the run."))
}

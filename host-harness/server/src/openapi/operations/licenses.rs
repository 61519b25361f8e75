//! What concerns licenses: orders, assets, cancellations and events.

use bss_model::{CancellationState, LicenseState, SyncStatus};
use host_harness::view;
use serde_json::json;
use utoipa::openapi::{Required, Type};

use crate::fields::shown;
use crate::openapi::described::{
    Described, OWN, ROW, flag, get, header, header_of, id_schema, in_query, instance_filter, known, listed,
    one, order_example, page, placed, post, text, time, word,
};

pub(super) fn described() -> Vec<Described> {
    let groups = [of_orders(), of_assets(), of_cancellations(), vec![of_events()]];
    groups.into_iter().flatten().collect()
}

fn of_orders() -> Vec<Described> {
    vec![
        get("/v1/orders", "listOrders", "orders", "Lists orders")
            .about("The latest first.")
            .query([
                instance_filter(),
                text("customer", "The customer's id."),
                text("product", "A product's code."),
                word("state", "The state of the order as a whole.", shown(&view::SETTLEMENTS, view::settlement_word)),
                text("idempotencyKey", "The basket's own id, as in `Idempotency-Key`."),
                time("sinceMs", "Orders that were placed at that time or later."),
                time("untilMs", "Orders that were placed before that time."),
            ])
            .paged()
            .answer(200, page("Order"))
            .leads_to("getOrder", [("order", ROW)]),
        post("/v1/orders", "placeOrder", "orders", "Places an order, once for its idempotency key")
            .about(
                "Sent again with the same key, the same products and the same parties, it is answered 200 with the order as it \
                 stands; anything else with the key is refused (`key-reused`). A client that got no answer sends the same again.",
            )
            .header(
                header("Idempotency-Key", "The basket's own id, 1 to 255 visible ASCII characters.", "BASKET-7")
                    .required(Required::True),
            )
            .header(header(
                "Prefer",
                "`wait=20` has the request wait up to 20 seconds until the order is settled; 50 is the most.",
                "wait=20",
            ))
            .body("OrderBody", true, order_example())
            .answer(200, placed("The order was placed before, with the same key.").header(
                "Idempotency-Replayed",
                header_of(Type::String, "`true`."),
            ))
            .leads_to("getOrder", [("order", OWN)])
            .leads_to("withdrawOrder", [("order", OWN)])
            .answer(201, placed("The order is placed."))
            .leads_to("getOrder", [("order", OWN)])
            .leads_to("withdrawOrder", [("order", OWN)]),
        post("/v1/order-checks", "checkOrder", "orders", "Checks an order, here and in the plugin, and places none")
            .body("OrderBody", true, order_example())
            .answer(200, one("The order could be placed.", "OrderCheck")),
        get("/v1/orders/{order}", "getOrder", "orders", "Shows an order with its assets")
            .answer(200, one("The order.", "Order")),
        post("/v1/orders/{order}/withdrawal", "withdrawOrder", "orders", "Withdraws lines of an order that are not bought")
            .about("All lines where no body is sent.")
            .body("WithdrawalBody", false, json!({ "assets": ["00000000-0000-0000-0000-000000000000"] }))
            .answer(200, one("What the withdrawal came to, line by line.", "OrderWithdrawal")),
    ]
}

fn of_assets() -> Vec<Described> {
    vec![
        get(
            "/v1/assets",
            "listAssets",
            "assets",
            "Lists licenses that were ordered",
        )
        .about("The latest first.")
        .query([
            instance_filter(),
            in_query("order", "The id of an order.", id_schema()),
            text("customer", "The customer's id."),
            text("product", "A product's code."),
            word(
                "state",
                "The state of the license.",
                shown(LicenseState::ALL, LicenseState::word),
            ),
            word(
                "syncStatus",
                "Whether the asset has its license.",
                shown(SyncStatus::ALL, SyncStatus::word),
            ),
            flag(
                "overdue",
                "`true`: only licenses that have been open for longer than the platform waits.",
            ),
            time("sinceMs", "Licenses that were ordered at that time or later."),
            time("untilMs", "Licenses that were ordered before that time."),
        ])
        .paged()
        .answer(200, page("Asset"))
        .leads_to("getAsset", [("asset", ROW)])
        .leads_to("listAttempts", [("asset", ROW)])
        .leads_to("revealKey", [("asset", ROW)])
        .leads_to("refreshAsset", [("asset", ROW)])
        .leads_to("cancelAsset", [("asset", ROW)]),
        get(
            "/v1/assets/{asset}",
            "getAsset",
            "assets",
            "Shows a license that was ordered, its key masked",
        )
        .answer(200, one("The asset.", "Asset")),
        post(
            "/v1/assets/{asset}/retry",
            "retryAsset",
            "assets",
            "Makes the purchase of a license that was refused due again",
        )
        .about("A worker tries it; what an earlier attempt may have bought is looked up first. Where nothing was refused, nothing is done (`not-refused`).")
        .problem(409)
        .answer(200, known("The asset as it stands.", "Asset")),
        post(
            "/v1/assets/{asset}/refresh",
            "refreshAsset",
            "assets",
            "Asks the vendor how a license stands",
        )
        .problem(409)
        .problem(422)
        .answer(200, one("The asset with the vendor's answer.", "Asset")),
        get(
            "/v1/assets/{asset}/attempts",
            "listAttempts",
            "assets",
            "Lists every attempt to buy the license",
        )
        .answer(200, listed("The attempts, by number.", "PurchaseAttempt")),
        get(
            "/v1/assets/{asset}/key",
            "revealKey",
            "assets",
            "Shows the product key and the activation link, whole",
        )
        .about("Each time is an act on record under the client's name.")
        .problem(409)
        .answer(200, one("The key and the link.", "LicenseKey")),
    ]
}

fn of_cancellations() -> Vec<Described> {
    let decision = || json!({ "comment": "as agreed" });
    let decided = |path, id, summary, about| {
        post(path, id, "cancellations", summary)
            .about(about)
            .body("DecisionBody", false, decision())
            .answer(200, known("The cancellation.", "Cancellation"))
    };
    vec![
        get("/v1/cancellations", "listAllCancellations", "cancellations", "Lists the cancellations of all licenses")
            .about("The latest first. Those that are `requested` wait for somebody to decide.")
            .query([
                instance_filter(),
                word(
                    "state",
                    "The state of the cancellation.",
                    shown(CancellationState::ALL, CancellationState::word),
                ),
            ])
            .paged()
            .answer(200, page("Cancellation"))
            .leads_to("getCancellation", [("cancellation", ROW)]),
        get("/v1/assets/{asset}/cancellations", "listCancellations", "cancellations", "Lists the cancellations of an asset")
            .about("The latest first.")
            .query([])
            .paged()
            .answer(200, page("Cancellation")),
        post("/v1/assets/{asset}/cancellations", "cancelAsset", "cancellations", "Cancels an asset, or asks for it")
            .about("The license is returned, and only then is the asset cancelled and credited. With `requestOnly`, somebody confirms first.")
            .body(
                "CancellationBody",
                false,
                json!({ "comment": "too many", "requestedBy": { "kind": "customer", "name": "Jo" }, "requestOnly": true }),
            )
            .answer(201, known("The cancellation is on record.", "Cancellation"))
            .leads_to("getCancellation", [("cancellation", OWN)])
            .leads_to("confirmCancellation", [("cancellation", OWN)])
            .leads_to("declineCancellation", [("cancellation", OWN)])
            .leads_to("withdrawCancellation", [("cancellation", OWN)]),
        get("/v1/cancellations/{cancellation}", "getCancellation", "cancellations", "Shows a cancellation")
            .answer(200, one("The cancellation.", "Cancellation")),
        decided(
            "/v1/cancellations/{cancellation}/confirmation",
            "confirmCancellation",
            "Confirms a cancellation that was asked for",
            "The license is returned.",
        ),
        decided(
            "/v1/cancellations/{cancellation}/declination",
            "declineCancellation",
            "Declines a cancellation that was asked for",
            "The license stays.",
        ),
        decided(
            "/v1/cancellations/{cancellation}/withdrawal",
            "withdrawCancellation",
            "Withdraws a cancellation that was asked for",
            "The license stays.",
        ),
    ]
}

fn of_events() -> Described {
    get("/v1/events", "listEvents", "events", "Lists what came of licenses, as webhooks tell it")
        .about(
            "The oldest first. For a client that was not reached for a while: `next` is where it goes on, also after an empty page. \
             `after` of another record, or of a copy that is lost, is refused (`outcome-cursor-unknown`): read from the start again.",
        )
        .query([text("instance", "The name of an instance, or its id. Left out: all that the client may use.")])
        .paged()
        .problem(409)
        .answer(200, one("The events, and where what comes next is read.", "Events").header("Link", header_of(Type::String, "The address of the next page (RFC 8288), where this one is full.")))
}

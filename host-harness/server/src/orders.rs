//! `/v1/orders` and `/v1/order-checks`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State as Shared};
use axum::response::Response;
use bss_model::{AssetId, Contact, NewLine, OrderFilter, OrderId, Party, Rows, with_causes};
use host_harness::view::{self, Keys, OrderCheck};
use host_harness::{Error, InstanceHandle, OrderHandle, OrderRequest};
use http::header::LOCATION;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Caller;
use crate::answer::{ok, with_status};
use crate::body::Json;
use crate::fields::{Fields, Problems};
use crate::problem::{FieldProblem, Problem};
use crate::state::State;
use crate::{lists, request_headers};

/// Says that an order was placed before with the same idempotency key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How often an order that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// An order to be placed, or only checked.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `asked` reads it with all of its problems"
)]
pub(crate) struct OrderBody {
    /// The name of the instance that buys.
    instance: String,
    /// The party that gets the licenses.
    customer: PartyBody,
    /// The reseller who sells, and pays. Left out: the customer pays.
    reseller: Option<PartyBody>,
    /// The address to which the licenses are mailed. Left out: the host mails nothing.
    contact: Option<ContactBody>,
    /// The products, and the quantity of each.
    #[schema(min_items = 1, max_items = 10_000)]
    lines: Vec<LineBody>,
}

/// A company or person.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described by it: `party` reads it")]
pub(crate) struct PartyBody {
    /// The platform's own name for the party.
    id: String,
    /// The party's name.
    name: String,
    /// The country, ISO 3166-1 alpha-2, in upper case.
    country: String,
}

/// An e-mail address and a language.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described by it: `asked` reads it")]
pub(crate) struct ContactBody {
    /// The e-mail address.
    email: String,
    /// A language, BCP 47, such as `de-DE`. Left out: `en`.
    language: Option<String>,
}

/// A product, and how much of it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only described by it: `asked` reads it")]
pub(crate) struct LineBody {
    /// The product's code.
    product_code: String,
    /// The units.
    #[schema(minimum = 1)]
    quantity: u32,
}

/// The lines of an order that are withdrawn.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "only described by it: `withdraw` reads it with all of its problems"
)]
pub(crate) struct WithdrawalBody {
    /// The assets of the lines. Left out: all lines of the order.
    #[schema(min_items = 1, max_items = 10_000)]
    assets: Option<Vec<Uuid>>,
}

/// An order that is placed and can't be read at this moment: ask for it by its id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UnreadOrder {
    /// The id.
    #[schema(value_type = Uuid)]
    id: OrderId,
    /// `open`: not known yet.
    state: &'static str,
    /// The basket's own id, as in `Idempotency-Key`.
    idempotency_key: String,
}

/// Orders, the latest first.
pub(crate) async fn list(Extension(caller): Extension<Caller>, uri: Uri) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut query = Fields::of_query(uri.query(), &mut problems);
    let instance = query.text("instance", &mut problems);
    let filter = OrderFilter {
        instance: None,
        customer: query.text("customer", &mut problems),
        since_ms: query.time_ms("sinceMs", &mut problems),
        until_ms: query.time_ms("untilMs", &mut problems),
        idempotency_key: query.text("idempotencyKey", &mut problems),
        product: query.text("product", &mut problems),
        settlement: query.word("state", &view::SETTLEMENTS, view::settlement_word, &mut problems),
    };
    let page = lists::page(&mut query, &mut problems);
    query.end(&mut problems);
    problems.check()?;
    let filter = OrderFilter {
        instance: caller.listed(instance.as_deref()).await?,
        ..filter
    };
    let orders = caller.host().record().orders(&filter, &page).await?;
    let rows = caller.host().order_views(&orders.rows, Keys::Masked).await?;
    let next = orders.next;
    Ok(lists::answer(&uri, &Rows { rows, next }))
}

/// Answers with an order.
pub(crate) async fn show(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let order = named(&caller, &id).await?;
    Ok(ok(&order.read().await?))
}

/// Places an order, once for its idempotency key. A repetition is answered with the order as it stands.
pub(crate) async fn place(
    Shared(state): Shared<State>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Json(body): Json,
) -> Result<Response, Problem> {
    let key = request_headers::idempotency_key(&headers)?;
    let wait = request_headers::wait(&headers, state.limits.wait);
    let (instance, order) = asked(&caller, body.unwrap_or_default()).await?;
    let order = order.key(key.clone());
    let placed = instance.place(order.clone(), &caller.actor()).await;
    let placed = match placed {
        Ok(placed) => placed,
        Err(error) => return Err(with_fields(&instance, &order, &error).await),
    };
    let is_new = placed.is_new();
    let handle = placed.into_order();
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let until = Instant::now() + wait.unwrap_or_default();
    let is_over = || Instant::now() >= until || state.is_stopping.load(Ordering::Relaxed);
    let mut response = match settled(|| handle.read(), is_over).await {
        Ok(shown) => with_status(status, &shown),
        // The order is placed, whatever can't be read of it.
        Err(error) => {
            let causes = with_causes(&error);
            tracing::warn!(order = %handle.id(), causes, "an order that was placed can't be read");
            let known = UnreadOrder {
                id: handle.id(),
                state: "open",
                idempotency_key: key,
            };
            with_status(status, &known)
        }
    };
    let headers = response.headers_mut();
    // A UUID and numbers are ASCII.
    headers.extend(HeaderValue::from_str(&format!("/v1/orders/{}", handle.id())).map(|at| (LOCATION, at)));
    if !is_new {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    let applied = wait.map(|wait| format!("wait={}", wait.as_secs()));
    headers.extend(
        applied.and_then(|applied| Some((PREFERENCE_APPLIED, HeaderValue::from_str(&applied).ok()?))),
    );
    Ok(response)
}

/// Checks an order, here and in the plugin. Nothing is placed.
pub(crate) async fn check(
    Extension(caller): Extension<Caller>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (instance, order) = asked(&caller, body.unwrap_or_default()).await?;
    match instance.check(order.clone()).await {
        Ok(()) => Ok(ok(&OrderCheck { valid: true })),
        Err(error) => Err(with_fields(&instance, &order, &error).await),
    }
}

/// Withdraws lines of an order, or all of them where none is named.
pub(crate) async fn withdraw(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let mut problems = Problems::default();
    let mut assets = Vec::new();
    if let Some(body) = body {
        let mut fields = Fields::of_body(body, &mut problems);
        // A list without a line is a filter that found nothing, and not the whole order.
        let texts = fields.filled_texts("assets", &mut problems);
        for (index, text) in texts.iter().enumerate() {
            if problems.is_full() {
                break;
            }
            match text.parse::<AssetId>() {
                Ok(asset) => assets.push(asset),
                Err(error) => problems.extend([FieldProblem::of(format!("assets[{index}]"), &error)]),
            }
        }
        fields.end(&mut problems);
    }
    problems.check()?;
    let order = named(&caller, &id).await?;
    Ok(ok(&order.withdraw(&assets, &caller.actor()).await?))
}

async fn named(caller: &Caller, id: &str) -> Result<OrderHandle, Problem> {
    let id: OrderId = id.parse().map_err(|error| Problem::absent(&error))?;
    caller.order(id.into()).await
}

/// The instance and the order of a body, or all of the problems that both have.
async fn asked(caller: &Caller, body: Value) -> Result<(InstanceHandle, OrderRequest), Problem> {
    let mut problems = Problems::default();
    let mut fields = Fields::of_body(body, &mut problems);
    let name = fields.needed_text("instance", &mut problems);
    let customer = fields.needed_object("customer", &mut problems);
    let customer = customer.map(|fields| party(fields, &mut problems));
    let mut order = OrderRequest::new(customer.unwrap_or_else(|| Party {
        id: String::new(),
        name: String::new(),
        country: String::new(),
    }));
    if let Some(fields) = fields.object("reseller", &mut problems) {
        order = order.reseller(party(fields, &mut problems));
    }
    if let Some(mut fields) = fields.object("contact", &mut problems) {
        order = order.mail_to(Contact {
            email: fields.needed_text("email", &mut problems),
            language: fields
                .text("language", &mut problems)
                .unwrap_or_else(|| "en".to_owned()),
        });
        fields.end(&mut problems);
    }
    for mut fields in fields.objects("lines", &mut problems) {
        if problems.is_full() {
            break;
        }
        order.lines.push(NewLine {
            product_code: fields.needed_text("productCode", &mut problems),
            quantity: fields.needed_number("quantity", &mut problems),
        });
        fields.end(&mut problems);
    }
    fields.end(&mut problems);
    match caller.instance(&name).await {
        Ok(instance) if problems.is_empty() => Ok((instance, order)),
        Ok(instance) => {
            // What is right so far may be wrong in other ways.
            problems.extend(found(&instance, &order, None).await?);
            Err(problems.problem())
        }
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
            problems.extend(problem.in_field("instance").into_errors());
            Err(problems.problem())
        }
        Err(problem) => Err(problem),
    }
}

fn party(mut fields: Fields, problems: &mut Problems) -> Party {
    let party = Party {
        id: fields.needed_text("id", problems),
        name: fields.needed_text("name", problems),
        country: fields.needed_text("country", problems),
    };
    fields.end(problems);
    party
}

/// All that is wrong with an order, each with its field.
async fn found(
    instance: &InstanceHandle,
    order: &OrderRequest,
    refused: Option<&Error>,
) -> Result<Vec<FieldProblem>, Problem> {
    let found = instance.order_problems(order, refused).await?;
    let found = found.into_iter();
    Ok(found
        .map(|(field, error)| FieldProblem::of(field, &error))
        .collect())
}

/// The problem of an order that was not placed, with all that is wrong with it.
async fn with_fields(instance: &InstanceHandle, order: &OrderRequest, error: &Error) -> Problem {
    let problem = Problem::of(error);
    if error.is_transient() {
        return problem;
    }
    match found(instance, order, Some(error)).await {
        Ok(errors) => problem.with_errors(errors),
        // The error itself says enough.
        Err(_) => problem,
    }
}

/// The order once all of its licenses are settled, or as it stands when the time is over. Until then, a failure that may pass is
/// borne.
async fn settled<Reading: Future<Output = Result<view::Order, Error>>>(
    read: impl Fn() -> Reading,
    is_over: impl Fn() -> bool,
) -> Result<view::Order, Error> {
    loop {
        // Asked first, so that the last look is after the end.
        let is_over = is_over();
        match read().await {
            Ok(shown) if shown.state != "open" || is_over => return Ok(shown),
            Err(error) if is_over || !error.is_transient() => return Err(error),
            _ => sleep(LOOK_EVERY).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::atomic::AtomicUsize;

    use bss_model::ErrorKind;
    use host_harness::{PlaceError, RecordError};

    use super::*;

    #[tokio::test]
    async fn a_read_that_fails_for_a_while_is_repeated_until_the_time_is_over() {
        let reads = AtomicUsize::new(0);
        let read = || {
            reads.fetch_add(1, Ordering::Relaxed);
            ready(Err(Error::from(RecordError::TaskEnded)))
        };
        let failed = settled(read, || reads.load(Ordering::Relaxed) >= 2).await;
        assert_eq!(
            failed.err().map(|error| error.kind()),
            Some(ErrorKind::Unavailable)
        );
        assert_eq!(reads.into_inner(), 3);
    }

    #[tokio::test]
    async fn a_read_that_fails_for_good_is_not_repeated() {
        let read = || ready(Err(Error::from(PlaceError::NoOrder(uuid::Uuid::nil()))));
        let failed = settled(read, || false).await;
        assert_eq!(failed.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    }
}

//! Licenses: bought once for a subscription however often the platform says so, looked at, and returned.

use bss_model::{
    Asset, Cancellation, CancellationState, ErrorKind, LicenseState, Order, OrderFilter, OrderId, OrderLine,
    Page, Product, ProductFilter, SyncStatus, license_state, with_causes,
};
use host_harness::{AssetHandle, Error, InstanceHandle, OrderRequest};
use tokio::time::timeout_at;
use uuid::Uuid;

use super::asked::Asked;
use super::members::Unreadable;
use super::results::{Answer, Code, sentence};
use super::service_request::{Meant, ServiceRequest};
use crate::problem::Problem;

/// Buys a license for a subscription, or answers with the one that was bought for it. What was certainly not bought is tried again.
pub(super) async fn create(asked: &Asked<'_>) -> Result<Answer, Problem> {
    let request = match ServiceRequest::read(&asked.message, asked.query()) {
        Ok(request) => request,
        Err(error) => return Ok(error.into()),
    };
    if let Some(differs) = asked.differing_setting().await? {
        return Ok(differs);
    }
    let purchase = match Purchase::read(asked, &request).await? {
        Ok(purchase) => purchase,
        Err(error) => return Ok(error.into()),
    };
    if let Some(order) = placed(asked, purchase.subscription).await? {
        return repeated(asked, &request, &purchase, &order).await;
    }
    let order = match purchase.order() {
        Ok(order) => order,
        Err(error) => return Ok(error.into()),
    };
    let instance = asked.instance().await?;
    if request.meant != Meant::Really {
        return match timeout_at(asked.until, instance.check(order.clone())).await {
            Ok(Ok(())) => Ok(rehearsed(request.meant, "bought")),
            Ok(Err(error)) => refusal(&instance, &order, error).await,
            Err(_) => Ok(Answer::new(
                Code::Pending,
                "The vendor did not say in time. Run it again in a moment.",
            )),
        };
    }
    match instance.place(order.clone(), &asked.platform().actor()).await {
        Ok(placed) => {
            let (is_new, order) = (placed.is_new(), placed.into_order());
            let order = on_record(asked, order.id()).await?;
            match is_new {
                true => {
                    let asset = settled(asked, only_asset(&order)?).await?;
                    bought(asked, &asset).await
                }
                false => repeated(asked, &request, &purchase, &order).await,
            }
        }
        // Another call of the platform came first, with something else.
        Err(error) if error.code() == "key-reused" => Ok(mismatch(DIFFERS)),
        Err(error) => refusal(&instance, &order, error).await,
    }
}

/// Asks the vendor how a license stands, and tries again what was certainly not bought. Never buys what was not created.
pub(super) async fn update(asked: &Asked<'_>) -> Result<Answer, Problem> {
    let Named {
        request,
        order,
        asset,
    } = match named(asked).await? {
        Ok(named) => named,
        Err(answer) => return Ok(answer),
    };
    let products = products(asked).await?;
    match is_unchanged(&request, &order, &asset, &products) {
        Ok(true) => {}
        Ok(false) => return Ok(mismatch(DIFFERS)),
        Err(error) => return Ok(error.into()),
    }
    if request.meant != Meant::Really {
        return Ok(rehearsed(request.meant, "changed").about(asset.id));
    }
    if license_state(&asset) == LicenseState::Licensed {
        let handle = asked.asset(asset.id).await?;
        // The last answer on record is as good as there is where the vendor gives none now.
        let refreshed = timeout_at(asked.until, handle.refresh()).await;
        if !matches!(refreshed, Ok(Ok(_))) {
            let code = refreshed
                .as_ref()
                .ok()
                .and_then(|answer| answer.as_ref().err().map(Error::code));
            tracing::info!(asset = %asset.id, code, "the vendor did not say how the license stands");
        }
    }
    match again(asked, &asset).await? {
        Ok(asset) => told(asked, &asset).await,
        Err(answer) => Ok(answer),
    }
}

/// Whether what is given of a license is what was bought: nothing of it can be changed.
fn is_unchanged(
    request: &ServiceRequest<'_>,
    order: &Order,
    asset: &Asset,
    products: &[Product],
) -> Result<bool, Unreadable> {
    let customer = request.account_id()?;
    let is_same_customer = customer.is_none_or(|id| id == order.customer.id);
    let is_same_quantity = request.quantity.is_none_or(|quantity| quantity == asset.quantity);
    Ok(is_same_customer && is_same_quantity && is_meant(&codes(request, products), &asset.product_code))
}

/// Returns a license to the vendor, or withdraws what is not bought.
pub(super) async fn cancel(asked: &Asked<'_>) -> Result<Answer, Problem> {
    let Named { request, asset, .. } = match named(asked).await? {
        Ok(named) => named,
        Err(answer) => return Ok(answer),
    };
    if request.meant != Meant::Really {
        return check_cancel(asked, &asset, request.meant).await;
    }
    let handle = asked.asset(asset.id).await?;
    let mut state = license_state(&asset);
    if matches!(state, LicenseState::Open | LicenseState::Refused) {
        // What is in doubt is looked up, by a worker where that takes longer.
        if let Ok(withdrawn) = timeout_at(asked.until, handle.withdraw(&asked.platform().actor())).await {
            withdrawn?;
        }
        state = license_state(&asset_of(asked, asset.id).await?);
    }
    match state {
        LicenseState::Licensed => returned(asked, &handle, &request).await,
        // A refused license is withdrawn, too, so that nothing is bought for it by a later call.
        LicenseState::Open | LicenseState::Refused => Ok(pending(
            &asset,
            "It is not known yet whether it could be withdrawn. Run it again in a moment.",
        )),
        LicenseState::Withdrawn | LicenseState::Returned | LicenseState::Cancelled => {
            Ok(over(&asset_of(asked, asset.id).await?))
        }
    }
}

/// What is to be bought.
struct Purchase<'a> {
    subscription: &'a str,
    quantity: u32,
    /// The order without its line.
    request: OrderRequest,
    /// The code of the product, and whether each unit of it is a license of its own.
    product: Result<(String, bool), Unreadable>,
    /// The codes of all products that may be meant. None: the catalog has none of them any more, and what is meant can only have
    /// been bought before.
    meant: Vec<String>,
}

impl<'a> Purchase<'a> {
    async fn read(
        asked: &Asked<'_>,
        request: &ServiceRequest<'a>,
    ) -> Result<Result<Self, Unreadable>, Problem> {
        let (host, platform) = (asked.host(), asked.platform());
        let products = products(asked).await?;
        let types = host.record().product_types(platform.instance_id).await?;
        let splits = |product: &Product| {
            let of = types
                .iter()
                .find(|known| known.id == product.offered.product_type);
            of.is_none_or(|known| known.split_quantity)
        };
        let product = request.product(&products);
        let read = || {
            let subscription = request.needed_subscription()?;
            let order = OrderRequest::new(request.customer()?)
                .key(platform.order_key(subscription))
                .of_platform(platform.id);
            Ok((subscription, order))
        };
        Ok(read().map(|(subscription, order)| Self {
            subscription,
            quantity: request.quantity.unwrap_or(1),
            request: order,
            product: product.map(|product| (product.offered.code.clone(), splits(product))),
            meant: codes(request, &products),
        }))
    }

    /// The order, if it can be one of a single license.
    fn order(&self) -> Result<OrderRequest, Unreadable> {
        let (code, splits) = self.product.clone()?;
        match splits && self.quantity != 1 {
            true => Err(Unreadable::Value {
                member: "Quantity",
                expected: "1, for each license a subscription of its own,",
            }),
            false => Ok(self.request.clone().line(code, self.quantity)),
        }
    }

    /// Whether an order is for the same customer, product and quantity.
    fn is_of(&self, order: &Order, platform: Uuid) -> bool {
        let is_line =
            |line: &OrderLine| line.quantity == self.quantity && is_meant(&self.meant, &line.product_code);
        order.platform == Some(platform)
            && order.customer.id == self.request.customer.id
            && order.lines.iter().all(is_line)
    }
}

/// The products of the instance, also those that are not sold any more.
async fn products(asked: &Asked<'_>) -> Result<Vec<Product>, Problem> {
    let (record, instance) = (asked.host().record(), asked.platform().instance_id);
    let products = record
        .products(instance, &ProductFilter::default(), &Page::all())
        .await?;
    Ok(products.rows)
}

/// The codes of the products that a request may mean.
fn codes(request: &ServiceRequest<'_>, products: &[Product]) -> Vec<String> {
    let meant = request.products(products).unwrap_or_default().into_iter();
    meant.map(|product| product.offered.code.clone()).collect()
}

/// Whether a product may be meant. What the catalog does not tell can't differ.
fn is_meant(meant: &[String], code: &str) -> bool {
    meant.is_empty() || meant.iter().any(|known| known == code)
}

/// The answer to a subscription that is on record.
async fn repeated(
    asked: &Asked<'_>,
    request: &ServiceRequest<'_>,
    purchase: &Purchase<'_>,
    order: &Order,
) -> Result<Answer, Problem> {
    if !purchase.is_of(order, asked.platform().id) {
        return Ok(mismatch(DIFFERS));
    }
    let asset = only_asset(order)?;
    match request.meant {
        Meant::Really => {
            let asset = asset_of(asked, asset).await?;
            match again(asked, &asset).await? {
                Ok(asset) => bought(asked, &asset).await,
                Err(answer) => Ok(answer),
            }
        }
        Meant::Check | Meant::Test => Ok(rehearsed(request.meant, "bought").about(asset)),
    }
}

/// The answer to a purchase, about an asset that is settled or was waited for.
async fn bought(asked: &Asked<'_>, asset: &Asset) -> Result<Answer, Problem> {
    match license_state(asset) {
        // A buyer has to hear that there is no license.
        LicenseState::Returned | LicenseState::Cancelled => {
            let message = "The license of this subscription was returned. Order it as a new subscription.";
            Ok(Answer::new(Code::Returned, message)
                .about(asset.id)
                .with_fields(asset, None))
        }
        _ => told(asked, asset).await,
    }
}

/// Tries an asset again if it was refused, and returns it once it is settled or was waited for. The answer where it may not be
/// tried again.
async fn again(asked: &Asked<'_>, asset: &Asset) -> Result<Result<Asset, Answer>, Problem> {
    if asset.sync_status == SyncStatus::Failed {
        let handle = asked.asset(asset.id).await?;
        if let Err(error) = handle.retry_refused(&asked.platform().actor()).await {
            // A license that was settled meanwhile is one that the record tells of.
            match error.code() {
                "not-refused" | "has-license" | "asset-withdrawn" => {}
                _ if is_undecided(&error) => return Err(error.into()),
                _ => return Ok(Err(Answer::refused(&error).about(asset.id))),
            }
        }
    }
    Ok(Ok(settled(asked, asset.id).await?))
}

/// The asset once it is settled, or as it stands when the time is over.
async fn settled(asked: &Asked<'_>, id: Uuid) -> Result<Asset, Problem> {
    loop {
        let asset = asset_of(asked, id).await?;
        if license_state(&asset) != LicenseState::Open || !asked.waits().await {
            return Ok(asset);
        }
    }
}

/// The answer about an asset as it stands.
async fn told(asked: &Asked<'_>, asset: &Asset) -> Result<Answer, Problem> {
    match license_state(asset) {
        LicenseState::Licensed => licensed(asked, asset).await,
        LicenseState::Open => Ok(pending(
            asset,
            "It is not known yet whether the license was bought. Run it again in a moment: nothing is bought twice.",
        )),
        LicenseState::Refused => Ok(not_bought(asset)),
        LicenseState::Withdrawn => {
            let message = "It was withdrawn before it was bought, and nothing is bought for it any more.";
            Ok(Answer::new(Code::Withdrawn, message).about(asset.id))
        }
        LicenseState::Returned | LicenseState::Cancelled => Ok(over(asset)),
    }
}

/// The answer with a license: its key is shown to the platform, which is an act on record, and the platform writes to the customer once.
async fn licensed(asked: &Asked<'_>, asset: &Asset) -> Result<Answer, Problem> {
    let handle = asked.asset(asset.id).await?;
    let secrets = handle.license(&asked.platform().actor()).await?;
    let is_first = match &secrets {
        Some(_) => asked.host().record().take_platform_notice(asset.id).await?,
        None => false,
    };
    let answer = Answer::done()
        .about(asset.id)
        .with_fields(asset, secrets.as_ref());
    Ok(answer.with_notification(is_first))
}

/// The answer about a license that is over: nothing is left to return, and the fields say how it ended.
fn over(asset: &Asset) -> Answer {
    Answer::done().about(asset.id).with_fields(asset, None)
}

fn not_bought(asset: &Asset) -> Answer {
    let answer = match &asset.reason {
        Some(reason) => Answer::of_problem(&reason.problem),
        None => Answer::new(Code::Refused, "The license was refused."),
    };
    answer.about(asset.id)
}

fn pending(asset: &Asset, message: &str) -> Answer {
    Answer::new(Code::Pending, message).about(asset.id)
}

const DIFFERS: &str = "This subscription is known, and is of another customer, product or quantity. Order what is new as a new subscription.";

const OF_ANOTHER: &str = "The ID is that of another subscription's license.";

fn mismatch(message: &str) -> Answer {
    Answer::new(Code::Mismatch, message)
}

fn rehearsed(meant: Meant, done: &str) -> Answer {
    match meant {
        Meant::Test => Answer::new(Code::Done, format!("This is a test: nothing was {done}.")),
        Meant::Check | Meant::Really => Answer::done(),
    }
}

/// The answer to an order that can't be placed, with all that is wrong with it.
async fn refusal(instance: &InstanceHandle, request: &OrderRequest, error: Error) -> Result<Answer, Problem> {
    if is_undecided(&error) {
        return match error.code() {
            "not-checked" => {
                let message = sentence(&with_causes(&error), error.code());
                Ok(Answer::new(Code::Pending, message))
            }
            _ => Err(error.into()),
        };
    }
    // The error itself says enough where more can't be read.
    let found = instance
        .order_problems(request, Some(&error))
        .await
        .unwrap_or_default();
    let mut sentences = Vec::<String>::new();
    for error in [&error].into_iter().chain(found.iter().map(|(_, error)| error)) {
        let sentence = sentence(&with_causes(error), error.code());
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    Ok(Answer::new(Code::Refused, sentences.join("; ")))
}

/// Whether nothing was decided, because this machine, the record or the vendor is in the way.
pub(super) fn is_undecided(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Damaged)
}

/// A request about a license that was bought.
struct Named<'a> {
    request: ServiceRequest<'a>,
    order: Order,
    asset: Asset,
}

/// The license that a request names: by the asset's id, or by its subscription.
async fn named<'a>(asked: &'a Asked<'_>) -> Result<Result<Named<'a>, Answer>, Problem> {
    let request = match ServiceRequest::read(&asked.message, asked.query()) {
        Ok(request) => request,
        Err(error) => return Ok(Err(error.into())),
    };
    if let Some(differs) = asked.differing_setting().await? {
        return Ok(Err(differs));
    }
    let (platform, id) = (asked.platform(), request.id.map(Uuid::try_parse));
    let order = match (&id, request.subscription) {
        (None, None) => return Ok(Err(Unreadable::Missing { member: "ID" }.into())),
        (None, Some(subscription)) => placed(asked, subscription).await?,
        (Some(Ok(id)), _) => order_of(asked, *id).await?,
        (Some(Err(_)), _) => None,
    };
    let Some(order) = order.filter(|order| order.platform == Some(platform.id)) else {
        let message = "Nothing of that id or subscription was bought here.";
        return Ok(Err(Answer::new(Code::Unknown, message)));
    };
    let key = request
        .subscription
        .map(|subscription| platform.order_key(subscription));
    if key.is_some() && key != order.idempotency_key {
        return Ok(Err(mismatch(OF_ANOTHER)));
    }
    let asset = asset_of(asked, only_asset(&order)?).await?;
    Ok(Ok(Named {
        request,
        order,
        asset,
    }))
}

/// The order of an asset. `None`: there is no such asset.
async fn order_of(asked: &Asked<'_>, asset: Uuid) -> Result<Option<Order>, Problem> {
    let record = asked.host().record();
    match record.asset(asset).await? {
        Some(asset) => Ok(record.order(asset.order_id).await?),
        None => Ok(None),
    }
}

/// The order of a subscription.
async fn placed(asked: &Asked<'_>, subscription: &str) -> Result<Option<Order>, Problem> {
    let platform = asked.platform();
    let filter = OrderFilter {
        instance: Some(platform.instance_id),
        idempotency_key: Some(platform.order_key(subscription)),
        ..OrderFilter::default()
    };
    let found = asked.host().record().orders(&filter, &Page::first(1)).await?;
    Ok(found.rows.into_iter().next())
}

async fn on_record(asked: &Asked<'_>, order: OrderId) -> Result<Order, Problem> {
    let found = asked.host().record().order(order.into()).await?;
    found.ok_or_else(|| Problem::of(&host_harness::PlaceError::NoOrder(order.into())))
}

async fn asset_of(asked: &Asked<'_>, id: Uuid) -> Result<Asset, Problem> {
    let found = asked.host().record().asset(id).await?;
    found.ok_or_else(|| Problem::of(&host_harness::RetryError::NoAsset { id }))
}

/// The one asset of a subscription.
fn only_asset(order: &Order) -> Result<Uuid, Problem> {
    match order.lines.as_slice() {
        [line] => Ok(line.asset_id),
        _ => Err(Problem::of(&host_harness::RecordError::Damaged {
            what: format!("order `{}` of a platform has not one line", order.id),
        })),
    }
}

/// Whether a license could be returned, as far as this host knows.
async fn check_cancel(asked: &Asked<'_>, asset: &Asset, meant: Meant) -> Result<Answer, Problem> {
    let is_over = asset
        .returnable_until_ms
        .is_some_and(|until| until < bss_model::clock::now_ms());
    let product = asked
        .host()
        .record()
        .product(asset.instance_id, &asset.product_code)
        .await?;
    let is_returnable = product.is_none_or(|product| product.offered.returnable);
    match license_state(asset) {
        LicenseState::Licensed if is_over || !is_returnable => {
            let message = "The vendor does not take this license back any more.";
            Ok(Answer::new(Code::Refused, message).about(asset.id))
        }
        _ => Ok(rehearsed(meant, "returned").about(asset.id)),
    }
}

/// Has a license returned, or waits for a return that is under way.
async fn returned(
    asked: &Asked<'_>,
    handle: &AssetHandle,
    request: &ServiceRequest<'_>,
) -> Result<Answer, Problem> {
    let (record, id) = (asked.host().record(), handle.id().into());
    let platform = asked.platform();
    let last = record.last_cancellation(id).await?;
    let cancellation = match last.filter(|last| last.state.is_open()) {
        Some(open) => open,
        None => {
            let requester = request.requester(&platform.name);
            let cancelled = asked
                .host()
                .cancel_now(id, &requester, "", &platform.actor())
                .await;
            match cancelled.map_err(Error::from) {
                Ok(cancellation) => cancellation,
                Err(error) => match record.last_cancellation(id).await? {
                    // Another call of the platform came first.
                    Some(other) if error.code() == "cancellation-open" => other,
                    _ if is_undecided(&error) => return Err(error.into()),
                    _ => return Ok(Answer::refused(&error).about(id)),
                },
            }
        }
    };
    let cancellation = settled_cancellation(asked, cancellation).await?;
    let asset = asset_of(asked, id).await?;
    Ok(match cancellation.state {
        CancellationState::Done => over(&asset),
        CancellationState::Refused => {
            let answer = match &cancellation.reason {
                Some(reason) => Answer::of_problem(&reason.problem),
                None => Answer::new(Code::Refused, "The vendor did not take the license back."),
            };
            answer.about(id).with_fields(&asset, None)
        }
        CancellationState::Declined | CancellationState::Withdrawn => {
            let message = "Somebody at the host has decided that the license stays.";
            Answer::new(Code::Refused, message)
                .about(id)
                .with_fields(&asset, None)
        }
        CancellationState::Requested => pending(
            &asset,
            "Somebody at the host has to decide about a cancellation that was asked for there.",
        ),
        CancellationState::Returning => pending(
            &asset,
            "It is not known yet whether the vendor took the license back. Run it again in a moment: nothing is returned twice.",
        ),
    })
}

/// The cancellation once its return is settled, or as it stands when the time is over.
async fn settled_cancellation(
    asked: &Asked<'_>,
    mut cancellation: Cancellation,
) -> Result<Cancellation, Problem> {
    while cancellation.state == CancellationState::Returning && asked.waits().await {
        let again = asked.host().record().cancellation(cancellation.id).await?;
        cancellation = again.unwrap_or(cancellation);
    }
    Ok(cancellation)
}

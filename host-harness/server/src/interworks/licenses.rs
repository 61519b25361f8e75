//! Licenses: bought once for a subscription however often the platform says so, looked at, and returned.

use std::time::Duration;

use bss_model::{
    Asset, AssetId, Cancellation, CancellationState, ErrorKind, InstanceId, LicenseState, Order, OrderId,
    OrderLine, Page, Product, ProductFilter, SyncStatus, license_state,
};
use host_harness::{AssetHandle, Error, InstanceHandle, OrderRequest};
use tokio::time::{sleep, timeout_at};
use uuid::Uuid;

use super::asked::Asked;
use super::members::Unreadable;
use super::results::{Answer, Code};
use super::service_request::{Meant, ServiceRequest};
use crate::problem::Problem;

/// How often what is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Buys a license for a subscription, or answers with the one that was bought for it. What was certainly not bought is tried again.
pub(super) async fn create(asked: &Asked<'_>) -> Result<Answer, Problem> {
    let request = match ServiceRequest::read(asked.message(), asked.query()) {
        Ok(request) => request,
        Err(error) => return Ok(error.into()),
    };
    if let Some(differs) = asked.differing_setting().await? {
        return Ok(differs);
    }
    let instance = asked
        .host()
        .instance_of_id(InstanceId(asked.platform().instance_id))
        .await?;
    let purchase = match Purchase::read(asked, &request).await? {
        Ok(purchase) => purchase,
        Err(error) => return Ok(error.into()),
    };
    if let Some(order) = placed(asked, &instance, purchase.subscription).await? {
        return repeated(asked, &request, &purchase, &order).await;
    }
    let order = match purchase.order() {
        Ok(order) => order,
        Err(error) => return Ok(error.into()),
    };
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
        Err(error) if error.code() == "key-reused" => Ok(mismatch()),
        Err(error) => refusal(&instance, &order, error).await,
    }
}

/// Asks the vendor how a license stands, and tries again what was certainly not bought. Never buys what was not created.
pub(super) async fn update(asked: &Asked<'_>) -> Result<Answer, Problem> {
    let (request, asset) = match named(asked).await? {
        Ok(named) => named,
        Err(answer) => return Ok(answer),
    };
    if !is_unchanged(asked, &request, &asset).await? {
        return Ok(mismatch());
    }
    if request.meant != Meant::Really {
        return Ok(rehearsed(request.meant, "changed").about(asset.id));
    }
    if license_state(&asset) == LicenseState::Licensed {
        let handle = asked.host().asset(AssetId(asset.id)).await?;
        // The last answer on record is as good as there is where the vendor gives none now.
        match timeout_at(asked.until, handle.refresh()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::info!(asset = %asset.id, code = error.code(), "the vendor did not say how the license stands")
            }
            Err(_) => {
                tracing::info!(asset = %asset.id, "the vendor did not say in time how the license stands")
            }
        }
    }
    let asset = again(asked, &asset).await?;
    told(asked, &asset).await
}

/// Whether what is given of a license is what was bought: nothing of it can be changed.
async fn is_unchanged(
    asked: &Asked<'_>,
    request: &ServiceRequest<'_>,
    asset: &Asset,
) -> Result<bool, Problem> {
    let record = asked.host().record();
    let products = record
        .products(asset.instance_id, &ProductFilter::default(), &Page::all())
        .await?
        .rows;
    let customer = match request.account_id() {
        Ok(Some(id)) => record
            .order(asset.order_id)
            .await?
            .is_some_and(|order| order.customer.id == id),
        Ok(None) => true,
        Err(_) => false,
    };
    let quantity = request.quantity.is_none_or(|quantity| quantity == asset.quantity);
    Ok(customer && quantity && is_meant(&codes(request, &products), &asset.product_code))
}

/// Returns a license to the vendor, or withdraws what is not bought.
pub(super) async fn cancel(asked: &Asked<'_>) -> Result<Answer, Problem> {
    let (request, asset) = match named(asked).await? {
        Ok(named) => named,
        Err(answer) => return Ok(answer),
    };
    if request.meant != Meant::Really {
        return check_cancel(asked, &asset, request.meant).await;
    }
    let handle = asked.host().asset(AssetId(asset.id)).await?;
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
        // What was refused is withdrawn, too, so that nothing is bought for it by a later call.
        LicenseState::Open | LicenseState::Refused => Ok(pending(
            &asset,
            "Whether it was bought is being looked up. Run it again in a moment.",
        )),
        LicenseState::Withdrawn | LicenseState::Returned | LicenseState::Cancelled => {
            ended(asked, asset.id).await
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
        let (record, instance) = (host.record(), platform.instance_id);
        let products = record
            .products(instance, &ProductFilter::default(), &Page::all())
            .await?
            .rows;
        let types = record.product_types(instance).await?;
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
                expected: "1, because each license is a subscription of its own",
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
        return Ok(mismatch());
    }
    let asset = only_asset(order)?;
    match request.meant {
        Meant::Really => {
            let asset = again(asked, &asset_of(asked, asset).await?).await?;
            bought(asked, &asset).await
        }
        Meant::Check | Meant::Test => Ok(rehearsed(request.meant, "bought").about(asset)),
    }
}

/// The answer to who buys, about an asset that is settled or was waited for.
async fn bought(asked: &Asked<'_>, asset: &Asset) -> Result<Answer, Problem> {
    match license_state(asset) {
        // Whoever buys has to hear that there is no license.
        LicenseState::Returned | LicenseState::Cancelled => {
            let message = "The license of this subscription was returned. Order it as a new subscription.";
            Ok(Answer::new(Code::Returned, message)
                .about(asset.id)
                .with_fields(asset, None))
        }
        _ => told(asked, asset).await,
    }
}

/// Tries an asset again if it was refused, and returns it once it is settled or was waited for.
async fn again(asked: &Asked<'_>, asset: &Asset) -> Result<Asset, Problem> {
    if asset.sync_status == SyncStatus::Failed {
        let handle = asked.host().asset(AssetId(asset.id)).await?;
        if let Err(error) = handle.retry_refused(&asked.platform().actor()).await {
            if is_of_this_machine(&error) {
                return Err(error.into());
            }
            // It was settled meanwhile, or is not sold any more: what is on record says how it stands.
            tracing::info!(asset = %asset.id, code = error.code(), "a refused license is not tried again");
        }
    }
    settled(asked, asset.id).await
}

/// The asset once it is settled, or as it stands when the time is over.
async fn settled(asked: &Asked<'_>, asset: Uuid) -> Result<Asset, Problem> {
    loop {
        let is_over = asked.is_over();
        let asset = asset_of(asked, asset).await?;
        if is_over || license_state(&asset) != LicenseState::Open {
            return Ok(asset);
        }
        sleep(LOOK_EVERY).await;
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
        LicenseState::Returned | LicenseState::Cancelled => ended(asked, asset.id).await,
    }
}

/// The answer with a license: its key is shown to the platform, which is an act on record, and the platform writes to the customer once.
async fn licensed(asked: &Asked<'_>, asset: &Asset) -> Result<Answer, Problem> {
    let handle = asked.host().asset(AssetId(asset.id)).await?;
    let secrets = handle.license(&asked.platform().actor()).await?;
    let is_first = match &secrets {
        Some(_) => asked.host().record().notify_platform_once(asset.id).await?,
        None => false,
    };
    let answer = Answer::done()
        .about(asset.id)
        .with_fields(asset, secrets.as_ref());
    Ok(answer.with_notification(is_first))
}

/// The answer to what is over: nothing is left to return, and the fields say how it ended.
async fn ended(asked: &Asked<'_>, asset: Uuid) -> Result<Answer, Problem> {
    let asset = asset_of(asked, asset).await?;
    Ok(Answer::done().about(asset.id).with_fields(&asset, None))
}

fn not_bought(asset: &Asset) -> Answer {
    let message = match &asset.reason {
        Some(reason) => format!("{} ({})", reason.problem.message, reason.problem.code),
        None => "The license was refused.".to_owned(),
    };
    Answer::new(Code::Refused, message).about(asset.id)
}

fn pending(asset: &Asset, message: &str) -> Answer {
    Answer::new(Code::Pending, message).about(asset.id)
}

fn mismatch() -> Answer {
    let message = "This subscription is known, and is of another customer, product or quantity. Order what is new as a new subscription.";
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
    if is_of_this_machine(&error) {
        return match error.code() {
            "not-checked" => Ok(Answer::new(
                Code::Pending,
                format!("{} (not-checked)", bss_model::with_causes(&error)),
            )),
            _ => Err(error.into()),
        };
    }
    // The error itself says enough where more can't be read.
    let found = instance
        .order_problems(request, Some(&error))
        .await
        .unwrap_or_default();
    let mut sentences = vec![Answer::sentence(&error)];
    for (_, error) in &found {
        let sentence = Answer::sentence(error);
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    Ok(Answer::new(Code::Refused, sentences.join("; ")))
}

/// Whether this machine, the record or the vendor is in the way: nothing is known then, and the log has the causes.
pub(super) fn is_of_this_machine(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Damaged)
}

/// The request and the asset that it names: by our id, or by its subscription.
async fn named<'a>(asked: &'a Asked<'_>) -> Result<Result<(ServiceRequest<'a>, Asset), Answer>, Problem> {
    let request = match ServiceRequest::read(asked.message(), asked.query()) {
        Ok(request) => request,
        Err(error) => return Ok(Err(error.into())),
    };
    if let Some(differs) = asked.differing_setting().await? {
        return Ok(Err(differs));
    }
    let unknown = || {
        let message = "Nothing of that id or subscription was bought here.";
        Ok(Err(Answer::new(Code::Unknown, message)))
    };
    let by_id = match request.id.map(Uuid::try_parse) {
        None => None,
        Some(Err(_)) => return unknown(),
        Some(Ok(id)) => match own_asset(asked, id).await? {
            Some(asset) => Some(asset),
            None => return unknown(),
        },
    };
    let by_subscription = match request.subscription {
        None => None,
        Some(subscription) => {
            let instance = asked
                .host()
                .instance_of_id(InstanceId(asked.platform().instance_id))
                .await?;
            match placed(asked, &instance, subscription).await? {
                Some(order) if order.platform == Some(asked.platform().id) => {
                    Some(asset_of(asked, only_asset(&order)?).await?)
                }
                _ if by_id.is_none() => return unknown(),
                // The asset is of another subscription.
                _ => return Ok(Err(mismatch())),
            }
        }
    };
    match (by_id, by_subscription) {
        (Some(asset), Some(other)) if asset.id != other.id => Ok(Err(mismatch())),
        (Some(asset), _) | (None, Some(asset)) => Ok(Ok((request, asset))),
        (None, None) => Ok(Err(Unreadable::Missing { member: "ID" }.into())),
    }
}

/// The asset of an id, if the platform has bought it.
async fn own_asset(asked: &Asked<'_>, id: Uuid) -> Result<Option<Asset>, Problem> {
    let record = asked.host().record();
    let Some(asset) = record.asset(id).await? else {
        return Ok(None);
    };
    let order = record.order(asset.order_id).await?;
    let is_own = order.is_some_and(|order| order.platform == Some(asked.platform().id));
    Ok(is_own.then_some(asset))
}

/// The order of a subscription.
async fn placed(
    asked: &Asked<'_>,
    instance: &InstanceHandle,
    subscription: &str,
) -> Result<Option<Order>, Problem> {
    let placed = instance.placed(&asked.platform().order_key(subscription)).await?;
    match placed {
        Some(order) => Ok(Some(on_record(asked, order.id()).await?)),
        None => Ok(None),
    }
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
                    _ if is_of_this_machine(&error) => return Err(error.into()),
                    _ => return Ok(Answer::refused(&error).about(id)),
                },
            }
        }
    };
    let asset = asset_of(asked, id).await?;
    match ended_cancellation(asked, cancellation).await? {
        Ended::Done => ended(asked, id).await,
        Ended::Refused(why) => Ok(Answer::new(Code::Refused, why)
            .about(id)
            .with_fields(&asset, None)),
        Ended::Open(why) => Ok(pending(&asset, why)),
    }
}

enum Ended {
    Done,
    Refused(String),
    Open(&'static str),
}

async fn ended_cancellation(asked: &Asked<'_>, mut cancellation: Cancellation) -> Result<Ended, Problem> {
    loop {
        match cancellation.state {
            CancellationState::Done => return Ok(Ended::Done),
            CancellationState::Refused => {
                let why = cancellation
                    .reason
                    .map(|reason| format!("{} ({})", reason.problem.message, reason.problem.code));
                return Ok(Ended::Refused(why.unwrap_or_else(|| {
                    "The vendor did not take the license back.".to_owned()
                })));
            }
            CancellationState::Declined | CancellationState::Withdrawn => {
                return Ok(Ended::Refused(
                    "Somebody at the host has decided that the license stays.".to_owned(),
                ));
            }
            CancellationState::Requested => {
                return Ok(Ended::Open(
                    "Somebody at the host has to decide about a cancellation that was asked for there.",
                ));
            }
            CancellationState::Returning if !asked.is_over() => sleep(LOOK_EVERY).await,
            CancellationState::Returning => {
                return Ok(Ended::Open(
                    "It is not known yet whether the vendor took the license back. Run it again in a moment: nothing is returned twice.",
                ));
            }
        }
        let again = asked.host().record().cancellation(cancellation.id).await?;
        cancellation = again.unwrap_or(cancellation);
    }
}

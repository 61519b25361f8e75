//! `order …`: licenses are ordered, and an order is followed until its licenses are bought.

use std::collections::BTreeMap;

use bss_model::clock::rfc3339;
use bss_model::{Advice, AssetId, Contact, ErrorKind, IdKind, NewLine, Party, Settlement, settlement};
use clap::{Args, Subcommand};
use host_harness::view::{Keys, OrderCheck, OrderWithdrawal};
use host_harness::{Error, Host, InstanceHandle, OrderRequest, PlaceError};
use serde_json::json;
use uuid::Uuid;

use super::assets::show_assets;
use super::bulk::BulkArguments;
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::{confirms, is_on_a_terminal, operator};
use super::order_list::{self, ListOrders, assets_of};
use super::progress::listener;
use super::typed_ids::{self, TypedId, TypedOrder};
use super::{contact_doubts, output, show};

#[derive(Debug, Subcommand)]
pub(super) enum OrderCommand {
    /// Order licenses: each unit becomes a license of its own, or all of them one license, as the product's type says
    Place(Box<PlaceOrder>),
    /// Resume an order whose licenses are not all settled; each purchase is looked up before it is sent again
    Resume {
        /// The order's id, or the shop's own key
        order: TypedOrder,
    },
    /// Withdraw what of an order is not bought yet, refused lines included; what may be bought is looked up first
    Withdraw {
        /// The order's id, or the shop's own key
        order: TypedOrder,
        /// Only the line of this asset; may be repeated
        #[arg(long, value_name = "ASSET")]
        asset: Vec<TypedId>,
        /// You have asked the vendor, which has not sold the licenses: what no look-up can tell is withdrawn on your word
        #[arg(long, requires = "asset")]
        not_bought: bool,
        #[command(flatten)]
        bulk: BulkArguments,
    },
    /// Show orders, the latest first
    List(ListOrders),
    /// Show an order and its licenses
    Show {
        /// The order's id, or the shop's own key
        order: TypedOrder,
    },
}

#[derive(Debug, Args)]
pub(super) struct PlaceOrder {
    /// The instance's name
    pub(super) instance: String,
    /// A product's code; may be repeated
    #[arg(long, required = true, value_name = "CODE")]
    pub(super) offer: Vec<String>,
    /// The quantity of the product before it; without any `--quantity`, 1 of each product
    #[arg(long, value_name = "N")]
    pub(super) quantity: Vec<u32>,
    /// The platform's id of the customer who gets the licenses
    #[arg(long, value_name = "ID")]
    pub(super) customer: String,
    /// The customer's name
    #[arg(long, value_name = "NAME")]
    pub(super) customer_name: String,
    /// The customer's country, ISO 3166-1 alpha-2
    #[arg(long, value_name = "CODE")]
    pub(super) customer_country: String,
    /// The e-mail address to which the licenses are sent
    #[arg(long, value_name = "ADDRESS")]
    pub(super) customer_email: String,
    /// The language of the e-mails to the customer, BCP 47
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    pub(super) customer_language: String,
    /// A key of this order: a repeated command with the same key shows the first order and places no second one
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// Buy the licenses now and wait for them, instead of leaving them to `bss-host run`
    #[arg(long, conflicts_with = "check_only")]
    pub(super) wait: bool,
    /// Check the order, on this host and in the plugin, and order nothing
    #[arg(long)]
    pub(super) check_only: bool,
}

pub(super) async fn run(host: &Host, command: OrderCommand, json: bool) -> Outcome {
    match command {
        OrderCommand::Place(place) => self::place(host, *place, json).await,
        OrderCommand::Resume { order } => resume(host, order.of(host).await?, json).await,
        OrderCommand::Withdraw {
            order,
            asset,
            not_bought,
            bulk,
        } => {
            let order = order.of(host).await?;
            let assets = typed_ids::all(&asset, IdKind::Asset, host).await?;
            let (what, left) = to_withdraw(host, order, &assets).await?;
            match (bulk.is_dry(), json) {
                (true, true) => show::dry_json(&json!({ "orderId": order, "assetIds": left }))?,
                (true, false) => drop(bulk.agreed(&what)?),
                (false, _) => bulk.ask_on_a_terminal(&what)?,
            }
            if bulk.is_dry() {
                return Ok(ExitStatus::Done);
            }
            withdraw(host, order, &assets, not_bought, json).await
        }
        OrderCommand::List(list) => order_list::run(host, list, json).await,
        OrderCommand::Show { order } => {
            let order = order.of(host).await?;
            let settlement = show_order(host, order, json).await?;
            if settlement == Settlement::Open && !json {
                output::note(format!(
                    "not every license of order {order} is bought yet; `bss-host run`, or `bss-host order resume \
                     {order}`, continues the order"
                ));
            }
            Ok(ExitStatus::Done)
        }
    }
}

async fn place(host: &Host, place: PlaceOrder, json: bool) -> Outcome {
    let lines = order_lines(&place.offer, &place.quantity)?;
    let customer = Party {
        id: place.customer,
        name: place.customer_name,
        country: place.customer_country,
    };
    let contact = Contact {
        email: place.customer_email,
        language: place.customer_language,
    };
    contact_doubts::warn(Some(&contact.email), Some(&contact.language));
    let mut request = OrderRequest::new(customer).mail_to(contact);
    request.lines = lines;
    request.idempotency_key = place.idempotency_key;
    let instance = host.heard_by(listener()).instance(&place.instance).await?;
    if place.check_only {
        instance.check(request).await?;
        if json {
            show::json(&OrderCheck { valid: true })?;
        } else {
            output::line("the order can be placed; nothing was ordered");
        }
        return Ok(ExitStatus::Done);
    }
    let same = check_repetition(&instance, &request).await?;
    let placed = instance.place(request, &operator()).await?;
    let is_new = placed.is_new();
    if let Some(same) = same {
        output::note(format!("{same}; this one is placed beside it. {KEY}"));
    }
    let order = placed.into_order();
    let id = order.id();
    if !is_new {
        let placed_at_ms = order.read().await?.placed_at_ms;
        output::note(format!(
            "order {id} was placed with this key before, {}; nothing new is ordered",
            show::time(placed_at_ms)
        ));
    }
    if place.wait {
        // The order's id is shown before anything can interrupt the purchase.
        if is_new {
            output::note(format!("order {id} is placed"));
        }
        // The order stands, whatever fails from here on: it must not be placed again.
        let not_bought_now = |error: Error| {
            let placed = format!("order {id} is placed, but its licenses can't be bought now");
            let next = Advice::ResumeOrder { order: id.into() };
            Failure::from(error).unsettled().after(&placed).advise(&next)
        };
        order.settle().await.map_err(not_bought_now)?;
        return settled(host, id.into(), json).await;
    }
    match show_order(host, id.into(), json).await? {
        Settlement::Open => output::note(format!(
            "`bss-host run` buys the licenses in the background; `bss-host order resume {id}` buys them now"
        )),
        Settlement::Withdrawn => {
            output::note(
                "the order was withdrawn, and its key stays with it: another order needs another key",
            );
        }
        Settlement::Licensed | Settlement::Partly | Settlement::Refused => {}
    }
    Ok(ExitStatus::Done)
}

const KEY: &str =
    "`--idempotency-key KEY` says whether an order is a repetition: it is placed once for each key";

/// Asks a person on a terminal whether an order is placed once more on purpose. Returns what anybody else is told once it is.
async fn check_repetition(
    instance: &InstanceHandle,
    request: &OrderRequest,
) -> Result<Option<String>, Failure> {
    let Some(same) = instance.repeated(request).await? else {
        return Ok(None);
    };
    let same = same.read().await?;
    let same = format!(
        "order {} of {} is for the same customer and the same products",
        same.id,
        rfc3339(same.placed_at_ms)
    );
    if !is_on_a_terminal() {
        return Ok(Some(same));
    }
    match confirms(&format!("{same}. Place it once more?"))? {
        true => Ok(None),
        false => Err(Failure::new(
            ErrorKind::Refused,
            "order-repeated",
            format!("{same}; nothing was placed"),
        )
        .hint(KEY)),
    }
}

/// Products and their quantities: none at all means one of each; else there is one for each product.
fn order_lines(offers: &[String], quantities: &[u32]) -> Result<Vec<NewLine>, Failure> {
    let line = |(offer, quantity): (&String, u32)| NewLine {
        product_code: offer.clone(),
        quantity,
    };
    if quantities.is_empty() {
        return Ok(offers.iter().map(|offer| line((offer, 1))).collect());
    }
    if offers.len() != quantities.len() {
        let message = format!(
            "{} products but {} quantities were given",
            offers.len(),
            quantities.len()
        );
        return Err(Failure::usage(message).hint("give one --quantity after each --offer, or none at all"));
    }
    Ok(offers.iter().zip(quantities.iter().copied()).map(line).collect())
}

/// Buys what is not bought yet, as far as that is possible now.
async fn resume(host: &Host, order: Uuid, json: bool) -> Outcome {
    host.heard_by(listener())
        .order(order.into())
        .await?
        .settle()
        .await?;
    settled(host, order, json).await
}

/// Says what a withdrawal of these assets would do, or of all where none is named, and the assets that may not be bought yet.
async fn to_withdraw(host: &Host, order: Uuid, assets: &[Uuid]) -> Result<(String, Vec<Uuid>), Failure> {
    let view = host.order(order.into()).await?.read().await?;
    let of_order = view.assets.iter();
    let meant = of_order.filter(|asset| assets.is_empty() || assets.contains(&asset.id));
    let left = meant.filter(|asset| matches!(asset.state.as_str(), "open" | "refused"));
    let left: Vec<Uuid> = left.map(|asset| asset.id).collect();
    let customer = &view.parties.customer;
    let what = format!(
        "withdraw {} of order {} of {} for good, unless they are bought",
        show::counted(left.len() as u64, "line"),
        show::short(order),
        show::party(&customer.name, &customer.id)
    );
    Ok((what, left))
}

/// Withdraws lines of an order, and tells what is bought or may be.
async fn withdraw(host: &Host, order: Uuid, assets: &[Uuid], not_bought: bool, json: bool) -> Outcome {
    let handle = host.heard_by(listener()).order(order.into()).await?;
    let assets: Vec<AssetId> = assets.iter().map(|asset| AssetId(*asset)).collect();
    let withdrawal = match not_bought {
        true => handle.withdraw_on_word(&assets, &operator()).await?,
        false => handle.withdraw(&assets, &operator()).await?,
    };
    if json {
        show::json(&withdrawal)?;
    } else {
        output::line(format!(
            "order {order}: {} withdrawn, {} in doubt, {} bought",
            withdrawal.withdrawn, withdrawal.in_doubt, withdrawal.bought
        ));
    }
    withdrawal_notes(&withdrawal);
    if withdrawal.in_doubt > 0 {
        let message = format!(
            "whether {} of order {order} can be withdrawn is not known yet",
            show::counted(withdrawal.in_doubt, "line")
        );
        let hint = match not_bought {
            false => {
                "`bss-host run` looks them up, buys none of them, and withdraws those that were not bought; so does this command, \
                 given again. Where the vendor can't be looked up, ask it, and then say `--not-bought`"
            }
            true => {
                "a request may be under way for minutes, or the vendor has accepted the order, or this record is a copy; \
                 `bss-host asset history ASSET` tells. Give the command again later"
            }
        };
        return Err(Failure::new(ErrorKind::Unavailable, "withdrawal-not-settled", message).hint(hint));
    }
    if withdrawal.withdrawn == 0 {
        let message = format!("nothing of order {order} is left to withdraw");
        return Err(Failure::new(ErrorKind::Refused, "nothing-to-withdraw", message));
    }
    Ok(ExitStatus::Done)
}

/// Names the lines that are not withdrawn, and says what helps.
fn withdrawal_notes(withdrawal: &OrderWithdrawal) {
    const NAMED_MAX: usize = 10;
    for (end, what) in [("in-doubt", "may be bought"), ("bought", "is bought")] {
        let lines: Vec<_> = withdrawal.lines.iter().filter(|line| line.end == end).collect();
        for line in lines.iter().take(NAMED_MAX) {
            let product = show::units(line.quantity, &line.product_code);
            output::note(format!(
                "line {}, asset {}, {product}: {what}",
                line.position, line.asset_id
            ));
        }
        if let Some(more) = lines.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            output::note(format!("and {}: {what}", show::counted(more as u64, "more line")));
        }
    }
    if withdrawal.bought > 0 {
        output::note("hint: `bss-host asset cancel ASSET` returns a license that is bought, and credits it");
    }
}

/// Shows an order, and fails unless all of its licenses are bought.
async fn settled(host: &Host, order: Uuid, json: bool) -> Outcome {
    match show_order(host, order, json).await? {
        Settlement::Licensed => Ok(ExitStatus::Done),
        Settlement::Partly | Settlement::Refused => Err(Failure::new(
            ErrorKind::Refused,
            "not-bought",
            format!("not every license of order {order} was bought"),
        )
        .hint(
            "correct the cause, then try to buy a license again with `bss-host asset retry`, which looks it up first",
        )),
        Settlement::Withdrawn => Err(Failure::new(
            ErrorKind::Refused,
            "order-withdrawn",
            format!("order {order} was withdrawn, and nothing of it is bought"),
        )),
        Settlement::Open => Err(Failure::new(
            ErrorKind::Unavailable,
            "not-settled",
            format!("order {order} is not settled: whether every license was bought is not known yet"),
        )
        .hint(
            format!(
                "`bss-host run`, or `bss-host order resume {order}`, looks the purchases up and buys only what was not bought"
            ),
        )),
    }
}

async fn show_order(host: &Host, order_id: Uuid, json: bool) -> Result<Settlement, Failure> {
    let order = host.record().order(order_id).await?;
    let order = order.ok_or(PlaceError::NoOrder(order_id))?;
    let assets = assets_of(host, order_id).await?;
    let settlement = settlement(&assets);
    if json {
        let view = host.order_view(&order, &assets, Keys::Masked).await;
        show::json(&view?)?;
    } else {
        let key = order.idempotency_key.as_deref();
        let parties = host
            .record()
            .parties_of_orders(&[order_id].into())
            .await?
            .remove(&order_id);
        output::line(format!(
            "order {order_id} of {} at {}, placed {}{}{}",
            show::party(&order.customer.name, &order.customer.id),
            parties
                .as_ref()
                .map_or_else(String::new, |parties| parties.instance.clone()),
            show::time(order.placed_at_ms),
            parties
                .and_then(|parties| parties.platform)
                .map_or_else(String::new, |platform| format!(" by platform {platform}")),
            key.map_or_else(String::new, |key| format!(", with key {key}"))
        ));
        show_assets(&assets, &BTreeMap::new());
    }
    Ok(settlement)
}

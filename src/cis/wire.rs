//! The license API's JSON, exactly as it is sent. Microsoft has published no description of it: these
//! shapes are this project's proposal, written down in `docs/cis-openapi.yaml`, and this file is the one
//! to change when the real ones are known.

use bss_plugin::catalog::Page;
use bss_plugin::text::one_line;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::instance_settings::Settings;
use crate::license::License;
use crate::text;
use bss_plugin::http::HttpResponse;
use bss_plugin::secret::Secret;
use bss_plugin::{LicenseOrder, LicenseTokenStatus, Party, ReturnStatus};

pub(super) const DUPLICATE_TRANSACTION: &str = "DuplicateTransaction";
pub(super) const ALREADY_RETURNED: &str = "AlreadyReturned";
pub(super) const LICENSE_NOT_FOUND: &str = "TokenNotFound";
pub(super) const CONTINUATION_EXPIRED: &str = "ContinuationExpired";
pub(super) const THROTTLED: &str = "Throttled";
pub(super) const UNAVAILABLE: &str = "Unavailable";
pub(super) const CHANNEL_NOT_AUTHORIZED: &str = "ChannelNotAuthorized";
pub(super) const CERTIFICATE_NOT_REGISTERED: &str = "CertificateNotRegistered";
pub(super) const CREDIT_EXHAUSTED: &str = "CreditExhausted";

/// The header field by which both sides name an exchange with the license API.
pub(crate) const CORRELATION_HEADER: &str = "ms-correlationid";

/// The longest id of Microsoft's that is taken, in bytes; a GUID has 36.
const ID_LENGTH_MAX: usize = 200;
/// The longest offer id, in Unicode scalar values; a longer one is no product code.
pub(crate) const OFFER_ID_LENGTH_MAX: usize = 200;
/// The longest product key that is taken, in bytes; a usual one has 29 characters.
const PRODUCT_KEY_LENGTH_MAX: usize = 200;
/// The longest activation link, in bytes: what every browser and mail program takes, and the host.
const ACTIVATION_LINK_LENGTH_MAX: usize = 2_048;
const ENTITY_TAG_LENGTH_MAX: usize = 200;
/// The longest continuation, in bytes: it becomes part of the next page's address.
const CONTINUATION_LENGTH_MAX: usize = 4_096;
const CORRELATION_ID_LENGTH_MAX: usize = 100;

/// The meaning of an error code: our code and the advice. `None` when the code is not documented.
pub(super) fn meaning(code: &str) -> Option<(&'static str, &'static str)> {
    const CATALOG: &str = "Run Get Services Definition, and order a product that is still offered.";
    const MICROSOFT: &str =
        "Check Channel ID, and ask Microsoft to allow it for the certificate of the instance.";
    Some(match code {
        "OfferNotFound" => ("offer-not-found", CATALOG),
        "OfferDiscontinued" => ("offer-discontinued", CATALOG),
        "CountryNotAllowed" => (
            "country-not-allowed",
            "Order from an instance whose Country is the country of the customer.",
        ),
        CHANNEL_NOT_AUTHORIZED => ("channel-not-authorized", MICROSOFT),
        "QuantityOutOfRange" => (
            "quantity-out-of-range",
            "Run Get Services Definition, and order a quantity that the product allows.",
        ),
        "InventoryUnavailable" => (
            "inventory-unavailable",
            "Order again when Microsoft has licenses for this offer.",
        ),
        "TokenAlreadyRedeemed" => (
            "license-redeemed",
            "A license that the customer has used can't be returned.",
        ),
        "ReturnWindowExpired" => (
            "return-window-expired",
            "The time in which the license could be returned is over.",
        ),
        "NotReturnable" => ("not-returnable", "Licenses of this offer can't be returned."),
        CERTIFICATE_NOT_REGISTERED => (
            "certificate-not-registered",
            "Register the certificate in Certificate Thumbprint with Microsoft, or choose the certificate that is registered.",
        ),
        CREDIT_EXHAUSTED => (
            "credit-exhausted",
            "Settle the account with Microsoft, or have its limit raised; the orders go on by themselves then.",
        ),
        "InvalidRequest" => (
            "request-refused",
            "Check the order and the settings of the instance; if they are right, a newer version of this plugin may help.",
        ),
        LICENSE_NOT_FOUND => (
            "license-not-found",
            "Check that the license was bought with this instance.",
        ),
        CONTINUATION_EXPIRED => (
            "catalog-changed",
            "The catalog changed while it was read; run Get Services Definition again.",
        ),
        DUPLICATE_TRANSACTION => ("duplicate-transaction", ""),
        ALREADY_RETURNED => ("already-returned", ""),
        THROTTLED => ("throttled", "Try again later."),
        UNAVAILABLE => ("unavailable", "Try again later."),
        _ => return None,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseWire<'a> {
    client_transaction_id: Uuid,
    channel_id: &'a str,
    offer_id: &'a str,
    country: &'a str,
    language: &'a str,
    currency: &'a str,
    quantity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    reseller: Option<ResellerWire<'a>>,
    customer: CustomerWire<'a>,
}

#[derive(Serialize)]
struct ResellerWire<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct CustomerWire<'a> {
    id: &'a str,
    name: &'a str,
    country: &'a str,
}

/// The body of a purchase, which is of one license: an order of n is n purchases.
pub(super) fn purchase(settings: &Settings, order: &LicenseOrder, client_transaction_id: Uuid) -> Vec<u8> {
    let Party { id, name, country } = &order.customer;
    json(&PurchaseWire {
        client_transaction_id,
        channel_id: &settings.channel_id,
        offer_id: &order.product,
        country: settings.country,
        language: settings.language,
        currency: &settings.currency,
        quantity: 1,
        reseller: order.reseller.as_ref().map(|reseller| ResellerWire {
            id: &reseller.id,
            name: &reseller.name,
        }),
        customer: CustomerWire { id, name, country },
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReturnWire<'a> {
    client_transaction_id: Uuid,
    reason: &'a str,
}

/// The body of a return.
pub(super) fn license_return(client_transaction_id: Uuid, reason: &str) -> Vec<u8> {
    json(&ReturnWire {
        client_transaction_id,
        reason,
    })
}

/// Writes a struct as JSON. Structs of text and numbers always have a JSON form, so the empty body is never sent.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// A license, with the members that it may lack: key and names are needed, everything else is worth less than they are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LicenseWire {
    #[serde(default)]
    transaction_id: Scalar,
    #[serde(default)]
    client_transaction_id: Scalar,
    #[serde(default)]
    token_id: Scalar,
    product_key: Secret,
    #[serde(default)]
    redemption_url: OptionalSecret,
    #[serde(default)]
    token_status: Scalar,
    #[serde(default)]
    return_status: Scalar,
    #[serde(default)]
    purchased_at: Scalar,
    #[serde(default)]
    returnable_until: Scalar,
}

/// A member that is a text, or a whole number that stands for one.
#[derive(Default)]
enum Scalar {
    /// The member is missing, null or empty.
    #[default]
    Missing,
    /// The text.
    Text(String),
    /// The member is anything else, which is not guessed.
    Unreadable,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Null => Self::Missing,
            Value::String(text) if text.trim().is_empty() => Self::Missing,
            Value::String(text) => Self::Text(text.trim().to_owned()),
            // Numbers of another kind are rounded, so that two ids could become one.
            Value::Number(number) if number.is_u64() || number.is_i64() => Self::Text(number.to_string()),
            _ => Self::Unreadable,
        })
    }
}

impl Scalar {
    /// The text; empty where there is none.
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Missing | Self::Unreadable => String::new(),
        }
    }

    /// The text without what writers of the same word do differently: case, blanks, hyphens, underscores. Empty: it is missing.
    /// `None`: it can't be read.
    fn word(&self) -> Option<String> {
        let text = match self {
            Self::Missing => "",
            Self::Text(text) => text,
            Self::Unreadable => return None,
        };
        let letters = text.chars().filter(|letter| !matches!(letter, ' ' | '-' | '_'));
        Some(letters.flat_map(char::to_lowercase).collect())
    }
}

/// A secret that is a text. `None`: it is anything else, or missing.
#[derive(Default)]
struct OptionalSecret(Option<Secret>);

impl<'de> Deserialize<'de> for OptionalSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::String(text) => Self(Some(Secret::new(text))),
            _ => Self(None),
        })
    }
}

/// What a license is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFor {
    /// For its customer, who has paid for it: what can't be read of its state is left out.
    Customer,
    /// For its state, which is not to be guessed.
    State,
}

/// What was left out of a license because it can't be used, one sentence each; nothing of it is quoted.
pub(super) type LeftOut = Vec<&'static str>;

/// Reads a license that came at that time, in milliseconds since 1970.
///
/// # Errors
/// Says why the body is no license; quotes nothing of it.
pub(super) fn license(
    response: &HttpResponse,
    read_for: ReadFor,
    now_ms: i64,
) -> Result<(License, LeftOut), String> {
    let wire: LicenseWire = serde_json::from_slice(&response.body).map_err(|error| {
        // The error's text may quote the body, which holds a product key.
        format!(
            "the JSON is wrong at line {} column {}",
            error.line(),
            error.column()
        )
    })?;
    let mut left_out = LeftOut::new();
    let license_token_id = wire.token_id.text();
    if !is_license_token_id(&license_token_id) {
        return Err("tokenId is not a valid id".to_owned());
    }
    let product_key = product_key(&wire.product_key).ok_or("productKey is not a valid product key")?;
    let transaction_id = wire.transaction_id.text();
    let transaction_id = if is_graphic(&transaction_id, ID_LENGTH_MAX) {
        transaction_id
    } else {
        left_out.push("the transaction id of the license was left out, because it is missing or not valid");
        NO_TRANSACTION_ID.to_owned()
    };
    let (license_token_status, return_status) =
        states(&wire.token_status, &wire.return_status, read_for, &mut left_out)?;
    let purchased_at_ms = time_ms(&wire.purchased_at).unwrap_or_else(|| {
        left_out.push("the time of the purchase can't be read, so the present time was taken");
        now_ms
    });
    let returnable_until_ms = time_ms(&wire.returnable_until);
    if returnable_until_ms.is_none() && !matches!(wire.returnable_until, Scalar::Missing) {
        left_out.push(
            "the end of the time in which the license can be returned was left out, because it can't be read",
        );
    }
    let activation_link = activation_link(wire.redemption_url.0, &mut left_out);
    let license = License {
        client_transaction_id: canonical(wire.client_transaction_id.text()),
        transaction_id,
        license_token_id,
        product_key,
        activation_link,
        license_token_status,
        return_status,
        purchased_at_ms,
        returnable_until_ms,
    };
    Ok((license, left_out))
}

/// Stands for a transaction id that Microsoft did not give.
const NO_TRANSACTION_ID: &str = "-";

/// A GUID in lower case with hyphens, however it is written; any other text as it is.
fn canonical(id: String) -> String {
    Uuid::try_parse(&id).map_or(id, |id| id.hyphenated().to_string())
}

/// A product key as a customer can type it: without what stands around it, and with hyphens where blanks separate its groups.
fn product_key(key: &Secret) -> Option<Secret> {
    let around = |character: char| character.is_whitespace() || matches!(character, '\u{FEFF}' | '\u{200B}');
    let key = key.expose().trim_matches(around);
    let mut groups = key.split(' ');
    let length = groups.clone().next().map_or(0, str::len);
    let is_group = |group: &str| {
        let mut bytes = group.bytes();
        group.len() == length && bytes.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let is_in_groups = key.contains(' ') && length >= 4 && groups.all(is_group);
    let key = Secret::new(match is_in_groups {
        true => key.replace(' ', "-"),
        false => key.to_owned(),
    });
    is_graphic(key.expose(), PRODUCT_KEY_LENGTH_MAX).then_some(key)
}

/// The states of a license. An unknown state is not guessed where the license is read for its state.
fn states(
    token: &Scalar,
    returned: &Scalar,
    read_for: ReadFor,
    left_out: &mut LeftOut,
) -> Result<(LicenseTokenStatus, ReturnStatus), String> {
    let return_status = match returned.word().as_deref() {
        Some("successful" | "success") => Some(ReturnStatus::Successful),
        Some("none" | "") => Some(ReturnStatus::None),
        _ => None,
    };
    let token_status = match token.word().as_deref() {
        Some("activated") => Some(LicenseTokenStatus::Unused),
        Some("redeemed") => Some(LicenseTokenStatus::Used),
        Some("returnaccepted") => Some(LicenseTokenStatus::Returned),
        _ => None,
    };
    if read_for == ReadFor::State && token_status.is_none() {
        return Err("the value of tokenStatus is unknown".to_owned());
    }
    if read_for == ReadFor::State && return_status.is_none() {
        return Err("the value of returnStatus is unknown".to_owned());
    }
    if return_status.is_none() {
        left_out.push("the return status of the license was left out, because it is unknown");
    }
    match (token_status, return_status.unwrap_or(ReturnStatus::None)) {
        (Some(LicenseTokenStatus::Returned), _) if matches!(returned, Scalar::Missing) => {
            Ok((LicenseTokenStatus::Returned, ReturnStatus::Successful))
        }
        (Some(status), return_status) => Ok((status, return_status)),
        (None, ReturnStatus::Successful) => Ok((LicenseTokenStatus::Returned, ReturnStatus::Successful)),
        (None, ReturnStatus::None) => {
            left_out.push(
                "the status of the license was left out, because it is unknown; the license counts as unused",
            );
            Ok((LicenseTokenStatus::Unused, ReturnStatus::None))
        }
    }
}

/// A time in any form that writers of JSON use for one, in milliseconds since 1970: RFC 3339, also without a zone (then UTC)
/// or without a time of day; seconds or milliseconds since 1970; .NET's older `/Date(...)/`.
fn time_ms(time: &Scalar) -> Option<i64> {
    let Scalar::Text(text) = time else {
        return None;
    };
    let number = text
        .strip_prefix("/Date(")
        .map_or(text.as_str(), |rest| rest.trim_end_matches(")/"));
    if let Ok(number) = number.parse::<f64>() {
        return text::epoch_ms(number);
    }
    text::timestamp_ms(text).or_else(|| text::lax_timestamp_ms(text))
}

/// Passes only an https link, because the link goes to the customer by e-mail. A license with another link
/// is taken without the link: the customer still has the product key.
fn activation_link(link: Option<Secret>, left_out: &mut LeftOut) -> Secret {
    let link = link.map(|link| Secret::new(link.expose().trim().to_owned()));
    match link {
        None => Secret::new(String::new()),
        Some(link) if link.is_empty() || is_mailable(link.expose()) => link,
        Some(_) => {
            left_out.push(
                "the activation link of the license was left out, because the link is not a usable https address",
            );
            Secret::new(String::new())
        }
    }
}

/// Whether a link is an https URL without user information, which could make it look as if it led elsewhere.
fn is_mailable(link: &str) -> bool {
    let is_plain = |uri: http::Uri| {
        let authority = uri
            .authority()
            .map(|authority| (authority.as_str(), authority.host()));
        uri.scheme_str() == Some("https")
            && authority.is_some_and(|(whole, host)| !whole.contains('@') && !host.is_empty())
    };
    is_graphic(link, ACTIVATION_LINK_LENGTH_MAX) && link.parse().is_ok_and(is_plain)
}

/// An error as the license API answers it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorWire {
    code: Scalar,
    #[serde(default)]
    message: Scalar,
    #[serde(default)]
    correlation_id: Scalar,
}

/// An error of the license API.
pub(super) struct ApiError {
    pub(super) code: String,
    pub(super) message: String,
    correlation_id: String,
}

#[derive(Deserialize)]
struct ErrorAnswerWire {
    error: ErrorWire,
}

/// The error in an answer. `None` when the answer has none that can be read.
pub(super) fn error(response: &HttpResponse) -> Option<ApiError> {
    let wire: ErrorAnswerWire = serde_json::from_slice(&response.body).ok()?;
    let ErrorWire {
        code,
        message,
        correlation_id,
    } = wire.error;
    let code = code.text();
    (!code.is_empty()).then(|| ApiError {
        code,
        message: message.text(),
        correlation_id: correlation_id.text(),
    })
}

/// Microsoft's name for the exchange. `None` when the answer gives none.
pub(super) fn correlation_id(response: &HttpResponse) -> Option<String> {
    let given = match response.status {
        400.. => error(response).map(|error| error.correlation_id),
        _ => None,
    };
    given
        .filter(|id| !id.is_empty())
        .or_else(|| response.header(CORRELATION_HEADER).map(str::to_owned))
        .filter(|id| is_graphic(id, CORRELATION_ID_LENGTH_MAX))
}

/// An offer, read but not judged.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Offer {
    #[serde(rename = "offerId")]
    pub(crate) id: String,
    #[serde(rename = "offerUri")]
    pub(crate) uri: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) short_description: Option<String>,
    #[serde(default)]
    pub(crate) min_quantity: Option<u32>,
    #[serde(default)]
    pub(crate) max_quantity: Option<u32>,
    #[serde(default)]
    pub(crate) is_returnable: Option<bool>,
    #[serde(default)]
    pub(crate) status: Option<String>,
}

/// An item of a page that is no offer.
pub(crate) struct BadItem {
    /// The item's offer id, made fit for one line; empty when it has none.
    pub(crate) subject: String,
    /// Why the item is no offer.
    pub(crate) reason: String,
}

/// A page of the catalog.
pub(crate) type OffersPage = Page<Result<Offer, BadItem>>;

#[derive(Deserialize)]
struct PageWire<Item> {
    items: Vec<Item>,
    #[serde(default)]
    continuation: Option<String>,
    #[serde(default)]
    etag: Option<String>,
}

/// Reads a page. An item that is no offer does not spoil the others.
///
/// # Errors
/// Says why the body is no page.
pub(super) fn offers_page(response: &HttpResponse) -> Result<OffersPage, String> {
    let body = std::str::from_utf8(&response.body).map_err(|error| one_line(&error.to_string(), 200))?;
    // Nearly always all items are good, and reading them as offers at once takes a third of the time.
    let page = match serde_json::from_str::<PageWire<Offer>>(body) {
        Ok(page) => page.with(Ok),
        Err(_) => serde_json::from_str::<PageWire<Value>>(body)
            .map_err(|error| one_line(&error.to_string(), 200))?
            .with(offer),
    };
    if let Some(continuation) = &page.continuation
        && continuation.len() > CONTINUATION_LENGTH_MAX
    {
        return Err(format!(
            "the continuation is longer than {CONTINUATION_LENGTH_MAX} bytes"
        ));
    }
    let entity_tag = response
        .header("etag")
        .map(str::to_owned)
        .or(page.etag)
        .filter(|tag| is_entity_tag(tag))
        .unwrap_or_default();
    Ok(OffersPage {
        items: page.items,
        next: page.continuation.filter(|next| !next.is_empty()),
        entity_tag,
    })
}

impl<Item> PageWire<Item> {
    fn with<Other>(self, convert: impl Fn(Item) -> Other) -> PageWire<Other> {
        PageWire {
            items: self.items.into_iter().map(convert).collect(),
            continuation: self.continuation,
            etag: self.etag,
        }
    }
}

fn offer(item: Value) -> Result<Offer, BadItem> {
    let subject = item
        .get("offerId")
        .and_then(Value::as_str)
        .map(|id| text::subject(id, OFFER_ID_LENGTH_MAX))
        .unwrap_or_default();
    Offer::deserialize(item).map_err(|error| BadItem {
        subject,
        reason: one_line(&error.to_string(), 200),
    })
}

/// Whether the tag can stand in a header and is not too long.
pub(super) fn is_entity_tag(tag: &str) -> bool {
    is_graphic(tag, ENTITY_TAG_LENGTH_MAX)
}

/// Whether the id can be one segment of a path.
pub(super) fn is_license_token_id(id: &str) -> bool {
    is_graphic(id, ID_LENGTH_MAX) && id != "." && id != ".."
}

fn is_graphic(text: &str, length_max: usize) -> bool {
    (1..=length_max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;

//! Microsoft's license API (CIS) in our words: read offers, issue a license, look one up, return one.
//! This module and `verdict` decide which answers leave no doubt; the JSON of the answers is in `wire`.

mod answer;
mod verdict;
mod wire;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::entra::Entra;
use crate::exchange::fresh_guid;
use crate::instance_settings::Settings;
use crate::license::License;
use crate::platform::{Platform, advice};
use answer::Answer;
use bss_plugin::Level;
use bss_plugin::LicenseOrder;
use bss_plugin::Verdict;
use bss_plugin::failures::{ChangeFailure, Problem, ReadFailure};
use bss_plugin::http::{HttpRequest, Method, SendFailure, escaped};
use bss_plugin::secret::Secret;
use wire::ReadFor;

pub(crate) use wire::{BadItem, CORRELATION_HEADER, OFFER_ID_LENGTH_MAX, Offer, OffersPage};

/// The longest catalog page. A page of 500 offers has some 300 KB; the rest is for long texts in scripts
/// of three bytes a character.
const CATALOG_PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest other answer: a license, or an error with details, has a few kilobytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The license API as one instance may use it.
pub(crate) struct Cis<'a, P> {
    platform: &'a P,
    settings: &'a Settings,
    entra: Entra<'a, P>,
}

/// The outcomes of a purchase request that are no failures.
pub(crate) enum Issued {
    /// This request bought the license.
    Now(License),
    /// Microsoft has seen the client transaction id before; the problem says so.
    Before(Problem),
}

/// Why a request got no answer that can be judged.
enum NoAnswer {
    /// Entra gave no access token: nothing was sent to CIS, or CIS refused the access token before.
    AccessToken(ReadFailure),
    /// Sending failed; `failure` says whether the request may have gone out.
    Send {
        failure: SendFailure,
        correlation_id: String,
    },
}

impl<'a, P: Platform> Cis<'a, P> {
    /// Prepares access to the license API with an instance's settings; sends nothing.
    ///
    /// # Errors
    /// Refused, when the instance has no certificate.
    pub(crate) fn new(platform: &'a P, settings: &'a Settings) -> Result<Self, ReadFailure> {
        Ok(Self {
            platform,
            settings,
            entra: Entra::new(platform, settings)?,
        })
    }

    /// Reads a page of the catalog: the first, or the one that a continuation names. `None` when nothing has
    /// changed since `entity_tag`; a tag that is empty or can't stand in a header is not sent.
    pub(crate) fn offers(
        &self,
        continuation: &str,
        page_size: u32,
        entity_tag: &str,
    ) -> Result<Option<OffersPage>, ReadFailure> {
        let mut request = self.get(&self.offers_url(continuation, page_size));
        request.response_bytes_max = CATALOG_PAGE_BYTES_MAX;
        if wire::is_entity_tag(entity_tag) {
            let header = ("if-none-match", Secret::new(entity_tag.to_owned()));
            request.headers.push(header);
        }
        let answer = self.exchange(request).map_err(NoAnswer::of_a_read)?;
        match answer.response.status {
            200 => wire::offers_page(&answer.response)
                .map(Some)
                .map_err(|reason| answer.malformed(&format!("a catalog page: {reason}"))),
            304 if !entity_tag.is_empty() => Ok(None),
            _ => Err(verdict::of(&answer, self.platform.now_ms()).into()),
        }
    }

    /// Sends a request without an access token and returns the status of the answer. Any answer shows that
    /// the way to the server is clear, and nothing more.
    pub(crate) fn probe(platform: &P, settings: &'a Settings) -> Result<u16, SendFailure> {
        let url = format!("{}/catalog/offers?pageSize=1", settings.service_url);
        let mut request = request(Method::Get, url, Vec::new());
        add_header(&mut request, CORRELATION_HEADER, &fresh_guid(platform));
        platform.send(&request).map(|response| response.status)
    }

    /// Buys one license.
    pub(crate) fn issue(
        &self,
        order: &LicenseOrder,
        client_transaction_id: Uuid,
    ) -> Result<Issued, ChangeFailure> {
        let body = wire::purchase(self.settings, order, client_transaction_id);
        let url = format!("{}/tokens", self.settings.service_url);
        let answer = self.exchange(post(url, body)).map_err(NoAnswer::of_a_change)?;
        match answer.response.status {
            200 | 201 => self
                .license(&answer, ReadFor::Customer)
                .and_then(|license| of_purchase(license, client_transaction_id))
                .map(Issued::Now)
                .map_err(|reason| {
                    ChangeFailure::Unknown(answer.unreadable(&format!("a purchased license: {reason}")))
                }),
            400..=499 if answer.has_code(wire::DUPLICATE_TRANSACTION) => {
                let problem = Problem::new(
                    "duplicate-transaction",
                    "Microsoft has seen the client transaction id of the purchase before, but finds no license with that id.",
                    "Look the license up again later.",
                );
                Ok(Issued::Before(problem.in_exchange(&answer.correlation_id)))
            }
            _ => Err(verdict::of(&answer, self.platform.now_ms()).into()),
        }
    }

    /// Looks up the license of a purchase. `None` when Microsoft says that there was no such purchase.
    pub(crate) fn license_by_client_transaction_id(
        &self,
        client_transaction_id: Uuid,
    ) -> Result<Option<License>, ReadFailure> {
        let url = format!(
            "{}/tokens?clientTransactionId={client_transaction_id}",
            self.settings.service_url
        );
        self.look_up(&url, ReadFor::Customer, |license| {
            of_purchase(license, client_transaction_id)
        })
    }

    /// Looks a license up by its license token id. `None` when Microsoft says that there is no such license.
    pub(crate) fn license_by_id(&self, license_token_id: &str) -> Result<Option<License>, ReadFailure> {
        let url = self.license_url(license_token_id)?;
        self.look_up(&url, ReadFor::State, |license| {
            // Upper and lower case are the same to whoever compares GUIDs; the name stays the one that is on record.
            license
                .license_token_id
                .eq_ignore_ascii_case(license_token_id)
                .then(|| License {
                    license_token_id: license_token_id.to_owned(),
                    ..license
                })
                .ok_or_else(|| "the license has another license token id than the one asked for".to_owned())
        })
    }

    /// Returns a license; one that was returned before counts as returned.
    pub(crate) fn return_license(
        &self,
        license_token_id: &str,
        client_transaction_id: Uuid,
        reason: &str,
    ) -> Result<(), ChangeFailure> {
        let url = self
            .license_url(license_token_id)
            .map_err(ReadFailure::before_the_change)?;
        let body = wire::license_return(client_transaction_id, reason);
        let answer = self
            .exchange(post(format!("{url}/return"), body))
            .map_err(NoAnswer::of_a_change)?;
        match answer.response.status {
            200 | 201 => Ok(()),
            409 if answer.has_code(wire::ALREADY_RETURNED) => Ok(()),
            _ => Err(verdict::of(&answer, self.platform.now_ms()).into()),
        }
    }

    fn look_up(
        &self,
        url: &str,
        read_for: ReadFor,
        check: impl FnOnce(License) -> Result<License, String>,
    ) -> Result<Option<License>, ReadFailure> {
        let answer = self.exchange(self.get(url)).map_err(NoAnswer::of_a_read)?;
        match answer.response.status {
            200 => self
                .license(&answer, read_for)
                .and_then(check)
                .map(Some)
                .map_err(|reason| answer.malformed(&format!("a license: {reason}"))),
            // Only CIS itself can say that there is no license: a 404 of something on the way, or of a
            // wrong Service URL, has another body, and a license must not be bought again because of it.
            404 if answer.has_code(wire::LICENSE_NOT_FOUND) => Ok(None),
            404 => Err(answer.malformed(
                "a license look-up: the status is HTTP 404, but the error code is not TokenNotFound",
            )),
            _ => Err(verdict::of(&answer, self.platform.now_ms()).into()),
        }
    }

    fn license(&self, answer: &Answer, read_for: ReadFor) -> Result<License, String> {
        let (license, left_out) = wire::license(&answer.response, read_for, self.platform.now_ms())?;
        for left_out in left_out {
            self.platform
                .log(Level::Warning, &license.license_token_id, left_out);
        }
        Ok(license)
    }

    /// Sends a request with an access token, and once more with another one when the answer is 401, which
    /// says that nothing was done.
    fn exchange(&self, mut request: HttpRequest) -> Result<Answer, NoAnswer> {
        let access_token = self.entra.access_token().map_err(NoAnswer::AccessToken)?;
        let headers = request.headers.len();
        let answer = self.send(&mut request, &access_token)?;
        if answer.response.status != 401 {
            return Ok(answer);
        }
        let access_token = self
            .entra
            .access_token_instead_of(&access_token)
            .map_err(NoAnswer::AccessToken)?;
        request.headers.truncate(headers);
        let answer = self.send(&mut request, &access_token)?;
        if answer.response.status == 401 {
            self.entra.forget(&access_token);
        }
        Ok(answer)
    }

    fn send(&self, request: &mut HttpRequest, access_token: &Secret) -> Result<Answer, NoAnswer> {
        let correlation_id = fresh_guid(self.platform);
        let bearer = Zeroizing::new(format!("Bearer {}", access_token.expose()));
        add_header(request, "authorization", &bearer);
        add_header(request, CORRELATION_HEADER, &correlation_id);
        match self.platform.exchange(request) {
            Ok(response) => Ok(Answer::new(response, correlation_id)),
            Err(failure) => Err(NoAnswer::Send {
                failure,
                correlation_id,
            }),
        }
    }

    fn get(&self, url: &str) -> HttpRequest {
        request(Method::Get, url.to_owned(), Vec::new())
    }

    fn offers_url(&self, continuation: &str, page_size: u32) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("country", self.settings.country)
            .append_pair("language", self.settings.language)
            .append_pair("channelId", &self.settings.channel_id)
            .append_pair("pageSize", &page_size.to_string());
        if !continuation.is_empty() {
            query.append_pair("continuation", continuation);
        }
        format!("{}/catalog/offers?{}", self.settings.service_url, query.finish())
    }

    fn license_url(&self, license_token_id: &str) -> Result<String, ReadFailure> {
        if !wire::is_license_token_id(license_token_id) {
            return Err(ReadFailure::Refused(Problem::new(
                "license-token-id-invalid",
                "The license token id is empty, is too long, or can't be part of a URL.",
                "",
            )));
        }
        Ok(format!(
            "{}/tokens/{}",
            self.settings.service_url,
            escaped(license_token_id)
        ))
    }
}

impl NoAnswer {
    fn of_a_read(self) -> ReadFailure {
        match self {
            Self::AccessToken(failure) => failure,
            Self::Send {
                failure,
                correlation_id,
            } => Verdict::of_no_answer(&failure, send_problem(&failure, &correlation_id)).into(),
        }
    }

    fn of_a_change(self) -> ChangeFailure {
        match self {
            Self::AccessToken(failure) => failure.of_the_settings(),
            Self::Send {
                failure,
                correlation_id,
            } => Verdict::of_no_answer(&failure, send_problem(&failure, &correlation_id)).into(),
        }
    }
}

fn send_problem(failure: &SendFailure, correlation_id: &str) -> Problem {
    Problem::new(
        failure.code(),
        format!("The request to Microsoft's license API failed: {failure}."),
        advice(failure),
    )
    .in_exchange(correlation_id)
}

/// Passes the license on only if it belongs to the purchase.
fn of_purchase(license: License, client_transaction_id: Uuid) -> Result<License, String> {
    (Uuid::try_parse(&license.client_transaction_id) == Ok(client_transaction_id))
        .then_some(license)
        .ok_or_else(|| "the license has another client transaction id than the purchase".to_owned())
}

fn request(method: Method, url: String, body: Vec<u8>) -> HttpRequest {
    let mut request = HttpRequest {
        method,
        url,
        headers: Vec::new(),
        body: Zeroizing::new(body),
        response_bytes_max: ANSWER_BYTES_MAX,
    };
    add_header(&mut request, "accept", "application/json");
    request
}

fn post(url: String, body: Vec<u8>) -> HttpRequest {
    let mut request = request(Method::Post, url, body);
    add_header(&mut request, "content-type", "application/json");
    request
}

fn add_header(request: &mut HttpRequest, name: &'static str, value: &str) {
    request.headers.push((name, Secret::new(value.to_owned())));
}

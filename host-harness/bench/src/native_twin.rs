//! The native twin: the plugin's own code, compiled for the host and given the same as in a sandbox.

mod contract;

use std::cell::RefCell;
use std::time::Duration;

use bss_model::clock::now_ms;
use bss_model::moment::Moment;
use bss_plugin::Level;
use bss_plugin::http::{HttpRequest, HttpResponse, Method, SendFailure};
use bss_plugin::secret::Secret;
use bss_sandbox::access_token_cache::CallAccessTokens;
use bss_sandbox::bindings::failures::{ChangeFailure, ReadFailure};
use bss_sandbox::bindings::instance_settings::Instance;
use bss_sandbox::bindings::license_order::{LicenseOrder, OrderAnswer};
use bss_sandbox::bindings::services_definition::{Outcome, Product};
use bss_sandbox::call::CallContext;
use bss_sandbox::call_event::{CallEvent, LogLevel};
use bss_sandbox::error::{CallError, FailedCall};
use bss_sandbox::outbound_https::CallHttp;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use microsoft_esd::platform::{Platform, SignatureAlgorithm, SigningFailure};
use microsoft_esd::{license_order as twin_order, services_definition as twin};
use tokio::runtime::Handle;
use uuid::Uuid;
use wasmtime_wasi_http::WasiHttpHooks;
use zeroize::Zeroizing;

use super::CannedAnswers;

/// The host's side of a call for the plugin's code outside of a sandbox: the same way out, identity, access tokens and
/// listener. Its functions block, so it belongs on a thread where that is allowed.
pub struct NativePlatform {
    call: CallContext,
    runtime: Handle,
    access_tokens: RefCell<CallAccessTokens>,
    products: RefCell<Vec<Product>>,
    take_down: Option<CannedAnswers>,
}

impl NativePlatform {
    /// The platform of one call. Copies of all answers go to `take_down`.
    pub fn new(call: CallContext, runtime: Handle, take_down: Option<CannedAnswers>) -> Self {
        let access_tokens = CallAccessTokens::new(
            call.access_tokens.clone(),
            call.egress.instance_id.clone(),
            call.egress.settings_version,
        );
        Self {
            access_tokens: RefCell::new(access_tokens),
            products: RefCell::default(),
            call,
            runtime,
            take_down,
        }
    }

    async fn sent(&self, request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
        let invalid = |error: http::Error| SendFailure::InvalidRequest(error.to_string());
        let outgoing = outgoing(request).map_err(invalid)?;
        let (method, uri) = (outgoing.method().clone(), outgoing.uri().clone());
        let body = outgoing.map(|body| body.map_err(|never| match never {}).boxed_unsync());
        let mut way_out = CallHttp::new(self.call.outbound.clone(), self.call.egress.clone());
        let sent = way_out.send_request(body, None, Box::new(std::future::ready(Ok(()))));
        // The kind of the failure makes no difference to a benchmark: it has failed.
        let broken_off = |error: wasmtime_wasi_http::Error| SendFailure::BrokenOff(error.to_string());
        let (response, _) = Box::into_pin(sent).await.map_err(broken_off)?;

        let (head, mut incoming) = response.into_parts();
        let mut body = Zeroizing::new(Vec::new());
        while let Some(frame) = incoming.frame().await {
            let Ok(piece) = frame.map_err(broken_off)?.into_data() else {
                continue;
            };
            if body.len() + piece.len() > request.response_bytes_max {
                return Err(SendFailure::ResponseTooLarge);
            }
            body.extend_from_slice(&piece);
        }
        if let Some(take_down) = &self.take_down {
            take_down.take_down(method, uri, &head, Bytes::copy_from_slice(&body));
        }
        Ok(HttpResponse {
            status: head.status.as_u16(),
            headers: head
                .headers
                .iter()
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                .collect(),
            body,
        })
    }

    fn tell(&self, event: CallEvent) {
        (self.call.listener)(event);
    }
}

fn outgoing(request: &HttpRequest) -> Result<http::Request<Full<Bytes>>, http::Error> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Delete => http::Method::DELETE,
    };
    let mut outgoing = http::Request::builder().method(method).uri(&request.url);
    for (name, value) in &request.headers {
        outgoing = outgoing.header(*name, value.expose());
    }
    outgoing.body(Full::new(Bytes::copy_from_slice(&request.body)))
}

impl bss_plugin::Platform for NativePlatform {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
        self.runtime.block_on(self.sent(request))
    }

    fn put_products(&self, products: Vec<twin::Product>) {
        let products = products.into_iter().map(contract::product);
        self.products.borrow_mut().extend(products);
    }

    fn report_progress(&self, done: u64, total: Option<u64>, unit: &str) {
        self.tell(CallEvent::Progress {
            done,
            total,
            unit: unit.to_owned(),
        });
    }

    fn log(&self, level: Level, subject: &str, message: &str) {
        self.tell(CallEvent::Log {
            level: match level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warning => LogLevel::Warning,
            },
            subject: subject.to_owned(),
            message: message.to_owned(),
        });
    }

    fn now_ms(&self) -> i64 {
        now_ms()
    }
}

impl Platform for NativePlatform {
    fn certificate(&self) -> Option<Vec<u8>> {
        let identity = self.call.egress.identity.as_ref()?;
        identity.certificates().first().map(|der| der.to_vec())
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningFailure> {
        let algorithm = match algorithm {
            SignatureAlgorithm::Ps256 => bss_keys::SignatureAlgorithm::Ps256,
            SignatureAlgorithm::Rs256 => bss_keys::SignatureAlgorithm::Rs256,
        };
        let identity = self.call.egress.identity.as_ref();
        identity
            .ok_or(SigningFailure::NoCertificate)?
            .sign(algorithm, message)
            .map_err(|error| SigningFailure::Unusable(error.to_string()))
    }

    fn cached_access_token(&self, name: &str) -> Option<Secret> {
        let mut access_tokens = self.access_tokens.borrow_mut();
        let kept = self.runtime.block_on(access_tokens.get(name, Moment::now()));
        kept.ok()?
            .map(|access_token| Secret::new(access_token.as_str().to_owned()))
    }

    fn cache_access_token(&self, name: &str, access_token: &Secret, expires_at_ms: i64) {
        let access_token = access_token.expose().to_owned();
        let mut access_tokens = self.access_tokens.borrow_mut();
        // What the cache does not take is asked for again.
        let _ = self
            .runtime
            .block_on(access_tokens.put(name, access_token, expires_at_ms, Moment::now()));
    }

    fn drop_refused_access_token(&self, name: &str, access_token: &Secret) {
        let mut access_tokens = self.access_tokens.borrow_mut();
        let _ = self
            .runtime
            .block_on(access_tokens.drop_refused(name, access_token.expose()));
    }

    fn pause(&self, milliseconds: u64) {
        let pause = tokio::time::sleep(Duration::from_millis(milliseconds));
        self.runtime.block_on(pause);
    }

    fn random(&self) -> [u8; 16] {
        Uuid::new_v4().into_bytes()
    }

    fn option(&self, name: &str) -> Option<String> {
        self.call.options.get(name).cloned()
    }
}

/// Reads the vendor's catalog as [`Plugin::fetch_services`](host_harness::Plugin::fetch_services) does, without a
/// sandbox. Copies of all answers go to `take_down`.
///
/// # Errors
/// When the plugin's code panics.
pub async fn fetch_services(
    call: CallContext,
    instance: &Instance,
    entity_tag: &str,
    take_down: Option<CannedAnswers>,
) -> Result<Result<(Outcome, Vec<Product>), ReadFailure>, FailedCall> {
    let (instance, entity_tag) = (contract::instance(instance), entity_tag.to_owned());
    let runtime = Handle::current();
    let reading = tokio::task::spawn_blocking(move || {
        let platform = NativePlatform::new(call, runtime, take_down);
        let read = twin::fetch_services(&platform, &instance, &entity_tag);
        read.map(|outcome| (contract::outcome(outcome), platform.products.into_inner()))
            .map_err(contract::read_failure)
    });
    reading
        .await
        .map_err(|panicked| CallError::Trap(wasmtime::Error::from_anyhow(panicked.into())).into())
}

/// Buys one license as [`Plugin::create_license`](host_harness::Plugin::create_license) does, without a sandbox, on
/// this thread, which may block. Copies of all answers go to `take_down`.
///
/// # Errors
/// When the plugin's code fails.
pub(super) fn create_license(
    call: CallContext,
    runtime: &Handle,
    instance: &Instance,
    order: &LicenseOrder,
    take_down: Option<CannedAnswers>,
) -> Result<OrderAnswer, ChangeFailure> {
    let platform = NativePlatform::new(call, runtime.clone(), take_down);
    let (instance, order) = (contract::instance(instance), contract::license_order(order));
    twin_order::create_license(&platform, &instance, &order)
        .into_result()
        .map(contract::order_answer)
        .map_err(contract::change_failure)
}

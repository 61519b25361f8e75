//! The state of one call's sandbox: its limits, its identity, its way out, its log, and the products handed over.

use std::sync::Arc;

use bss_keys as keys;
use bss_keys::signing_input::Claimant;
use tracing::Span;
use wasmtime::ResourceLimiter;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::access_token_cache::CallAccessTokens;
use crate::bindings::certificate_store::{self, SignatureAlgorithm, SigningFailure};
use crate::bindings::services_definition::{self, Product};
use crate::bindings::{access_token_cache, progress, services_sink};
use crate::call::CallContext;
use crate::call_clock::CallClock;
use crate::call_event::{CallEvent, CallListener, LogLevel};
use crate::call_trace::CallSpan;
use crate::error::{CallError, FailedCall, HostLimit};
use crate::guest_log::{GuestLog, LogShares, Stream};
use crate::limits;
use crate::outbound_https::{CallHttp, Egress};
use crate::outgoing_handler;
use crate::plugin_call::{Answer, CallOutcome, PluginAnswer, PluginCall};
use crate::plugin_text::Bounded as _;
use crate::seen_exchanges::{Explanation, SeenExchanges};

/// The state of one call's sandbox.
pub(crate) struct CallState {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    http_hooks: CallHttp,
    config: WasiConfigVariables,
    egress: Arc<Egress>,
    access_tokens: CallAccessTokens,
    listener: CallListener,
    seen: SeenExchanges,
    followed: CallSpan,
    log: GuestLog,
    clock: CallClock,
    sink: Option<Sink>,
    pub(crate) limiter: Limiter,
}

/// The products of a reading under way.
#[derive(Default)]
struct Sink {
    products: Vec<Product>,
    bytes: usize,
}

impl Sink {
    /// Takes products, as long as all of them together are within the limits.
    fn take(&mut self, products: Vec<Product>) -> Result<(), HostLimit> {
        if self.products.len().saturating_add(products.len()) > limits::PRODUCTS {
            return Err(HostLimit::Products);
        }
        for product in &products {
            if product.attribute_values.len() > limits::PRODUCT_VALUES {
                return Err(HostLimit::ProductValues);
            }
            self.bytes = self.bytes.saturating_add(held_bytes(product));
        }
        if self.bytes > limits::PRODUCT_BYTES {
            return Err(HostLimit::ProductBytes);
        }
        self.products.extend(products);
        Ok(())
    }
}

/// The memory that a product takes: its text, the record, and one record for each of its attribute values.
fn held_bytes(product: &Product) -> usize {
    let values: usize = product
        .attribute_values
        .iter()
        .map(|value| size_of_val(value) + value.attribute.len() + value.key.len() + value.label.len())
        .sum();
    let text =
        product.code.len() + product.product_type.len() + product.name.len() + product.description.len();
    size_of_val(product) + text + values
}

impl CallState {
    /// The state of a new call. `log_shares`: what its instance may still log. `reads_services`: whether products may
    /// be handed over.
    pub(crate) fn new(
        context: CallContext,
        asked: &PluginCall<'_>,
        followed: CallSpan,
        log_shares: LogShares,
        clock: CallClock,
        reads_services: bool,
    ) -> Self {
        let instance = context.egress.instance_id.clone();
        let log = GuestLog::new(
            instance,
            log_shares,
            context.listener.clone(),
            followed.clone(),
            &asked.personal(),
        );
        // Nothing is inherited: no environment, no arguments, no folders, no sockets, no input.
        let mut wasi = WasiCtx::builder();
        wasi.stdout(log.stream(Stream::Output))
            .stderr(log.stream(Stream::Error))
            .max_random_size(limits::RANDOM_BYTES);
        if clock != CallClock::default() {
            wasi.wall_clock(clock);
        }
        let wasi = wasi.build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::HANDLES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits::HEADER_BYTES);
        Self {
            wasi,
            table,
            http,
            egress: context.egress.clone(),
            access_tokens: CallAccessTokens::new(
                context.access_tokens,
                context.egress.instance_id.clone(),
                context.egress.settings_version,
            ),
            http_hooks: CallHttp::new(context.outbound, context.egress)
                .followed_by(followed.clone())
                .heard_by(Arc::clone(&context.listener))
                .seen_by(context.seen.clone()),
            seen: context.seen,
            config: context.options.into_iter().collect(),
            listener: context.listener,
            followed,
            log,
            clock,
            sink: reads_services.then(Sink::default),
            limiter: Limiter::default(),
        }
    }

    /// The products that were handed over, in order.
    pub(crate) fn take_products(&mut self) -> Vec<Product> {
        self.sink.take().unwrap_or_default().products
    }

    fn products(&self) -> &[Product] {
        self.sink.as_ref().map_or(&[], |sink| &sink.products)
    }

    /// Why the last exchange got no connection, where the plugin could not be told.
    pub(crate) fn explanation(&self) -> Option<Explanation> {
        self.seen.explanation()
    }

    /// The call's span.
    pub(crate) fn span(&self) -> Span {
        self.followed.span()
    }

    /// The failure of the call, which got no answer, with the last lines that the guest wrote. Ends the call's log.
    pub(crate) fn failed(&self, error: CallError) -> FailedCall {
        let last_words = self.span().in_scope(|| self.log.end_without_answer());
        FailedCall { error, last_words }
    }

    /// Ends the call: flushes its log, sends [`CallEvent::Ended`], and closes its span with the outcome. A recording has the
    /// answer as well.
    pub(crate) fn tell_end(&self, outcome: &CallOutcome, answer: Option<&impl Answer>) {
        let span = self.span();
        let _entered = span.enter();
        self.log.end();
        let memory_bytes = self.limiter.memory_bytes as u64;
        (self.listener)(CallEvent::Ended { memory_bytes });
        self.followed.end(outcome, memory_bytes, || {
            answer.map(|answer| PluginAnswer::of(answer, || self.products()))
        });
    }
}

/// Links everything that a plugin may import, and nothing else.
pub(crate) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    outgoing_handler::replace_in_linker(linker)?;
    wasmtime_wasi_config::add_to_linker(linker, |state| WasiConfig::from(&state.config))?;
    certificate_store::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    access_token_cache::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    services_sink::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)?;
    progress::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for CallState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.http_hooks,
        }
    }
}

impl certificate_store::Host for CallState {
    fn certificate(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        let identity = self.egress.identity.as_ref();
        Ok(identity
            .and_then(|identity| identity.certificates().first())
            .map(|der| der.to_vec()))
    }

    fn sign(
        &mut self,
        algorithm: SignatureAlgorithm,
        message: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, SigningFailure>> {
        let egress = self.egress.clone();
        let Some(identity) = &egress.identity else {
            return Ok(Err(SigningFailure::NoCertificate));
        };
        let algorithm = match algorithm {
            SignatureAlgorithm::Ps256 => keys::SignatureAlgorithm::Ps256,
            SignatureAlgorithm::Rs256 => keys::SignatureAlgorithm::Rs256,
        };
        let claimant = Claimant {
            certificate: identity.certificates().first().map_or(&[], |der| der.as_ref()),
            saved_values: &egress.saved_values,
            is_own_server: &|url| egress.reaches(url),
            now_ms: self.clock.now_ms(),
        };
        keys::signing_input::check(algorithm, &message, &claimant)?;
        Ok(self
            .followed
            .sign(algorithm.name(), || identity.sign(algorithm, &message))
            .map_err(|error| SigningFailure::Unusable(error.to_string())))
    }
}

impl access_token_cache::Host for CallState {
    async fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let followed = self.followed.clone();
        let kept = followed
            .access_token(self.access_tokens.get(&name, self.clock.moment()))
            .await?;
        Ok(kept.map(|access_token| access_token.as_str().to_owned()))
    }

    async fn put(&mut self, name: String, access_token: String, expires_at_ms: i64) -> wasmtime::Result<()> {
        let put = self
            .access_tokens
            .put(&name, access_token, expires_at_ms, self.clock.moment());
        Ok(put.await?)
    }

    async fn drop_refused(&mut self, name: String, access_token: String) -> wasmtime::Result<()> {
        Ok(self.access_tokens.drop_refused(&name, &access_token).await?)
    }
}

impl services_definition::Host for CallState {}

impl services_sink::Host for CallState {
    fn put_products(&mut self, products: Vec<Product>) -> wasmtime::Result<()> {
        let Some(sink) = self.sink.as_mut() else {
            wasmtime::bail!("the plugin called `put-products` outside `fetch-services`");
        };
        let products: Result<Vec<_>, _> = products.into_iter().map(Product::bounded).collect();
        Ok(sink.take(products?)?)
    }
}

impl progress::Host for CallState {
    fn report(&mut self, done: u64, total: Option<u64>, unit: String) -> wasmtime::Result<()> {
        self.log.report(done, total, &unit);
        Ok(())
    }

    fn log(&mut self, level: progress::Level, subject: String, message: String) -> wasmtime::Result<()> {
        let level = match level {
            progress::Level::Debug => LogLevel::Debug,
            progress::Level::Info => LogLevel::Info,
            progress::Level::Warning => LogLevel::Warning,
        };
        self.log.log(level, &subject, &message);
        Ok(())
    }
}

/// The memory and the table elements that all of a call's core instances were granted together, and whether any was
/// refused, by which a plugin that wanted too much can be told from one with a defect.
///
/// A grant is never taken back: memories and tables don't shrink, and what the allocator could not give after all can't
/// be told from what it gave.
#[derive(Default)]
pub(crate) struct Limiter {
    memory_bytes: usize,
    table_elements: usize,
    pub(crate) has_refused_memory: bool,
    has_refused_table: bool,
}

impl Limiter {
    /// Whether the call wanted more memory, or larger tables, than it may have.
    pub(crate) fn has_refused(&self) -> bool {
        self.has_refused_memory || self.has_refused_table
    }
}

/// Grants the growth from `current` to `desired` of one memory or table, unless the sum of all would exceed `limit`.
/// Returns the new sum.
fn grown(sum: usize, current: usize, desired: usize, limit: usize) -> Option<usize> {
    let grown = sum.checked_add(desired.saturating_sub(current))?;
    (grown <= limit).then_some(grown)
}

impl ResourceLimiter for Limiter {
    /// Judges the growth of a memory; a new one grows from nothing.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let grown = grown(self.memory_bytes, current, desired, limits::MEMORY_BYTES);
        match grown {
            Some(sum) => self.memory_bytes = sum,
            None => self.has_refused_memory = true,
        }
        Ok(grown.is_some())
    }

    /// Judges the growth of a table; a new one grows from nothing.
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let grown = grown(self.table_elements, current, desired, limits::TABLE_ELEMENTS);
        match grown {
            Some(sum) => self.table_elements = sum,
            None => self.has_refused_table = true,
        }
        Ok(grown.is_some())
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use bss_keys::{Identity, PfxCode, describe, read_pfx};
    use bss_model::clock::now_ms;
    use data_encoding::BASE64URL_NOPAD;
    use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
    use rustls::RootCertStore;

    use super::*;
    use crate::access_token_cache::AccessTokenCache;
    use crate::bindings::instance_settings::Draft;
    use crate::outbound_https::{OutboundHttps, PermittedAuthority};
    use crate::seen_exchanges::SeenExchanges;

    const CODE: &str = "code of the PFX file";
    /// Unrelated byte strings never share a run of so many bytes.
    const RUN_BYTES: usize = 16;

    /// A key, its certificate and a PFX file of both.
    fn certificate_and_key() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let params = CertificateParams::new(vec!["shop.example.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        let chain = PrivateKeyChain::new(
            "1",
            PrivateKey::from_der(key.serialized_der()).unwrap(),
            vec![Certificate::from_der(&certificate).unwrap()],
        );
        let mut store = KeyStore::new();
        store.add_entry("shop", KeyStoreEntry::PrivateKeyChain(chain));
        let pfx = store.writer(CODE).write().unwrap();
        (certificate, key.serialized_der().to_vec(), pfx)
    }

    /// A call of an instance that is a client named `client`, and may reach one server.
    fn call_as(identity: Option<Arc<Identity>>) -> CallState {
        let egress = Egress {
            instance_id: "instance".to_owned(),
            settings_version: 1,
            generation: 0,
            authorities: vec![PermittedAuthority {
                authority: "login.example.com".parse().unwrap(),
                client_certificate: false,
                secret_headers: Vec::new(),
            }],
            identity,
            saved_values: vec!["client".to_owned()],
            trust_roots: Arc::new(RootCertStore::empty()),
            allowed_networks: Vec::new(),
            proxies: bss_model::ProxyRules::default(),
        };
        let context = CallContext {
            egress: Arc::new(egress),
            options: BTreeMap::new(),
            outbound: OutboundHttps::default(),
            access_tokens: AccessTokenCache::default(),
            listener: Arc::new(|_| ()),
            seen: SeenExchanges::default(),
        };
        let draft = Draft {
            values: Vec::new(),
            saved: Vec::new(),
            secrets: Vec::new(),
            has_licenses: false,
            currency: String::new(),
            certificates: Vec::new(),
            other_instances: Vec::new(),
        };
        let asked = PluginCall::ConfigureInstance { draft: &draft };
        let (followed, shares) = (CallSpan::default(), LogShares::default());
        CallState::new(context, &asked, followed, shares, CallClock::default(), false)
    }

    /// The signing input of a client assertion that is good now.
    fn assertion(algorithm: &str, audience: &str, client: &str) -> Vec<u8> {
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
        let ends = now_ms() / 1_000 + 300;
        let claims = format!(r#"{{"aud":"{audience}","iss":"{client}","sub":"{client}","exp":{ends}}}"#);
        let [header, claims] = [header, claims].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
        format!("{header}.{claims}").into_bytes()
    }

    const TOKEN: &str = "https://login.example.com/token";

    /// Everything that a guest can get from `certificate-store`, which is where the host has the key at hand.
    fn all_answers(state: &mut CallState) -> Vec<Vec<u8>> {
        use certificate_store::Host;
        let mut answers: Vec<Vec<u8>> = state.certificate().unwrap().into_iter().collect();
        for algorithm in [SignatureAlgorithm::Ps256, SignatureAlgorithm::Rs256] {
            for message in [
                assertion("PS256", TOKEN, "client"),
                assertion("RS256", TOKEN, "client"),
                assertion("PS256", TOKEN, "another client"),
                assertion("PS256", "https://evil.example.com/token", "client"),
                assertion("PS256", "http://login.example.com/token", "client"),
                Vec::new(),
                b"what a TLS server wants to have signed".to_vec(),
                vec![0; keys::signing_input::SIGNED_MESSAGE_BYTES + 1],
            ] {
                answers.push(match state.sign(algorithm, message) {
                    Ok(Ok(signature)) => signature,
                    Ok(Err(failure)) => failure.to_string().into_bytes(),
                    Err(trap) => format!("{trap:?}").into_bytes(),
                });
            }
        }
        answers
    }

    #[tokio::test]
    async fn nothing_that_a_guest_is_given_holds_a_piece_of_the_key_the_pfx_file_or_its_code() {
        let (certificate, key, pfx) = certificate_and_key();
        let found = read_pfx(&pfx, &PfxCode::new(CODE)).await.unwrap();
        let installed = describe(&found.leaf, &found.chain, now_ms()).unwrap();
        let identity = Identity::new(installed, found.leaf, found.chain, &found.private_key).unwrap();
        let identity = Arc::new(identity);

        // The modulus and the exponent stand in the key too, but are no secret.
        let public: HashSet<&[u8]> = certificate.windows(RUN_BYTES).collect();
        let secret: HashSet<&[u8]> = key
            .windows(RUN_BYTES)
            .chain(pfx.windows(RUN_BYTES))
            .chain(CODE.as_bytes().windows(RUN_BYTES))
            .filter(|run| !public.contains(run))
            .collect();
        let is_secret = |bytes: &[u8]| bytes.windows(RUN_BYTES).any(|run| secret.contains(run));
        assert!(
            is_secret(&key) && is_secret(&pfx),
            "what is searched for can be found"
        );

        let answers = all_answers(&mut call_as(Some(identity)));
        assert_eq!(answers[0], certificate);
        let signatures = answers.iter().filter(|answer| answer.len() == 256).count();
        assert_eq!(
            signatures, 2,
            "one of each algorithm, for this client at its server"
        );
        assert!(!answers.iter().any(|answer| is_secret(answer)));
    }

    fn product(values: usize, text: &str) -> Product {
        let value = services_definition::AttributeValue {
            attribute: String::new(),
            key: String::new(),
            label: String::new(),
        };
        Product {
            code: text.to_owned(),
            product_type: String::new(),
            name: String::new(),
            description: String::new(),
            attribute_values: vec![value; values],
            min_quantity: 1,
            max_quantity: None,
            returnable: false,
        }
    }

    #[test]
    fn values_without_text_count_for_what_holds_them() {
        let mut sink = Sink::default();
        let mut given = 0;
        let refused = loop {
            match sink.take(vec![product(limits::PRODUCT_VALUES, ""); 1_000]) {
                Ok(()) => given += 1_000,
                Err(limit) => break limit,
            }
        };
        assert_eq!(refused, HostLimit::ProductBytes);
        let at_least = limits::PRODUCT_BYTES
            / (limits::PRODUCT_VALUES * size_of::<services_definition::AttributeValue>());
        assert!(given < at_least, "{given} products");
    }

    #[test]
    fn products_at_their_limits_are_taken_and_one_beyond_is_not() {
        let mut sink = Sink::default();
        assert_eq!(sink.take(vec![product(limits::PRODUCT_VALUES, "a")]), Ok(()));
        let refused = sink.take(vec![product(limits::PRODUCT_VALUES + 1, "b")]);
        assert_eq!(refused, Err(HostLimit::ProductValues));
        assert_eq!(sink.take(vec![product(0, "c"); limits::PRODUCTS - 1]), Ok(()));
        assert_eq!(sink.take(vec![product(0, "d")]), Err(HostLimit::Products));
        assert_eq!(sink.products.len(), limits::PRODUCTS);
    }

    #[test]
    fn a_call_without_certificate_is_given_neither_a_certificate_nor_a_signature() {
        use certificate_store::Host;
        let mut state = call_as(None);
        assert_eq!(state.certificate().unwrap(), None);
        let refused = state.sign(SignatureAlgorithm::Ps256, Vec::new()).unwrap();
        assert!(matches!(refused, Err(SigningFailure::NoCertificate)));
    }
}

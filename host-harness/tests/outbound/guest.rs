//! Runs the plugin of `guest.wat` in its sandbox, with the values that a test wants it to send.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bss_sandbox::bindings::instance_settings::Draft;
use bss_sandbox::seen_exchanges::SeenExchanges;
use host_harness::{CallContext, CallEvent, Plugin};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::caller::Caller;

/// A request as a guest gives it to the host.
#[derive(Clone)]
pub(crate) struct Request {
    /// The method's place in wasi:http's list, or its name.
    pub(crate) method: Result<u32, &'static str>,
    /// 0 for http, 1 for https.
    pub(crate) scheme: u32,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// All three time-outs, in nanoseconds.
    pub(crate) timeouts: Option<u64>,
    /// How often `write_length` bytes of body are written.
    pub(crate) writes: u32,
    pub(crate) write_length: u32,
}

/// The outcome of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The code that the guest reports; `guest.wat` lists them.
    pub(crate) code: u64,
    /// How many writes the host did not take.
    pub(crate) writes_left: u64,
}

pub(crate) const ANSWERED: u64 = 100;
pub(crate) const REQUEST_DENIED: u64 = 15;
pub(crate) const REQUEST_BODY_SIZE: u64 = 17;
pub(crate) const HEADER_REFUSED: u64 = 200;
pub(crate) const PATH_REFUSED: u64 = 202;

impl Request {
    /// A POST of five bytes.
    pub(crate) fn to(caller: &Caller) -> Self {
        Self {
            method: Ok(2),
            scheme: 1,
            authority: caller.egress.authorities[0].authority.to_string(),
            path: "/path?query".to_owned(),
            headers: Vec::new(),
            timeouts: None,
            writes: 1,
            write_length: 5,
        }
    }

    fn module(&self) -> String {
        let mut data = String::new();
        // Results are below 1024, bodies are read from the second page, and the form is in the fifth.
        let mut at = 1024;
        let mut place = |text: &str| {
            let begins = at;
            data += &format!("(data (i32.const {begins}) {text:?})\n");
            at += text.len();
            begins
        };
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| {
                let (name_at, value_at) = (place(name), place(value));
                format!(
                    "(call $append (local.get $fields) (i32.const {name_at}) (i32.const {}) (i32.const {value_at})
                       (i32.const {}) (i32.const 512))
                     (if (i32.load8_u (i32.const 512)) (then (return (i64.const {HEADER_REFUSED}))))",
                    name.len(),
                    value.len()
                )
            })
            .collect();
        let method = match self.method {
            Ok(place) => format!("(i32.const {place}) (i32.const 0) (i32.const 0)"),
            Err(name) => format!(
                "(i32.const 9) (i32.const {}) (i32.const {})",
                place(name),
                name.len()
            ),
        };
        let authority_at = place(&self.authority);
        let path_at = 131_072;
        let data = format!("{data}(data (i32.const {path_at}) {:?})", self.path);
        let options = self.timeouts.map_or(String::new(), |nanoseconds| {
            let time = format!("(local.get $options) (i32.const 1) (i64.const {nanoseconds})");
            format!("(drop (call $set-connect {time})) (drop (call $set-first-byte {time})) (drop (call $set-between {time}))")
        });
        [
            ("{data}", data),
            ("{headers}", headers),
            ("{method}", method),
            ("{options}", options),
            ("{scheme}", self.scheme.to_string()),
            ("{path_at}", path_at.to_string()),
            ("{path_length}", self.path.len().to_string()),
            ("{authority_at}", authority_at.to_string()),
            ("{authority_length}", self.authority.len().to_string()),
            ("{writes}", self.writes.to_string()),
            ("{write_length}", self.write_length.to_string()),
        ]
        .iter()
        .fold(include_str!("guest.wat").to_owned(), |module, (name, value)| {
            module.replace(name, value)
        })
    }

    /// Has it sent from a sandbox.
    pub(crate) async fn send(&self, caller: &Caller) -> Outcome {
        let plugin = Plugin::from_bytes("guest.wasm", &component(&self.module())).expect("the guest loads");
        let outcome = Arc::new(Mutex::new(None));
        let heard = outcome.clone();
        let context = CallContext {
            seen: SeenExchanges::default(),
            egress: Arc::new(caller.egress.clone()),
            options: [].into(),
            outbound: caller.outbound.clone(),
            access_tokens: Default::default(),
            listener: Arc::new(move |event| {
                if let CallEvent::Progress { done, total, .. } = event {
                    *heard.lock().unwrap() = Some(Outcome {
                        code: done,
                        writes_left: total.unwrap(),
                    });
                }
            }),
        };
        let draft = Draft {
            values: Vec::new(),
            saved: Vec::new(),
            secrets: Vec::new(),
            has_licenses: false,
            currency: "EUR".into(),
            certificates: Vec::new(),
            other_instances: Vec::new(),
        };
        plugin.configure_instance(context, draft).await.expect("no trap");
        let outcome = outcome.lock().unwrap().take();
        outcome.expect("it says what came of it")
    }
}

fn component(module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(contract).expect("the contract parses");
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    let mut module = wat::parse_str(module).expect("the module is right");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the world fits");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .expect("the module fits the world")
}

//! Components that misbehave, assembled from a few lines of WebAssembly text.

use std::path::Path;

use bss_sandbox::bindings::failures::Problem;
use bss_sandbox::bindings::instance_settings::{
    Authority, Choice, Field, FieldKind, FieldRole, Form, Standing,
};
use bss_sandbox::bindings::services_definition::{
    Attribute, AttributeValue, Derivative, Outcome, Product, ProductType,
};
use host_harness::Plugin;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{PackageId, Resolve};

/// A plugin whose three functions all have this body, which must leave an `i32` or never end.
pub(crate) fn guest(body: &str) -> Plugin {
    Plugin::from_bytes("guest.wasm", &component(&module(body))).expect("the guest loads")
}

/// A plugin that misbehaves in a call whose draft is in a currency of three letters, and answers with an empty form in
/// any other: `$wild` is 1 or 0. It reads an empty catalog, and misbehaves there when an entity tag is given.
#[derive(Clone, Default)]
pub(crate) struct Guest {
    /// Imported functions of the host's, as WebAssembly text.
    pub(crate) imports: &'static str,
    /// Functions, tables and other items of the module, as WebAssembly text.
    pub(crate) items: &'static str,
    /// The code of `configure-instance`, which leaves nothing on the stack. It has the variables `$handle` and `$i`.
    pub(crate) configures: &'static str,
    /// The code of `fetch-services`, with the same variables.
    pub(crate) fetches: &'static str,
    /// The code that runs when the host needs room for an argument.
    pub(crate) reallocates: &'static str,
    /// The world that it is a component of: the plugin's with all of WASI, or one that has resources of its own.
    pub(crate) world: World,
}

/// A world of the contract's, or one for guests.
#[derive(Clone, Copy, Default)]
pub(crate) enum World {
    /// All that a plugin may import, and all of WASI.
    #[default]
    Guest,
    /// A plugin with a kind of resource of its own.
    Owner,
}

/// A memory that is handed out once, and the two functions that a plugin which only buys is never called with.
const ONLY_BUYS: &str = r#"(global $free (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32) (param $bytes i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
                (global.set $free (i32.add (local.get $at) (local.get $bytes)))
                (local.get $at))
            (func (export "bss:service-manager/service-manager@0.1.0#configure-instance")
                    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
                (unreachable))
            (func (export "bss:service-manager/service-manager@0.1.0#fetch-services")
                    (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
                (unreachable))"#;

/// The description of every guest, at an address that no guest writes to, in bytes that are text: it says that
/// it is Microsoft's plugin.
pub(crate) const DESCRIBES: &str = r#"
    (data (i32.const 28768) "microsoft-esdMicrosoft ESD0.1.0")
    (data (i32.const 28868)
        "\60\70\00\00\0d\00\00\00"
        "\6d\70\00\00\09\00\00\00"
        "\6d\70\00\00\0d\00\00\00"
        "\7a\70\00\00\05\00\00\00"
        "\00\00\00\00\00\00\00\00"
        "\00\00\00\00\00\00\00\00"
        "\00\00\00\00\00\00\00\00"
        "\00\00\00\00\00\00\00\00")
    (func (export "bss:service-manager/service-manager@0.1.0#describe") (result i32) (i32.const 28868))"#;

impl Guest {
    pub(crate) fn plugin(&self) -> Plugin {
        Plugin::from_bytes("guest.wasm", &self.component()).expect("the guest loads")
    }

    pub(crate) fn component(&self) -> Vec<u8> {
        let Self {
            imports,
            items,
            configures,
            fetches,
            reallocates,
            world,
        } = self;
        // The memory at 2048 holds nothing but zeros: an empty form, and an empty catalog.
        let module = format!(
            r#"(module
                {imports}
                (memory (export "memory") 1)
                {DESCRIBES}
                (global $wild (mut i32) (i32.const 0))
                {items}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    {reallocates}
                    (i32.const 1024))
                (func (export "bss:service-manager/service-manager@0.1.0#configure-instance")
                        (param i32 i32 i32 i32 i32 i32 i32 i32) (param $currency-bytes i32) (param i32 i32 i32 i32) (result i32)
                    (local $handle i32) (local $i i32)
                    (global.set $wild (i32.eq (local.get $currency-bytes) (i32.const 3)))
                    {configures}
                    (i32.const 2048))
                (func (export "bss:service-manager/service-manager@0.1.0#fetch-services")
                        (param i32 i32 i32 i32 i32 i32 i32) (param $tag-bytes i32) (result i32)
                    (local $handle i32) (local $i i32)
                    (global.set $wild (i32.ne (local.get $tag-bytes) (i32.const 0)))
                    {fetches}
                    (i32.const 2048))
                (func (export "bss:service-manager/service-manager@0.1.0#create-license") (param i32) (result i32)
                    (unreachable)))"#
        );
        let world = match world {
            World::Guest => "test:guests/guest",
            World::Owner => "test:guests/owner",
        };
        component_of(world, &module)
    }
}

/// A form as a plugin answers that keeps the contract: what it has for its values is all that may be chosen.
#[derive(Clone, Copy)]
pub(crate) struct FormGuest<'a> {
    /// The fields: name, kind (0 text, 1 url, 2 choice) and value.
    pub(crate) fields: &'a [(&'a str, u8, &'a str)],
    /// The servers of the standing `ready`, and whether each is shown the certificate. Empty: the standing is
    /// `needs-selection`.
    pub(crate) reaches: &'a [(&'a str, bool)],
    /// The field of the certificate.
    pub(crate) certificate_field: &'a str,
}

impl FormGuest<'_> {
    pub(crate) fn form(&self) -> Form {
        let authorities = self.reaches.iter().map(|(name, client_certificate)| Authority {
            name: (*name).to_owned(),
            client_certificate: *client_certificate,
            secret_headers: Vec::new(),
        });
        let fields = self.fields.iter().map(|(id, kind, value)| {
            let choices = Some(*value).filter(|value| *kind == 2 && !value.is_empty());
            Field {
                id: (*id).to_owned(),
                label: "label".to_owned(),
                help: "help".to_owned(),
                kind: match kind {
                    0 => FieldKind::Text,
                    1 => FieldKind::Url,
                    _ => FieldKind::Choice,
                },
                role: FieldRole::Account,
                mandatory: !value.is_empty(),
                max_length: 500,
                enabled: true,
                choices: choices.into_iter().map(offered).collect(),
                value: (*value).to_owned(),
                problems: Vec::new(),
            }
        });
        Form {
            fields: fields.collect(),
            standing: match self.reaches {
                [] => Standing::NeedsSelection,
                _ => Standing::Ready(authorities.collect()),
            },
            certificate_field: (!self.certificate_field.is_empty())
                .then(|| self.certificate_field.to_owned()),
        }
    }

    pub(crate) fn component(&self) -> Vec<u8> {
        answering_with_form(&self.form())
    }
}

/// A field that can be filled in, and has no value.
pub(crate) fn enabled_field(id: &str, kind: FieldKind, role: FieldRole) -> Field {
    Field {
        id: id.to_owned(),
        label: id.to_owned(),
        help: String::new(),
        kind,
        role,
        mandatory: false,
        max_length: 500,
        enabled: true,
        choices: Vec::new(),
        value: String::new(),
        problems: Vec::new(),
    }
}

/// A choice that can be chosen.
pub(crate) fn offered(key: &str) -> Choice {
    Choice {
        key: key.to_owned(),
        label: "label".to_owned(),
        unusable_because: String::new(),
    }
}

/// A plugin that answers every draft with the same form, whatever was typed, and does nothing else.
pub(crate) fn answering_with_form(form: &Form) -> Vec<u8> {
    let mut memory = Memory::default();
    let answer = memory.form(form);
    answering(&memory, "", &format!("(i32.const {answer})"), "(unreachable)")
}

/// A plugin that answers with one form while nothing is typed, and with another one once a value is; it breaks off where it
/// is handed two values.
pub(crate) fn showing_more(at_first: &Form, then: &Form) -> Vec<u8> {
    let mut memory = Memory::default();
    let (at_first, then) = (memory.form(at_first), memory.form(then));
    let configures = format!(
        "(if (i32.gt_u (local.get 1) (i32.const 1)) (then (unreachable)))
        (select (i32.const {then}) (i32.const {at_first}) (local.get 1))"
    );
    answering(&memory, "", &configures, "(unreachable)")
}

/// A plugin that reads the same catalog every time, and does nothing else.
pub(crate) fn answering_with_catalog(products: &[Product], outcome: &Outcome) -> Vec<u8> {
    let mut memory = Memory::default();
    let given = memory.list_of(products, Memory::product);
    let given = memory.place(&given);
    // The answer is `ok`, and its payload where a number of eight bytes could begin.
    let mut answer = vec![0; 8];
    match outcome {
        Outcome::Complete(summary) => {
            answer.extend([0; 4]);
            answer.extend(memory.list_of(&summary.product_types, Memory::product_type));
            answer.extend(summary.products.to_le_bytes());
            answer.extend(
                memory.list_of(&summary.skipped, |memory: &mut Memory, code: &String| {
                    memory.text(code)
                }),
            );
            answer.extend(memory.text(&summary.entity_tag));
        }
        Outcome::Unchanged => answer.extend([1, 0, 0, 0]),
    }
    let answer = memory.place(&answer);
    let put =
        r#"(import "bss:service-manager/services-sink@0.1.0" "put-products" (func $put (param i32 i32)))"#;
    let fetches = format!(
        "(call $put (i32.load (i32.const {given})) (i32.load offset=4 (i32.const {given}))) (i32.const {answer})"
    );
    answering(&memory, put, "(unreachable)", &fetches)
}

/// A plugin with this memory, whose two functions have these bodies.
fn answering(memory: &Memory, imports: &str, configures: &str, fetches: &str) -> Vec<u8> {
    component(&format!(
        r#"(module
            {imports}
            (memory (export "memory") 2)
            {DESCRIBES}
            (data (i32.const {base}) "{data}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "bss:service-manager/service-manager@0.1.0#configure-instance")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {configures})
            (func (export "bss:service-manager/service-manager@0.1.0#fetch-services")
                (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {fetches})
            (func (export "bss:service-manager/service-manager@0.1.0#create-license") (param i32) (result i32)
                (unreachable)))"#,
        base = Memory::BASE,
        data = memory.escaped(),
    ))
}

/// Data of a guest's memory in the canonical ABI, at a place that no argument is written to.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Memory {
    const BASE: u32 = 65_536;

    /// Puts bytes where a record with a number of eight bytes may begin, and answers with the address.
    fn place(&mut self, bytes: &[u8]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let address = Self::BASE + u32::try_from(self.0.len()).expect("a short memory");
        self.0.extend(bytes);
        address
    }

    /// A list of so many elements, or a text of so many bytes.
    fn list(&mut self, elements: &[u8], count: usize) -> Vec<u8> {
        let address = self.place(elements);
        let count = u32::try_from(count).expect("a short list");
        [address.to_le_bytes(), count.to_le_bytes()].concat()
    }

    fn text(&mut self, text: &str) -> Vec<u8> {
        self.list(text.as_bytes(), text.len())
    }

    /// A list of records, each of which is written by a function.
    fn list_of<T>(&mut self, elements: &[T], write: impl Fn(&mut Self, &T) -> Vec<u8>) -> Vec<u8> {
        let written: Vec<u8> = elements.iter().flat_map(|element| write(self, element)).collect();
        self.list(&written, elements.len())
    }

    fn texts(&mut self, texts: &[&str]) -> Vec<u8> {
        texts.iter().flat_map(|text| self.text(text)).collect()
    }

    /// A form, and its address.
    fn form(&mut self, form: &Form) -> u32 {
        let mut answer = self.list_of(&form.fields, Self::field);
        let authority = |memory: &mut Self, authority: &Authority| {
            let name = memory.text(&authority.name);
            let secrets = memory.list_of(&authority.secret_headers, |memory, header| {
                memory.texts(&[&header.name, &header.prefix, &header.field])
            });
            [
                name,
                vec![u8::from(authority.client_certificate), 0, 0, 0],
                secrets,
            ]
            .concat()
        };
        let (case, authorities) = match &form.standing {
            Standing::NeedsCredentials => (0, Vec::new()),
            Standing::NeedsSelection => (1, Vec::new()),
            Standing::Ready(authorities) => (2, authorities.clone()),
        };
        answer.extend([case, 0, 0, 0]);
        answer.extend(self.list_of(&authorities, authority));
        answer.extend([u8::from(form.certificate_field.is_some()), 0, 0, 0]);
        answer.extend(self.text(form.certificate_field.as_deref().unwrap_or_default()));
        self.place(&answer)
    }

    fn field(&mut self, field: &Field) -> Vec<u8> {
        let kind = match field.kind {
            FieldKind::Text => 0,
            FieldKind::Url => 1,
            FieldKind::Choice => 2,
            FieldKind::Secret => 3,
        };
        let role = match field.role {
            FieldRole::Account => 0,
            FieldRole::Credential => 1,
            FieldRole::Other => 2,
        };
        let choice = |memory: &mut Self, choice: &Choice| {
            memory.texts(&[&choice.key, &choice.label, &choice.unusable_because])
        };
        let problem = |memory: &mut Self, problem: &Problem| {
            let Problem {
                code,
                message,
                advice,
                correlation_id,
            } = problem;
            memory.texts(&[code, message, advice, correlation_id])
        };
        let mut written = self.texts(&[&field.id, &field.label, &field.help]);
        written.extend([kind, role, u8::from(field.mandatory), 0]);
        written.extend(field.max_length.to_le_bytes());
        written.extend([u8::from(field.enabled), 0, 0, 0]);
        written.extend(self.list_of(&field.choices, choice));
        written.extend(self.text(&field.value));
        written.extend(self.list_of(&field.problems, problem));
        written
    }

    fn product_type(&mut self, product_type: &ProductType) -> Vec<u8> {
        let attribute =
            |memory: &mut Self, attribute: &Attribute| memory.texts(&[&attribute.id, &attribute.name]);
        let derivative = match product_type.derivative {
            Derivative::Subscription => 0,
            Derivative::License => 1,
        };
        let mut written = self.texts(&[&product_type.id, &product_type.name]);
        let flags = [product_type.split_quantity, product_type.manual_cancellation];
        written.extend([derivative, u8::from(flags[0]), u8::from(flags[1]), 0]);
        written.extend(self.list_of(&product_type.attributes, attribute));
        written
    }

    fn product(&mut self, product: &Product) -> Vec<u8> {
        let value = |memory: &mut Self, value: &AttributeValue| {
            memory.texts(&[&value.attribute, &value.key, &value.label])
        };
        let Product {
            code,
            product_type,
            name,
            description,
            ..
        } = product;
        let mut written = self.texts(&[code, product_type, name, description]);
        written.extend(self.list_of(&product.attribute_values, value));
        written.extend(product.min_quantity.to_le_bytes());
        written.extend([u8::from(product.max_quantity.is_some()), 0, 0, 0]);
        written.extend(product.max_quantity.unwrap_or_default().to_le_bytes());
        written.extend([u8::from(product.returnable), 0, 0, 0]);
        written
    }

    /// The bytes as WebAssembly text has them.
    fn escaped(&self) -> String {
        self.0.iter().map(|byte| format!("\\{byte:02x}")).collect()
    }
}

/// Adds a core module of its own to a component, as often as told, each of which is instantiated after the component's own.
/// The module imports nothing.
pub(crate) fn with_modules(component: &[u8], module: &str, times: usize) -> Vec<u8> {
    const CORE_MODULE: u8 = 1;
    const CORE_INSTANCE: u8 = 2;
    let module = wat::parse_str(module).expect("the module is right");
    let number = u8::try_from(core_modules(component)).expect("few modules");
    let section = |id: u8, content: &[u8]| [&[id][..], &leb128(content.len()), content].concat();
    // A section with one instance, of the module with that number and without arguments.
    let instance = section(CORE_INSTANCE, &[1, 0, number, 0]);
    [
        component.to_vec(),
        section(CORE_MODULE, &module),
        instance.repeat(times),
    ]
    .concat()
}

/// The number of core modules that stand in a component itself.
fn core_modules(component: &[u8]) -> usize {
    const PREAMBLE_BYTES: usize = 8;
    let (mut rest, mut modules) = (&component[PREAMBLE_BYTES..], 0);
    while let [id, after @ ..] = rest {
        let digits = after.iter().position(|byte| byte & 0x80 == 0).expect("a length") + 1;
        let length = after[..digits]
            .iter()
            .rev()
            .fold(0, |length, digit| (length << 7) | usize::from(digit & 0x7f));
        modules += usize::from(*id == 1);
        rest = &after[digits + length..];
    }
    modules
}

/// A number as WebAssembly writes lengths.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut digits = Vec::new();
    loop {
        let digit = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            digits.push(digit);
            return digits;
        }
        digits.push(digit | 0x80);
    }
}

/// The worlds of guests that try what the contract does not have.
const WORLDS: &str = "
    package test:guests;

    world guest {
        include bss:service-manager/plugin@0.1.0;
        include wasi:cli/imports@0.2.2;
    }

    interface things {
        resource thing;
    }

    world lifecycle-guest {
        include bss:service-manager/lifecycle-plugin@0.1.0;
        include wasi:cli/imports@0.2.2;
    }

    world owner {
        include bss:service-manager/plugin@0.1.0;
        export things;
    }
";

/// A plugin that asks no vendor, and answers every purchase with a license of that product key, activation link, and token
/// and return status (unused and none: 0).
pub(crate) fn seller(product_key: &str, activation_link: &str, statuses: [u8; 2]) -> Vec<u8> {
    let bytes = |text: &str| {
        text.bytes()
            .map(|byte| format!("\\{byte:02x}"))
            .collect::<String>()
    };
    // The answer is at 2048, and its license at 2064: the names, the key and the link, each as address and length, and
    // the statuses at 2104 and the time of purchase at 2112. All that is zero says that it is licensed.
    component(&format!(
        r#"(module
            (memory (export "memory") 2)
                {DESCRIBES}
            (data (i32.const 3000) "t-1")
            (data (i32.const 4000) "{}")
            (data (i32.const 8000) "{}")
            {ONLY_BUYS}
            (func (export "bss:service-manager/service-manager@0.1.0#create-license")
                    (param $order i32) (result i32)
                (i64.store (i32.const 2064) (i64.load offset=24 (local.get $order)))
                (i32.store (i32.const 2072) (i32.const 3000))
                (i32.store (i32.const 2076) (i32.const 3))
                (i32.store (i32.const 2080) (i32.const 3000))
                (i32.store (i32.const 2084) (i32.const 3))
                (i32.store (i32.const 2088) (i32.const 4000))
                (i32.store (i32.const 2092) (i32.const {}))
                (i32.store (i32.const 2096) (i32.const 8000))
                (i32.store (i32.const 2100) (i32.const {}))
                (i32.store16 (i32.const 2104) (i32.const {}))
                (i64.store (i32.const 2112) (i64.const 1800000000000))
                (i32.const 2048)))"#,
        bytes(product_key),
        bytes(activation_link),
        product_key.len(),
        activation_link.len(),
        u16::from_le_bytes(statuses),
    ))
}

/// A plugin that asks no vendor, and refuses every purchase and every check of one. What the problem says is the quantity that
/// it was told, which has one digit, and whether it was to check only (1) or to buy (0).
pub(crate) fn quantity_teller() -> Vec<u8> {
    // The order is preceded by the instance, of 24 bytes. It begins with the id and the earlier attempts; `check-only` is at
    // 33, and the quantity at 44, after the product. The answer is at 2048: an error (1), a refusal (0), and at 2064 the
    // problem, whose four texts are each an address and a length.
    component(&format!(
        r#"(module
            (memory (export "memory") 2)
                {DESCRIBES}
            (data (i32.const 3000) "quantity")
            (data (i32.const 4000) "0 0")
            {ONLY_BUYS}
            (func (export "bss:service-manager/service-manager@0.1.0#create-license")
                    (param $order i32) (result i32)
                (if (i32.gt_u (i32.load offset=44 (local.get $order)) (i32.const 9)) (then (unreachable)))
                (i32.store8 (i32.const 4000)
                    (i32.add (i32.const 48) (i32.load offset=44 (local.get $order))))
                (i32.store8 (i32.const 4002)
                    (i32.add (i32.const 48) (i32.load8_u offset=33 (local.get $order))))
                (i32.store8 (i32.const 2048) (i32.const 1))
                (i32.store (i32.const 2064) (i32.const 3000))
                (i32.store (i32.const 2068) (i32.const 8))
                (i32.store (i32.const 2072) (i32.const 4000))
                (i32.store (i32.const 2076) (i32.const 3))
                (i32.const 2048)))"#
    ))
}

/// What a guest that buys sends as its idempotency key.
#[derive(Clone, Copy)]
pub(crate) enum IdempotencyKey {
    /// The client transaction id of the purchase.
    OfThePurchase,
    /// A constant, for every purchase.
    Constant,
    /// Chance, for every request.
    Chance,
}

/// A plugin that buys with one request to a server, whatever is answered, and says that the license was bought now.
pub(crate) fn buyer(server: &str, key: IdempotencyKey) -> Vec<u8> {
    let key = match key {
        IdempotencyKey::OfThePurchase => {
            "(i32.load offset=24 (local.get $order)) (i32.load offset=28 (local.get $order))"
        }
        IdempotencyKey::Constant => "(i32.const 450) (i32.const 8)",
        IdempotencyKey::Chance => "(call $chance) (i32.const 8)",
    };
    // The answer is as that of `seller`.
    let module = format!(
        r#"(module
            (import "wasi:clocks/wall-clock@0.2.2" "now" (func $now (param i32)))
            (import "wasi:random/random@0.2.2" "get-random-u64" (func $random (result i64)))
            (import "wasi:http/types@0.2.2" "[constructor]fields" (func $fields (result i32)))
            (import "wasi:http/types@0.2.2" "[method]fields.append"
                (func $append (param i32 i32 i32 i32 i32 i32)))
            (import "wasi:http/types@0.2.2" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-method"
                (func $set-method (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-path-with-query"
                (func $set-path (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-scheme"
                (func $set-scheme (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-authority"
                (func $set-authority (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]future-incoming-response.subscribe"
                (func $subscribe (param i32) (result i32)))
            (import "wasi:io/poll@0.2.2" "[method]pollable.block" (func $block (param i32)))
            (import "wasi:http/outgoing-handler@0.2.2" "handle" (func $handle (param i32 i32 i32 i32)))
            (memory (export "memory") 2)
            {DESCRIBES}
            (data (i32.const 400) "idempotency-key")
            (data (i32.const 450) "constant")
            (data (i32.const 550) "/tokens")
            (data (i32.const 600) "{server}")
            (data (i32.const 3000) "t-1")
            (data (i32.const 4000) "key")
            {ONLY_BUYS}
            ;; Eight letters.
            (func $chance (result i32)
                (i64.store (i32.const 480)
                    (i64.or (i64.and (call $random) (i64.const 0x0f0f0f0f0f0f0f0f)) (i64.const 0x6060606060606060)))
                (i32.const 480))
            (func (export "bss:service-manager/service-manager@0.1.0#create-license")
                    (param $order i32) (result i32) (local $fields i32) (local $request i32)
                (local.set $fields (call $fields))
                (call $append (local.get $fields) (i32.const 400) (i32.const 15) {key} (i32.const 512))
                (local.set $request (call $request (local.get $fields)))
                ;; A POST over HTTPS.
                (drop (call $set-method (local.get $request) (i32.const 2) (i32.const 0) (i32.const 0)))
                (drop (call $set-path (local.get $request) (i32.const 1) (i32.const 550) (i32.const 7)))
                (drop (call $set-scheme (local.get $request) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0)))
                (drop (call $set-authority
                    (local.get $request) (i32.const 1) (i32.const 600) (i32.const {server_bytes})))
                (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 512))
                (if (i32.load8_u (i32.const 512)) (then (unreachable)))
                (call $block (call $subscribe (i32.load (i32.const 520))))
                (i64.store (i32.const 2064) (i64.load offset=24 (local.get $order)))
                (i32.store (i32.const 2072) (i32.const 3000))
                (i32.store (i32.const 2076) (i32.const 3))
                (i32.store (i32.const 2080) (i32.const 3000))
                (i32.store (i32.const 2084) (i32.const 3))
                (i32.store (i32.const 2088) (i32.const 4000))
                (i32.store (i32.const 2092) (i32.const 3))
                (call $now (i32.const 528))
                (i64.store (i32.const 2112) (i64.mul (i64.load (i32.const 528)) (i64.const 1000)))
                (i32.const 2048)))"#,
        server_bytes = server.len(),
    );
    component_of("test:guests/guest", &module)
}

/// A plugin that gives up in every call as a panic does, with these words on its standard error. Before that it logs a line,
/// and where it is told a server, it has sent the server a request that may change something.
pub(crate) fn panicking(words: &[u8], server: Option<&str>) -> Vec<u8> {
    let escaped = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect::<String>()
    };
    let server = server.unwrap_or_default();
    let body = "(call $ask) (call $panic) (unreachable)";
    let module = lifecycle_module(body);
    // After the imports, the memory of the module is replaced by one with the words.
    let items = format!(
        r#"(module
            (import "bss:service-manager/progress@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
            (import "wasi:cli/stderr@0.2.2" "get-stderr" (func $stderr (result i32)))
            (import "wasi:io/streams@0.2.2" "[method]output-stream.blocking-write-and-flush"
                (func $write (param i32 i32 i32 i32)))
            (import "wasi:http/types@0.2.2" "[constructor]fields" (func $fields (result i32)))
            (import "wasi:http/types@0.2.2" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-method"
                (func $set-method (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-path-with-query"
                (func $set-path (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-scheme"
                (func $set-scheme (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-authority"
                (func $set-authority (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]future-incoming-response.subscribe"
                (func $subscribe (param i32) (result i32)))
            (import "wasi:io/poll@0.2.2" "[method]pollable.block" (func $block (param i32)))
            (import "wasi:http/outgoing-handler@0.2.2" "handle" (func $handle (param i32 i32 i32 i32)))
            (memory (export "memory") {pages})
            (data (i32.const 500) "asks the server")
            (data (i32.const 550) "/tokens")
            (data (i32.const 600) "{server_bytes}")
            (data (i32.const 65536) "{words_bytes}")
            (func $ask (local $request i32)
                (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 500) (i32.const 15))
                (if (i32.eqz (i32.const {server_length})) (then (return)))
                (local.set $request (call $request (call $fields)))
                ;; A POST over HTTPS.
                (drop (call $set-method (local.get $request) (i32.const 2) (i32.const 0) (i32.const 0)))
                (drop (call $set-path (local.get $request) (i32.const 1) (i32.const 550) (i32.const 7)))
                (drop (call $set-scheme (local.get $request) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0)))
                (drop (call $set-authority
                    (local.get $request) (i32.const 1) (i32.const 600) (i32.const {server_length})))
                (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 512))
                (if (i32.load8_u (i32.const 512)) (then (unreachable)))
                (call $block (call $subscribe (i32.load (i32.const 520)))))
            (func $panic (local $stderr i32) (local $at i32) (local $bytes i32)
                (local.set $stderr (call $stderr))
                (local.set $at (i32.const 65536))
                (loop $again
                    (local.set $bytes (i32.sub (i32.const {end}) (local.get $at)))
                    (if (i32.gt_u (local.get $bytes) (i32.const 4096)) (then (local.set $bytes (i32.const 4096))))
                    (call $write (local.get $stderr) (local.get $at) (local.get $bytes) (i32.const 512))
                    (local.set $at (i32.add (local.get $at) (local.get $bytes)))
                    (br_if $again (i32.lt_u (local.get $at) (i32.const {end})))))"#,
        pages = 2 + words.len() / 65_536,
        server_bytes = escaped(server.as_bytes()),
        server_length = server.len(),
        words_bytes = escaped(words),
        end = 65_536 + words.len(),
    );
    let (_, exports) = module
        .split_once(r#"(memory (export "memory") 1)"#)
        .expect("a module has a memory");
    component_of("test:guests/lifecycle-guest", &(items + exports))
}

/// A plugin with that form, which asks a server for the first page of its catalog, reads the answer with all its header
/// fields, and then writes the whole of its memory to its standard error: pieces of 512 bytes that overlap, each as a line of
/// hexadecimal digits, so that nobody takes a secret out of them.
pub(crate) fn dumping(form: &Form, server: &str) -> Vec<u8> {
    let mut memory = Memory::default();
    let path = memory.list(b"/v1/products", "/v1/products".len());
    let path = memory.place(&path);
    let authority = memory.text(server);
    let authority = memory.place(&authority);
    let answer = memory.form(form);
    let module = format!(
        r#"(module
            (import "wasi:cli/stderr@0.2.2" "get-stderr" (func $stderr (result i32)))
            (import "wasi:io/streams@0.2.2" "[method]output-stream.blocking-write-and-flush"
                (func $write (param i32 i32 i32 i32)))
            (import "wasi:io/streams@0.2.2" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
            (import "wasi:io/poll@0.2.2" "[method]pollable.block" (func $block (param i32)))
            (import "wasi:http/types@0.2.2" "[constructor]fields" (func $fields (result i32)))
            (import "wasi:http/types@0.2.2" "[method]fields.entries" (func $entries (param i32 i32)))
            (import "wasi:http/types@0.2.2" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-path-with-query"
                (func $set-path (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-scheme"
                (func $set-scheme (param i32 i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]outgoing-request.set-authority"
                (func $set-authority (param i32 i32 i32 i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]future-incoming-response.subscribe"
                (func $subscribe (param i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]future-incoming-response.get" (func $get (param i32 i32)))
            (import "wasi:http/types@0.2.2" "[method]incoming-response.headers"
                (func $headers (param i32) (result i32)))
            (import "wasi:http/types@0.2.2" "[method]incoming-response.consume" (func $consume (param i32 i32)))
            (import "wasi:http/types@0.2.2" "[method]incoming-body.stream" (func $stream (param i32 i32)))
            (import "wasi:http/outgoing-handler@0.2.2" "handle" (func $handle (param i32 i32 i32 i32)))
            (memory (export "memory") 3)
            {DESCRIBES}
            (global $free (mut i32) (i32.const 131072))
            (data (i32.const {base}) "{data}")
            (data (i32.const 600) "\0a")
            (data (i32.const 608) "0123456789abcdef")
            (func (export "cabi_realloc") (param i32 i32 i32) (param $bytes i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
                (global.set $free (i32.add (local.get $at) (local.get $bytes)))
                (local.get $at))
            (func $ask (local $request i32) (local $future i32) (local $response i32)
                (local.set $request (call $request (call $fields)))
                (drop (call $set-path (local.get $request) (i32.const 1)
                    (i32.load (i32.const {path})) (i32.load offset=4 (i32.const {path}))))
                (drop (call $set-scheme (local.get $request) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0)))
                (drop (call $set-authority (local.get $request) (i32.const 1)
                    (i32.load (i32.const {authority})) (i32.load offset=4 (i32.const {authority}))))
                (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 512))
                (if (i32.load8_u (i32.const 512)) (then (unreachable)))
                (local.set $future (i32.load (i32.const 520)))
                (call $block (call $subscribe (local.get $future)))
                (call $get (local.get $future) (i32.const 512))
                ;; An answer, and no error twice over.
                (if (i32.eqz (i32.load8_u (i32.const 512))) (then (unreachable)))
                (if (i32.load8_u (i32.const 520)) (then (unreachable)))
                (if (i32.load8_u (i32.const 528)) (then (unreachable)))
                (local.set $response (i32.load (i32.const 536)))
                (call $entries (call $headers (local.get $response)) (i32.const 640))
                (call $consume (local.get $response) (i32.const 512))
                (call $stream (i32.load (i32.const 516)) (i32.const 512))
                (call $read (i32.load (i32.const 516)) (i64.const 16384) (i32.const 512)))
            (func $digit (param $to i32) (param $nibble i32)
                (i32.store8 (local.get $to) (i32.load8_u (i32.add (i32.const 608) (local.get $nibble)))))
            (func $dump (local $stderr i32) (local $at i32) (local $i i32) (local $byte i32)
                (local.set $stderr (call $stderr))
                (loop $again
                    (local.set $i (i32.const 0))
                    (loop $next
                        (local.set $byte (i32.load8_u (i32.add (local.get $at) (local.get $i))))
                        (call $digit (i32.add (i32.const 8192) (i32.shl (local.get $i) (i32.const 1)))
                            (i32.shr_u (local.get $byte) (i32.const 4)))
                        (call $digit (i32.add (i32.const 8193) (i32.shl (local.get $i) (i32.const 1)))
                            (i32.and (local.get $byte) (i32.const 15)))
                        (local.set $i (i32.add (local.get $i) (i32.const 1)))
                        (br_if $next (i32.lt_u (local.get $i) (i32.const 512))))
                    (call $write (local.get $stderr) (i32.const 8192) (i32.const 1024) (i32.const 512))
                    (call $write (local.get $stderr) (i32.const 600) (i32.const 1) (i32.const 512))
                    (local.set $at (i32.add (local.get $at) (i32.const 384)))
                    (br_if $again (i32.lt_u (local.get $at) (global.get $free)))))
            (func (export "bss:service-manager/service-manager@0.1.0#configure-instance")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const {answer}))
            (func (export "bss:service-manager/service-manager@0.1.0#fetch-services")
                (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (call $ask) (call $dump) (unreachable))
            (func (export "bss:service-manager/service-manager@0.1.0#create-license") (param i32) (result i32)
                (unreachable)))"#,
        base = Memory::BASE,
        data = memory.escaped(),
    );
    component_of("test:guests/guest", &module)
}

/// The three exports of `service-manager` as the canonical ABI flattens them.
pub(crate) fn module(body: &str) -> String {
    let export = |name: &str, parameters: usize| {
        format!(
            r#"(func (export "bss:service-manager/service-manager@0.1.0#{name}") (param {}) (result i32)
                {body})"#,
            "i32 ".repeat(parameters)
        )
    };
    format!(
        r#"(module
            (memory (export "memory") 1)
                {DESCRIBES}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            {}
            {}
            {})"#,
        export("configure-instance", 13),
        export("fetch-services", 8),
        export("create-license", 1),
    )
}

/// A module as of [`module`] with the two exports of `license-lifecycle`, for the world `lifecycle-plugin`.
pub(crate) fn lifecycle_module(body: &str) -> String {
    let exports = [("get-license", 13), ("cancel-license", 1)];
    module_with("license-lifecycle", &exports, body)
}

/// A module as of [`module`] with the export of `connection`, for the world `checking-plugin`.
pub(crate) fn checking_module(body: &str) -> String {
    module_with("connection", &[("check-connection", 6)], body)
}

/// A module as of [`module`] with an interface more: its functions, each with the number of its parameters.
fn module_with(interface: &str, functions: &[(&str, usize)], body: &str) -> String {
    let core = module(body);
    let mut text = core.strip_suffix(')').expect("a module ends so").to_owned();
    for (name, parameters) in functions {
        text += &format!(
            r#"(func (export "bss:service-manager/{interface}@0.1.0#{name}") (param {}) (result i32)
                {body})"#,
            "i32 ".repeat(*parameters)
        );
    }
    text + ")"
}

/// Makes a component of the contract's world `plugin` from a core module.
pub(crate) fn component(module: &str) -> Vec<u8> {
    component_of("plugin", module)
}

/// Makes a component of a world of the contract from a core module.
pub(crate) fn component_of(world: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("wit"))
        .expect("the contract parses");
    resolve
        .push_str("guests.wit", WORLDS)
        .expect("the guests' worlds parse");
    component_of_package(&resolve, package, world, module)
}

/// Makes a component of a world of some package from a core module.
pub(crate) fn component_of_package(
    resolve: &Resolve,
    package: PackageId,
    world: &str,
    module: &str,
) -> Vec<u8> {
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("it has the world");
    let mut module = wat::parse_str(module).expect("the module is right");
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).expect("the world fits");
    ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .expect("the module fits the world")
}

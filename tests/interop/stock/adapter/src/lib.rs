//! A stand-in for the plugin's host: a component that exports what the plugin imports, for a stock wasmtime and a
//! simulator of Microsoft that asks for no certificates.
//!
//! The adapter keeps no promise of the real host. Its private key is a file that the guest reads, it speaks plain HTTP,
//! and access tokens are kept for one call.
#![expect(clippy::print_stderr, reason = "that is where progress and logs go")]
#![expect(clippy::print_stdout, reason = "that is where the products go")]
#![cfg(target_family = "wasm")]

use std::cell::RefCell;

use exports::bss::service_manager::{access_token_cache, progress, services_sink};

mod certificate_store;
mod plain_http;

#[expect(unsafe_code, reason = "generated")]
mod bindings {
    use super::Adapter;

    wit_bindgen::generate!({
        path: "../../../../wit",
        inline: "
            package bss:stock-adapter;

            world adapter {
                import wasi:http/types@0.2.2;
                import wasi:http/outgoing-handler@0.2.2;
                import wasi:random/random@0.2.2;

                export bss:service-manager/access-token-cache@0.1.0;
                export bss:service-manager/certificate-store@0.1.0;
                export bss:service-manager/progress@0.1.0;
                export bss:service-manager/services-sink@0.1.0;
                export wasi:http/outgoing-handler@0.2.2;
            }
        ",
        world: "bss:stock-adapter/adapter",
        generate_all,
    });

    export!(Adapter);
}
use bindings::exports;

struct Adapter;

thread_local! {
    /// The access token of this call, by its name.
    static ACCESS_TOKEN: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

impl access_token_cache::Guest for Adapter {
    fn get(name: String) -> Option<String> {
        ACCESS_TOKEN.with_borrow(|kept| match kept {
            Some((known, access_token)) if *known == name => Some(access_token.clone()),
            _ => None,
        })
    }

    fn put(name: String, access_token: String, _expires_at_ms: i64) {
        ACCESS_TOKEN.set(Some((name, access_token)));
    }

    fn drop_refused(_name: String, access_token: String) {
        ACCESS_TOKEN.with_borrow_mut(|kept| kept.take_if(|(_, known)| *known == access_token));
    }
}

impl progress::Guest for Adapter {
    fn report(done: u64, total: Option<u64>, unit: String) {
        match total {
            Some(total) => eprintln!("{done} of {total} {unit}"),
            None => eprintln!("{done} {unit}"),
        }
    }

    fn log(level: progress::Level, subject: String, message: String) {
        let level = match level {
            progress::Level::Debug => "debug",
            progress::Level::Info => "info",
            progress::Level::Warning => "warning",
        };
        eprintln!("{level}: {subject}: {message}");
    }
}

impl services_sink::Guest for Adapter {
    fn put_products(products: Vec<services_sink::Product>) {
        for product in products {
            println!("{} {}", product.code, product.name);
        }
    }
}

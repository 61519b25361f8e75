//! The platform as a component sees it: its imports.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::bindings::bss::service_manager::services_definition as wire;
use crate::bindings::bss::service_manager::{progress, services_sink};
use crate::http::{HttpRequest, HttpResponse, SendFailure};
use crate::platform::{Level, Platform};
use crate::product::Product;
use crate::wasi_http;

/// The host of this call. Outside of a component there is none, and every call of its functions panics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

impl Platform for Host {
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
        wasi_http::send(request)
    }

    fn put_products(&self, products: Vec<Product>) {
        // The values of all products are in one list; each product is lent its part of it.
        let values = products.iter().flat_map(|product| &product.attribute_values);
        let values: Vec<_> = values
            .map(|value| wire::AttributeValue {
                attribute: &value.attribute,
                key: &value.key,
                label: &value.label,
            })
            .collect();
        let mut rest = values.as_slice();
        let lent = products.iter().map(|product| {
            let (own, others) = rest.split_at(product.attribute_values.len());
            rest = others;
            lent(product, own)
        });
        services_sink::put_products(&lent.collect::<Vec<_>>());
    }

    fn report_progress(&self, done: u64, total: Option<u64>, unit: &str) {
        progress::report(done, total, unit);
    }

    fn log(&self, level: Level, subject: &str, message: &str) {
        progress::log(level, subject, message);
    }

    fn now_ms(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Lends a product to the host.
fn lent<'a>(product: &'a Product, attribute_values: &'a [wire::AttributeValue<'a>]) -> wire::Product<'a> {
    let Product {
        code,
        product_type,
        name,
        description,
        attribute_values: _,
        min_quantity,
        max_quantity,
        returnable,
    } = product;
    wire::Product {
        code,
        product_type,
        name,
        description,
        attribute_values,
        min_quantity: *min_quantity,
        max_quantity: *max_quantity,
        returnable: *returnable,
    }
}

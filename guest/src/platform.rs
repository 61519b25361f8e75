//! What every plugin asks of the host that it runs in.

use crate::content::made_plain;
use crate::http::{HttpRequest, HttpResponse, SendFailure};
use crate::product::Product;

pub use crate::bindings::bss::service_manager::progress::Level;

/// The host. In a component it is [`Host`](crate::Host); tests script one.
pub trait Platform {
    /// Sends one HTTP request and reads the answer to its end, as it came. Follows no redirect, retries nothing.
    ///
    /// # Errors
    /// Says why there is no answer, and by [`SendFailure::is_definitely_not_sent`] whether the request
    /// may have had an effect.
    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, SendFailure>;

    /// Sends a request, and makes the body of the answer plain.
    ///
    /// # Errors
    /// As [`Platform::send`], and when the body can't be made plain.
    fn exchange(&self, request: &HttpRequest) -> Result<HttpResponse, SendFailure> {
        made_plain(self.send(request)?, request.response_bytes_max)
    }

    /// Hands over the next products of the services definition.
    fn put_products(&self, products: Vec<Product>);

    /// Reports how far the call has come.
    fn report_progress(&self, done: u64, total: Option<u64>, unit: &str);

    /// Writes a line into the log of the call.
    fn log(&self, level: Level, subject: &str, message: &str);

    /// The time of day, in milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

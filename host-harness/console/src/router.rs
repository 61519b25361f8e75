//! The router of all pages.

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::console::Console;
use crate::guard::guard;
use crate::pages;

impl Console {
    /// All pages, below `/console`.
    pub fn router(self) -> Router {
        pages::routes()
            .layer(from_fn_with_state(self.clone(), guard))
            .with_state(self)
    }
}

//! The table of pages: what there is, and whom each is open to.

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use bss_model::ApiScope;
use bss_model::ApiScope::Read;

use crate::console::Console;
use crate::static_files;

mod overview;
pub(crate) mod sign_in;
mod welcome;

/// A method at an address of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// `GET`, which changes nothing, or `POST`.
    pub method: &'static str,
    /// The path, with names in braces for its variable parts.
    pub path: &'static str,
    /// Whom it is open to.
    pub open_to: OpenTo,
}

/// Whom a page is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenTo {
    /// Everybody: nobody has to be signed in.
    All,
    /// Operators who may do that.
    Operators(ApiScope),
}

macro_rules! pages {
    ($($method:ident $path:literal => $open_to:expr, $answer:expr;)*) => {
        /// All pages of the console, and what is done there.
        pub const PAGES: &[Page] = &[$(Page {
            method: method_name(stringify!($method)),
            path: $path,
            open_to: $open_to,
        }),*];

        fn routed() -> Vec<(&'static str, MethodRouter<Console>)> {
            vec![$(($path, $method($answer))),*]
        }
    };
}

/// The name of a method, from the function that routes it.
const fn method_name(function: &str) -> &'static str {
    match function.as_bytes() {
        b"get" => "GET",
        _ => "POST",
    }
}

const ALL: OpenTo = OpenTo::All;

const fn may(scope: ApiScope) -> OpenTo {
    OpenTo::Operators(scope)
}

pages! {
    get "/console/static/{tag}/{name}" => ALL, static_files::answer;
    get "/console/sign-in" => ALL, sign_in::show;
    post "/console/sign-in" => ALL, sign_in::sign_in;
    get "/console/welcome" => ALL, welcome::show;
    post "/console/welcome" => ALL, welcome::choose;
    post "/console/sign-out" => may(Read), sign_in::sign_out;
    get "/console/" => may(Read), overview::show;
}

/// The routes of all pages. What none has is answered by the guard.
pub(crate) fn routes() -> Router<Console> {
    let mut router = Router::new().route("/console", get(async || crate::answer::see("/console/")));
    for (path, page) in routed() {
        router = router.route(path, page);
    }
    router.route("/console/{*rest}", get(async || ()).post(async || ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_is_listed_twice_and_every_path_is_the_consoles() {
        for (index, page) in PAGES.iter().enumerate() {
            assert!(page.path.starts_with("/console/"), "{page:?}");
            let same = |other: &Page| (other.method, other.path) == (page.method, page.path);
            assert!(!PAGES[..index].iter().any(same), "{page:?}");
        }
        // axum refuses what overlaps.
        drop(routes());
    }
}

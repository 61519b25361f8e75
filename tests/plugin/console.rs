//! The console of `bss-host serve`, as a browser without script uses it.

pub(crate) mod browser;
mod house;
mod sales;
mod setup;

use crate::serve::Api;

use self::browser::{Browser, PASSWORD};

/// A server, with no worker beside it, and nothing that is ordered.
fn idle() -> Api {
    Api::with(&["--no-work"])
}

#[test]
fn the_first_administrator_chooses_a_password_by_a_link_that_is_good_once_and_signs_in_and_out() {
    let api = idle();
    let mut browser = Browser::of_first_administrator(&api.server);
    browser
        .get("/console/")
        .expect(200)
        .saying("Overview")
        .saying("admin");
    let invitation = api.server.invitation.clone().expect("an invitation");
    let path = invitation.split_once("/console").expect("a path").1;
    let mut other = Browser::of(&api.server);
    other
        .get(&format!("/console{path}"))
        .expect(404)
        .saying("invitation");
    other.get("/console/orders").expect(200).saying("Sign in");
    browser.post("/console/sign-out", &[]).saying("Sign in");
    browser.get("/console/").saying("Sign in");
    browser
        .signs_in("admin", "four words of a Page")
        .expect(401)
        .saying("wrong");
    browser.signs_in("nobody", PASSWORD).expect(401).saying("wrong");
    browser.signs_in("admin", PASSWORD).expect(200).saying("Overview");
}

//! The demo in a browser: what it starts is enough to go on, and its calls can be looked at.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::component::{bss_host, component};
use crate::serve::{PATIENCE, Server};

use super::browser::Browser;

#[test]
fn the_demo_in_a_browser_has_an_instance_says_the_next_step_and_keeps_its_calls() {
    let mut command = Command::new(bss_host());
    command.args(["demo", "--console"]).env("BSS_PLUGIN", component());
    let mut server = Server::of(command);
    let mut browser = Browser::of_first_administrator(&server);
    browser.get("/").expect(200).saying("Overview");
    browser
        .get("/console/instances")
        .expect(200)
        .saying("contoso-esd-de")
        .saying("Next, step 1 of 6");
    // The plugin makes the form.
    browser
        .get("/console/instances/contoso-esd-de/settings")
        .expect(200);
    let began = Instant::now();
    while !browser
        .get("/console/traces?function=configure-instance")
        .expect(200)
        .says("/console/traces/")
    {
        assert!(began.elapsed() < PATIENCE, "its call is kept");
        std::thread::sleep(Duration::from_millis(100));
    }
    // A form is no call to a vendor.
    let page = browser.get("/console/traces").expect(200);
    assert!(!page.says("/console/traces/"));
    browser
        .get("/console/traces?function=every-call")
        .expect(200)
        .saying("/console/traces/");
    browser.get("/console/traces?function=no-such").expect(422);
    interrupt(&mut server.program);
}

/// Ends a program as Ctrl-C does, so that it takes its folder with it.
fn interrupt(program: &mut Child) {
    crate::cli::send_signal("INT", program);
    assert!(program.wait().expect("it ends").success());
}

//! The console in Chromium: by keyboard, without script, with axe-core, at every page and for every role.

mod chromium;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use bss_console::{OpenTo, PAGES};
use bss_simulator::CertificateRequest;
use fantoccini::key::Key;
use serde_json::Value;

use self::chromium::Chromium;
use crate::scenario::{INSTANCE, Scenario, credentials};

/// The password of every operator here.
const PASSWORD: &str = "four words of a page";

/// A server with its worker, which is killed when it is dropped.
struct Serving {
    program: Child,
    /// Held, so that the program can write on.
    _said: BufReader<ChildStdout>,
    url: String,
    invitation: Option<String>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Serving {
    fn of(scenario: &Scenario) -> Self {
        let mut program = scenario
            .command(&["serve", "--listen", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut said = BufReader::new(program.stdout.take().expect("its output"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says where it listens");
        let listening: Value = serde_json::from_str(&line).expect("JSON");
        let text = |name: &str| listening[name].as_str().map(ToOwned::to_owned);
        // A browser is to see a host's name: cookies of addresses are told apart by them.
        let local = |url: String| url.replace("127.0.0.1", "localhost");
        Self {
            program,
            _said: said,
            url: local(text("url").expect("an address")),
            invitation: text("invitationUrl").map(local),
        }
    }

    fn invitation_path(&self) -> &str {
        let invitation = self.invitation.as_deref().expect("an invitation");
        &invitation[self.url.len()..]
    }
}

/// Has the first administrator choose a password, by keyboard alone, which signs the administrator in.
async fn sign_in_first(window: &Chromium, serving: &Serving) {
    window.open(serving.invitation_path()).await;
    window.type_into("[name=password]", PASSWORD).await;
    window.type_into("[name=password-again]", PASSWORD).await;
    window.enter("main button").await;
    assert_eq!(window.path().await, "/console/?done=signed-in");
    window.assert_says("you are signed in").await;
}

/// The way of the platform's own page, by keys alone: from a PFX file to a license, and a cancellation that is decided.
async fn walk(has_script: bool) {
    let scenario = Scenario::start().await;
    let made = scenario.new_instance(INSTANCE).await;
    assert_eq!(made.name, INSTANCE);
    let serving = Serving::of(&scenario);
    let window = Chromium::with(&serving.url, has_script).await;
    sign_in_first(&window, &serving).await;

    // The certificate that Microsoft gave.
    let issued = scenario
        .microsoft
        .issue_client_certificate(&CertificateRequest::default())
        .expect("a certificate");
    let pfx = scenario.pfx(&issued, "1234 5678");
    window.enter("nav a[href='/console/certificates']").await;
    window.choose_file("[name=file]", &pfx).await;
    window.type_into("[name=code]", "1234 5678").await;
    window.enter("form[action$='/import'] button").await;
    assert!(!window.text().await.contains("1234 5678"));

    // The form, in its two stages: what is wrong is told first, at its field.
    window.enter("nav a[href='/console/instances']").await;
    window.enter("main a[href='/console/instances/esd']").await;
    window.enter("main a[href$='/settings']").await;
    let typed = credentials(scenario.microsoft.details());
    for (field, value) in &typed {
        let value = if field == "tenant" { "no tenant" } else { value };
        window.type_into(&format!("[name='value.{field}']"), value).await;
    }
    window.enter("main form button").await;
    window.tab_to(".summary a[href='#value.tenant']").await;
    window.type_into("[name='value.tenant']", &typed["tenant"]).await;
    window.enter("main form button").await;
    for field in ["certificate-thumbprint", "country", "language"] {
        window.tab_to(&format!("[name='value.{field}']")).await;
        match field {
            "certificate-thumbprint" => window.press(Key::Down).await,
            "country" => window.type_text("Germany").await,
            _ => window.type_text("German (Germany)").await,
        }
    }
    window.enter("main form button").await;
    assert_eq!(scenario.json(&["instance", "show", INSTANCE])["state"], "ready");
    window.enter("form[action$='/connection-check'] button").await;
    window.assert_says("passed").await;

    // Get Services Definition, with its ribbon and its lists.
    window.open("/console/instances/esd/runs").await;
    window.enter("form[action$='/runs'] button").await;
    window.until_says("Existing products").await;
    window.enter("main a[href$='/products']").await;
    window.enter("main tbody th a").await;
    window.type_into("[name=amount]", "249.00").await;
    window.enter("form[action$='/price'] button").await;
    window.enter("button[name=decision][value=activate]").await;
    let sold = scenario.json(&["services", "products", INSTANCE, "--on-sale"]);
    let code = sold[0]["productCode"].as_str().expect("a code").to_owned();

    // An order: told first, with its amount, and then placed.
    window.open("/console/orders/new").await;
    window.tab_to("[name='lines[0].productCode']").await;
    window.press(Key::Down).await;
    assert_eq!(window.value("[name='lines[0].productCode']").await, Some(code));
    window.type_into("[name='lines[0].quantity']", "1").await;
    window.type_into("[name='customer.id']", "C-1").await;
    window.type_into("[name='customer.name']", "Beispiel GmbH").await;
    window.tab_to("[name='customer.country']").await;
    window.type_text("Germany").await;
    window
        .type_into("[name='contact.email']", "it@beispiel.example")
        .await;
    window.enter("main form button").await;
    window.assert_says("Beispiel GmbH").await;
    assert_eq!(
        scenario.issued().await,
        [""; 0],
        "nothing is bought before it is said"
    );
    if has_script {
        // The browser's own way back leads to what was typed.
        window.back().await;
        for (field, value) in [
            ("customer.name", "Beispiel GmbH"),
            ("customer.country", "DE"),
            ("lines[0].quantity", "1"),
        ] {
            let typed = window.value(&format!("[name='{field}']")).await;
            assert_eq!(typed.as_deref(), Some(value), "{field}");
        }
        window.enter("main form .buttons:has(a) button").await;
        window.assert_says("Beispiel GmbH").await;
    }
    window.enter(".confirm form button:not(.quiet)").await;
    let order = window.path().await;
    window.until_says("licensed").await;
    assert_eq!(scenario.issued().await.len(), 1);

    // The license, its key, and a cancellation that somebody asks for and somebody decides.
    window.enter("main a[href^='/console/assets/']").await;
    let asset = window.path().await;
    window.enter("form[action$='/key'] button").await;
    window.assert_says(&scenario.issued().await[0]).await;
    window.open(&asset).await;
    window.enter("main a[href$='/cancellation']").await;
    window.type_into("[name=comment]", "too many").await;
    window.enter("button[value=request]").await;
    window.enter("nav a[href='/console/cancellations']").await;
    window.assert_says("too many").await;
    window.enter("form[action$='/confirmation'] button").await;
    window.enter("button.grave").await;
    window.open(&asset).await;
    window.until_says("cancelled").await;
    window.open(&order).await;
    window
        .enter("header form[action='/console/sign-out'] button")
        .await;
    window.assert_says("Sign in").await;
    window.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_from_a_pfx_file_to_a_license_and_a_decided_cancellation_is_gone_by_keyboard_alone() {
    walk(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_way_is_gone_without_script() {
    walk(false).await;
}

/// The schemes and the widths, in CSS pixels, in which every page is looked at.
const SCHEMES: [(&str, bool); 2] = [("light", false), ("dark", true)];
const WIDTHS: [u32; 3] = [375, 768, 1_200];

/// The pages that can be asked for, each with the ids of what is there.
fn pages(scenario: &Scenario) -> Vec<(String, String)> {
    let first = |words: &[&str], name: &str| {
        let rows = scenario.json(words);
        let rows = rows.get("rows").unwrap_or(&rows);
        rows[0][name]
            .as_str()
            .unwrap_or_else(|| panic!("{name} of {words:?}: {rows}"))
            .to_owned()
    };
    let ids = [
        ("instance", INSTANCE.to_owned()),
        ("order", first(&["order", "list"], "id")),
        ("asset", first(&["asset", "list"], "id")),
        ("cancellation", first(&["asset", "cancellations"], "id")),
        ("customer", first(&["customer", "list"], "id")),
        ("mail", first(&["mail", "list"], "id")),
        ("run", first(&["services", "runs", INSTANCE], "id")),
        (
            "product",
            first(&["services", "products", INSTANCE, "--on-sale"], "productCode"),
        ),
        ("thumbprint", first(&["certificate", "list"], "thumbprint")),
        ("operator", "admin".to_owned()),
        ("client", "shop".to_owned()),
        ("webhook", first(&["webhook", "list"], "id")),
        ("call", first(&["trace"], "id")),
    ];
    let filled = |path: &str| {
        let parts = path.split('/').map(|part| {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                None => Some(part.to_owned()),
                Some(name) => ids
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, id)| id.clone()),
            }
        });
        parts.collect::<Option<Vec<_>>>().map(|parts| parts.join("/"))
    };
    let shown = PAGES
        .iter()
        .filter(|page| page.method == "GET" && matches!(page.open_to, OpenTo::Operators(_)));
    let shown = shown.filter_map(|page| Some((page.path.to_owned(), filled(page.path)?)));
    shown
        .filter(|(path, _)| {
            // A part of a page is none, a cancellation leads to its license, and a log is a file.
            let parts = ["/progress", "/lines", "/recent", "{cancellation}", "/log"];
            !parts.iter().any(|part| path.ends_with(part))
        })
        .collect()
}

/// Where pictures of the pages are kept. `None`: nobody asked for any.
async fn keep_picture(window: &Chromium, name: &str) {
    if let Some(folder) = std::env::var_os("CONSOLE_PICTURES") {
        let folder = std::path::PathBuf::from(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let picture = window.page.screenshot().await.expect("a picture");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("a file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_without_findings_of_axe_in_both_schemes_and_fits_a_phone() {
    let scenario = Scenario::selling().await;
    let offer = scenario.offers().await.remove(0);
    scenario.json(&["api-client", "create", "shop", "--scopes", "read"]);
    scenario.json(&["webhook", "create", "https://receiver.example/hook"]);
    // A call of a program of its own, which keeps its trace.
    scenario.json(&["instance", "check", INSTANCE]);
    let bought = scenario.order(&offer, 2).await;
    let asset = bought[0].id.to_string();
    scenario.json(&[
        "asset",
        "cancel",
        &asset,
        "--request",
        "--by-customer",
        "Jo",
        "--comment",
        "too many",
    ]);
    let serving = Serving::of(&scenario);
    let window = Chromium::start(&serving.url).await;
    sign_in_first(&window, &serving).await;
    let mut faults = Vec::new();
    for (route, path) in pages(&scenario) {
        window.wide(WIDTHS[2]).await;
        window.open(&path).await;
        for (scheme, is_dark) in SCHEMES {
            window.in_the_dark(is_dark).await;
            let findings = window.findings().await;
            faults.extend(
                findings
                    .into_iter()
                    .map(|found| format!("{route}, {scheme}: {found}")),
            );
            for width in WIDTHS {
                window.wide(width).await;
                let overhang = window.overhang().await;
                if overhang > 0 {
                    faults.push(format!("{route}: {overhang} pixels too wide at {width}"));
                }
                let name = route.trim_matches('/').replace(['/', '{', '}'], "-");
                keep_picture(&window, &format!("{name}-{scheme}-{width}")).await;
            }
            window.wide(WIDTHS[2]).await;
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");

    // On a phone, the list of pages is folded away behind a link.
    window.wide(WIDTHS[0]).await;
    window.open("/console/").await;
    assert!(!window.text().await.contains("Platforms and API"));
    window.tab_to("header a[href='#menu']").await;
    window.press(Key::Enter).await;
    window.assert_says("Platforms and API").await;
    window.enter("nav a[href='/console/orders']").await;
    assert_eq!(window.path().await, "/console/orders");
    window.close().await;
}

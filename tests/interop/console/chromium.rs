//! Chromium, driven by WebDriver: what a person does with keys, and what a page must never do.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::{ParseError, Url};

/// Longer than anything that is waited for takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tab stops that a page has at most.
const STOPS_MAX: usize = 300;

/// The program that drives Chromium, killed when it is dropped.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command of Chromium's own driver, below a session.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

/// A window of Chromium.
pub(super) struct Chromium {
    pub(super) page: Client,
    base: String,
    _profile: TempDir,
    _driver: Driver,
}

impl Chromium {
    /// A window in which pages run their scripts.
    pub(super) async fn start(base: &str) -> Self {
        Self::with(base, true).await
    }

    /// A window, in which pages run their scripts or not.
    pub(super) async fn with(base: &str, has_script: bool) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs. Hint: `cargo xtask interop console` installs it");
        let said = BufReader::new(driver.stdout.take().expect("its output"));
        let driver = Driver(driver);
        let port = said
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("started successfully on port ")?;
                port.trim_end_matches('.').parse::<u16>().ok()
            })
            .expect("a port");
        let profile = tempfile::tempdir().expect("a folder");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--lang=en-US",
            "--window-size=1200,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let preferences = match has_script {
            true => json!({}),
            false => json!({ "profile.managed_default_content_settings.javascript": 2 }),
        };
        let asked = json!({
            "browserName": "chrome",
            // The server's certificate is of its own making.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "args": arguments, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(asked) = asked else {
            panic!("wishes are an object");
        };
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(asked)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a window");
        Self {
            page,
            base: base.to_owned(),
            _profile: profile,
            _driver: driver,
        }
    }

    /// Opens a page, and looks whether it did what a page must never do.
    pub(super) async fn open(&self, path: &str) {
        self.page
            .goto(&format!("{}{path}", self.base))
            .await
            .expect("it is opened");
        self.check_manners().await;
    }

    /// The path of the page that is shown.
    pub(super) async fn path(&self) -> String {
        let url = self.page.current_url().await.expect("an address");
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", url.path())
    }

    /// The text that a person sees.
    pub(super) async fn text(&self) -> String {
        let body = self.page.find(Locator::Css("body")).await.expect("a body");
        body.text().await.expect("a text")
    }

    pub(super) async fn assert_says(&self, text: &str) {
        let said = self.text().await;
        assert!(said.contains(text), "`{text}` at {}:\n{said}", self.path().await);
    }

    /// Waits until the page says a text, and loads it again where nothing else does.
    pub(super) async fn until_says(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.text().await.contains(text) {
            assert!(Instant::now() < until, "`{text}`:\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.page.refresh().await.expect("it is loaded again");
        }
    }

    /// What is in a page's log, and what it loaded from elsewhere: nothing may be.
    pub(super) async fn check_manners(&self) {
        let log = self.own("se/log", json!({ "type": "browser" })).await;
        let log = log.as_array().expect("a log").iter();
        let log: Vec<&str> = log
            // Hints to whoever writes a page are no errors.
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].as_str().expect("a message"))
            // A page that tells of a problem has the status of one, which Chromium logs.
            .filter(|message| !message.contains("the server responded with a status of 4"))
            .collect();
        assert!(log.is_empty(), "{}: {log:?}", self.path().await);
        let loaded = self
            .page
            .execute(
                "return performance.getEntriesByType('resource').map((it) => it.name)",
                Vec::new(),
            )
            .await
            .expect("a list");
        let loaded: Vec<String> = serde_json::from_value(loaded).expect("addresses");
        for address in loaded {
            assert!(
                address.starts_with(&self.base),
                "{address} at {}",
                self.path().await
            );
        }
    }

    /// The element that has the focus.
    async fn focused(&self) -> Element {
        self.page.active_element().await.expect("an element")
    }

    pub(super) async fn press(&self, key: Key) {
        self.type_text(&char::from(key).to_string()).await;
    }

    /// Types letters, wherever the focus is.
    pub(super) async fn type_text(&self, text: &str) {
        let keys = text
            .chars()
            .fold(KeyActions::new("keys".to_owned()), |keys, value| {
                keys.then(KeyAction::Down { value }).then(KeyAction::Up { value })
            });
        self.page.perform_actions(keys).await.expect("it is typed");
    }

    /// Presses the keys that choose all of a field's text.
    async fn choose_all(&self) {
        let control = char::from(Key::Control);
        let keys = [
            KeyAction::Down { value: control },
            KeyAction::Down { value: 'a' },
            KeyAction::Up { value: 'a' },
            KeyAction::Up { value: control },
        ];
        let keys = keys
            .into_iter()
            .fold(KeyActions::new("keys".to_owned()), KeyActions::then);
        self.page.perform_actions(keys).await.expect("it is chosen");
    }

    /// Presses the tab key until the element has the focus that a selector finds, as somebody does who has no mouse.
    pub(super) async fn tab_to(&self, selector: &str) -> Element {
        let is_it = format!(
            "return document.activeElement?.matches({})",
            Value::from(selector)
        );
        for _ in 0..STOPS_MAX {
            self.press(Key::Tab).await;
            let found = self.page.execute(&is_it, Vec::new()).await.expect("an answer");
            if found == true {
                let element = self.focused().await;
                self.assert_focus_is_seen(selector).await;
                return element;
            }
        }
        panic!("the tab key never gets to `{selector}` at {}", self.path().await);
    }

    /// Fails where the focus is not seen: without a mouse, nothing else says where one is.
    async fn assert_focus_is_seen(&self, selector: &str) {
        let seen = self
            .page
            .execute(
                "const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0",
                Vec::new(),
            )
            .await
            .expect("an answer");
        assert_eq!(seen, true, "the focus at `{selector}` is not seen");
    }

    /// Gets to a field by the tab key and types into it.
    pub(super) async fn type_into(&self, selector: &str, text: &str) {
        let field = self.tab_to(selector).await;
        if field
            .prop("value")
            .await
            .expect("a value")
            .is_some_and(|value| !value.is_empty())
        {
            self.choose_all().await;
        }
        self.type_text(text).await;
    }

    /// Gets to a link or a button by the tab key and presses Enter, and looks at the manners of the page that comes.
    pub(super) async fn enter(&self, selector: &str) {
        self.tab_to(selector).await;
        self.page
            .execute("document.documentElement.dataset.former = ''", Vec::new())
            .await
            .expect("it is marked");
        self.press(Key::Enter).await;
        self.until_another_page().await;
        self.check_manners().await;
    }

    /// Goes back as the browser's own button does, to another page.
    pub(super) async fn back(&self) {
        self.page
            .execute("document.documentElement.dataset.former = ''", Vec::new())
            .await
            .expect("it is marked");
        self.page.back().await.expect("there is a page before");
        self.until_another_page().await;
    }

    /// What stands in a field.
    pub(super) async fn value(&self, selector: &str) -> Option<String> {
        let field = self.page.find(Locator::Css(selector)).await.expect("a field");
        field.prop("value").await.expect("a value")
    }

    /// Waits until another page than the marked one is loaded.
    async fn until_another_page(&self) {
        const IS_LOADED: &str =
            "return document.readyState === 'complete' && !('former' in document.documentElement.dataset)";
        let until = Instant::now() + PATIENCE;
        loop {
            // There is no answer while one page gives way to the next.
            let loaded = self.page.execute(IS_LOADED, Vec::new()).await;
            if loaded.is_ok_and(|loaded| loaded == true) {
                return;
            }
            assert!(Instant::now() < until, "a page comes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Chooses a file in a field.
    pub(super) async fn choose_file(&self, selector: &str, file: &Path) {
        let field = self.tab_to(selector).await;
        field
            .send_keys(file.to_str().expect("a path"))
            .await
            .expect("it is chosen");
    }

    /// What axe-core finds wrong at the page, by rule and element.
    pub(super) async fn findings(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(axe())
            .expect("axe-core. Hint: `cargo xtask interop console` installs it");
        self.page.execute(&axe, Vec::new()).await.expect("it is loaded");
        let found = self
            .page
            .execute_async(
                "const done = arguments[0]; axe.run({ resultTypes: ['violations'] }).then((found) => done(found.violations.map((rule) => \
                 `${rule.id}: ${rule.nodes.map((node) => node.html).join(' | ')}`)), (error) => done([String(error)]))",
                Vec::new(),
            )
            .await
            .expect("a list");
        serde_json::from_value(found).expect("texts")
    }

    /// Has pages be shown in the dark, or in the light.
    pub(super) async fn in_the_dark(&self, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        )
        .await;
    }

    /// Makes the window as wide as that, in CSS pixels.
    pub(super) async fn wide(&self, width: u32) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        self.own(
            "goog/cdp/execute",
            json!({ "cmd": command, "params": parameters }),
        )
        .await;
    }

    async fn own(&self, path: &'static str, body: Value) -> Value {
        let answer = self.page.issue_cmd(Own { path, body }).await;
        answer.expect("it is done")
    }

    /// How much wider the page is than its window, in CSS pixels: somebody would have to scroll to the side.
    pub(super) async fn overhang(&self) -> i64 {
        let found = self
            .page
            .execute(
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
                Vec::new(),
            )
            .await
            .expect("a number");
        found.as_i64().expect("a number")
    }

    /// Ends the browser.
    pub(super) async fn close(self) {
        self.page.close().await.expect("it ends");
    }
}

fn axe() -> PathBuf {
    let tools = std::env::var_os("INTEROP_TOOLS")
        .expect("the tools. Hint: `cargo xtask interop console` installs them");
    Path::new(&tools).join("npm/node_modules/axe-core/axe.min.js")
}

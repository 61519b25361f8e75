//! The e-mail to a customer in Chromium, as wide as a phone and as a desk.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::scenario::{Scenario, assert_ends, result};

/// The widths of a phone and of a desk, in CSS pixels.
const WIDTHS: [u64; 2] = [375, 1_200];

/// The least height of what is touched with a finger, in CSS pixels (WCAG 2.2, 2.5.5).
const TOUCHED_HEIGHT_MIN: f64 = 44.0;

/// Measures a letter in a frame of each width, and leaves what it found in the page.
const MEASURE: &str = r#"
const measured = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument;
    const leaf = [...page.querySelectorAll("*")].find((it) => !it.children.length && it.textContent.trim() === KEY);
    const text = page.createRange();
    text.selectNodeContents(leaf);
    const button = [...page.querySelectorAll("a")].find((it) => getComputedStyle(it).display === "inline-block");
    return {
        width: frame.clientWidth,
        needed: page.documentElement.scrollWidth,
        keyLines: new Set([...text.getClientRects()].map((line) => line.top)).size,
        keySize: parseFloat(getComputedStyle(leaf).fontSize),
        buttonHeight: button.getBoundingClientRect().height,
    };
});
document.getElementById("measured").textContent = JSON.stringify(measured);
"#;

/// What Chromium measures of a letter, at each width.
fn measured(letter: &str, product_key: &str, folder: &Path) -> Vec<Value> {
    let in_attribute = letter.replace('&', "&amp;").replace('"', "&quot;");
    let frames: String = WIDTHS
        .iter()
        .map(|width| {
            format!("<iframe style=\"border: 0; width: {width}px; height: 800px\" srcdoc=\"{in_attribute}\"></iframe>")
        })
        .collect();
    let page = format!(
        "<!DOCTYPE html><meta charset=\"utf-8\"><pre id=\"measured\"></pre>{frames}\
         <script>const KEY = {}; window.onload = () => {{ {MEASURE} }};</script>",
        Value::from(product_key)
    );
    let file = folder.join("page.html");
    std::fs::write(&file, page).expect("the page is written");
    let seen = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", folder.join("browser").display()))
        .args(["--virtual-time-budget=10000", "--dump-dom"])
        .arg(&file)
        .output()
        .expect("chromium runs. Hint: `cargo xtask interop browser` installs it");
    let dom = String::from_utf8_lossy(&seen.stdout).into_owned();
    let found = dom
        .split("<pre id=\"measured\">")
        .nth(1)
        .and_then(|rest| rest.split("</pre>").next());
    let found = found.unwrap_or_else(|| panic!("a measured page: {seen:?}"));
    serde_json::from_str(found).unwrap_or_else(|error| panic!("{error}: `{found}` in {dom}"))
}

/// An order that is bought, for a customer whose name has a word longer than a phone is wide.
fn bought(scenario: &Scenario, offer: &str) -> String {
    let name = "Donaudampfschifffahrtsgesellschaftskapitänswitwenrentenauszahlungsstelle & Söhne";
    let customer = [
        "--customer",
        "C-1",
        "--customer-name",
        name,
        "--customer-country",
        "DE",
    ];
    let contact = [
        "--customer-email",
        "it@beispiel.example",
        "--customer-language",
        "de",
    ];
    let place = ["order", "place", "esd", "--offer", offer, "--wait", "--json"];
    let placed = scenario.bss_host(&[&place[..], &customer, &contact].concat());
    assert_ends(&placed, 0);
    let order = &result(&placed)["id"];
    order.as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_read_on_a_phone_and_on_a_desk_without_scrolling_sideways() {
    let scenario = Scenario::selling().await;
    let folder = scenario.folder.path();
    let seller = [
        "mail",
        "seller",
        "esd",
        "--name",
        "Rechenzentrum Beispielstadt GmbH",
        "--address",
        "An der Alten Ziegelei 1",
        "--support-email",
        "support-for-customers-of-all-products@beispielstadt.example",
        "--support-phone",
        "+49 30 1234567",
    ];
    assert_ends(&scenario.bss_host(&seller), 0);
    let offer = scenario.offers().await.remove(0);
    let order = bought(&scenario, &offer);
    let assets = scenario.json(&["asset", "list", "--order", &order, "--show-keys"]);
    let key = assets[0]["productKey"].as_str().expect("a key").to_owned();
    for language in ["en", "de", "el"] {
        let file = folder.join(format!("{language}.html"));
        let out = file.to_str().expect("UTF-8");
        let preview = [
            "mail",
            "preview",
            &order,
            "--language",
            language,
            "--show-keys",
            "--out",
            out,
        ];
        assert_ends(&scenario.bss_host(&preview), 0);
        let letter = std::fs::read_to_string(&file).expect("the letter");
        let frames = measured(&letter, &key, folder);
        assert_eq!(frames.len(), WIDTHS.len(), "{language}: {frames:?}");
        for (frame, width) in frames.iter().zip(WIDTHS) {
            assert_eq!(frame["width"], width);
            assert!(frame["needed"].as_u64() <= Some(width), "{language}: {frame}");
            assert_eq!(
                frame["keyLines"], 1,
                "a key is copied in one piece, {language}: {frame}"
            );
            assert!(frame["keySize"].as_f64() >= Some(16.0), "{language}: {frame}");
            assert!(
                frame["buttonHeight"].as_f64() >= Some(TOUCHED_HEIGHT_MIN),
                "{language}: {frame}"
            );
        }
    }

    // What scrolls sideways is seen to do so.
    let letter = std::fs::read_to_string(folder.join("en.html")).expect("the letter");
    let stiff = letter.replace("max-width: 600px", "width: 600px");
    assert_ne!(stiff, letter);
    let frames = measured(&stiff, &key, folder);
    assert!(frames[0]["needed"].as_u64() > Some(WIDTHS[0]), "{frames:?}");
    assert!(frames[1]["needed"].as_u64() <= Some(WIDTHS[1]), "{frames:?}");
}

//! The README's way in for a billing platform, line by line, with curl.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::free_port;
use crate::component::{bss_host, component};
use crate::readme_section::{section, without_remark};
use crate::scenario::Scenario;

/// The commands of the section, without prompts and remarks.
fn commands() -> String {
    let blocks = section("From a billing platform").split("```console\n").skip(1);
    let blocks = blocks.filter_map(|block| block.split("```").next());
    let lines = blocks
        .flat_map(str::lines)
        .map(|line| without_remark(line.strip_prefix("$ ").unwrap_or(line)));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_readme_lead_a_billing_platform_to_a_license() {
    let scenario = Scenario::selling().await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let link = |from: &Path, name: &str| symlink(from, folder.path().join(name)).expect("a link");
    link(&scenario.folder.path().join("bss"), "bss-data");
    // A program and not a function, so that what is killed in the end is the server itself.
    link(bss_host(), "bss-host");
    let programs = std::env::var("PATH").expect("programs");
    let programs = format!("{}:{programs}", folder.path().display());
    let commands = commands()
        .replace("8443", &free_port().to_string())
        .replace("<asset>", "$asset");
    let (begin, calls) = commands.split_once("\napi '").expect("the first call");
    let (calls, last) = calls.split_once("\napi /v1/assets/").expect("the last call");
    let script = format!(
        r#"trap 'kill $(jobs -p)' EXIT
{begin}
for try in $(seq 600); do api /healthz > /dev/null 2>&1 && break; sleep 0.1; done
exec > answers
api '{calls}
asset=$(api '/v1/assets?limit=1' | sed 's/.*"rows":\[{{"id":"\([^"]*\)".*/\1/')
api /v1/assets/{last}
"#
    );
    let output = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(folder.path())
        .env("PATH", programs)
        .env("BSS_PLUGIN", component())
        .env("BSS_DATA_DIR", folder.path().join("bss-data"))
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{script}: {output:?}");
    let answers = std::fs::read_to_string(folder.path().join("answers")).expect("the answers");
    let answers = serde_json::Deserializer::from_str(&answers).into_iter::<Value>();
    let answers: Vec<Value> = answers.collect::<Result<_, _>>().expect("answers in JSON");
    let [products, order, key] = answers.as_slice() else {
        panic!("three answers: {answers:?}");
    };
    let codes = products["rows"].as_array().expect("rows").iter();
    assert!(
        codes.clone().any(|product| product["productCode"] == "EP2-06798"),
        "{products}"
    );
    assert_eq!(order["state"], "licensed", "{order}");
    assert_eq!(order["assets"][0]["id"], key["assetId"], "{key}");
    assert_eq!(key["productKey"].as_str().map(str::len), Some(29), "{key}");
    assert!(
        key["activationLink"]
            .as_str()
            .is_some_and(|link| link.starts_with("https://")),
        "{key}"
    );
}

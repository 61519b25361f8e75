//! What the platform may discover of this service manager (`DiscoveryResponse`): names and addresses.

use http::header::HOST;
use http::uri::Authority;
use serde_json::{Value, json};

use super::asked::Asked;

/// The models' assembly, by which the platform finds the type of a section.
const MODELS: &str = "Interworks.Extensions.Models";

pub(super) fn answer(asked: &Asked<'_>) -> Value {
    let host = asked.headers.get(HOST).and_then(|host| host.to_str().ok());
    // What a client writes there need be no address.
    let is_authority = |text: &&str| {
        text.parse::<Authority>()
            .is_ok_and(|read| !read.as_str().contains('@'))
    };
    let authority = asked
        .authority()
        .or(host)
        .filter(is_authority)
        .unwrap_or("localhost");
    let url = |path: &str, check: bool| json!({ "Url": path, "RequiresAuthorization": true, "RequiresPrecheck": check });
    let license = |section: &str| {
        json!({
            "$type": format!("{MODELS}.Discovery.{section}Management, {MODELS}"),
            "IsSectionEnabled": true, "RequiresAccountSynchronization": false, "EnableProvisionNotification": true,
            "Urls": {
                "Create": url(&format!("{section}/Create"), true),
                "Update": url(&format!("{section}/Update"), false),
                "Cancel": url(&format!("{section}/Cancel"), true),
            }
        })
    };
    json!({
        "Code": asked.platform().name, "Name": asked.platform().name,
        "Description": "Licenses by key and activation link", "ResellerSupportEnabled": false,
        "BaseUrl": format!("https://{authority}/interworks/{}/", asked.platform().name),
        "Version": 1.0, "IsRegistrationEnabled": false,
        "ManagementSections": [
            {
                "$type": format!("{MODELS}.Discovery.SetupManagement, {MODELS}"),
                "IsSectionEnabled": true,
                "Urls": {
                    "Get": url("Fields/Get", false), "Validate": url("Fields/Validate", false),
                    "ServiceDefinition": url("Fields/ServiceDefinition", false)
                }
            },
            license("Assets"),
            license("Subscriptions")
        ]
    })
}

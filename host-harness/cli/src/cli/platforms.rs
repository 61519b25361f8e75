//! `platform …`: billing platforms that buy by their own contract, and the keys that they made.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use host_harness::{Host, PlatformCredentials, PlatformRequest, platform_addresses, view};
use uuid::Uuid;

use super::exit_status::ExitStatus;
use super::failure::Outcome;
use super::former_key::KeepFormer;
use super::input::{operator, secret_line};
use super::output::Table;
use super::{output, show};

/// The address of a host that nobody has named.
const SOME_HOST: &str = "https://HOST:8443";

#[derive(Debug, Subcommand)]
pub(super) enum PlatformCommand {
    /// Register a platform that buys at an instance, and show the addresses to paste where this application is registered in the platform
    Register(RegisterPlatform),
    /// Show the platforms, also those that were revoked; never a key
    List,
    /// Show a platform and its addresses
    Show {
        /// The platform's name
        name: String,
        #[command(flatten)]
        base: Base,
    },
    /// Put the key on record that the platform shows now
    RotateKey(RotateKey),
    /// Revoke a platform for good: its keys open nothing any more. What it bought stays, and a platform of another name finds nothing of it
    Revoke {
        /// The platform's name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct RegisterPlatform {
    /// The platform's name, a part of its addresses, by which acts on record name it. A name is never used again
    name: String,
    /// The instance that the platform buys at
    #[arg(long, value_name = "NAME")]
    instance: String,
    /// The application id that the platform shows, where it is known already
    #[arg(long, value_name = "GUID", requires = "api_key_file")]
    application_id: Option<Uuid>,
    /// The file whose first line is the key that the platform shows; `-` is the standard input
    #[arg(long, value_name = "FILE", requires = "application_id")]
    api_key_file: Option<PathBuf>,
    #[command(flatten)]
    base: Base,
}

#[derive(Debug, Args)]
pub(super) struct RotateKey {
    /// The platform's name
    name: String,
    /// The file whose first line is the key that the platform shows; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    api_key_file: PathBuf,
    /// The application id that the platform shows: needed the first time. Another one replaces it, and no former key is taken then
    #[arg(long, value_name = "GUID")]
    application_id: Option<Uuid>,
    #[command(flatten)]
    former: KeepFormer,
}

#[derive(Debug, Args)]
pub(super) struct Base {
    /// Where the platform reaches `bss-host serve`, as in `https://host.example`. Without it, the addresses begin with https://HOST:8443, to be replaced
    #[arg(long, value_name = "URL", default_value = SOME_HOST, hide_default_value = true, value_parser = base_url)]
    base_url: String,
}

/// Reads the beginning of an address: a scheme and a host, and perhaps a path of a proxy.
fn base_url(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_plain = |host: &str| {
        host.bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"?#@".contains(&byte))
    };
    match host {
        Some(host) if !host.is_empty() && !host.starts_with('/') && is_plain(host) => Ok(text.to_owned()),
        _ => Err("expected the beginning of an address, as in `https://host.example`".to_owned()),
    }
}

pub(super) async fn run(host: &Host, command: PlatformCommand, json: bool) -> Outcome {
    match command {
        PlatformCommand::Register(asked) => register(host, asked, json).await,
        PlatformCommand::List => {
            let platforms = host.platforms().await?;
            match json {
                true => show::json(&platforms)?,
                false => output::table(&table(&platforms)),
            }
            Ok(ExitStatus::Done)
        }
        PlatformCommand::Show { name, base } => {
            let shown = with_addresses(host.platform(&name).await?, &base);
            match json {
                true => show::json(&shown)?,
                false => {
                    output::table(&table(std::slice::from_ref(&shown.platform)));
                    output::table(&address_table(&shown));
                }
            }
            Ok(ExitStatus::Done)
        }
        PlatformCommand::RotateKey(asked) => rotate(host, asked, json).await,
        PlatformCommand::Revoke { name } => {
            let revoked = host.revoke_platform(&name, &operator()).await?;
            match json {
                true => show::json(&revoked)?,
                false => output::line(format!(
                    "platform {} is revoked: its keys open nothing",
                    revoked.name
                )),
            }
            Ok(ExitStatus::Done)
        }
    }
}

async fn register(host: &Host, asked: RegisterPlatform, json: bool) -> Outcome {
    let credentials = match (asked.application_id, &asked.api_key_file) {
        (Some(application_id), Some(file)) => Some(PlatformCredentials {
            application_id,
            key: secret_line(file, "key file")?,
        }),
        _ => None,
    };
    let request = PlatformRequest {
        name: asked.name,
        instance: asked.instance,
        credentials,
    };
    let registered = host.register_platform(request, &operator()).await?;
    let shown = with_addresses(registered, &asked.base);
    if json {
        show::json(&shown)?;
        return Ok(ExitStatus::Done);
    }
    output::table(&address_table(&shown));
    let name = &shown.platform.name;
    output::note(match shown.platform.application_id {
        Some(_) => format!(
            "platform {name} is registered; paste these addresses where this application is registered in the platform"
        ),
        None => format!(
            "platform {name} is registered, and opens nothing yet: paste these addresses where this application is registered in the platform, \
             then give the key that it shows: `bss-host platform rotate-key {name} --application-id GUID --api-key-file FILE`"
        ),
    });
    Ok(ExitStatus::Done)
}

async fn rotate(host: &Host, asked: RotateKey, json: bool) -> Outcome {
    let key = secret_line(&asked.api_key_file, "key file")?;
    let rotated = host
        .set_platform_key(
            &asked.name,
            asked.application_id,
            key,
            asked.former.duration(),
            &operator(),
        )
        .await?;
    if json {
        show::json(&rotated)?;
        return Ok(ExitStatus::Done);
    }
    output::line(format!("the key of platform {} is on record", rotated.name));
    match rotated.former_key_until_ms {
        Some(until) => output::note(format!("the former key is taken until {}", show::time(until))),
        None => output::note("no other key is taken"),
    }
    Ok(ExitStatus::Done)
}

fn with_addresses(platform: view::Platform, base: &Base) -> view::PlatformAddresses {
    view::PlatformAddresses {
        addresses: platform_addresses(&base.base_url, &platform.name),
        platform,
    }
}

fn address_table(shown: &view::PlatformAddresses) -> Table {
    let mut table = show::table(&["Function", "Method", "Address"]);
    for address in &shown.addresses {
        table.add_row([
            address.name.to_owned(),
            address.method.to_owned(),
            address.url.clone(),
        ]);
    }
    table
}

fn table(platforms: &[view::Platform]) -> Table {
    let mut table = show::table(&[
        "Platform",
        "Owner",
        "Instance",
        "Application",
        "Registered",
        "Key since",
        "State",
    ]);
    for platform in platforms {
        let has_key = platform.application_id.is_some();
        let key_since = platform.rotated_at_ms.unwrap_or(platform.created_at_ms);
        table.add_row([
            platform.name.clone(),
            platform.owner.clone().unwrap_or_default(),
            show::instance_name(platform.instance.as_deref(), platform.instance_id),
            platform
                .application_id
                .map_or_else(String::new, |id| id.to_string()),
            show::time(platform.created_at_ms),
            if has_key {
                show::time(key_since)
            } else {
                String::new()
            },
            match (platform.state, platform.revoked_at_ms) {
                (_, Some(at)) => format!("revoked since {}", show::time(at)),
                ("waiting-for-key", None) => "waiting for its key".to_owned(),
                (state, None) => state.to_owned(),
            },
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_begins_with_a_scheme_and_a_host() {
        for fine in [
            SOME_HOST,
            "https://esd.example",
            "http://localhost:8080/",
            "https://esd.example/bss",
        ] {
            assert_eq!(base_url(fine).as_deref(), Ok(fine));
        }
        for wrong in [
            "",
            "esd.example",
            "https://",
            "https:///x",
            "https://a b",
            "https://a?b",
            "https://user@a",
            "ftp://a",
        ] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }
}

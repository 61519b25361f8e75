//! `bss-host instance …`: instances, their settings, and the check of their connection.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bss_model::{Change, ErrorKind, NewInstance, Proxy, ProxyChoice, Reach, Secret, SortOrder, Thumbprint};
use clap::{Args, Subcommand};
use host_harness::view::{self, CertificateRotation, ConnectionCheck, SettingsVersion, Step, StepResult};
use host_harness::{Authority, Host, OfPlugin, RotateError, SettingsChange, TrustChange};
use ipnet::IpNet;
use uuid::Uuid;

use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, parsed, quoted, unreadable};
use super::input::{key_value, operator, secret_line, secrets};
use super::limits::{self, LimitInstance};
use super::output::{self, Table};
use super::progress::listener;
use super::{pages, show};

const COLUMNS: [Column; 14] = [
    Column::Of("id"),
    Column::Of("name"),
    Column::Of("owner"),
    Column::Of("state"),
    Column::Of("currency"),
    Column::Of("version"),
    Column::Of("pluginSha256"),
    Column::Of("certificateThumbprint"),
    Column::Of("authorities.name"),
    Column::Of("allowedHosts"),
    Column::Of("allowedNetworks"),
    Column::Of("proxy"),
    Column::Time("createdAtMs"),
    Column::Time("disabledAtMs"),
];

#[derive(Debug, Subcommand)]
pub(super) enum InstanceCommand {
    /// Create an instance; `instance configure` fills in its form next
    Create(CreateInstance),
    /// Fill in the form: once with the credentials, then with certificate, country and language
    Configure(Box<ConfigureInstance>),
    /// Show one instance and its form
    Show {
        /// The instance's name
        name: String,
    },
    /// Show every change of an instance's settings: who made it, when, and the old and new values
    History {
        /// The instance's name
        name: String,
    },
    /// Check the connection to the vendor step by step; exits with 0 if all steps pass, 1 if one fails, 3 if the check could not be run
    Check {
        /// The instance's name
        name: String,
    },
    /// Replace the certificate of an instance in use, once the connection has been checked with the new one
    RotateCertificate {
        /// The instance's name
        name: String,
        /// The thumbprint of the new certificate, which is installed already
        #[arg(long, value_name = "THUMBPRINT")]
        to: Thumbprint,
    },
    /// Give an instance another name; its orders keep their ids
    Rename {
        /// The instance's name
        name: String,
        /// The new name
        new: String,
    },
    /// Have an instance take no orders and buy nothing; what is in doubt is looked up, and returns and e-mails go on
    Disable {
        /// The instance's name
        name: String,
    },
    /// Have a disabled instance sell again
    Enable {
        /// The instance's name
        name: String,
    },
    /// Remove an instance at which nothing was ever ordered; its certificate stays installed
    Remove {
        /// The instance's name
        name: String,
    },
    /// Set or show the most that an instance sells in a day: orders beyond that are refused
    Limit(LimitInstance),
    /// Show all instances
    List(CsvOption),
}

#[derive(Debug, Args)]
pub(super) struct ConfigureInstance {
    /// The instance's name
    name: String,
    /// A field and its value, as in `--set client-id=...`; may be repeated. Without any option, the form is shown
    #[arg(long, value_name = "FIELD=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// A secret field, such as an API key: asked for without showing what is typed, or read from the standard input; may be
    /// repeated. A secret is never an argument, because others can read those
    #[arg(long, value_name = "FIELD")]
    secret: Vec<String>,
    /// A secret field and the file whose first line is the secret (`-` for the standard input); may be repeated
    #[arg(long, value_name = "FIELD=FILE")]
    secret_file: Vec<String>,
    /// A secret field whose secret is to be removed; may be repeated
    #[arg(long, value_name = "FIELD")]
    clear_secret: Vec<String>,
    /// A server that the plugin may ask for although no field and no option names it, as in `--allow-host login.example.com`
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parsed::<Authority>)]
    allow_host: Vec<Authority>,
    /// A server that the plugin may no longer ask for
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parsed::<Authority>)]
    disallow_host: Vec<Authority>,
    #[command(flatten)]
    correction: CorrectionArguments,
    #[command(flatten)]
    proxy: ProxyArguments,
    /// Change nothing if the settings were saved since this version, which `instance show` names
    #[arg(long, value_name = "VERSION")]
    based_on: Option<i64>,
}

/// What is corrected beside the form.
#[derive(Debug, Args)]
struct CorrectionArguments {
    /// An option of the plugin beside its form, as in `--option login-authority=localhost:8443`; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    option: Vec<(String, String)>,
    /// An option of the plugin that is to be removed; may be repeated
    #[arg(long, value_name = "NAME")]
    no_option: Vec<String>,
    /// Trust servers by the certificate authorities in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "trust_system")]
    trust: Option<PathBuf>,
    /// Trust servers by the system's certificate authorities
    #[arg(long)]
    trust_system: bool,
    /// A network that may be reached although it is not public, as in `--allow-network 127.0.0.0/8`; may be repeated
    #[arg(long, value_name = "CIDR")]
    allow_network: Vec<IpNet>,
    /// A network that may not be reached so any more; may be repeated
    #[arg(long, value_name = "CIDR")]
    disallow_network: Vec<IpNet>,
    /// The currency of the instance's prices, ISO 4217: another one only as long as nothing was ordered
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
}

impl CorrectionArguments {
    /// The change with what is corrected.
    fn added_to(self, change: SettingsChange) -> Result<SettingsChange, Failure> {
        let trust = match &self.trust {
            Some(path) => Some(TrustChange::Pem(authorities_in(path)?)),
            None => self.trust_system.then_some(TrustChange::System),
        };
        let given = self.option.into_iter().map(|(name, value)| (name, Some(value)));
        let removed = self.no_option.into_iter().map(|name| (name, None));
        Ok(SettingsChange {
            options: given.chain(removed).collect(),
            trust,
            allow_networks: self.allow_network,
            disallow_networks: self.disallow_network,
            currency: self.currency,
            ..change
        })
    }
}

/// The certificate authorities of a PEM file.
fn authorities_in(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        unreadable(&format!("PEM file `{}`", path.display()), &error)
            .hint("name a PEM file of certificate authorities")
    })
}

/// The proxy of an instance.
#[derive(Debug, Args)]
struct ProxyArguments {
    /// The HTTP proxy of the instance's connections, as in `--proxy http://user@proxy.example.com:3128`; `none` for none,
    /// `environment` for that of `HTTPS_PROXY` or `ALL_PROXY`, which is what counts without this. `NO_PROXY` counts always
    #[arg(long, value_name = "URL|none|environment")]
    proxy: Option<ProxyWord>,
    /// The file whose first line is the password for the proxy (`-` for the standard input)
    #[arg(long, value_name = "FILE", requires = "proxy")]
    proxy_password_file: Option<PathBuf>,
}

/// The words of `--proxy` as they are typed. The parser shows what it refuses, and a password may stand there by mistake: so it refuses
/// nothing, and this prints nothing.
#[derive(Clone, Debug)]
struct ProxyWord(Secret);

impl FromStr for ProxyWord {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Secret::new(text)))
    }
}

impl ProxyWord {
    /// Reads the words. A password is no argument, because others can read those.
    fn choice(&self) -> Result<ProxyChoice, Failure> {
        match self.0.expose() {
            "none" => Ok(ProxyChoice::Direct),
            "environment" => Ok(ProxyChoice::OfHost),
            url => match url.parse::<Proxy>() {
                Ok(proxy) if proxy.password().is_some() => Err(Failure::usage(
                    "a password in `--proxy` is an argument, and others can read those",
                )
                .hint(
                    "leave it out, and name its file by --proxy-password-file; it may be in your shell's history now",
                )),
                Ok(proxy) => Ok(ProxyChoice::Through(proxy)),
                Err(error) => Err(Failure::usage(format!("--proxy: {error}"))),
            },
        }
    }
}

impl ProxyArguments {
    /// The operator's word. `None`: none was given.
    fn choice(self) -> Result<Option<ProxyChoice>, Failure> {
        let chosen = self.proxy.as_ref().map(ProxyWord::choice).transpose()?;
        let Some(file) = self.proxy_password_file else {
            return Ok(chosen);
        };
        let Some(ProxyChoice::Through(proxy)) = chosen else {
            return Err(Failure::usage(
                "--proxy-password-file comes with the URL of a proxy",
            ));
        };
        let Some(user) = proxy.user().map(str::to_owned) else {
            return Err(Failure::usage(
                "a password for a proxy comes with a user, as in `--proxy http://user@proxy.example.com:3128`",
            ));
        };
        let password = secret_line(&file, "password file")?;
        let proxy = proxy.with_credentials(Some(user), Some(password));
        Ok(Some(ProxyChoice::Through(
            proxy.map_err(|error| Failure::of(&error))?,
        )))
    }
}

#[derive(Debug, Args)]
pub(super) struct CreateInstance {
    /// The instance's name on this host
    name: String,
    /// The currency of the instance's prices, ISO 4217
    #[arg(long, value_name = "CODE")]
    currency: String,
    /// The name of the instance's plugin, which may be left out where there is only one
    #[arg(long, value_name = "ID")]
    of: Option<String>,
    /// An option of the plugin beside its form, as in `--option login-authority=localhost:8443`
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    option: Vec<(String, String)>,
    /// Trust servers by the certificate authorities in this PEM file, instead of the system's
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// A network that may be reached although it is not public, as in `--allow-network 127.0.0.0/8`
    #[arg(long, value_name = "CIDR")]
    allow_network: Vec<IpNet>,
    /// A server that the plugin may ask for although no field and no option names it, as in `--allow-host login.example.com`
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parsed::<Authority>)]
    allow_host: Vec<Authority>,
    #[command(flatten)]
    proxy: ProxyArguments,
}

pub(super) async fn run(host: &Host, command: InstanceCommand, is_plugin_named: bool, json: bool) -> Outcome {
    match command {
        InstanceCommand::Create(create) => create_instance(host, create, is_plugin_named, json).await,
        InstanceCommand::Configure(asked) => configure(host, *asked, json).await,
        InstanceCommand::Show { name } => self::show(host, &name, json).await,
        InstanceCommand::Rename { name, new } => rename(host, &name, &new, json).await,
        InstanceCommand::Disable { name } => {
            let saved = host.instance(&name).await?.disable(&operator()).await?;
            show_saved(
                &saved,
                &format!("instance `{name}` takes no orders and buys nothing"),
                json,
            )
        }
        InstanceCommand::Enable { name } => {
            let saved = host.instance(&name).await?.enable(&operator()).await?;
            show_saved(&saved, &format!("instance `{name}` sells"), json)
        }
        InstanceCommand::Remove { name } => {
            let removed = host.instance(&name).await?.remove(&operator()).await?;
            let said = match &removed.certificate_thumbprint {
                Some(thumbprint) => {
                    format!("instance `{name}` is removed; its certificate {thumbprint} stays installed")
                }
                None => format!("instance `{name}` is removed"),
            };
            show_saved(&removed, &said, json)
        }
        InstanceCommand::Limit(asked) => limits::run(host, asked, json).await,
        InstanceCommand::History { name } => history(host, &name, json).await,
        InstanceCommand::Check { name } => check(host, &name, json).await,
        InstanceCommand::RotateCertificate { name, to } => rotate_certificate(host, &name, to, json).await,
        InstanceCommand::List(csv) => list(host, csv.form(json)).await,
    }
}

async fn rename(host: &Host, name: &str, new: &str, json: bool) -> Outcome {
    let renamed = host.instance(name).await?.rename(new, &operator()).await?;
    let said = format!("instance `{name}` is `{}` from now on", renamed.name);
    show_saved(&renamed, &said, json)?;
    if let Some(first) = renamed.first_name.as_ref().filter(|_| !json) {
        output::note(format!(
            "the ids of its orders are made of the name `{first}`: if the record is ever lost, create the instance as `{first}` and \
             rename it before orders are placed again"
        ));
    }
    Ok(ExitStatus::Done)
}

fn show_saved(instance: &view::Instance, said: &str, json: bool) -> Outcome {
    match json {
        true => show::json(instance)?,
        false => output::line(said),
    }
    Ok(ExitStatus::Done)
}

async fn show(host: &Host, name: &str, json: bool) -> Outcome {
    let instance = host.instance(name).await?;
    let (form, today) = (instance.form().await?, instance.spending_today().await?);
    if json {
        let spending_today = (&today).into();
        show::json(&view::ShownInstance { form, spending_today })?;
    } else {
        show_form(&form);
        output::line(format!("  {}", limits::sentence(&today)));
    }
    Ok(ExitStatus::Done)
}

/// The id of the instance that a list is limited to. `None`: the list is not limited.
pub(super) async fn filter_id(host: &Host, name: Option<&str>) -> Result<Option<Uuid>, Failure> {
    match name {
        None if host.owner().is_some() => Err(Failure::usage(
            "--owner comes with the name of an instance here, by --instance",
        )),
        None => Ok(None),
        Some(name) => Ok(Some(host.named_instance(name).await?.id)),
    }
}

/// Shows every save of an instance's settings: who, when, and what it changed.
async fn history(host: &Host, name: &str, json: bool) -> Outcome {
    let instance = host.named_instance(name).await?;
    let history = pages::all(SortOrder::Ascending, async |page| {
        host.record().instance_history(instance.id, page).await
    });
    let history = history.await?;
    if json {
        let versions: Vec<_> = history.iter().map(SettingsVersion::from).collect();
        show::json(&versions)?;
        return Ok(ExitStatus::Done);
    }
    let mut table = show::table(&["Version", "When", "Who", "Field", "Old", "New"]);
    let mut before = Consequences::default();
    for version in &history {
        let when = show::time(version.changed_at_ms);
        let after = Consequences::of(version);
        let mut rows: Vec<[String; 3]> = version.changes.iter().map(row_of_change).collect();
        let secrets = SettingsVersion::from(version).secret_changes.into_iter();
        rows.extend(secrets.map(|(field, what)| [field, String::new(), format!("({what})")]));
        rows.extend(other_rows(version));
        rows.extend(before.rows_until(&after));
        if rows.is_empty() {
            rows.push(["(none)".to_owned(), String::new(), String::new()]);
        }
        for [field, old, new] in rows {
            let number = version.version.to_string();
            table.add_row([
                number,
                when.clone(),
                version.changed_by.name.clone(),
                field,
                old,
                new,
            ]);
        }
        before = after;
    }
    output::table(&table);
    Ok(ExitStatus::Done)
}

/// A row for each thing beside the fields that a save changed.
fn other_rows(version: &bss_model::SettingsVersion) -> Vec<[String; 3]> {
    let other = &version.other_changes;
    let options = other.options.iter();
    let options = options.map(|(option, change)| (format!("(option {option})"), change));
    let others = [
        ("(currency)", &other.currency),
        ("(trusted authorities)", &other.trusted_authorities),
        ("(allowed networks)", &other.allowed_networks),
    ];
    let others = others
        .into_iter()
        .filter_map(|(what, change)| Some((what.to_owned(), change.as_ref()?)));
    options
        .chain(others)
        .map(|(what, change)| row_of_change((&what, change)))
        .collect()
}

fn row_of_change((field, change): (&String, &Change)) -> [String; 3] {
    let value = |value: &Option<String>| value.clone().unwrap_or_default();
    [field.clone(), value(&change.old), value(&change.new)]
}

/// Consequences of a save beside its values, as the history shows them. Empty: not known, or none.
#[derive(Default)]
struct Consequences([(&'static str, String); 3]);

impl Consequences {
    fn of(version: &bss_model::SettingsVersion) -> Self {
        let authorities = version.authorities.iter().flatten().map(|authority| {
            let authority = view::Authority::from(authority);
            format!("{} {}", authority.name, credentials_of(&authority))
        });
        let shown = |value: Option<String>| value.unwrap_or_default();
        Self([
            ("(reaches)", authorities.collect::<Vec<_>>().join(", ")),
            (
                "(certificate)",
                shown(version.thumbprint.map(|thumbprint| thumbprint.to_string())),
            ),
            ("(plugin)", shown(version.plugin.map(|plugin| plugin.to_string()))),
        ])
    }

    /// A row for each that is another one after a save.
    fn rows_until<'a>(&'a self, after: &'a Self) -> impl Iterator<Item = [String; 3]> + 'a {
        let both = self.0.iter().zip(&after.0);
        both.filter(|((_, old), (_, new))| old != new)
            .map(|((_, old), (name, new))| [(*name).to_owned(), old.clone(), new.clone()])
    }
}

/// Checks each step on the way to the vendor. A step that did not pass is a failure.
async fn check(host: &Host, name: &str, json: bool) -> Outcome {
    // An error that keeps the check from being run says nothing of the connection.
    let unsettled = |error| Failure::from(error).unsettled();
    let instance = host
        .heard_by(listener())
        .instance(name)
        .await
        .map_err(unsettled)?;
    let check = instance.check_connection().await.map_err(unsettled)?;
    show_check(&check, json)?;
    match step_failure(
        &check.steps,
        &format!("the connection check of instance `{name}` failed"),
    ) {
        None => Ok(ExitStatus::Done),
        Some(failure) => Err(failure),
    }
}

/// Replaces an instance's certificate by another installed one.
async fn rotate_certificate(host: &Host, name: &str, to: Thumbprint, json: bool) -> Outcome {
    let rotation = host.rotate_certificate(name, to, &operator(), listener()).await;
    let rotation = rotation.map_err(|error| rotate_failure(&error, json))?;
    let rotation = CertificateRotation::from(&rotation);
    if json {
        show::json(&rotation)?;
    } else {
        output::table(&step_table(&rotation.steps));
        output::line(format!(
            "instance `{name}`, version {}, now uses {to}",
            rotation.instance.version
        ));
        output::line(format!(
            "the former certificate, {}, stays installed until `bss-host certificate remove`",
            rotation.former_certificate_thumbprint.unwrap_or_default()
        ));
    }
    Ok(ExitStatus::Done)
}

fn rotate_failure(error: &RotateError, json: bool) -> Failure {
    match error {
        RotateError::Refused { .. } => Failure::of(error).reasons(&error.reasons()),
        RotateError::CheckFailed { name, steps, .. } => {
            let check = ConnectionCheck::new(name, steps);
            if let Err(failure) = show_check(&check, json) {
                return failure;
            }
            step_failure(&check.steps, &error.to_string()).unwrap_or_else(|| Failure::of(error))
        }
        error => Failure::of(error),
    }
}

/// The failure of a check, at its first step that did not pass. `None` when all steps passed.
fn step_failure(steps: &[Step], what: &str) -> Option<Failure> {
    let step = steps.iter().find(|step| step.result != StepResult::Passed)?;
    let message = format!("{what} at step `{}`", step.id);
    Some(Failure::new(ErrorKind::Refused, "check-failed", message).reasons(step.problem.as_slice()))
}

fn show_check(check: &ConnectionCheck, json: bool) -> Result<(), Failure> {
    if json {
        return show::json(check);
    }
    output::table(&step_table(&check.steps));
    connection_lines(check).for_each(output::line);
    Ok(())
}

fn step_table(steps: &[Step]) -> Table {
    let mut table = show::table(&["Step", "Result", "Time"]);
    for step in steps {
        let (result, time) = match &step.result {
            StepResult::Passed => ("passed", format!("{} ms", step.took_ms)),
            StepResult::Failed => ("failed", format!("{} ms", step.took_ms)),
            StepResult::Skipped => ("not tried", String::new()),
        };
        table.add_row([step.name.as_str(), result, &time]);
    }
    table
}

async fn create_instance(host: &Host, create: CreateInstance, is_plugin_named: bool, json: bool) -> Outcome {
    let of = match &create.of {
        Some(_) if is_plugin_named => {
            return Err(Failure::usage("--of and --plugin can't be used together"));
        }
        Some(id) => OfPlugin::Id(id),
        None if is_plugin_named => OfPlugin::File,
        None => OfPlugin::Only,
    };
    let trusted_authorities_pem = create.trust.as_deref().map(authorities_in).transpose()?;
    let proxy = create.proxy.choice()?;
    let mut instance = host
        .create_instance(
            NewInstance {
                name: create.name,
                owner: None,
                currency: create.currency,
                options: create.option.into_iter().collect(),
                reach: Reach {
                    trusted_authorities_pem,
                    allowed_networks: create.allow_network,
                    allowed_hosts: create.allow_host.iter().map(ToString::to_string).collect(),
                    ..Reach::default()
                },
                plugin: None,
            },
            of,
            &operator(),
        )
        .await?;
    if let Some(choice) = proxy {
        instance = host.choose_proxy(&instance.name, &choice, &operator()).await?;
    }
    if json {
        show::json(&view::Instance::from(&instance))?;
    } else {
        output::line(format!("instance `{}` is created", instance.name));
        let owner = instance.owner.as_ref();
        let owner = owner.map(|owner| format!(" --owner {}", quoted(owner.as_str())));
        output::line(format!(
            "next: bss-host instance configure {}{} --set FIELD=VALUE ...",
            quoted(&instance.name),
            owner.unwrap_or_default()
        ));
    }
    Ok(ExitStatus::Done)
}

async fn configure(host: &Host, asked: ConfigureInstance, json: bool) -> Outcome {
    let proxy = asked.proxy.choice()?;
    let removed = asked.clear_secret.into_iter().map(|field| (field, None));
    let typed = secrets(&asked.secret, &asked.secret_file)?.into_iter();
    let typed = typed.map(|(field, secret)| (field, Some(secret)));
    let change = SettingsChange {
        values: asked.set.into_iter().collect(),
        secrets: removed.chain(typed).collect(),
        allow_hosts: asked.allow_host,
        disallow_hosts: asked.disallow_host,
        based_on: asked.based_on,
        ..SettingsChange::default()
    };
    let change = asked.correction.added_to(change)?;
    let is_empty = change.is_empty();
    if is_empty && change.based_on.is_some() {
        return Err(Failure::usage("--based-on comes with a change, as by --set"));
    }
    let instance = host.instance(&asked.name).await?;
    let mut shown = match is_empty {
        true => instance.form().await?,
        false => instance.configure(change, &operator()).await?,
    };
    // The proxy is saved only where the settings are: nothing is changed by half.
    if let Some(choice) = proxy.filter(|_| is_empty || shown.saved) {
        let saved = host.choose_proxy(&asked.name, &choice, &operator()).await?;
        shown.instance = view::Instance::from(&saved);
    }
    show_instance(&shown, json)?;
    if is_empty || shown.saved {
        return Ok(ExitStatus::Done);
    }
    if !json {
        output::line("not saved: the form shows what was typed, and the instance has what it had before");
    }
    Err(Failure::form(&shown.form))
}

pub(super) fn show_instance(shown: &view::InstanceForm, json: bool) -> Result<(), Failure> {
    if json {
        return show::json(shown);
    }
    show_form(shown);
    Ok(())
}

fn show_form(shown: &view::InstanceForm) {
    output::table(&show::form_table(&shown.form));
    output::line(format!(
        "instance `{}`, version {}: {}",
        shown.instance.name,
        shown.instance.version,
        state(&shown.instance)
    ));
    output::line(format!("  sells in {}", shown.instance.currency));
    if let Some(first) = &shown.instance.first_name {
        output::line(format!(
            "  was made as `{first}`, of which the ids of its orders are made"
        ));
    }
    if let Some(owner) = &shown.instance.owner {
        output::line(format!("  of owner {owner}"));
    }
    for (option, value) in &shown.instance.options {
        output::line(format!("  option {option}={value} (--option)"));
    }
    if shown.instance.trusts_own_authorities {
        output::line("  trusts the authorities of a file, and not the system's (--trust)");
    }
    for network in &shown.instance.allowed_networks {
        output::line(format!("  may reach the network {network} (--allow-network)"));
    }
    for authority in &shown.instance.authorities {
        output::line(format!(
            "  reaches {} {}",
            authority.name,
            credentials_of(authority)
        ));
    }
    for host in &shown.instance.allowed_hosts {
        output::line(format!("  may ask for {host} (--allow-host)"));
    }
    match shown.instance.proxy.as_deref() {
        None => {}
        Some("none") => output::line("  connects without a proxy (--proxy none)"),
        Some(proxy) => output::line(format!("  connects through the proxy {proxy} (--proxy)")),
    }
}

/// A line for each server that was connected to, and the way.
fn connection_lines(check: &ConnectionCheck) -> impl Iterator<Item = String> + '_ {
    check
        .connections
        .iter()
        .map(|connection| match &connection.proxy {
            None => format!("  {} directly, at {}", connection.authority, connection.address),
            Some(proxy) => format!(
                "  {} through the proxy {proxy}, at {}",
                connection.authority, connection.address
            ),
        })
}

/// What a server is shown of who the instance is.
fn credentials_of(authority: &view::Authority) -> String {
    let secrets = authority.secret_headers.iter();
    let secrets = secrets.map(|header| format!("the secret `{}`", header.field));
    let certificate = authority.client_certificate.then(|| "the certificate".to_owned());
    let shown: Vec<String> = certificate.into_iter().chain(secrets).collect();
    match shown.is_empty() {
        true => "without a certificate or secret".to_owned(),
        false => format!("with {}", shown.join(" and ")),
    }
}

/// The instance's state, and whether it sells.
fn state(instance: &view::Instance) -> String {
    match instance.disabled_at_ms {
        Some(at_ms) => format!("{}, disabled since {}", instance.state, show::time(at_ms)),
        None => instance.state.clone(),
    }
}

async fn list(host: &Host, form: Form) -> Outcome {
    let instances = host.instances().await?;
    let views: Vec<_> = instances.iter().map(view::Instance::from).collect();
    let certificates = match form {
        Form::Table => {
            let installed = host.installed_certificates().await?;
            host.certificate_views(&installed).await?
        }
        // The certificates of instances are shown beside nothing but a table.
        Form::Json | Form::Csv => Vec::new(),
    };
    csv_lines::list(form, &views, &COLUMNS, |views| table(views, &certificates))
}

fn table(views: &[view::Instance], certificates: &[view::Certificate]) -> Table {
    let has_owners = views.iter().any(|instance| instance.owner.is_some());
    let owner = has_owners.then_some("Owner");
    let columns = [
        "Instance",
        "State",
        "Currency",
        "Certificate",
        "Certificate valid",
    ];
    let columns = columns.into_iter();
    let mut table = show::table(&columns.chain(owner).collect::<Vec<_>>());
    for instance in views {
        let thumbprint = instance.certificate_thumbprint.as_deref();
        let (state, validity) = (state(instance), validity(thumbprint, certificates));
        let owner = has_owners.then(|| instance.owner.as_deref().unwrap_or_default());
        let columns = [
            instance.name.as_str(),
            &state,
            &instance.currency,
            thumbprint.unwrap_or_default(),
            &validity,
        ];
        table.add_row(columns.into_iter().chain(owner));
    }
    table
}

/// How long an instance's certificate is still valid, or why it can't be used.
fn validity(thumbprint: Option<&str>, certificates: &[view::Certificate]) -> String {
    let Some(thumbprint) = thumbprint else {
        return String::new();
    };
    let mut certificates = certificates.iter();
    let found = certificates.find(|certificate| certificate.thumbprint == thumbprint);
    let Some(certificate) = found else {
        return "not installed".to_owned();
    };
    match &certificate.unusable_because {
        Some(_) if certificate.days_left < 0 => "expired".to_owned(),
        Some(reason) => format!("unusable: {reason}"),
        None => format!("{} days left", certificate.days_left),
    }
}

//! `mail …`: how e-mail is sent, and what became of each.

use std::path::{Path, PathBuf};

use bss_model::{
    Advice, Contact, ErrorKind, IdKind, MailDelivery, MailFilter, MailKind, MailSettings, MailState,
    MailStop, MailsToResend, Secret, SmtpProtection, SmtpServer, Thumbprint,
};
use clap::{Args, Subcommand};
use host_harness::Host;
use host_harness::mail::{MailChange, MailChangeError, check_templates, write_templates};
use host_harness::view::{self, DueMails, TemplateFiles};
use uuid::Uuid;

use super::bulk::{BulkArguments, Tally};
use super::csv_lines::{self, Column, CsvOption, Form};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Outcome, machine_failure, quoted, words};
use super::input::{first_line, operator, read_text};
use super::mail_choices::{self, ChoicesArguments};
use super::mail_login::AccessTokenArguments;
use super::mail_preview::{self, PreviewArguments};
use super::output;
use super::pages::PageArguments;
use super::seller::{self, SellerArguments};
use super::typed_ids::{self, TypedId, TypedOrder};
use super::{contact_doubts, instances, mail_table, record, show};

/// The copies of e-mails that are told in a line each.
const COPIES_TOLD_MAX: usize = 10;

/// The environment variable with the password for the mail server.
pub(super) const PASSWORD_VARIABLE: &str = "BSS_SMTP_PASSWORD";

const COLUMNS: [Column; 18] = [
    Column::Of("id"),
    Column::Of("kind"),
    Column::Of("state"),
    Column::Of("instance"),
    Column::Of("customer.id"),
    Column::Of("customer.name"),
    Column::Of("contact.email"),
    Column::Of("contact.language"),
    Column::Of("orderId"),
    Column::Of("assetId"),
    Column::Of("attempts"),
    Column::Time("createdAtMs"),
    Column::Time("dueAtMs"),
    Column::Time("sentAtMs"),
    Column::Of("copyOf"),
    Column::Of("sentWith"),
    Column::Of("problem.code"),
    Column::Of("problem.message"),
];

#[derive(Debug, Subcommand)]
pub(super) enum MailCommand {
    /// Configure how e-mail is sent: through a mail server, or into a directory
    Configure(Box<ConfigureMail>),
    /// Change single settings of how e-mail is sent; all others stay, the password too
    Set(Box<SetMail>),
    /// Set or show who sells at an instance, as e-mails say it
    Seller(Box<SellerArguments>),
    /// Choose which e-mails an instance sends, or show it: about returns, and one for each license or each order
    Choices(ChoicesArguments),
    /// Write an e-mail as it would be sent now, as HTML, without sending it
    Preview(PreviewArguments),
    /// Show how e-mail is sent, and whether the templates can be filled in
    Show,
    /// Show e-mails: one for each license and each return that is mailed
    List {
        /// Only e-mails that the mail server refused permanently
        #[arg(long, group = "state")]
        failed: bool,
        /// Only e-mails that are still to be sent
        #[arg(long, group = "state")]
        pending: bool,
        /// Only e-mails that are held back, because they may have been sent before the record was restored
        #[arg(long, group = "state")]
        held: bool,
        /// Only e-mails about orders of this instance
        #[arg(long, value_name = "NAME")]
        instance: Option<String>,
        /// Only e-mails about licenses of this order
        #[arg(long, value_name = "ORDER")]
        order: Option<TypedOrder>,
        /// Only e-mails to this customer, by the platform's id
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// Only e-mails of this kind
        #[arg(long, value_name = "KIND")]
        kind: Option<Kind>,
        #[command(flatten)]
        page: PageArguments,
        #[command(flatten)]
        csv: CsvOption,
    },
    /// Make unsent e-mails due now; the worker, `bss-host run`, sends them
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Retry {
        /// The id of an e-mail
        #[arg(group = "which", value_name = "ID")]
        mail: Option<TypedId>,
        /// All e-mails that wait, except those that are held back
        #[arg(long, group = "which")]
        all: bool,
        /// All e-mails that were refused for good; each goes to the address that its customer has by now
        #[arg(long, group = "which")]
        failed: bool,
        /// All e-mails that are held back
        #[arg(long, group = "which")]
        held: bool,
    },
    /// Send e-mails again that were sent or refused, as copies that say so; the worker, `bss-host run`, sends them
    Resend(ResendMail),
    /// Write the built-in templates into a directory, to start from
    Templates {
        /// The directory to write into
        directory: PathBuf,
    },
    /// Send a test e-mail that looks like a customer's, with a made-up product key
    Test {
        /// The recipient's address
        address: String,
        /// The language of the e-mail, BCP 47
        #[arg(long, value_name = "LANGUAGE", default_value = "en")]
        language: String,
    },
}

/// The kind of an e-mail, as it is typed in and shown.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Kind {
    /// A license: its product key and activation link
    Welcome,
    /// The return of a license, and its credit
    Return,
}

impl From<Kind> for MailKind {
    fn from(typed: Kind) -> Self {
        match typed {
            Kind::Welcome => Self::Welcome,
            Kind::Return => Self::Return,
        }
    }
}

/// A path, or an empty text, which removes what is there. The usual parser of paths refuses that.
fn path_or_empty() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    use clap::builder::TypedValueParser as _;
    clap::builder::OsStringValueParser::new().map(PathBuf::from)
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(super) struct ResendMail {
    /// The id of an e-mail
    #[arg(group = "which", value_name = "ID")]
    mail: Option<TypedId>,
    /// The last e-mail that was sent about each license of this order
    #[arg(long, group = "which", value_name = "ORDER")]
    order: Option<TypedOrder>,
    /// The last e-mail that was sent about each license of this customer, by the platform's id
    #[arg(long, group = "which", value_name = "ID")]
    customer: Option<String>,
    /// Only e-mails about licenses of this instance
    #[arg(long, requires = "customer", value_name = "NAME")]
    instance: Option<String>,
    /// Send them to this address, and leave the customer's own as it is
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    #[command(flatten)]
    bulk: BulkArguments,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub(super) struct ConfigureMail {
    /// The sender, as in `shop@example.com` or `Shop <shop@example.com>`
    #[arg(long, value_name = "SENDER")]
    from: String,
    /// The mail server: `smtps://HOST[:PORT]` for TLS from the start (port 465), `smtp://HOST[:PORT]` for STARTTLS (port 587)
    #[arg(long, group = "where", value_name = "URL")]
    smtp: Option<String>,
    /// Write each e-mail into this directory instead, as a file for another program to send
    #[arg(long, group = "where", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The user who logs in to the mail server
    #[arg(long, conflicts_with = "directory", value_name = "NAME")]
    user: Option<String>,
    /// A file whose first line is the user's password; `-` is the standard input. Without this option, the password
    /// is taken from the environment variable BSS_SMTP_PASSWORD
    #[arg(long, requires = "user", value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    access_token: AccessTokenArguments,
    /// The name by which the host greets the mail server (EHLO): a fully qualified name, or an address as in
    /// `[192.0.2.1]`. Without this option, the machine's fully qualified name, or else its address
    #[arg(long, conflicts_with = "directory", value_name = "NAME")]
    hello_name: Option<String>,
    /// Trust the mail server by the certificate authorities in this PEM file, instead of the system's; the file may also
    /// hold the mail server's own certificate
    #[arg(long, conflicts_with = "directory", value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Send e-mails, product keys included, without TLS, as to a relay on this machine (port 25); only with `smtp://`,
    /// never with `--user`
    #[arg(long, conflicts_with_all = ["directory", "user"])]
    unencrypted: bool,
    /// The operator's own templates; `mail templates DIR` writes some to start from
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(super) struct SetMail {
    /// The sender, as in `shop@example.com` or `Shop <shop@example.com>`
    #[arg(long, group = "change", value_name = "SENDER")]
    from: Option<String>,
    /// The mail server, as `mail configure` takes it
    #[arg(long, group = "change", value_name = "URL")]
    smtp: Option<String>,
    /// Send e-mails without TLS, as to a relay on this machine; only with `--smtp smtp://…`
    #[arg(long, requires = "smtp")]
    unencrypted: bool,
    /// The user who logs in to the mail server. Here and below, an empty text removes what is there
    #[arg(long, group = "change", value_name = "NAME")]
    user: Option<String>,
    /// A file whose first line is the user's password; `-` is the standard input. With --smtp or --user, the password may
    /// also be in the environment variable BSS_SMTP_PASSWORD
    #[arg(long, group = "change", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The installed certificate with which access tokens are got, in place of another one
    #[arg(long, group = "change", value_name = "THUMBPRINT")]
    certificate: Option<Thumbprint>,
    /// The name by which the host greets the mail server
    #[arg(long, group = "change", value_name = "NAME")]
    hello_name: Option<String>,
    /// Trust the mail server by the certificate authorities in this PEM file, instead of the system's
    #[arg(long, group = "change", value_name = "FILE", value_parser = path_or_empty())]
    trust: Option<PathBuf>,
    /// The operator's own templates
    #[arg(long, group = "change", value_name = "DIR", value_parser = path_or_empty())]
    templates: Option<PathBuf>,
}

impl MailCommand {
    /// Tells whether the command is about an instance, which may be an owner's.
    pub(super) fn takes_owner(&self) -> bool {
        matches!(self, Self::Seller(_) | Self::Choices(_))
    }
}

pub(super) async fn run(host: &Host, command: MailCommand, json: bool) -> Outcome {
    match command {
        MailCommand::Configure(given) => configure(host, *given, json).await,
        MailCommand::Set(given) => set(host, *given, json).await,
        MailCommand::Seller(asked) => seller::run(host, *asked, json).await,
        MailCommand::Choices(asked) => mail_choices::run(host, &asked, json).await,
        MailCommand::Preview(asked) => mail_preview::run(host, &asked, json).await,
        MailCommand::Show => show_settings(host, json).await,
        MailCommand::List {
            failed,
            pending,
            held,
            instance,
            order,
            customer,
            kind,
            page,
            csv,
        } => {
            let order = typed_ids::order(order.as_ref(), host).await?;
            let states = [
                (failed, MailState::Failed),
                (pending, MailState::Pending),
                (held, MailState::Held),
            ];
            let state = states
                .into_iter()
                .find_map(|(asked, state)| asked.then_some(state));
            let filter = MailFilter {
                state,
                kind: kind.map(MailKind::from),
                instance: instances::filter_id(host, instance.as_deref()).await?,
                order,
                asset: None,
                customer,
            };
            list(host, filter, &page, csv.form(json)).await
        }
        MailCommand::Retry {
            mail, held, failed, ..
        } => {
            let mail = typed_ids::optional(mail.as_ref(), IdKind::Mail, host).await?;
            retry(host, mail, held, failed, json).await
        }
        MailCommand::Resend(asked) => resend(host, asked, json).await,
        MailCommand::Templates { directory } => templates(&directory, json),
        MailCommand::Test { address, language } => {
            let contact = Contact {
                email: address,
                language,
            };
            test(host, &contact, json).await
        }
    }
}

async fn configure(host: &Host, given: ConfigureMail, json: bool) -> Outcome {
    let settings = MailSettings {
        delivery: delivery(&given)?,
        from: given.from,
        templates: given.templates.as_deref().map(absolute).transpose()?,
    };
    host.configure_mail(settings.clone(), &operator()).await?;
    if json {
        show::json(&view::MailSettings::from(&settings))?;
    } else {
        show_rows(&settings);
        output::line("next: bss-host mail test ADDRESS");
    }
    Ok(ExitStatus::Done)
}

async fn set(host: &Host, given: SetMail, json: bool) -> Outcome {
    let change = change(given)?;
    let settings = host.change_mail(&change, &operator()).await.map_err(|error| {
        let needs_password = matches!(error, MailChangeError::PasswordNeeded);
        let failure = Failure::from(error);
        match needs_password {
            true => failure.hint(format!(
                "set {PASSWORD_VARIABLE}, or name a file with --password-file"
            )),
            false => failure,
        }
    })?;
    match json {
        true => show::json(&view::MailSettings::from(&settings))?,
        false => show_rows(&settings),
    }
    Ok(ExitStatus::Done)
}

fn change(given: SetMail) -> Result<MailChange, Failure> {
    let kept = |text: String| Some(text).filter(|text| !text.is_empty());
    let named = |path: PathBuf| Some(path).filter(|path| !path.as_os_str().is_empty());
    let has_user = given.user.as_ref().is_some_and(|user| !user.is_empty());
    let password = match (&given.password_file, given.smtp.is_some() || has_user) {
        (None, false) => None,
        (file, _) => {
            let password = first_line(file.as_deref(), PASSWORD_VARIABLE, "password file")?;
            (!password.is_empty()).then(|| Secret::new(password.as_str()))
        }
    };
    let server = given.smtp.as_deref();
    let server = server.map(|url| host_harness::mail::server_from_url(url, given.unencrypted));
    let trust = given.trust.map(named);
    let trust = trust.map(|file| file.map(|file| authorities(&file)).transpose());
    let templates = given.templates.map(named);
    let templates = templates.map(|directory| directory.map(|path| absolute(&path)).transpose());
    Ok(MailChange {
        from: given.from,
        server: server.transpose()?,
        user: given.user.map(kept),
        password,
        certificate: given.certificate,
        hello_name: given.hello_name.map(kept),
        trusted_authorities_pem: trust.transpose()?,
        templates: templates.transpose()?,
    })
}

fn delivery(given: &ConfigureMail) -> Result<MailDelivery, Failure> {
    if let Some(directory) = &given.directory {
        return Ok(MailDelivery::Directory(absolute(directory)?));
    }
    let url = given.smtp.as_deref().unwrap_or_default();
    let server = host_harness::mail::server_from_url(url, given.unencrypted)?;
    let access_token = given.access_token.login()?.map(Box::new);
    let password = match (&given.user, &access_token) {
        (Some(user), None) => Some(password(user, given.password_file.as_deref())?),
        _ => None,
    };
    Ok(MailDelivery::Smtp(SmtpServer {
        user: given.user.clone(),
        password,
        trusted_authorities_pem: given.trust.as_deref().map(authorities).transpose()?,
        hello_name: given.hello_name.clone(),
        access_token,
        ..server
    }))
}

fn authorities(path: &Path) -> Result<String, Failure> {
    read_text(path, "PEM file")
}

/// A path that means the same wherever the worker is started.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(machine_failure)
}

fn password(user: &str, file: Option<&Path>) -> Result<Secret, Failure> {
    let password = first_line(file, PASSWORD_VARIABLE, "password file")?;
    if password.is_empty() {
        let message = format!("no password is given for the mail server's user `{user}`");
        let hint = format!("set {PASSWORD_VARIABLE}, or name a file with --password-file");
        return Err(Failure::new(ErrorKind::Invalid, "half-login", message).hint(hint));
    }
    Ok(Secret::new(password.as_str()))
}

async fn show_settings(host: &Host, json: bool) -> Outcome {
    let Some(settings) = host.record().mail_settings().await? else {
        return Err(not_configured());
    };
    let stop = host.record().mail_stop().await?;
    let checked = match &settings.templates {
        None => None,
        Some(directory) => Some(check_templates(directory.clone()).await),
    };
    if json {
        let view = view::MailSettings::from(&settings).with_stop(stop.as_ref());
        let view = match &checked {
            Some(checked) => view.with_checked_templates(checked),
            None => view,
        };
        show::json(&view)?;
    } else {
        show_rows(&settings);
    }
    stop_note(stop.as_ref());
    match checked {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(ExitStatus::Done),
    }
}

fn not_configured() -> Failure {
    let message = "this host has no mail settings, so e-mails wait";
    Failure::new(ErrorKind::Conflict, "no-mail-settings", message).advise(&Advice::ConfigureMail)
}

fn show_rows(settings: &MailSettings) {
    let mut table = show::table(&["Mail", ""]);
    table.add_row(["From", settings.from.as_str()]);
    match &settings.delivery {
        MailDelivery::Directory(directory) => {
            table.add_row(["Directory", &directory.display().to_string()]);
        }
        MailDelivery::Smtp(server) => {
            let trust = match &server.trusted_authorities_pem {
                Some(_) => "a file's",
                None => "the system's",
            };
            table.add_row(["Server", &format!("{}:{}", server.host, server.port)]);
            table.add_row(["Protection", protection(server.protection)]);
            table.add_row(["User", server.user.as_deref().unwrap_or("(none)")]);
            if let Some(login) = &server.access_token {
                table.add_row(["Access token from", &login.token_endpoint]);
                table.add_row(["Client", &login.client_id]);
                table.add_row(["Certificate", &login.certificate.to_string()]);
                table.add_row(["Scope", &login.scope]);
            }
            table.add_row(["Trusted authorities", trust]);
            table.add_row([
                "Greets as",
                server.hello_name.as_deref().unwrap_or("(the machine)"),
            ]);
        }
    }
    let templates = settings.templates.as_ref();
    let templates = templates.map_or_else(|| "(built in)".to_owned(), |path| path.display().to_string());
    table.add_row(["Templates", &templates]);
    output::table(&table);
}

fn protection(protection: SmtpProtection) -> &'static str {
    match protection {
        SmtpProtection::Tls => "TLS",
        SmtpProtection::StartTls => "STARTTLS, required",
        SmtpProtection::None => "none",
    }
}

async fn list(host: &Host, filter: MailFilter, page: &PageArguments, form: Form) -> Outcome {
    let mails = page.read(form, async |page| host.record().mails(&filter, page).await);
    let mails = mails.await?;
    let views = host.mail_views(&mails).await?;
    csv_lines::list(form, &views, &COLUMNS, mail_table::table)?;
    let count = |state| mails.iter().filter(|mail| mail.state == state).count();
    let (pending, failed) = (count(MailState::Pending), count(MailState::Failed));
    if pending > 0 && host.record().mail_settings().await?.is_none() {
        output::note(format!(
            "{} to be sent, but this host has no mail settings",
            show::counted(pending as u64, "e-mail")
        ));
        output::note(format!("hint: {}", words(&Advice::ConfigureMail)));
    }
    stop_note(host.record().mail_stop().await?.as_ref());
    record::hold_note(count(MailState::Held) as u64);
    if failed > 0 {
        output::note(format!(
            "{} refused permanently by the mail server",
            show::counted(failed as u64, "e-mail")
        ));
        output::note("hint: correct the cause, then make them due again with `bss-host mail retry --failed`");
    }
    Ok(ExitStatus::Done)
}

/// Says what stops all e-mails, and what to do.
pub(super) fn stop_note(stop: Option<&MailStop>) {
    let Some(stop) = stop else { return };
    output::note(format!(
        "all e-mails wait since {}, because no e-mail can be sent: {}",
        show::time(stop.since_ms),
        stop.problem.message
    ));
    output::note(format!(
        "hint: {}; one e-mail is tried at {}, and all of them after `bss-host mail test`, `mail configure` or `mail retry`",
        stop.problem.advice,
        show::time(stop.next_try_at_ms)
    ));
}

async fn retry(host: &Host, mail: Option<Uuid>, held: bool, failed: bool, json: bool) -> Outcome {
    let due = match mail {
        None if held => host.record().release_mails(&operator()).await?,
        None if failed => host.record().retry_refused_mails(&operator()).await?,
        None => host.record().retry_mails(&operator()).await?,
        Some(mail) => {
            host.record().retry_mail(mail, &operator()).await?;
            1
        }
    };
    if json {
        show::json(&DueMails { due })?;
    } else {
        output::line(format!(
            "{} due now; `bss-host run` sends them",
            show::counted(due, "e-mail")
        ));
    }
    Ok(ExitStatus::Done)
}

async fn resend(host: &Host, asked: ResendMail, json: bool) -> Outcome {
    let mails = match (&asked.mail, &asked.order, asked.customer) {
        (Some(mail), ..) => vec![mail.of(IdKind::Mail, host).await?],
        (None, Some(order), _) => {
            let order = order.of(host).await?;
            if host
                .record()
                .order(order)
                .await?
                .is_some_and(|order| order.platform.is_some())
            {
                let message = format!(
                    "no e-mail is sent about order {order}: a platform placed it, which writes to its customer itself"
                );
                return Err(Failure::new(ErrorKind::Conflict, "not-mailed", message));
            }
            ids_of(host, &MailsToResend::Order(order)).await?
        }
        (None, None, customer) => {
            let instance = instances::filter_id(host, asked.instance.as_deref()).await?;
            let id = customer.unwrap_or_default();
            ids_of(host, &MailsToResend::Customer { id, instance }).await?
        }
    };
    if mails.is_empty() {
        let message = "no e-mail was sent there that could be sent again";
        return Err(
            Failure::new(ErrorKind::NotFound, "nothing-to-resend", message).hint(words(&Advice::ListMails))
        );
    }
    let to = asked.to.as_deref();
    contact_doubts::warn(to, None);
    let what = format!(
        "send {} again, to {}",
        show::counted(mails.len() as u64, "e-mail"),
        to.unwrap_or("the address in each order")
    );
    if (asked.mail.is_none() || asked.bulk.is_dry()) && !asked.bulk.agreed(&what)? {
        return Tally::new(json).would(&mails);
    }
    let copies = host.record().resend_mails(&mails, to, &operator()).await?;
    if json {
        for view in host.mail_views(&copies).await? {
            show::json(&view)?;
        }
        show::json(&DueMails {
            due: copies.len() as u64,
        })?;
    } else {
        for copy in copies.iter().take(COPIES_TOLD_MAX) {
            output::line(format!("e-mail {} to {}", copy.id, copy.contact.email));
        }
        output::line(format!(
            "{} to be sent again due now, as copies; `bss-host run` sends them",
            show::counted(copies.len() as u64, "e-mail")
        ));
    }
    Ok(ExitStatus::Done)
}

async fn ids_of(host: &Host, which: &MailsToResend) -> Result<Vec<Uuid>, Failure> {
    let mails = host.record().mails_to_resend(which).await?;
    Ok(mails.iter().map(|mail| mail.id).collect())
}

fn templates(directory: &Path, json: bool) -> Outcome {
    let files = write_templates(directory)?;
    if json {
        show::json(&TemplateFiles { files })?;
    } else {
        for file in &files {
            output::line(file.display().to_string());
        }
        output::line(format!(
            "next: edit these templates, and use them with `bss-host mail configure --templates {} ...`",
            quoted(&directory.display().to_string())
        ));
    }
    Ok(ExitStatus::Done)
}

async fn test(host: &Host, contact: &Contact, json: bool) -> Outcome {
    host.send_test_mail(contact).await?;
    if json {
        show::json(&view::Contact::from(contact))?;
    } else {
        output::line(format!("the test e-mail to {} was sent", contact.email));
    }
    Ok(ExitStatus::Done)
}

//! The gate between a form that a plugin has judged and the settings that are saved of it.
//!
//! Whatever makes an instance somebody, or lets it reach somebody, comes from its operator. A plugin only judges it:
//!
//! | what is saved | operator | plugin | vendor |
//! |---|---|---|---|
//! | the fields that there are | – | names them, each once | – |
//! | a value of a `url` field | types it, now or before | refuses it, or trims it | – |
//! | any other value, the certificate's included | types it, now or before | refuses it, or writes it in other case; a GUID or a thumbprint in another spelling | – |
//! | a field that holds an address | types its value while the field is one | says which are | – |
//! | a server that may be reached | types its address into a `url` field, names it in an option `…-authority`, or allows it (`--allow-host`) | chooses among those, each once, at most 16 | – |
//! | a server that is shown the certificate | types its address into a `url` field | chooses whether all of those are, or none | – |
//! | a secret | types it | chooses its field and its header field | – |
//! | a server that is sent a secret | types its address into a `url` field, and the secret then or later | chooses among those | – |
//! | a certificate that another instance uses too | types both, for one customer | – | – |
//! | the standing | – | says how far the form is filled in | – |
//!
//! A field that the operator has left empty stays empty, and no default of a plugin's is saved unseen. A plugin may
//! write a country in capitals or a thumbprint without colons, because neither makes it another one. Everything else is
//! taken to the letter: with one dot or hyphen more or less, an address is another server and a tenant another customer.
//! The kind of a field is the plugin's word, so that no kind allows more than another: a secret is typed as one
//! ([`OperatorsWord::secrets`]), and never becomes a value.
//!
//! That the form itself keeps the contract has been checked before ([`crate::form_rules`]).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bss_model::{
    Advice, Diagnose, Diagnosis, ErrorKind, Instance, NotAThumbprint, PluginDigest, SavedSettings, Secret,
    SecretToSave, Thumbprint,
};
use bss_sandbox::bindings::instance_settings::{
    self as contract, Field, FieldKind, FieldRole, Form, Standing,
};
use bss_sandbox::outbound_https::Authority;
use uuid::Uuid;

use crate::form_rules::CheckedForm;
use crate::plugin_words::shortened;

/// The most servers that an instance may reach: a few for the vendor's interfaces, and those of its access tokens.
const HOSTS_MAX: usize = 16;
/// The end of the names of options that name a server which the plugin may reach. The value of another option never
/// does: `v1` could be a server's name too.
pub(crate) const AUTHORITY_OPTION: &str = "-authority";

/// Why the settings of a form are not saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateError {
    /// The servers of the form can't be what the plugin wants.
    #[error("the plugin's form has {what}")]
    Form {
        /// The defect.
        what: String,
    },
    /// A field has a value that is not the operator's.
    #[error("the plugin would save `{value}` as `{field}`, which is not what was typed")]
    ValueNotTyped {
        /// The field.
        field: String,
        /// The plugin's value, shortened.
        value: String,
    },
    /// The plugin asks for servers that the operator has not named.
    #[error("the plugin would have instance `{instance}` reach {}, which nobody has allowed", listed(.hosts))]
    HostsNotAllowed {
        /// The instance.
        instance: String,
        /// The servers: at least one.
        hosts: Vec<String>,
    },
    /// The plugin asks for too many servers.
    #[error("the plugin would have the instance reach {asked} servers, and {HOSTS_MAX} are the most")]
    TooManyHosts {
        /// The number of servers that the plugin asks for.
        asked: usize,
    },
    /// The plugin asks for a server that can't be one.
    #[error("the plugin would have the instance reach `{host}`, which is no host, or host and port")]
    HostUnusable {
        /// The server, shortened.
        host: String,
    },
    /// The certificate would be presented to a server that the operator has not typed.
    #[error("the plugin would have the certificate presented to `{host}`, which stands in no field")]
    CertificateElsewhere {
        /// The server.
        host: String,
    },
    /// A secret would be sent to a server that the operator has not typed.
    #[error("the plugin would have the secret `{field}` sent to `{host}`, which stands in no field")]
    SecretElsewhere {
        /// The secret's field.
        field: String,
        /// The server.
        host: String,
    },
    /// A secret would be sent to a server that was typed after it.
    #[error("the secret `{field}` was typed for other servers than `{host}`")]
    SecretMoved {
        /// The secret's field.
        field: String,
        /// The server.
        host: String,
    },
    /// The value of the certificate's field names no certificate.
    #[error("the value of the certificate's field is no thumbprint")]
    Thumbprint(#[from] NotAThumbprint),
    /// Another instance proves with the certificate that it is somebody else.
    #[error("the certificate is used by instance `{other}`, which differs in {}", listed(.differences))]
    CertificateShared {
        /// The other instance.
        other: String,
        /// The fields that differ, or `currency`.
        differences: Vec<String>,
    },
}

impl Diagnose for GateError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Form { .. } => Diagnosis::new(ErrorKind::Refused, "form-broken"),
            Self::ValueNotTyped { .. } => Diagnosis::new(ErrorKind::Refused, "value-not-typed"),
            Self::HostsNotAllowed { instance, hosts } => {
                return Diagnosis::new(ErrorKind::Refused, "host-not-allowed").advise(Advice::AllowHosts {
                    instance: instance.clone(),
                    hosts: hosts.clone(),
                });
            }
            Self::TooManyHosts { .. } => Diagnosis::new(ErrorKind::Refused, "too-many-hosts"),
            Self::HostUnusable { .. } => Diagnosis::new(ErrorKind::Refused, "host-unusable"),
            Self::CertificateElsewhere { .. } => Diagnosis::new(ErrorKind::Refused, "certificate-elsewhere"),
            Self::SecretElsewhere { .. } => Diagnosis::new(ErrorKind::Refused, "secret-elsewhere"),
            Self::SecretMoved { field, .. } => {
                return Diagnosis::new(ErrorKind::Refused, "secret-moved")
                    .say(format!("type the secret `{field}` again, if the server is to have it"));
            }
            Self::Thumbprint(_) => Diagnosis::new(ErrorKind::Refused, "certificate-field-broken"),
            Self::CertificateShared { .. } => {
                return Diagnosis::new(ErrorKind::Refused, "certificate-shared")
                    .say("choose another certificate: one stands for one customer, in one country, language and currency");
            }
        }
        .say("this is a defect of the plugin, or worse: ask where it comes from")
    }
}

/// Names as a sentence lists them.
fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// An operator's word on an instance: all that is typed, saved and allowed.
#[derive(Clone, Copy)]
pub(crate) struct OperatorsWord<'a> {
    /// The instance as it is saved.
    pub(crate) instance: &'a Instance,
    /// The values that are typed now, by field. A field that is not listed keeps its saved value.
    pub(crate) typed: &'a BTreeMap<String, String>,
    /// The secrets that are typed now, by field; `None` removes one. A field that is not listed keeps its own.
    pub(crate) secrets: &'a BTreeMap<String, Option<Secret>>,
    /// The hosts that are allowed beside those of fields and options, once this is saved.
    pub(crate) allowed_hosts: &'a BTreeSet<Authority>,
}

impl<'a> OperatorsWord<'a> {
    /// The word that is saved, to which nothing is added.
    pub(crate) fn of_saved(instance: &'a Instance) -> Self {
        static NO_VALUES: BTreeMap<String, String> = BTreeMap::new();
        static NO_SECRETS: BTreeMap<String, Option<Secret>> = BTreeMap::new();
        static NO_HOSTS: BTreeSet<Authority> = BTreeSet::new();
        Self {
            instance,
            typed: &NO_VALUES,
            secrets: &NO_SECRETS,
            allowed_hosts: &NO_HOSTS,
        }
    }

    /// The value that the operator wants a field to have, without blanks around it. Empty: none.
    fn value(&self, field: &str) -> &str {
        let saved = &self.instance.values;
        let value = self.typed.get(field).or_else(|| saved.get(field));
        value.map_or("", |value| value.trim())
    }

    /// Whether a plugin's value is the operator's.
    fn is_typed(&self, field: &Field) -> bool {
        let (typed, judged) = (self.value(&field.id), field.value.trim());
        match field.kind {
            FieldKind::Url => judged == typed,
            FieldKind::Text | FieldKind::Choice => is_same(typed, judged),
            // A secret has no value in a form; a value that was saved while the field was no secret is dropped.
            FieldKind::Secret => true,
        }
    }

    /// Whether a field has a secret once this is saved.
    pub(crate) fn has_secret(&self, field: &str) -> bool {
        match self.secrets.get(field) {
            Some(typed) => typed.is_some(),
            None => self.instance.secrets.contains_key(field),
        }
    }

    /// The secret fields that have a value once this is saved.
    pub(crate) fn secret_fields(&self) -> BTreeSet<String> {
        let fields = self.instance.secrets.keys().chain(self.secrets.keys());
        fields.filter(|field| self.has_secret(field)).cloned().collect()
    }

    /// A secret as it is to be saved, where `servers` stand in the settings by then. `None`: there is none.
    fn secret(&self, field: &str, servers: &BTreeSet<Authority>) -> Option<SecretToSave> {
        let new = self.secrets.get(field);
        let saved = self.instance.secrets.get(field);
        // Typed before any server was: it is for the first that is typed.
        let kept = saved.filter(|saved| new.is_none() && !saved.servers.is_empty());
        self.has_secret(field).then(|| SecretToSave {
            new: new.cloned().flatten(),
            servers: match kept {
                Some(kept) => kept.servers.clone(),
                None => servers.iter().map(ToString::to_string).collect(),
            },
        })
    }
}

/// Whether two values are the same, if spelled in another way: in other case, or as a GUID or a thumbprint is.
fn is_same(one: &str, other: &str) -> bool {
    let both = |is_same: &dyn Fn(&str, &str) -> Option<bool>| is_same(one, other).unwrap_or_default();
    one.eq_ignore_ascii_case(other)
        || both(&|one, other| Some(Uuid::try_parse(one).ok()? == Uuid::try_parse(other).ok()?))
        || both(&|one, other| Some(one.parse::<Thumbprint>().ok()? == other.parse().ok()?))
}

/// The settings to save from a form without problems.
///
/// # Errors
/// When something in it is not the operator's to the degree that the table of this module says.
pub(crate) fn settings_of(
    form: &CheckedForm,
    operator: &OperatorsWord<'_>,
) -> Result<SavedSettings, GateError> {
    if let Some(field) = form.fields.iter().find(|field| !operator.is_typed(field)) {
        return Err(GateError::ValueNotTyped {
            field: field.id.clone(),
            value: shortened(&field.value),
        });
    }
    let is_secret = |field: &&Field| field.kind == FieldKind::Secret;
    let servers = typed_servers(form, operator);
    let secrets = form.fields.iter().filter(is_secret).filter_map(|field| {
        let secret = operator.secret(&field.id, &servers)?;
        Some((field.id.clone(), secret))
    });
    let secrets: BTreeMap<String, SecretToSave> = secrets.collect();
    let values: BTreeMap<String, String> = form
        .fields
        .iter()
        .filter(|field| !is_secret(field))
        .map(|field| (field.id.clone(), field.value.trim().to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let thumbprint = form
        .certificate_field
        .as_ref()
        .and_then(|field| values.get(field));
    let thumbprint = thumbprint.map(|text| text.parse::<Thumbprint>()).transpose()?;
    let standing = match &form.standing {
        Standing::NeedsCredentials => bss_model::Standing::NeedsCredentials,
        Standing::NeedsSelection => bss_model::Standing::NeedsSelection,
        Standing::Ready(_) => bss_model::Standing::Ready,
    };
    Ok(SavedSettings {
        standing,
        authorities: authorities(form, operator, &secrets)?,
        allowed_hosts: operator.allowed_hosts.iter().map(ToString::to_string).collect(),
        values,
        secrets,
        url_fields: typed_urls(form, operator)
            .filter(|(_, url)| !url.is_empty())
            .map(|(id, _)| id.to_owned())
            .collect(),
        roles: form
            .fields
            .iter()
            .map(|field| (field.id.clone(), recorded_role(field.role)))
            .collect(),
        thumbprint,
        shares_with: BTreeMap::new(),
        plugin: None,
        correction: None,
    })
}

fn recorded_role(role: FieldRole) -> bss_model::FieldRole {
    match role {
        FieldRole::Account => bss_model::FieldRole::Account,
        FieldRole::Credential => bss_model::FieldRole::Credential,
        FieldRole::Other => bss_model::FieldRole::Other,
    }
}

/// The fields whose values were typed as addresses, and their values: those of the kind `url` that are typed now, or were of
/// that kind when they were. A text that a plugin takes for an address by now is none.
fn typed_urls<'a>(form: &'a Form, operator: &OperatorsWord<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let was_one = |id: &String| {
        let saved = operator.instance.url_fields.as_ref();
        operator.typed.contains_key(id) || saved.is_none_or(|saved| saved.contains(id))
    };
    let urls = form.fields.iter().filter(|field| field.kind == FieldKind::Url);
    let urls: Vec<_> = urls
        .filter(|field| was_one(&field.id))
        .map(|field| (field.id.as_str(), field.value.trim()))
        .collect();
    urls.into_iter()
}

/// The servers whose addresses were typed as such.
fn typed_servers(form: &Form, operator: &OperatorsWord<'_>) -> BTreeSet<Authority> {
    typed_urls(form, operator)
        .filter_map(|(_, url)| Authority::of_url(url))
        .collect()
}

/// The servers that the plugin asks for, each of which the operator has named.
fn authorities(
    form: &Form,
    operator: &OperatorsWord<'_>,
    secrets: &BTreeMap<String, SecretToSave>,
) -> Result<Vec<bss_model::Authority>, GateError> {
    let Standing::Ready(asked) = &form.standing else {
        return Ok(Vec::new());
    };
    if asked.len() > HOSTS_MAX {
        return Err(GateError::TooManyHosts { asked: asked.len() });
    }
    let typed = typed_servers(form, operator);
    let options = operator.instance.options.iter();
    let named: BTreeSet<Authority> = options
        .filter(|(name, _)| name.ends_with(AUTHORITY_OPTION))
        .filter_map(|(_, value)| value.parse().ok())
        .collect();
    // A header field without a secret is not sent, and shows nothing.
    let shows = |asked: &contract::Authority| {
        let mut sent = asked.secret_headers.iter();
        asked.client_certificate || sent.any(|header| secrets.contains_key(&header.field))
    };
    let is_anything_shown = asked.iter().any(shows);
    let mut authorities: Vec<bss_model::Authority> = Vec::new();
    let mut not_allowed = Vec::new();
    for asked in asked {
        let authority: Authority = asked.name.parse().map_err(|_| GateError::HostUnusable {
            host: shortened(&asked.name),
        })?;
        let name = authority.to_string();
        if authorities.iter().any(|known| known.name == name) {
            let what = format!("server `{name}` twice");
            return Err(GateError::Form { what });
        }
        let is_typed = typed.contains(&authority);
        if asked.client_certificate && !is_typed {
            return Err(GateError::CertificateElsewhere { host: name });
        }
        let sent = asked.secret_headers.iter();
        let sent = sent.filter_map(|header| Some((header, secrets.get(&header.field)?)));
        for (header, secret) in sent {
            let (field, host) = (header.field.clone(), name.clone());
            if !is_typed {
                return Err(GateError::SecretElsewhere { field, host });
            }
            if !secret.servers.contains(&name) {
                return Err(GateError::SecretMoved { field, host });
            }
        }
        // What the host sees of a purchase is what passes between it and the servers that are shown a credential.
        if is_anything_shown && is_typed && !shows(asked) {
            let what = format!("server `{name}`, which the operator has typed, without a credential");
            return Err(GateError::Form { what });
        }
        let sources = [&typed, &named, operator.allowed_hosts];
        if !sources.iter().any(|source| source.contains(&authority)) {
            not_allowed.push(name.clone());
        }
        authorities.push(bss_model::Authority {
            name,
            client_certificate: asked.client_certificate,
            secret_headers: asked.secret_headers.iter().map(recorded_header).collect(),
        });
    }
    if not_allowed.is_empty() {
        return Ok(authorities);
    }
    Err(GateError::HostsNotAllowed {
        instance: operator.instance.name.clone(),
        hosts: not_allowed,
    })
}

fn recorded_header(header: &contract::SecretHeader) -> bss_model::SecretHeader {
    bss_model::SecretHeader {
        name: header.name.clone(),
        prefix: header.prefix.clone(),
        field: header.field.clone(),
    }
}

/// Checks that a certificate which other instances use too stands for one customer: they sell in the same currency, and
/// differ in no choice, and in one text at most.
///
/// Which of a vendor's fields tell its customers apart, the host does not know; the plugin does, and refuses more. The
/// host's own rule is what can be told without: a choice, as of a country, always says something of the sale. Of texts,
/// an instance has a name of its own, and the customer's names at the vendor. So one text may differ, and a second
/// one is the customer's. Addresses say where the vendor is, not who the customer is, and change for one instance after
/// another; a value is one by what it is, not by the kind that the plugin gives its field. A field that one of two
/// instances has left empty is compared once it is filled in.
///
/// `all` are the instances of the instance's owner: of others, nothing may be told. Another plugin's instance never shares:
/// `versions` are the digests of this plugin's.
///
/// Returns those instances and the versions of their settings, as [`SavedSettings::shares_with`] has them.
///
/// # Errors
/// When another instance stands for another customer with it.
pub(crate) fn check_sharing(
    form: &Form,
    settings: &SavedSettings,
    instance: &Instance,
    all: &[Instance],
    versions: &HashSet<PluginDigest>,
) -> Result<BTreeMap<Uuid, i64>, GateError> {
    let mut shares_with = BTreeMap::new();
    let others = all.iter().filter(|other| other.id != instance.id);
    for other in
        others.filter(|other| settings.thumbprint.is_some() && other.thumbprint == settings.thumbprint)
    {
        let differs = |field: &&Field| match (settings.values.get(&field.id), other.values.get(&field.id)) {
            (Some(one), Some(another)) => one != another && !(is_address(one) && is_address(another)),
            _ => false,
        };
        let compared = form
            .fields
            .iter()
            .filter(|field| form.certificate_field.as_ref() != Some(&field.id));
        let (texts, choices): (Vec<_>, Vec<_>) = compared
            .filter(differs)
            .partition(|field| field.kind == FieldKind::Text);
        let currency = (other.currency != instance.currency).then(|| "currency".to_owned());
        // The forms of two plugins have nothing in common that could be compared.
        let plugin = other.plugin.is_some_and(|plugin| !versions.contains(&plugin));
        let plugin = plugin.then(|| "plugin".to_owned());
        if texts.len() > 1 || !choices.is_empty() || currency.is_some() || plugin.is_some() {
            let fields = texts.into_iter().chain(choices).map(|field| field.id.clone());
            return Err(GateError::CertificateShared {
                other: other.name.clone(),
                differences: fields.chain(currency).chain(plugin).collect(),
            });
        }
        shares_with.insert(other.id, other.version);
    }
    Ok(shares_with)
}

fn is_address(value: &str) -> bool {
    Authority::of_url(value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bss_model::Reach;

    const THUMBPRINT: &str = "0123456789ABCDEF0123456789ABCDEF01234567";
    const URL: &str = "https://api.example.com/cis";

    fn field(id: &str, kind: FieldKind, value: &str) -> Field {
        let choices = Some(value).filter(|value| kind == FieldKind::Choice && !value.is_empty());
        let choices = choices.map(|key| contract::Choice {
            key: key.to_owned(),
            label: key.to_owned(),
            unusable_because: String::new(),
        });
        Field {
            id: id.to_owned(),
            label: id.to_owned(),
            help: String::new(),
            kind,
            role: FieldRole::Account,
            mandatory: false,
            max_length: 100,
            enabled: true,
            choices: choices.into_iter().collect(),
            value: value.to_owned(),
            problems: Vec::new(),
        }
    }

    /// A form as a plugin answers that changes nothing.
    fn honest() -> Form {
        Form {
            fields: vec![
                field("name", FieldKind::Text, "ESD"),
                field("service-url", FieldKind::Url, URL),
                field("certificate", FieldKind::Choice, THUMBPRINT),
                field("country", FieldKind::Choice, "GR"),
                field("note", FieldKind::Text, ""),
            ],
            standing: Standing::NeedsSelection,
            certificate_field: Some("certificate".to_owned()),
        }
    }

    /// A form in which the plugin has another value for one field.
    fn with_value(id: &str, value: &str) -> Form {
        let mut form = honest();
        for changed in form.fields.iter_mut().filter(|field| field.id == id) {
            *changed = field(id, changed.kind, value);
        }
        form
    }

    fn asking_for(authorities: &[(&str, bool)]) -> Form {
        let asked = authorities
            .iter()
            .map(|(name, client_certificate)| contract::Authority {
                name: (*name).to_owned(),
                client_certificate: *client_certificate,
                secret_headers: Vec::new(),
            });
        Form {
            standing: Standing::Ready(asked.collect()),
            ..honest()
        }
    }

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(id, value)| ((*id).to_owned(), (*value).to_owned()));
        pairs.collect()
    }

    /// Judges a form of an instance of which country and certificate are saved, the rest is typed now, and one host
    /// is named by an option and another one allowed.
    fn judge(form: &Form) -> Result<SavedSettings, GateError> {
        judge_typed(
            form,
            &[("name", "ESD"), ("service-url", " https://api.example.com/cis ")],
        )
    }

    fn instance() -> Instance {
        Instance {
            owner: None,
            id: Uuid::nil(),
            name: "esd".to_owned(),
            first_name: None,
            currency: "EUR".to_owned(),
            options: texts(&[("login-authority", "Login.example.com:443"), ("version", "v1")]),
            reach: Reach::default(),
            version: 1,
            values: texts(&[("country", "GR"), ("certificate", THUMBPRINT)]),
            secrets: BTreeMap::new(),
            url_fields: Some(BTreeSet::new()),
            standing: bss_model::Standing::NeedsSelection,
            authorities: Vec::new(),
            thumbprint: None,
            plugin: None,
            created_at_ms: 0,
            disabled_at_ms: None,
        }
    }

    fn judge_typed(form: &Form, typed: &[(&str, &str)]) -> Result<SavedSettings, GateError> {
        let instance = instance();
        let typed = texts(typed);
        let operator = OperatorsWord {
            typed: &typed,
            allowed_hosts: &["cdn.example.com:8443".parse().unwrap()].into(),
            ..OperatorsWord::of_saved(&instance)
        };
        let form = CheckedForm::new(form.clone(), &typed, &BTreeSet::new()).expect("it keeps the contract");
        settings_of(&form, &operator)
    }

    fn not_typed(form: &Form) -> String {
        match judge(form) {
            Err(GateError::ValueNotTyped { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_typed_now_or_saved_before_is_saved() {
        let saved = judge(&honest()).unwrap();
        let values = [
            ("name", "ESD"),
            ("service-url", URL),
            ("certificate", THUMBPRINT),
            ("country", "GR"),
        ];
        assert_eq!(saved.values, texts(&values));
        assert_eq!(saved.thumbprint, Some(THUMBPRINT.parse().unwrap()));
        assert_eq!(saved.allowed_hosts, ["cdn.example.com:8443"]);
    }

    #[test]
    fn an_address_that_the_plugin_made_up_or_changed_is_refused() {
        for url in [
            "https://evil.example.com/cis",
            "https://api.example.com./cis",
            "https://api.example.com",
            "HTTPS://api.example.com/cis",
            "",
        ] {
            assert_eq!(not_typed(&with_value("service-url", url)), "service-url", "{url}");
        }
    }

    #[test]
    fn a_certificate_that_the_plugin_chose_is_refused_and_one_in_other_letters_is_not() {
        for other in ["89ABCDEF0123456789ABCDEF0123456789ABCDEF", ""] {
            assert_eq!(not_typed(&with_value("certificate", other)), "certificate");
        }
        let typed = "\u{200e}01:23:45:67:89:ab:cd:ef 01:23:45:67:89:ab:cd:ef 01:23:45:67";
        let all = [("name", "ESD"), ("service-url", URL), ("certificate", typed)];
        let saved = judge_typed(&honest(), &all).unwrap();
        assert_eq!(saved.thumbprint, Some(THUMBPRINT.parse().unwrap()));
        // A plugin that takes another field for the certificate's gets no other certificate by it.
        let elsewhere = Form {
            certificate_field: Some("name".to_owned()),
            ..honest()
        };
        assert!(matches!(judge(&elsewhere), Err(GateError::Thumbprint(_))));
    }

    #[test]
    fn a_field_that_was_left_empty_or_cleared_stays_empty() {
        for made_up in ["made up", "-"] {
            assert_eq!(not_typed(&with_value("note", made_up)), "note");
        }
        let cleared = [("name", "ESD"), ("service-url", URL), ("country", " ")];
        let kept = judge_typed(&honest(), &cleared);
        assert!(matches!(kept, Err(GateError::ValueNotTyped { field, .. }) if field == "country"));
        let saved = judge_typed(&with_value("country", ""), &cleared).unwrap();
        assert!(!saved.values.contains_key("country"));
    }

    #[test]
    fn another_value_is_refused_and_the_same_one_written_in_another_way_is_saved() {
        for (id, other) in [
            ("country", "CY"),
            ("country", ""),
            ("name", "ESD 2"),
            ("name", "-"),
        ] {
            assert_eq!(not_typed(&with_value(id, other)), id, "{other}");
        }
        for written in ["gr", " Gr "] {
            let typed = [("name", "ESD"), ("service-url", URL), ("country", written)];
            assert_eq!(judge_typed(&honest(), &typed).unwrap().values["country"], "GR");
        }
        let guid = "01234567-89ab-cdef-0123-456789abcdef";
        for (typed, judged, is_taken) in [
            ("{01234567-89AB-CDEF-0123-456789ABCDEF}", guid, true),
            ("0123456789abcdef0123456789abcdef", guid, true),
            ("contoso-de.onmicrosoft.com", "contosode.onmicrosoft.com", false),
            ("12-3", "1-23", false),
            ("1.5", "15", false),
            ("cafe\u{301}", "cafe", false),
            ("a\u{200d}", "a", false),
        ] {
            let typed = [("name", typed), ("service-url", URL)];
            let saved = judge_typed(&with_value("name", judged), &typed);
            assert_eq!(saved.is_ok(), is_taken, "{typed:?} {judged}");
        }
    }

    #[test]
    fn a_server_is_reached_that_the_operator_typed_named_in_an_option_or_allowed() {
        let asked = [
            ("API.example.com", true),
            ("login.example.com", false),
            ("cdn.example.com:8443", false),
        ];
        let saved = judge(&asking_for(&asked)).unwrap();
        let names: Vec<_> = saved
            .authorities
            .iter()
            .map(|authority| authority.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["api.example.com", "login.example.com", "cdn.example.com:8443"]
        );
    }

    #[test]
    fn every_other_server_is_refused_by_name_with_advice_to_allow_it() {
        let asked = [
            ("api.example.com", true),
            ("api.example.com:8443", false),
            ("cdn.example.com", false),
            // The value of an option that names no server.
            ("v1", false),
            ("evil.example.com", false),
        ];
        let refused = judge(&asking_for(&asked)).unwrap_err();
        let hosts = [
            "api.example.com:8443",
            "cdn.example.com",
            "v1",
            "evil.example.com",
        ];
        let hosts: Vec<_> = hosts.map(str::to_owned).into();
        let advice = Advice::AllowHosts {
            instance: "esd".to_owned(),
            hosts,
        };
        assert_eq!(refused.diagnosis().advice, Some(advice), "{refused}");
    }

    #[test]
    fn the_certificate_is_presented_to_a_server_that_the_operator_typed_and_no_other() {
        let saved = judge(&asking_for(&[("api.example.com", true)])).unwrap();
        assert!(saved.authorities[0].client_certificate);
        for host in ["evil.example.com", "login.example.com", "cdn.example.com:8443"] {
            let refused = judge(&asking_for(&[(host, true)]));
            assert!(
                matches!(refused, Err(GateError::CertificateElsewhere { .. })),
                "{host}"
            );
        }
    }

    #[test]
    fn a_server_is_asked_for_once_and_a_typed_one_with_the_certificate_that_another_is_shown() {
        let two = [
            ("name", "ESD"),
            ("service-url", URL),
            ("other-url", "https://other.example.com"),
        ];
        let judged = |asked: &[(&str, bool)]| {
            let mut form = asking_for(asked);
            form.fields
                .push(field("other-url", FieldKind::Url, "https://other.example.com"));
            judge_typed(&form, &two)
        };
        let (api, other) = ("api.example.com", "other.example.com");
        assert!(judged(&[(api, true), (other, true), ("login.example.com", false)]).is_ok());
        assert!(judged(&[(api, false), (other, false)]).is_ok());
        for hidden in [
            [(api, true), (other, false)],
            [(api, false), (api, true)],
            [(api, true), (api, true)],
        ] {
            let refused = judged(&hidden);
            assert!(matches!(refused, Err(GateError::Form { .. })), "{refused:?}");
        }
    }

    #[test]
    fn too_many_servers_and_what_is_none_are_refused() {
        let names: Vec<String> = (0..=HOSTS_MAX)
            .map(|number| format!("{number}.example.com"))
            .collect();
        let more: Vec<_> = names.iter().map(|name| (name.as_str(), false)).collect();
        let most = judge(&asking_for(&more[1..]));
        assert!(matches!(most, Err(GateError::HostsNotAllowed { hosts, .. }) if hosts.len() == HOSTS_MAX));
        assert!(matches!(
            judge(&asking_for(&more)),
            Err(GateError::TooManyHosts { .. })
        ));
        let none = judge(&asking_for(&[("https://\u{1b}[2J", false)]));
        let error = none.unwrap_err();
        assert!(matches!(error, GateError::HostUnusable { .. }), "{error:?}");
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }
    /// The fields in which another instance with the same certificate differs too much. `None`: it may share it.
    fn differences(change: impl FnOnce(&mut Instance)) -> Option<String> {
        differences_by(&honest(), change)
    }

    fn differences_by(form: &Form, change: impl FnOnce(&mut Instance)) -> Option<String> {
        let mut settings = judge(&honest()).unwrap();
        let mut other = Instance {
            id: Uuid::from_u128(1),
            name: "other".to_owned(),
            values: settings.values.clone(),
            thumbprint: settings.thumbprint,
            ..instance()
        };
        settings.values.insert("note".to_owned(), "one".to_owned());
        change(&mut other);
        let shares = (other.thumbprint == settings.thumbprint).then_some((other.id, other.version));
        match check_sharing(
            form,
            &settings,
            &instance(),
            &[instance(), other],
            &HashSet::new(),
        ) {
            Ok(shares_with) => {
                assert_eq!(shares_with, shares.into_iter().collect());
                None
            }
            Err(GateError::CertificateShared { differences, .. }) => Some(differences.join(" ")),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn set(instance: &mut Instance, field: &str, value: &str) {
        instance.values.insert(field.to_owned(), value.to_owned());
    }

    #[test]
    fn a_certificate_is_shared_with_an_instance_that_differs_in_its_name_alone() {
        assert_eq!(differences(|_| ()), None);
        assert_eq!(differences(|other| set(other, "name", "ESD 2")), None);
        let elsewhere = "https://elsewhere.example.com";
        assert_eq!(differences(|other| set(other, "service-url", elsewhere)), None);
        let unfinished = |other: &mut Instance| {
            other.values.remove("country");
        };
        assert_eq!(differences(unfinished), None);
    }

    #[test]
    fn a_certificate_is_not_shared_for_another_country_currency_or_customer() {
        let country = differences(|other| set(other, "country", "CY"));
        assert_eq!(country.as_deref(), Some("country"));
        let currency = differences(|other| other.currency = "USD".to_owned());
        assert_eq!(currency.as_deref(), Some("currency"));
        // The kind of a field is the plugin's word.
        let mut form = honest();
        let country = form.fields.iter_mut().find(|field| field.id == "country");
        country.unwrap().kind = FieldKind::Url;
        let hidden = differences_by(&form, |other| {
            set(other, "name", "ESD 2");
            set(other, "country", "CY");
        });
        assert_eq!(hidden.as_deref(), Some("name country"));
        let customer = differences(|other| {
            set(other, "name", "ESD 2");
            set(other, "note", "another");
        });
        assert_eq!(customer.as_deref(), Some("name note"));
        let other_certificate = differences(|other| {
            set(other, "country", "CY");
            other.thumbprint = None;
        });
        assert_eq!(other_certificate, None);
    }

    const KEY_URL: &str = "https://keys.example.com/v1";

    /// A form that asks for a secret and for these servers, each with whether it is sent the secret.
    fn with_secret(servers: &[(&str, bool)]) -> Form {
        let mut form = honest();
        form.certificate_field = None;
        form.fields.push(field("api-key", FieldKind::Secret, ""));
        form.fields.push(field("key-url", FieldKind::Url, KEY_URL));
        let asked = servers.iter().map(|(name, is_sent)| contract::Authority {
            name: (*name).to_owned(),
            client_certificate: false,
            secret_headers: is_sent
                .then(|| contract::SecretHeader {
                    name: "authorization".to_owned(),
                    prefix: "Bearer ".to_owned(),
                    field: "api-key".to_owned(),
                })
                .into_iter()
                .collect(),
        });
        form.standing = Standing::Ready(asked.collect());
        form
    }

    /// Judges such a form of an instance that has a secret on record which was typed for `typed_for`, while the operator
    /// types `now`.
    fn judge_secret(
        form: Form,
        typed_for: Option<&[&str]>,
        now: Option<&str>,
    ) -> Result<SavedSettings, GateError> {
        let saved = typed_for.map(|servers| bss_model::SavedSecret {
            digest: "digest".to_owned(),
            servers: servers.iter().map(|&server| server.to_owned()).collect(),
        });
        let instance = Instance {
            secrets: saved
                .map(|saved| ("api-key".to_owned(), saved))
                .into_iter()
                .collect(),
            ..instance()
        };
        let typed = texts(&[("name", "ESD"), ("service-url", URL), ("key-url", KEY_URL)]);
        let secrets = now.map(|now| ("api-key".to_owned(), Some(Secret::new(now))));
        let operator = OperatorsWord {
            typed: &typed,
            secrets: &secrets.into_iter().collect(),
            ..OperatorsWord::of_saved(&instance)
        };
        let form = CheckedForm::new(form, &typed, &operator.secret_fields()).expect("it keeps the contract");
        settings_of(&form, &operator)
    }

    const BOTH: &[(&str, bool)] = &[("api.example.com", true), ("keys.example.com", true)];

    #[test]
    fn a_secret_goes_to_the_servers_that_stood_there_when_it_was_typed_and_to_no_other() {
        let typed_now = judge_secret(with_secret(BOTH), None, Some("ak_12345678")).unwrap();
        let servers: BTreeSet<String> = ["api.example.com", "keys.example.com"].map(str::to_owned).into();
        assert_eq!(typed_now.secrets["api-key"].servers, servers);
        assert!(!typed_now.values.contains_key("api-key"));

        let kept = judge_secret(
            with_secret(BOTH),
            Some(&["api.example.com", "keys.example.com"]),
            None,
        )
        .unwrap();
        assert!(kept.secrets["api-key"].new.is_none());
        let moved = judge_secret(with_secret(BOTH), Some(&["api.example.com"]), None);
        assert!(
            matches!(&moved, Err(GateError::SecretMoved { host, .. }) if host == "keys.example.com"),
            "{moved:?}"
        );
        let again = judge_secret(with_secret(BOTH), Some(&["api.example.com"]), Some("ak_12345678"));
        assert_eq!(again.unwrap().secrets["api-key"].servers, servers);
        let before_any = judge_secret(with_secret(BOTH), Some(&[]), None).unwrap();
        assert_eq!(
            before_any.secrets["api-key"].servers, servers,
            "it was typed before any server"
        );
    }

    #[test]
    fn a_secret_is_sent_to_no_server_that_the_operator_has_not_typed() {
        let elsewhere = [
            ("api.example.com", true),
            ("keys.example.com", true),
            ("login.example.com", true),
        ];
        let refused = judge_secret(with_secret(&elsewhere), None, Some("ak_12345678"));
        assert!(
            matches!(&refused, Err(GateError::SecretElsewhere { host, .. }) if host == "login.example.com"),
            "{refused:?}"
        );
        let named_only = [
            ("api.example.com", true),
            ("keys.example.com", true),
            ("login.example.com", false),
        ];
        assert!(judge_secret(with_secret(&named_only), None, Some("ak_12345678")).is_ok());
    }

    #[test]
    fn a_server_that_the_operator_has_typed_is_shown_who_asks_if_any_is() {
        let one = [("api.example.com", true), ("keys.example.com", false)];
        let refused = judge_secret(with_secret(&one), None, Some("ak_12345678"));
        assert!(matches!(refused, Err(GateError::Form { .. })), "{refused:?}");
    }

    #[test]
    fn a_text_that_a_plugin_takes_for_an_address_by_now_makes_no_server_a_typed_one() {
        let form = with_secret(BOTH);
        let judged = |url_fields: Option<&[&str]>| {
            let instance = Instance {
                values: texts(&[
                    ("name", "ESD"),
                    ("service-url", URL),
                    ("key-url", KEY_URL),
                    ("country", "GR"),
                    ("certificate", THUMBPRINT),
                ]),
                url_fields: url_fields.map(|fields| fields.iter().map(|&field| field.to_owned()).collect()),
                ..instance()
            };
            let secrets = BTreeMap::from([("api-key".to_owned(), Some(Secret::new("ak_12345678")))]);
            let operator = OperatorsWord {
                secrets: &secrets,
                ..OperatorsWord::of_saved(&instance)
            };
            let form = CheckedForm::new(form.clone(), &BTreeMap::new(), &operator.secret_fields());
            settings_of(&form.expect("it keeps the contract"), &operator)
        };
        let both = judged(Some(&["service-url", "key-url"])).unwrap();
        assert_eq!(both.url_fields.len(), 2);
        assert!(judged(None).is_ok(), "an older host did not write it down");
        let one = judged(Some(&["service-url"]));
        assert!(
            matches!(&one, Err(GateError::SecretElsewhere { host, .. }) if host == "keys.example.com"),
            "{one:?}"
        );
    }

    #[test]
    fn a_header_field_of_a_secret_that_is_not_there_shows_a_server_nothing() {
        let mut form = with_secret(BOTH);
        form.fields.push(field("other-key", FieldKind::Secret, ""));
        if let Standing::Ready(servers) = &mut form.standing {
            servers[1].secret_headers[0].field = "other-key".to_owned();
        }
        let refused = judge_secret(form, None, Some("ak_12345678"));
        assert!(matches!(refused, Err(GateError::Form { .. })), "{refused:?}");
    }
}

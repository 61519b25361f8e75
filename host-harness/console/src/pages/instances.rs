//! Instances of plugins, one for each account at a vendor: the list, making one, and the acts on it.

use std::collections::BTreeMap;

use axum::extract::Path;
use bss_model::{AddedPlugin, NewInstance};
use host_harness::{
    Authority, CreateError, CreateInstanceError, InstanceHandle, OfPlugin, PluginError, view,
};
use minijinja::{Value, context};

use super::house;
use super::wrong::Wrong;
use crate::answer::{Answer, done};
use crate::failure::Failure;
use crate::form::Form;
pub(super) use crate::instance_path::way;
use crate::me::Me;

/// The instance of a path.
pub(super) async fn named(me: &Me, name: &str) -> Result<InstanceHandle, Failure> {
    Ok(house::instance(me, name).await?)
}

/// What every page about an instance shows: `instance`, and `at`, its path.
pub(super) async fn head(instance: &InstanceHandle) -> Result<Value, Failure> {
    let instance = instance.read().await?;
    let at = way(&instance);
    Ok(context! { instance, at })
}

/// All instances.
pub(crate) async fn list(me: Me) -> Answer {
    let (instances, plugins) = (me.host().instances().await?, me.host().record().plugins().await?);
    let rows: Vec<Value> = instances
        .iter()
        .map(|instance| {
            let plugin = plugin_of(&plugins, instance);
            let instance = view::Instance::from(instance);
            let at = way(&instance);
            context! { instance, at, plugin }
        })
        .collect();
    me.page("instances.html", context! { rows }).await
}

/// The name of what an instance sells. Nothing: its plugin is known once its settings are saved.
fn plugin_of(plugins: &[AddedPlugin], instance: &bss_model::Instance) -> Option<String> {
    let mut plugins = plugins.iter();
    let plugin = plugins.find(|plugin| instance.plugin == Some(plugin.digest))?;
    let description = &plugin.description;
    Some(format!("{} {}", description.id, description.version))
}

/// Shows the form for a new instance.
pub(crate) async fn begin(me: Me) -> Answer {
    let shown = new_form(&me, &Form::default(), &Wrong::default()).await?;
    me.page("instance_new.html", shown).await
}

async fn new_form(me: &Me, form: &Form, wrong: &Wrong) -> Result<Value, Failure> {
    let plugins = me.host().record().plugins().await?;
    let plugins: BTreeMap<String, String> = plugins
        .into_iter()
        .map(|plugin| (plugin.description.id, plugin.description.offering))
        .collect();
    let plugins: Vec<(String, String)> = plugins.into_iter().collect();
    let typed = |name: &str| form.text(name);
    Ok(context! {
        name => typed("name"),
        currency => typed("currency"),
        plugin => typed("plugin"),
        hosts => typed("hosts"),
        plugins,
        ..wrong.shown()
    })
}

/// Makes an instance, whose settings are filled in next.
pub(crate) async fn create(me: Me, form: Form) -> Answer {
    let plugin = form.filled("plugin");
    let of = plugin.as_deref().map_or(OfPlugin::Only, OfPlugin::Id);
    let typed = form.text("hosts");
    let hosts: Result<Vec<String>, _> = typed
        .split_whitespace()
        .map(|host| host.parse::<Authority>().map(|host| host.to_string()))
        .collect();
    let hosts = match hosts {
        Ok(hosts) => hosts,
        Err(error) => {
            let mut wrong = Wrong::default();
            wrong.add("hosts", &error.to_string(), "");
            return me
                .corrected("instance_new.html", new_form(&me, &form, &wrong).await?)
                .await;
        }
    };
    let mut new = NewInstance::new(form.text("name"), form.text("currency").to_ascii_uppercase());
    new.reach.allowed_hosts = hosts;
    match me.host().create_instance(new, of, &me.actor()).await {
        Ok(created) => {
            let created = view::Instance::from(&created);
            Ok(done(&format!("{}/settings", way(&created)), "instance-made"))
        }
        Err(error) => {
            let wrong = Wrong::of(field_of(&error), &error);
            me.corrected("instance_new.html", new_form(&me, &form, &wrong).await?)
                .await
        }
    }
}

/// The field that keeps an instance from being made.
fn field_of(error: &CreateInstanceError) -> &'static str {
    match error {
        CreateInstanceError::Plugin(
            PluginError::NoPlugin { .. } | PluginError::Several { .. } | PluginError::NotNamed,
        )
        | CreateInstanceError::Create(CreateError::NoPlugin { .. }) => "plugin",
        CreateInstanceError::Create(CreateError::InvalidCurrency { .. }) => "currency",
        CreateInstanceError::Create(
            CreateError::NameTaken { .. } | CreateError::FirstName { .. } | CreateError::InvalidName { .. },
        ) => "name",
        _ => "",
    }
}

/// An instance, and what can be done with it.
pub(crate) async fn show(me: Me, Path(name): Path<String>) -> Answer {
    let shown = one(&me, &named(&me, &name).await?, None, &Wrong::default()).await?;
    me.page("instance.html", shown).await
}

async fn one(
    me: &Me,
    instance: &InstanceHandle,
    new_name: Option<String>,
    wrong: &Wrong,
) -> Result<Value, Failure> {
    let plugins = me.host().record().plugins().await?;
    let view = instance.read().await?;
    let its = plugins
        .iter()
        .find(|plugin| view.plugin_sha256.as_deref() == Some(plugin.digest.to_string().as_str()));
    let plugin = its.map(|plugin| &plugin.description);
    let plugin = plugin.map(|of| context! { offering => of.offering, id => of.id, version => of.version });
    let spending = instance.spending_today().await?;
    Ok(context! {
        at => way(&view),
        new_name => new_name.unwrap_or_else(|| view.name.clone()),
        spending => view::SpendingToday::from(&spending),
        instance => view,
        plugin,
        ..wrong.shown()
    })
}

/// Says what is about to become of an instance, and asks.
async fn ask(me: &Me, instance: &InstanceHandle, act: &str, fields: &[(&str, String)]) -> Answer {
    let shown = context! { act, fields, ..head(instance).await? };
    me.page("instance_act.html", shown).await
}

/// Gives an instance another name.
pub(crate) async fn rename(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let (instance, new) = (named(&me, &name).await?, form.text("name"));
    if !form.has("confirmed") {
        return ask(&me, &instance, "rename", &[("name", new)]).await;
    }
    match instance.rename(&new, &me.actor()).await {
        Ok(renamed) => Ok(done(&way(&renamed), "instance-renamed")),
        Err(error) if error.is_transient() => Err(error.into()),
        Err(error) => {
            let wrong = Wrong::of("name", &error);
            let shown = one(&me, &instance, Some(new), &wrong).await?;
            me.corrected("instance.html", shown).await
        }
    }
}

/// Has an instance take no orders and buy nothing.
pub(crate) async fn disable(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let instance = named(&me, &name).await?;
    if !form.has("confirmed") {
        return ask(&me, &instance, "disable", &[]).await;
    }
    Ok(done(
        &way(&instance.disable(&me.actor()).await?),
        "instance-disabled",
    ))
}

/// Has an instance sell again.
pub(crate) async fn enable(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let instance = named(&me, &name).await?;
    if !form.has("confirmed") {
        return ask(&me, &instance, "enable", &[]).await;
    }
    Ok(done(
        &way(&instance.enable(&me.actor()).await?),
        "instance-enabled",
    ))
}

/// Removes an instance on which nothing depends.
pub(crate) async fn remove(me: Me, Path(name): Path<String>, form: Form) -> Answer {
    let instance = named(&me, &name).await?;
    if !form.has("confirmed") {
        return ask(&me, &instance, "remove", &[]).await;
    }
    match instance.clone().remove(&me.actor()).await {
        Ok(_) => Ok(done("/console/instances", "instance-removed")),
        Err(error) if error.is_transient() => Err(error.into()),
        Err(error) => {
            let wrong = Wrong::of("", &error);
            let shown = one(&me, &instance, None, &wrong).await?;
            me.corrected("instance.html", shown).await
        }
    }
}

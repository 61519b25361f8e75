//! The proxies of instances, as their operators choose them.

use bss_model::{Act, Actor, Instance, Proxy, ProxyChoice, Reach, SavedProxy, Secret, Subject};
use data_encoding::BASE64;
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::erasure::empty_log;
use super::instances::{SaveError, instance_to_change};
use super::stored::to_json;
use super::{Record, RecordError};

impl Record {
    /// Saves what an operator says of an instance's proxy, its password sealed. The settings and their version stay.
    ///
    /// # Errors
    /// When there is no such instance, or the record can't be written.
    pub async fn set_instance_proxy(
        &self,
        instance_id: Uuid,
        choice: &ProxyChoice,
        actor: &Actor,
    ) -> Result<Instance, SaveError> {
        let proxy = match choice {
            ProxyChoice::OfHost => None,
            ProxyChoice::Direct => Some(SavedProxy::Direct),
            ProxyChoice::Through(proxy) => {
                let seal = |password: &Secret| {
                    let purpose = proxy_purpose(instance_id);
                    let sealed = self.host_key.seal(&purpose, password.expose().as_bytes());
                    sealed.map(|sealed| BASE64.encode(&sealed))
                };
                Some(SavedProxy::Through {
                    url: proxy.to_string(),
                    user: proxy.user().map(str::to_owned),
                    sealed_password: proxy
                        .password()
                        .map(seal)
                        .transpose()
                        .map_err(RecordError::from)?,
                })
            }
        };
        let mut transaction = self.begin_write().await?;
        let old = instance_to_change(&mut transaction, instance_id).await?;
        let saved = Instance {
            reach: Reach {
                proxy,
                ..old.reach.clone()
            },
            ..old.clone()
        };
        if saved.reach == old.reach {
            return Ok(old);
        }
        transaction
            .sql("UPDATE instances SET reach = $2 WHERE id = $1")
            .bind(instance_id.to_string())
            .bind(to_json(&saved.reach)?)
            .execute()
            .await?;
        let [before, after] = [&old, &saved].map(|of| of.reach.proxy.as_ref().map(SavedProxy::word));
        let (act, subject) = (Act::SaveSettings, Subject::instance(instance_id));
        let detail = json!({
            "version": saved.version,
            "fields": [],
            "proxy": { "before": before, "after": after },
        });
        write_act(&mut transaction, actor, act, &subject, Some(instance_id), detail).await?;
        transaction.commit().await?;
        if let Some(SavedProxy::Through {
            sealed_password: Some(_),
            ..
        }) = &old.reach.proxy
        {
            // A password that was replaced may still be good.
            empty_log(&self.writer).await;
        }
        Ok(saved)
    }

    /// What an operator has said of an instance's proxy, with the password.
    ///
    /// # Errors
    /// When the password can't be opened, or what is saved is no proxy.
    pub fn instance_proxy(&self, instance: &Instance) -> Result<ProxyChoice, RecordError> {
        let damaged = || RecordError::Damaged {
            what: format!("the proxy of instance `{}` can't be read", instance.name),
        };
        let (url, user, sealed) = match &instance.reach.proxy {
            None => return Ok(ProxyChoice::OfHost),
            Some(SavedProxy::Direct) => return Ok(ProxyChoice::Direct),
            Some(SavedProxy::Through {
                url,
                user,
                sealed_password,
            }) => (url, user, sealed_password),
        };
        let password = match sealed {
            None => None,
            Some(sealed) => {
                let sealed = BASE64.decode(sealed.as_bytes()).map_err(|_| damaged())?;
                Some(self.open_secret(&proxy_purpose(instance.id), &sealed)?)
            }
        };
        let proxy: Proxy = url.parse().map_err(|_| damaged())?;
        let proxy = proxy.with_credentials(user.clone(), password);
        Ok(ProxyChoice::Through(proxy.map_err(|_| damaged())?))
    }
}

pub(super) fn proxy_purpose(instance_id: Uuid) -> String {
    format!("proxy password of instance {instance_id}")
}

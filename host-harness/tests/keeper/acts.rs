//! Acts: a change is on record with who made it, once, together with the change or not at all, and without secrets.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use bss_keys::{NewCertificate, PasswordHash, PfxCode, PlatformKey};
use bss_model::{
    Act, ActFilter, Actor, ActorKind, AlertChoice, ApiScope, CancellationFilter, Choice, CustomerCorrection,
    Decision, DeliveryFilter, Diagnose as _, Duties, MailChoices, MailDelivery, MailFilter, MailSettings,
    NewApiClient, NewInstance, NewOperator, NewOrder, NewPlatform, NewWebhook, OperatorRole, OperatorSession,
    Page, PluginDigest, Reach, RecordedAct, SavedSettings, Secret, Seller, SmtpProtection, SmtpServer,
    Spending, Subject, SubjectKind, Thumbprint, UnsentMails, WebhookState,
};
use bss_record::Record;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cancellations::customer;
use crate::certificates::{RSA_KEY, client_params, good, make, pfx};
use crate::charges::{buy, euros};
use crate::customers;
use crate::orders::{KEY, LINK, order, shop};
use crate::record::{TestRecord, actor, new_instance, settings};

/// Lists every act. An act that is left out here does not compile.
macro_rules! every_act {
    ($($act:ident,)*) => {
        const EVERY_ACT: &[Act] = &[$(Act::$act),*];
        // The host alone notices a restoration, and an operator alone chooses a password and signs in: the tests of these look at their acts.
        const _: fn(Act) = |act| match act {
            $(Act::$act => (),)*
            Act::NoticeRestoration | Act::ChoosePassword | Act::SignIn => ()
        };
    };
}

every_act! {
    // Before what the others seal.
    RotateHostKey,
    CreateInstance,
    SaveSettings,
    ImportCertificate,
    RemoveCertificate,
    MakeCertificate,
    RequestCertificate,
    RemoveCertificateRequest,
    StartServicesRun,
    DecideProduct,
    SetPrice,
    PlaceOrder,
    RetryAsset,
    WithdrawAsset,
    RequestCancellation,
    CancelAsset,
    WithdrawCancellation,
    DeclineCancellation,
    ConfirmCancellation,
    SaveMailSettings,
    RetryMail,
    ResendMail,
    CorrectCustomer,
    LimitSpending,
    AdoptRecord,
    SetLookUpOnly,
    ShowKeys,
    AddPlugin,
    TrustPlugin,
    RemovePlugin,
    SetDuties,
    EraseCustomer,
    AcknowledgeAlert,
    SaveAlertSettings,
    SetChargePrefix,
    SaveSeller,
    ChooseMails,
    LimitDiscontinuations,
    RenameInstance,
    DisableInstance,
    EnableInstance,
    RemoveInstance,
    CreateApiClient,
    RotateApiKey,
    RevokeApiClient,
    RegisterPlatform,
    SetPlatformKey,
    RevokePlatform,
    CreateOperator,
    InviteOperator,
    ChangeOperator,
    DisableOperator,
    EnableOperator,
    EndSession,
    CreateWebhook,
    RotateWebhook,
    Redeliver,
    DisableWebhook,
    EnableWebhook,
    RemoveWebhook,
}

/// The API client that is there.
const CLIENT: &str = "shop";
/// The operator who is there.
const OPERATOR: &str = "maria";
/// The operator who is disabled.
const DISABLED_OPERATOR: &str = "paul";
/// The operator who has signed in.
const SIGNED_IN: &str = "olga";
/// The platform that is there, and the key that it has made.
const PLATFORM: &str = "bss";
const PLATFORM_KEY: &str = "the-key-that-the-platform-made";
/// A customer with whom nothing is open.
const SETTLED: &str = "c-9";
const CODE: &str = "the code of the PFX file";
const PASSWORD: &str = "the password of the mail server";
const COMMENT: &str = "what the customer said";

/// A record on which each act can be done once.
struct Site {
    record: TestRecord,
    instance: Uuid,
    /// An instance at which nothing was bought.
    unsold: Uuid,
    /// An instance that is disabled.
    disabled: Uuid,
    /// Certificates that are installed and that no instance uses yet.
    certificates: [Thumbprint; 2],
    /// A request for a certificate that nobody has answered.
    request: Thumbprint,
    /// An asset whose license is not bought yet.
    open: Uuid,
    /// Assets that have their licenses, and no cancellation yet.
    licensed: [Uuid; 2],
    /// Assets with their cancellations, which are asked for.
    requested: [(Uuid, Uuid); 3],
    /// A receiver of outcomes, and one that is off.
    webhooks: [Uuid; 2],
    /// An outcome on its way to the first of them.
    delivery: Uuid,
    /// An operator with a session.
    session: OperatorSession,
    mail: Uuid,
    /// An e-mail that was sent.
    sent: Uuid,
    pfx: Vec<u8>,
    authorities_pem: String,
    /// The values that are sealed with a former host key.
    sealed: u64,
}

impl Site {
    async fn open() -> Self {
        let record = TestRecord::open().await;
        let instance = shop(&record).await;
        let made = record.create_api_client(client(CLIENT), &actor()).await;
        made.unwrap();
        let registered = record
            .register_platform(platform(PLATFORM, instance), None, &actor())
            .await;
        registered.unwrap();
        for name in [OPERATOR, DISABLED_OPERATOR] {
            let made = record.create_operator(operator(name), &actor()).await;
            made.unwrap();
        }
        record
            .disable_operator(DISABLED_OPERATOR, &actor())
            .await
            .unwrap();
        let session = sign_in(&record, SIGNED_IN).await;
        let mut webhooks = [Uuid::nil(); 2];
        for webhook in &mut webhooks {
            let created = record.create_webhook(receiver(), &actor()).await;
            *webhook = created.unwrap().0.id;
        }
        record
            .set_webhook_state(webhooks[1], WebhookState::Off, &actor())
            .await
            .unwrap();
        let placed = record.place_order(order(instance, &[("a", 6)]), &actor()).await;
        let assets: Vec<Uuid> = placed
            .unwrap()
            .order()
            .lines
            .iter()
            .map(|line| line.asset_id)
            .collect();
        for asset in &assets[1..] {
            buy(&record, *asset).await;
        }
        customers::refused(&record, instance, SETTLED).await;
        let mut requested = Vec::new();
        for &asset in &assets[3..] {
            let request = record
                .request_cancellation(asset, &customer(), COMMENT, &actor())
                .await;
            requested.push((asset, request.unwrap().id));
        }
        let is_copy = "UPDATE provenance SET awaits_adoption = TRUE";
        record.database().execute(is_copy).await;
        for trusted_or_removed in [[7; 32], [9; 32]] {
            crate::plugins::add(&record, PluginDigest::new(trusted_or_removed), &actor())
                .await
                .unwrap();
        }
        record.raise_instance_held(instance, None).await.unwrap();
        record.make_deliveries().await.unwrap();
        let deliveries = record
            .deliveries(&DeliveryFilter::default(), None, &Page::all())
            .await;
        let delivery = deliveries.unwrap().rows[0].id;
        let made = good();
        let mail_about = async |asset| {
            let about = MailFilter {
                asset: Some(asset),
                ..MailFilter::default()
            };
            record.mails(&about, &Page::all()).await.unwrap().rows[0].id
        };
        let (mail, sent) = (mail_about(assets[1]).await, mail_about(assets[2]).await);
        let is_sent = "UPDATE mails SET state = 'sent', sent_at_ms = 1 WHERE position = 3";
        record.database().execute(is_sent).await;
        let request = record.certificates().request(&new_certificate(), &actor()).await;
        let disabled = new_instance(&record, "disabled").await.id;
        record
            .set_instance_enabled(disabled, false, &actor())
            .await
            .unwrap();
        let unsold = new_instance(&record, "unsold").await.id;
        let certificates = [install(&record, "one").await, install(&record, "two").await];
        let record = record.with_another_host_key().await;
        Self {
            sealed: record.values_of_former_host_keys().await.unwrap().unwrap(),
            instance,
            session,
            webhooks,
            delivery,
            disabled,
            unsold,
            request: request.unwrap().public_key,
            certificates,
            open: assets[0],
            licensed: [assets[1], assets[2]],
            requested: requested.try_into().unwrap(),
            mail,
            sent,
            pfx: pfx(&made, CODE),
            authorities_pem: made.chain,
            record,
        }
    }

    /// Does an act, and returns its subject.
    async fn perform(&self, act: Act, actor: &Actor) -> Result<Subject, Box<dyn Error>> {
        let record: &Record = &self.record;
        let [withdrawn, declined, confirmed] = self.requested;
        let codes = ["a".to_owned()];
        Ok(match act {
            Act::NoticeRestoration | Act::ChoosePassword | Act::SignIn => {
                return Err("nobody else can do it".into());
            }
            Act::CreateApiClient => {
                let (client, _) = record.create_api_client(client("another"), actor).await?;
                Subject::api_client(client.id)
            }
            Act::RotateApiKey => {
                let rotated = record.rotate_api_key(CLIENT, None, Duration::ZERO, actor).await?;
                Subject::api_client(rotated.0.id)
            }
            Act::RevokeApiClient => {
                Subject::api_client(record.revoke_api_client(CLIENT, None, actor).await?.id)
            }
            Act::RegisterPlatform => {
                let (new, key) = (
                    platform("another-bss", self.instance),
                    PlatformKey::read(PLATFORM_KEY)?,
                );
                let credentials = Some((Uuid::from_u128(1), &key));
                Subject::platform(record.register_platform(new, credentials, actor).await?.id)
            }
            Act::SetPlatformKey => {
                let (application, key) = (Some(Uuid::from_u128(2)), PlatformKey::read(PLATFORM_KEY)?);
                let changed = record
                    .set_platform_key(PLATFORM, None, (application, &key), Duration::ZERO, actor)
                    .await?;
                Subject::platform(changed.id)
            }
            Act::RevokePlatform => Subject::platform(record.revoke_platform(PLATFORM, None, actor).await?.id),
            Act::CreateOperator => {
                let (created, _) = record.create_operator(operator("another"), actor).await?;
                Subject::operator(created.id)
            }
            Act::InviteOperator => {
                let (invited, _) = record.invite_operator(OPERATOR, actor).await?;
                Subject::operator(invited.id)
            }
            Act::ChangeOperator => {
                let role = OperatorRole::Administrator;
                Subject::operator(record.change_operator(OPERATOR, role, true, actor).await?.id)
            }
            Act::DisableOperator => Subject::operator(record.disable_operator(OPERATOR, actor).await?.id),
            Act::EnableOperator => {
                Subject::operator(record.enable_operator(DISABLED_OPERATOR, actor).await?.id)
            }
            Act::EndSession => {
                let (operator, session) = (self.session.operator_id, self.session.id);
                record.end_operator_session(operator, session, actor).await?;
                Subject::operator(operator)
            }
            Act::ShowKeys => {
                let shown = record.show_license_secrets(&self.licensed[..1], actor).await?;
                assert_eq!(shown.len(), 1);
                Subject::asset(self.licensed[0])
            }
            Act::SetChargePrefix => {
                let (instance, prefix) = (self.unsold, "DE".parse()?);
                record.set_charge_prefix(instance, prefix, actor).await?;
                Subject::instance(instance)
            }
            Act::ChooseMails => {
                let choices = MailChoices {
                    on_return: true,
                    per_order: false,
                };
                record.save_mail_choices(self.unsold, choices, actor).await?;
                Subject::instance(self.unsold)
            }
            Act::SaveSeller => {
                let seller = Seller {
                    name: "Shop".to_owned(),
                    ..Seller::default()
                };
                record.save_seller(self.instance, Some(&seller), actor).await?;
                Subject::instance(self.instance)
            }
            Act::LimitDiscontinuations => {
                record.limit_discontinuations(self.unsold, 25, actor).await?;
                Subject::instance(self.unsold)
            }
            Act::RenameInstance => {
                let renamed = record.rename_instance(self.unsold, "renamed", actor).await?;
                Subject::instance(renamed.id)
            }
            Act::DisableInstance => {
                let saved = record.set_instance_enabled(self.unsold, false, actor).await?;
                Subject::instance(saved.id)
            }
            Act::EnableInstance => {
                let saved = record.set_instance_enabled(self.disabled, true, actor).await?;
                Subject::instance(saved.id)
            }
            Act::RemoveInstance => {
                let removed = record.remove_instance(self.unsold, actor).await?;
                Subject::instance(removed.id)
            }
            Act::CreateWebhook => {
                let (created, _) = record.create_webhook(receiver(), actor).await?;
                Subject::webhook(created.id)
            }
            Act::RotateWebhook => {
                let former = Duration::from_secs(60);
                record.rotate_webhook(self.webhooks[0], former, actor).await?;
                Subject::webhook(self.webhooks[0])
            }
            Act::EnableWebhook => {
                let (webhook, on) = (self.webhooks[1], WebhookState::On);
                Subject::webhook(record.set_webhook_state(webhook, on, actor).await?.id)
            }
            Act::DisableWebhook => {
                let (webhook, off) = (self.webhooks[0], WebhookState::Off);
                Subject::webhook(record.set_webhook_state(webhook, off, actor).await?.id)
            }
            Act::Redeliver => {
                let webhook = self.webhooks[0];
                record.redeliver(webhook, self.delivery, actor).await?;
                Subject::webhook(webhook)
            }
            Act::RemoveWebhook => {
                let removed = record.remove_webhook(self.webhooks[0], actor).await?;
                Subject::webhook(removed.id)
            }
            Act::SetDuties => {
                let charges = true;
                record
                    .set_duties(
                        Duties {
                            mails: false,
                            charges,
                        },
                        actor,
                    )
                    .await?;
                Subject::record(record.id().await?)
            }
            Act::AdoptRecord => {
                record.adopt(actor).await?;
                Subject::record(record.id().await?)
            }
            Act::SetLookUpOnly => {
                record.set_look_up_only(Duration::from_secs(60), actor).await?;
                Subject::record(record.id().await?)
            }
            Act::RotateHostKey => {
                record.rotate_host_key(actor, |_| {}).await?;
                Subject::record(record.id().await?)
            }
            Act::CreateInstance => {
                let made = record.create_instance(self.another_instance(), actor).await?;
                Subject::instance(made.id)
            }
            Act::SaveSettings => {
                let saved = record.save_settings(self.instance, 1, self.other_settings(), actor);
                Subject::instance(saved.await?.id)
            }
            Act::ImportCertificate => {
                let code = PfxCode::new(CODE);
                let imported = record.certificates().import(&self.pfx, &code, actor).await?;
                Subject::certificate(&imported.installed.thumbprint)
            }
            Act::RemoveCertificate => {
                record.certificates().remove(&self.certificates[1], actor).await?;
                Subject::certificate(&self.certificates[1])
            }
            Act::MakeCertificate => {
                let made = record.certificates().make(&new_certificate(), actor).await?;
                Subject::certificate(&made.imported.installed.thumbprint)
            }
            Act::RequestCertificate => {
                let request = record.certificates().request(&new_certificate(), actor).await?;
                Subject::certificate(&request.public_key)
            }
            Act::RemoveCertificateRequest => {
                record.certificates().remove_request(&self.request, actor).await?;
                Subject::certificate(&self.request)
            }
            Act::TrustPlugin => {
                let digest = PluginDigest::new([7; 32]);
                record.trust_plugin(&digest, actor).await?;
                Subject::plugin(&digest)
            }
            Act::AddPlugin => {
                let digest = PluginDigest::new([8; 32]);
                crate::plugins::add(record, digest, actor).await?;
                Subject::plugin(&digest)
            }
            Act::RemovePlugin => {
                let digest = PluginDigest::new([9; 32]);
                record.remove_plugin(&digest, actor).await?;
                Subject::plugin(&digest)
            }
            Act::StartServicesRun => {
                let run = record.start_services_run(self.instance, None, actor).await?;
                Subject::services_run(run)
            }
            Act::DecideProduct => {
                let choice = Choice::Codes(codes.into());
                let decided = record.decide_products(self.instance, Decision::Publish, &choice, actor);
                assert_eq!(decided.await?.changed, 1);
                Subject::product("a")
            }
            Act::SetPrice => {
                record
                    .set_prices(self.instance, &codes, &euros(19_900), actor)
                    .await?;
                Subject::product("a")
            }
            Act::PlaceOrder => {
                let placed = record.place_order(self.keyed_order(), actor).await?.into_order();
                Subject::order(placed.id)
            }
            Act::RetryAsset => {
                record.retry_asset(self.open, actor).await?;
                Subject::asset(self.open)
            }
            Act::WithdrawAsset => {
                let order = record.asset(self.open).await?.unwrap().order_id;
                record.withdraw_order(order, &[self.open], actor).await?;
                Subject::asset(self.open)
            }
            Act::LimitSpending => {
                let instance = record.instance_by_id(self.instance).await?.unwrap();
                let limit = Spending::Units(1_000);
                record.limit_spending(&instance, Some(&limit), actor).await?;
                Subject::instance(self.instance)
            }
            Act::CorrectCustomer => {
                let correction = CustomerCorrection {
                    name: Some("Customer & Sons".to_owned()),
                    ..CustomerCorrection::default()
                };
                record.correct_customer("c-1", None, &correction, actor).await?;
                Subject::customer("c-1")
            }
            Act::ResendMail => {
                let copies = record.resend_mails(&[self.sent], None, actor).await?;
                Subject::mail(copies[0].id)
            }
            Act::RequestCancellation => {
                let asset = self.licensed[0];
                record
                    .request_cancellation(asset, &customer(), COMMENT, actor)
                    .await?;
                Subject::asset(asset)
            }
            Act::CancelAsset => {
                let asset = self.licensed[1];
                record.cancel_now(asset, &customer(), COMMENT, actor).await?;
                Subject::asset(asset)
            }
            Act::WithdrawCancellation => {
                record.withdraw_cancellation(withdrawn.1, COMMENT, actor).await?;
                Subject::asset(withdrawn.0)
            }
            Act::DeclineCancellation => {
                record.decline_cancellation(declined.1, COMMENT, actor).await?;
                Subject::asset(declined.0)
            }
            Act::ConfirmCancellation => {
                record.confirm_cancellation(confirmed.1, COMMENT, actor).await?;
                Subject::asset(confirmed.0)
            }
            Act::SaveMailSettings => {
                record.save_mail_settings(&self.mail_settings(), actor).await?;
                Subject::mail_settings()
            }
            Act::EraseCustomer => {
                record
                    .erase_customer(SETTLED, None, UnsentMails::Refuse, actor)
                    .await?;
                Subject::customer(SETTLED)
            }
            Act::AcknowledgeAlert => {
                let alert = AlertChoice::Numbers(vec![1]);
                record.acknowledge_alerts(&alert, None, actor).await?;
                Subject::alert(1)
            }
            Act::SaveAlertSettings => {
                let emails = ["desk@shop.example".to_owned()];
                record.save_alert_addresses(&emails, actor).await?;
                Subject::alert_settings()
            }
            Act::RetryMail => {
                record.retry_mail(self.mail, actor).await?;
                Subject::mail(self.mail)
            }
        })
    }

    fn another_instance(&self) -> NewInstance {
        NewInstance {
            owner: None,
            name: "another".to_owned(),
            currency: "USD".to_owned(),
            options: [("region".to_owned(), "eu".to_owned())].into(),
            reach: Reach {
                trusted_authorities_pem: Some(self.authorities_pem.clone()),
                allowed_networks: Vec::new(),
                allowed_hosts: vec!["login.example.com".to_owned()],
                ..Reach::default()
            },
            plugin: None,
        }
    }

    fn other_settings(&self) -> SavedSettings {
        SavedSettings {
            values: [("country".to_owned(), "CY".to_owned())].into(),
            allowed_hosts: vec!["cdn.example.com".to_owned()],
            ..settings(Some(self.certificates[0]))
        }
    }

    fn keyed_order(&self) -> NewOrder {
        NewOrder {
            idempotency_key: Some("k".to_owned()),
            ..order(self.instance, &[("a", 1), ("b", 2), ("a", 1)])
        }
    }

    fn mail_settings(&self) -> MailSettings {
        MailSettings {
            from: "shop@host.example".to_owned(),
            delivery: MailDelivery::Smtp(SmtpServer {
                host: "mail.example".to_owned(),
                port: 587,
                protection: SmtpProtection::StartTls,
                user: Some("shop".to_owned()),
                password: Some(Secret::new(PASSWORD)),
                trusted_authorities_pem: Some(self.authorities_pem.clone()),
                hello_name: None,
                access_token: None,
            }),
            templates: Some("templates".into()),
        }
    }

    /// The detail that must be on record about an act that was just done.
    async fn detail(&self, act: Act, subject: &Subject) -> Value {
        match act {
            Act::CreateInstance => {
                let allowed = ["login.example.com"];
                json!({ "name": "another", "currency": "USD", "allowedHosts": allowed })
            }
            Act::SaveSettings => json!({
                "version": 2,
                "fields": ["country"],
                "thumbprint": { "before": null, "after": self.certificates[0].to_string() },
                "allowedHosts": { "before": [], "after": ["cdn.example.com"] },
            }),
            Act::EraseCustomer => json!({ "orders": 1, "withdrawnMails": 0, "texts": 4 }),
            Act::ImportCertificate => json!({ "subject": "CN=client", "chain": 0 }),
            Act::MakeCertificate => json!({ "subject": "CN=esd", "chain": 0 }),
            Act::RequestCertificate => json!({ "subject": "CN=esd" }),
            Act::RemoveCertificateRequest => json!({}),
            Act::DecideProduct => json!({ "decision": "publish" }),
            Act::SetPrice => json!({ "currency": "EUR", "before": 14_900, "after": 19_900 }),
            Act::PlaceOrder => {
                let line = |code, quantity| json!({ "product_code": code, "quantity": quantity });
                json!({ "lines": [line("a", 2), line("b", 2)] })
            }
            Act::CreateWebhook => json!({ "url": receiver().url, "kinds": [] }),
            Act::RotateWebhook => json!({ "formerKeysForMs": 60_000 }),
            Act::Redeliver => json!({ "delivery": self.delivery }),
            Act::RemoveWebhook => json!({ "url": receiver().url }),
            Act::SetChargePrefix => json!({ "before": "UNSOLD", "after": "DE" }),
            Act::ChooseMails => json!({ "onReturn": true, "perOrder": false }),
            Act::SaveSeller => json!({ "seller": {
                "name": "Shop", "address": [], "supportEmail": null, "supportPhone": null, "logoUrl": null,
                "replyTo": null, "bcc": null,
            } }),
            Act::LimitDiscontinuations => json!({ "before": 10, "after": 25 }),
            Act::RenameInstance => json!({ "before": "unsold", "after": "renamed" }),
            Act::RemoveInstance => json!({ "name": "renamed", "owner": null }),
            // The e-mails of the five assets, but for the one that is tried again before.
            Act::SetDuties => json!({ "mails": false, "charges": true, "withdrawnMails": 5 }),
            Act::RetryAsset => json!({ "generation": 0, "sync_status": "unsynchronised" }),
            Act::WithdrawAsset => json!({ "sync_status": "unsynchronised", "end": "withdrawn" }),
            Act::LimitSpending => json!({ "per_day": "1000 units" }),
            Act::CorrectCustomer => json!({ "fields": ["name"], "orders": 2 }),
            Act::ResendMail => json!({ "copyOf": self.sent, "to": "the contact" }),
            Act::RequestCancellation
            | Act::CancelAsset
            | Act::WithdrawCancellation
            | Act::DeclineCancellation
            | Act::ConfirmCancellation => {
                let asset = Some(subject.id.parse().unwrap());
                let filter = CancellationFilter {
                    asset,
                    ..CancellationFilter::default()
                };
                let cancellations = self.record.cancellations(&filter, &Page::all()).await.unwrap();
                json!({ "cancellation": cancellations.rows[0].id, "requester": "customer" })
            }
            Act::SaveMailSettings => json!({
                "from": "shop@host.example",
                "smtp": { "host": "mail.example", "port": 587, "protection": "start_tls", "user": "shop" },
                "templates": "templates",
            }),
            Act::CreateApiClient => {
                json!({ "name": "another", "owner": null, "scopes": ["read", "order"], "instances": null })
            }
            Act::RotateApiKey => json!({ "name": CLIENT, "formerKeyUntilMs": null }),
            Act::RevokeApiClient => json!({ "name": CLIENT }),
            Act::RegisterPlatform => {
                json!({ "name": "another-bss", "owner": null, "applicationId": Uuid::from_u128(1) })
            }
            Act::SetPlatformKey => {
                json!({ "name": PLATFORM, "applicationId": Uuid::from_u128(2), "formerKeyUntilMs": null })
            }
            Act::RevokePlatform => json!({ "name": PLATFORM }),
            Act::SaveAlertSettings => json!({ "emails": ["desk@shop.example"] }),
            Act::SetLookUpOnly => json!({ "lookUpOnlyMs": { "before": 300_000, "after": 60_000 } }),
            Act::RotateHostKey => {
                let uses = self.record.host_key_uses().await.unwrap();
                json!({ "hostKey": uses.keys[0].id.to_string(), "values": self.sealed })
            }
            Act::AdoptRecord => json!({ "orderLines": 0, "returns": 0 }),
            Act::RemoveCertificate
            | Act::RemovePlugin
            | Act::DisableInstance
            | Act::EnableInstance
            | Act::EnableWebhook
            | Act::DisableWebhook
            | Act::StartServicesRun
            | Act::RetryMail
            | Act::AcknowledgeAlert
            | Act::ShowKeys
            | Act::NoticeRestoration
            | Act::ChoosePassword
            | Act::SignIn => Value::Null,
            Act::CreateOperator => json!({ "name": "another", "role": "reader", "mayReveal": false }),
            Act::ChangeOperator => json!({ "name": OPERATOR, "role": "administrator", "mayReveal": true }),
            Act::InviteOperator | Act::DisableOperator => json!({ "name": OPERATOR }),
            Act::EnableOperator => json!({ "name": DISABLED_OPERATOR }),
            Act::EndSession => json!({ "name": SIGNED_IN }),
            Act::AddPlugin => json!({ "path": "acme.wasm", "id": "acme-keys", "version": "1.0.0" }),
            Act::TrustPlugin => json!({ "id": "acme-keys", "version": "1.0.0" }),
        }
    }
}

fn operator(name: &str) -> NewOperator {
    NewOperator {
        name: name.to_owned(),
        role: OperatorRole::Reader,
        may_reveal: false,
    }
}

fn client(name: &str) -> NewApiClient {
    NewApiClient {
        name: name.to_owned(),
        owner: None,
        scopes: [ApiScope::Read, ApiScope::Order].into(),
        instances: None,
    }
}

fn platform(name: &str, instance_id: Uuid) -> NewPlatform {
    NewPlatform {
        name: name.to_owned(),
        owner: None,
        instance_id,
    }
}

/// Has a new operator sign in.
async fn sign_in(record: &Record, name: &str) -> OperatorSession {
    let (_, code) = record.create_operator(operator(name), &actor()).await.unwrap();
    let password = PasswordHash::of(&Secret::new("correct horse battery staple")).unwrap();
    record.accept_invitation(&code, &password).await.unwrap();
    let (operator, hash) = record.operator_to_sign_in(name).await.unwrap().unwrap();
    let begun = record.begin_operator_session(&operator, &hash, "192.0.2.1", "Browser/1");
    let session = record.operator_session(&begun.await.unwrap(), false).await;
    session.unwrap().unwrap().0
}

fn receiver() -> NewWebhook {
    NewWebhook {
        url: "https://shop.example/hooks".to_owned(),
        owner: None,
        kinds: Vec::new(),
        allowed_networks: Vec::new(),
        trusted_authorities_pem: None,
    }
}

fn new_certificate() -> NewCertificate {
    NewCertificate {
        common_name: "esd".to_owned(),
        dns_names: Vec::new(),
        days: 365,
    }
}

/// The innermost cause of an error.
fn cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

pub(crate) async fn install(record: &Record, name: &str) -> Thumbprint {
    let file = pfx(&make(&client_params(name), &RSA_KEY), CODE);
    let (certificates, code) = (record.certificates(), PfxCode::new(CODE));
    let imported = certificates.import(&file, &code, &actor()).await;
    imported.unwrap().installed.thumbprint
}

async fn acts(record: &Record, filter: ActFilter) -> Vec<RecordedAct> {
    record.acts(&filter, NonZeroU32::MAX).await.unwrap()
}

/// The number of the last act.
async fn last(record: &Record) -> Option<i64> {
    let acts = acts(record, ActFilter::default()).await;
    acts.last().map(|act| act.number)
}

async fn since(record: &Record, after: Option<i64>) -> Vec<RecordedAct> {
    let filter = ActFilter {
        after,
        ..ActFilter::default()
    };
    acts(record, filter).await
}

#[tokio::test]
async fn each_act_is_on_record_once_with_who_did_it_to_what() {
    let site = Site::open().await;
    for (act, kind) in EVERY_ACT.iter().copied().zip(
        [ActorKind::Operator, ActorKind::Platform, ActorKind::Host]
            .into_iter()
            .cycle(),
    ) {
        let name = format!("who would {act}");
        let actor = Actor { kind, name };
        let before = last(&site.record).await;
        let subject = site.perform(act, &actor).await.unwrap();
        let [recorded] = since(&site.record, before).await.try_into().unwrap();
        assert_eq!((recorded.act, &recorded.actor), (act, &actor));
        assert_eq!(recorded.subject, subject, "{act}");
        let detail = recorded
            .detail
            .map(|detail| serde_json::from_str(&detail).unwrap());
        let expected = site.detail(act, &subject).await;
        assert_eq!(detail, (!expected.is_null()).then_some(expected), "{act}");
        let instance = match subject.kind {
            SubjectKind::Certificate
            | SubjectKind::MailSettings
            | SubjectKind::AlertSettings
            | SubjectKind::Webhook
            | SubjectKind::Record
            | SubjectKind::Plugin
            | SubjectKind::ApiClient
            | SubjectKind::Operator => None,
            SubjectKind::Instance => Some(subject.id.parse().unwrap()),
            _ => Some(site.instance),
        };
        assert_eq!(recorded.instance_id, instance, "{act}");
    }
}

#[tokio::test]
async fn a_change_whose_act_can_not_be_written_is_not_made() {
    let site = Site::open().await;
    site.record
        .database()
        .execute_on(
            "CREATE TRIGGER no_act BEFORE INSERT ON acts BEGIN SELECT RAISE(ABORT, 'no act'); END",
            "CREATE TRIGGER no_act BEFORE INSERT ON acts FOR EACH ROW EXECUTE FUNCTION refuse_change('no act')",
        )
        .await;
    let before = site.record.database().rows().await;
    for &act in EVERY_ACT {
        let error = site.perform(act, &actor()).await.unwrap_err();
        assert!(cause(&*error).contains("no act"), "{act}: {error:?}");
        assert!(site.record.database().rows().await == before, "{act}");
    }
}

#[tokio::test]
async fn an_act_that_is_refused_or_changes_nothing_leaves_none() {
    let site = Site::open().await;
    for &act in EVERY_ACT {
        site.perform(act, &actor()).await.unwrap();
    }
    let before = site.record.database().rows().await;
    // Acts that are done already are answered with what they made, and write nothing.
    let answered = [
        Act::ImportCertificate,
        Act::SetPrice,
        Act::PlaceOrder,
        Act::TrustPlugin,
        Act::EraseCustomer,
        Act::WithdrawAsset,
        Act::CorrectCustomer,
        Act::EnableWebhook,
        Act::ChangeOperator,
        Act::EnableOperator,
        Act::RotateHostKey,
    ];
    for act in answered {
        site.perform(act, &actor()).await.unwrap();
        assert!(site.record.database().rows().await == before, "{act}");
    }
    let published = Choice::Codes(vec!["a".to_owned()]);
    let decided = site
        .record
        .decide_products(site.instance, Decision::Publish, &published, &actor())
        .await
        .unwrap();
    assert_eq!(decided.already, 1);
    let refused = [
        Act::CreateInstance,
        Act::SaveSettings,
        Act::RemoveCertificate,
        Act::RemoveCertificateRequest,
        Act::StartServicesRun,
        Act::RequestCancellation,
        Act::CancelAsset,
        Act::WithdrawCancellation,
        Act::DeclineCancellation,
        Act::ConfirmCancellation,
        Act::RotateWebhook,
        Act::Redeliver,
        Act::RemoveWebhook,
        Act::RegisterPlatform,
        Act::SetPlatformKey,
        Act::RevokePlatform,
        Act::CreateOperator,
    ];
    for act in refused {
        site.perform(act, &actor()).await.unwrap_err();
    }
    let record = &site.record;
    record.retry_asset(site.licensed[0], &actor()).await.unwrap_err();
    record.retry_mail(Uuid::nil(), &actor()).await.unwrap_err();
    record
        .check_order(order(site.instance, &[("a", 1)]))
        .await
        .unwrap();
    assert!(record.database().rows().await == before, "nothing was changed");
}

#[tokio::test]
async fn a_change_of_many_is_an_act_on_each_that_is_changed() {
    let site = Site::open().await;
    let before = last(&site.record).await;
    let both = ["a".to_owned(), "b".to_owned()];
    site.perform(Act::SetPrice, &actor()).await.unwrap();
    site.record
        .set_prices(site.instance, &both, &euros(19_900), &actor())
        .await
        .unwrap();
    site.record
        .decide_products(site.instance, Decision::Publish, &Choice::All, &actor())
        .await
        .unwrap();
    let retried = site.record.retry_mails(&actor()).await.unwrap();
    let mut done = since(&site.record, before).await;
    let mails = done.split_off(4);
    let done: Vec<_> = done.into_iter().map(|act| (act.act, act.subject.id)).collect();
    let [a, b] = both;
    let expected = [
        (Act::SetPrice, a.clone()),
        (Act::SetPrice, b.clone()),
        (Act::DecideProduct, a),
        (Act::DecideProduct, b),
    ];
    assert_eq!(done, expected);
    assert_eq!(
        (mails.len(), retried),
        (4, 4),
        "one for each license whose e-mail waits"
    );
    assert!(mails.iter().any(|act| act.subject == Subject::mail(site.mail)));
}

#[tokio::test]
async fn acts_hold_no_secret() {
    let site = Site::open().await;
    for &act in EVERY_ACT {
        site.perform(act, &actor()).await.unwrap();
    }
    let acts: Vec<String> = site
        .record
        .database()
        .rows()
        .await
        .into_iter()
        .filter(|row| row.starts_with("acts: "))
        .collect();
    let holds = |text: &str| acts.iter().any(|act| act.contains(text));
    assert!(
        holds("mail.example") && holds("CN=client"),
        "what is no secret is there"
    );
    for secret in [
        CODE,
        PASSWORD,
        KEY,
        LINK,
        COMMENT,
        PLATFORM_KEY,
        "BEGIN",
        "customer.test",
        "Customer",
    ] {
        assert!(!holds(secret), "{secret}");
    }
}

#[tokio::test]
async fn acts_are_found_by_subject_instance_kind_actor_and_time_and_page_by_page() {
    let site = Site::open().await;
    for &act in EVERY_ACT {
        site.perform(act, &actor()).await.unwrap();
    }
    let record: &Record = &site.record;
    let all = acts(record, ActFilter::default()).await;
    assert!(all.is_sorted_by(|one, next| one.number < next.number));

    let mut filter = ActFilter::default();
    let mut read = Vec::new();
    loop {
        let page = record.acts(&filter, NonZeroU32::new(7).unwrap()).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 7);
        filter.after = Some(last.number);
        read.extend(page);
    }
    assert_eq!(read, all, "each once");

    let mut filter = ActFilter::default();
    let mut latest = Vec::new();
    loop {
        let page = record.latest_acts(&filter, NonZeroU32::new(7).unwrap()).await;
        let page = page.unwrap();
        let Some(last) = page.last() else { break };
        filter.before = Some(last.number);
        latest.extend(page);
    }
    latest.reverse();
    assert_eq!(latest, all, "each once, from the latest on");

    let (first, last) = (&all[0], all.last().unwrap());
    let found = async |filter: ActFilter| acts(record, filter).await;
    let by_filter = |is_one: &dyn Fn(&RecordedAct) -> bool| {
        let found = all.iter().filter(|act| is_one(act));
        found.cloned().collect::<Vec<_>>()
    };
    let placed = ActFilter {
        act: Some(Act::PlaceOrder),
        ..ActFilter::default()
    };
    assert_eq!(found(placed).await, by_filter(&|act| act.act == Act::PlaceOrder));
    let by = ActFilter {
        actor: Some(SIGNED_IN.to_owned()),
        ..ActFilter::default()
    };
    let (hers, expected) = (found(by).await, by_filter(&|act| act.actor.name == SIGNED_IN));
    assert_eq!(hers, expected);
    assert_eq!(hers.len(), 2, "she chose a password and signed in");
    let within = ActFilter {
        since_ms: Some(first.at_ms),
        until_ms: Some(last.at_ms),
        ..ActFilter::default()
    };
    assert_eq!(found(within).await, by_filter(&|act| act.at_ms < last.at_ms));

    let of = |subject: Subject| ActFilter {
        subject: Some(subject.id),
        subject_kind: Some(subject.kind),
        ..ActFilter::default()
    };
    let found = acts(record, of(Subject::asset(site.licensed[1]))).await;
    assert_eq!(
        found.iter().map(|act| act.act).collect::<Vec<_>>(),
        [Act::CancelAsset]
    );
    let of_another_kind = of(Subject::order(site.licensed[1]));
    assert_eq!(acts(record, of_another_kind).await, []);

    let mut filter = of(Subject::product("a"));
    filter.instance = Some(site.instance);
    assert_eq!(
        acts(record, filter.clone()).await.len(),
        4,
        "priced and decided twice"
    );
    filter.instance = record
        .instance("another")
        .await
        .unwrap()
        .map(|instance| instance.id);
    assert_eq!(acts(record, filter).await, [], "of the same code elsewhere");
}

#[tokio::test]
async fn an_act_that_is_altered_removed_or_added_shows() {
    let site = Site::open().await;
    let record: &Record = &site.record;
    let database = site.record.database();
    let before = record.verify_acts(None).await.unwrap();
    assert_eq!(before.acts, acts(record, ActFilter::default()).await.len() as u64);
    site.perform(Act::PlaceOrder, &actor()).await.unwrap();
    let after = record.verify_acts(Some(&before.digest)).await.unwrap();
    assert_eq!(after.acts, before.acts + 1);
    assert_ne!(after.digest, before.digest);
    let code = async || record.verify_acts(None).await.unwrap_err().diagnosis().code;
    // Each change, and how it is taken back.
    for (change, back) in [
        (
            "UPDATE acts SET actor_name = actor_name || 'x' WHERE number = 3",
            "UPDATE acts SET actor_name = rtrim(actor_name, 'x') WHERE number = 3",
        ),
        (
            "UPDATE acts SET at_ms = at_ms + 1 WHERE number = 2",
            "UPDATE acts SET at_ms = at_ms - 1 WHERE number = 2",
        ),
        (
            "UPDATE acts SET number = -2 WHERE number = 2",
            "UPDATE acts SET number = 2 WHERE number = -2",
        ),
    ] {
        database.execute(change).await;
        assert_eq!(code().await, "acts-altered", "{change}");
        database.execute(back).await;
        assert_eq!(record.verify_acts(None).await.unwrap(), after, "{back}");
    }
    database
        .execute("UPDATE acts SET digest = NULL WHERE number = (SELECT MAX(number) FROM acts)")
        .await;
    assert_eq!(code().await, "acts-altered");
    database
        .execute("DELETE FROM acts WHERE number = (SELECT MAX(number) FROM acts)")
        .await;
    assert_eq!(code().await, "acts-missing");
    database.execute("UPDATE turn SET acts = acts - 1").await;
    assert_eq!(
        record.verify_acts(None).await.unwrap(),
        before,
        "only who noted the digest knows"
    );
    let error = record.verify_acts(Some(&after.digest)).await.unwrap_err();
    assert_eq!(error.diagnosis().code, "acts-rewritten");
}

#[tokio::test]
async fn acts_from_before_the_chain_are_covered_by_the_first_that_is_in_it() {
    let site = Site::open().await;
    let record: &Record = &site.record;
    let database = site.record.database();
    database.execute("UPDATE acts SET digest = NULL").await;
    site.perform(Act::PlaceOrder, &actor()).await.unwrap();
    assert!(record.verify_acts(None).await.is_ok());
    database
        .execute("UPDATE acts SET actor_name = 'another' WHERE number = 1")
        .await;
    assert_eq!(
        record.verify_acts(None).await.unwrap_err().diagnosis().code,
        "acts-altered"
    );
}

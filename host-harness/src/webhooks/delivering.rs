//! Delivering: a worker sends what receivers are to be told, and writes down what came of it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bss_model::clock::{millis, now_ms};
use bss_model::{DeliveryOutcome, DeliveryToSend, Problem, Webhook, WebhookKeys};
use bss_record::RecordError;
use bss_sandbox::outbound_https::{Egress, NoAnswer, NoWay, OutboundHttps};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::event;
use super::signature::signatures;
use crate::error::Error;
use crate::host::Host;
use crate::own_task::until_stopped;
use crate::view;

/// The interval in which the record is asked for what is to be told.
const LOOK: Duration = Duration::from_secs(1);

/// The time in which a receiver has to answer (Standard Webhooks 1.0.0 suggests 15 to 30 seconds).
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// The deliveries that are under way at once.
const AT_ONCE: usize = 16;

/// The deliveries to one receiver that are under way at once, so that a slow one leaves room for the others.
const AT_ONCE_EACH: usize = 4;

/// The pauses after attempts, as Standard Webhooks 1.0.0 suggests them, in seconds: what is not taken in three days has failed.
const PAUSES_S: [u64; 9] = [
    5,
    5 * 60,
    30 * 60,
    2 * 3_600,
    5 * 3_600,
    10 * 3_600,
    14 * 3_600,
    20 * 3_600,
    24 * 3_600,
];

/// The longest pause that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The interval in which times are looked at that another clock has written.
const MEND: Duration = Duration::from_secs(60 * 60);

impl Host {
    /// Sends what receivers are to be told, until it is told to stop.
    pub(crate) async fn keep_delivering(self, mut stopped: watch::Receiver<bool>) -> Result<(), RecordError> {
        let mut round = Round::new(&self);
        let mut mend = tokio::time::interval(MEND);
        loop {
            self.make_all_deliveries().await?;
            while round.take(i64::MAX).await? {}
            tokio::select! {
                biased;
                () = until_stopped(&mut stopped) => return Ok(()),
                _ = mend.tick() => self.record().mend_due_times().await?,
                ended = round.ended() => { ended?; }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Sends what is due now, but to no receiver once it has failed. What is under way when it is told to stop is sent again
    /// later.
    pub(crate) async fn deliver_due(&self, stopped: &mut watch::Receiver<bool>) -> Result<(), RecordError> {
        self.record().mend_due_times().await?;
        self.make_all_deliveries().await?;
        let (mut round, due_by_ms) = (Round::new(self), self.record().now_ms());
        loop {
            while !*stopped.borrow() && round.take(due_by_ms).await? {}
            if round.is_idle() {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = until_stopped(stopped) => return Ok(()),
                ended = round.ended() => if let Some((webhook, is_taken)) = ended? && !is_taken {
                    round.left_out.insert(webhook);
                },
            }
        }
    }

    async fn make_all_deliveries(&self) -> Result<(), RecordError> {
        while self.record().make_deliveries().await? {}
        Ok(())
    }

    /// Sends a delivery, writes down what came of it, and returns whether the receiver has taken it.
    async fn send_delivery(&self, https: &OutboundHttps, sent: &DeliveryToSend) -> Result<bool, RecordError> {
        let (id, body) = (sent.delivery.event_id, event::body(&sent.delivery.outcome));
        let answer = self.post(https, &sent.webhook, &sent.keys, id, body).await;
        let end = judged(&answer, sent.tries, self.record().now_ms());
        if let Some(problem) = end.problem() {
            tracing::warn!(
                webhook = %sent.webhook.id,
                event = %id,
                attempt = sent.delivery.attempts,
                "a webhook was not taken: {}",
                problem.message
            );
        }
        let is_taken = matches!(end, DeliveryOutcome::Taken(_));
        self.record().finish_delivery(sent, end).await?;
        Ok(is_taken)
    }

    /// Sends a receiver an event that tells nothing (`webhook.test`), once, and returns what it answered. Nothing is written
    /// down.
    ///
    /// # Errors
    /// When there is no such receiver.
    pub async fn test_webhook(&self, id: Uuid) -> Result<view::DeliveryAttempt, Error> {
        let webhook = self.own_webhook(id).await?;
        let keys = self.record().webhook_keys(id).await?;
        let (https, body) = (OutboundHttps::default(), event::test_body(now_ms()));
        let answer = self.post(&https, &webhook, &keys, Uuid::new_v4(), body).await;
        let end = judged(&answer, 1, self.record().now_ms());
        Ok(view::DeliveryAttempt {
            number: 1,
            at_ms: now_ms(),
            status: end.status(),
            problem: end.problem().map(view::Problem::from),
        })
    }

    /// Posts an event to a receiver. The error says why there is no answer.
    async fn post(
        &self,
        https: &OutboundHttps,
        webhook: &Webhook,
        keys: &[WebhookKeys],
        id: Uuid,
        body: String,
    ) -> Result<Response<()>, Problem> {
        let (id, timestamp_s) = (id.to_string(), now_ms().div_euclid(1_000));
        let request = http::Request::post(&webhook.of.url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signatures(keys, &id, timestamp_s, &body))
            .body(Bytes::from(body))
            .map_err(|error| unreachable(&error))?;
        let egress = self.egress_to(webhook).map_err(|error| unreachable(&error))?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, https.ask_head(&egress, request)).await;
        let late = |_| unreachable(&format_args!("no answer within {} s", ANSWER_WITHIN.as_secs()));
        answer.map_err(late)?.map_err(|error| not_reached(&error))
    }

    /// The way to a receiver: to its server alone, and to no network that is not public unless an operator has allowed it.
    fn egress_to(&self, webhook: &Webhook) -> Result<Egress, NoWay> {
        let (of, owner) = (&webhook.of, format!("webhook {}", webhook.id));
        Ok(Egress {
            allowed_networks: of.allowed_networks.clone(),
            proxies: self.own_proxies(),
            ..Egress::to(&owner, &of.url, of.trusted_authorities_pem.as_deref())?
        })
    }
}

/// The deliveries that a worker has under way.
struct Round {
    host: Host,
    https: Arc<OutboundHttps>,
    sending: JoinSet<Result<(Uuid, bool), RecordError>>,
    /// How many are under way to each receiver.
    of_webhook: HashMap<Uuid, usize>,
    /// Receivers that are sent nothing more.
    left_out: HashSet<Uuid>,
}

impl Round {
    fn new(host: &Host) -> Self {
        Self {
            host: host.clone(),
            https: Arc::new(OutboundHttps::default()),
            sending: JoinSet::new(),
            of_webhook: HashMap::new(),
            left_out: HashSet::new(),
        }
    }

    fn is_idle(&self) -> bool {
        self.sending.is_empty()
    }

    /// Takes a delivery that was due by a time and sends it, if there is one and room for it: first to receivers that nothing is
    /// on the way to, so that slow ones with much to be told keep no other waiting.
    async fn take(&mut self, due_by_ms: i64) -> Result<bool, RecordError> {
        if self.sending.len() >= AT_ONCE {
            return Ok(false);
        }
        let record = self.host.record();
        let mut taken = record.take_delivery(due_by_ms, &self.busy(1)).await?;
        if taken.is_none() {
            taken = record.take_delivery(due_by_ms, &self.busy(AT_ONCE_EACH)).await?;
        }
        let Some(taken) = taken else { return Ok(false) };
        *self.of_webhook.entry(taken.webhook.id).or_default() += 1;
        let (host, https) = (self.host.clone(), self.https.clone());
        self.sending.spawn(async move {
            let is_taken = host.send_delivery(&https, &taken).await?;
            Ok((taken.webhook.id, is_taken))
        });
        Ok(true)
    }

    /// Receivers with so many deliveries under way, and those that are left out.
    fn busy(&self, many: usize) -> Vec<Uuid> {
        let busy = self.of_webhook.iter().filter(|(_, count)| **count >= many);
        let busy = busy.map(|(webhook, _)| *webhook);
        busy.chain(self.left_out.iter().copied()).collect()
    }

    /// Waits until a delivery has ended, and returns its receiver and whether that has taken it. Never, where none is under way.
    async fn ended(&mut self) -> Result<Option<(Uuid, bool)>, RecordError> {
        let Some(ended) = self.sending.join_next().await else {
            return std::future::pending().await;
        };
        let (webhook, is_taken) = ended.map_err(|_| RecordError::TaskEnded)??;
        if let Some(count) = self.of_webhook.get_mut(&webhook) {
            *count -= 1;
        }
        Ok(Some((webhook, is_taken)))
    }
}

/// What an answer comes to, after so many tries. Only 2xx takes an event; a redirection is not followed.
fn judged(answer: &Result<Response<()>, Problem>, tries: u32, now_ms: i64) -> DeliveryOutcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return not_taken(why.clone(), None, tries, Duration::ZERO, now_ms),
    };
    let status = answer.status();
    if status.is_success() {
        return DeliveryOutcome::Taken(status.as_u16());
    }
    // What the receiver says beside the status is not kept: it may name a customer.
    let said = format!("the receiver answered {status}");
    if status == StatusCode::GONE {
        return DeliveryOutcome::Gone(problem("webhook-gone", &said));
    }
    let asked = answer.headers().get(RETRY_AFTER);
    let asked = asked.and_then(|asked| asked.to_str().ok()?.trim().parse().ok());
    let asked = asked
        .map_or(Duration::ZERO, Duration::from_secs)
        .min(RETRY_AFTER_MAX);
    not_taken(
        problem("webhook-refused", &said),
        Some(status.as_u16()),
        tries,
        asked,
        now_ms,
    )
}

fn not_taken(
    problem: Problem,
    status: Option<u16>,
    tries: u32,
    asked: Duration,
    now_ms: i64,
) -> DeliveryOutcome {
    let nth = usize::try_from(tries).unwrap_or(usize::MAX).saturating_sub(1);
    match PAUSES_S.get(nth) {
        None => DeliveryOutcome::Failed(problem, status),
        Some(pause_s) => {
            let pause = Duration::from_secs(*pause_s).max(asked);
            DeliveryOutcome::Later(problem, status, now_ms.saturating_add(millis(pause)))
        }
    }
}

/// Why a receiver was not reached, in the host's words: a proxy or the policy may be in the way, and not the receiver.
fn not_reached(error: &NoAnswer) -> Problem {
    match error {
        NoAnswer::Exchange { why: Some(why), .. } => why.clone(),
        error if error.is_prohibited() => Problem::new(
            "webhook-address-prohibited",
            "the receiver is in a network that is not public",
            "allow the network, if that is where it is to be",
        ),
        error => unreachable(error),
    }
}

fn unreachable(why: &impl fmt::Display) -> Problem {
    problem("webhook-unreachable", &why.to_string())
}

fn problem(code: &str, message: &str) -> Problem {
    Problem::new(code, message, "correct the receiver, then send it a test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, retry_after: Option<&str>) -> Result<Response<()>, Problem> {
        let mut answer = Response::builder().status(status);
        if let Some(asked) = retry_after {
            answer = answer.header(RETRY_AFTER, asked);
        }
        Ok(answer.body(()).unwrap())
    }

    /// In how many seconds another attempt is made, about.
    fn pause_s(end: &DeliveryOutcome) -> Option<i64> {
        match end {
            DeliveryOutcome::Later(_, _, due_at_ms) => Some((due_at_ms - now_ms() + 500) / 1_000),
            _ => None,
        }
    }

    #[test]
    fn an_event_is_taken_by_a_2xx_alone() {
        for status in [200, 202, 204] {
            assert_eq!(
                judged(&answered(status, None), 1, now_ms()),
                DeliveryOutcome::Taken(status)
            );
        }
        for status in [301, 307, 400, 404, 429, 500] {
            assert_eq!(
                pause_s(&judged(&answered(status, None), 1, now_ms())),
                Some(5),
                "{status}"
            );
        }
        assert_eq!(
            pause_s(&judged(&Err(unreachable(&"refused")), 1, now_ms())),
            Some(5)
        );
        assert!(matches!(
            judged(&answered(410, None), 1, now_ms()),
            DeliveryOutcome::Gone(_)
        ));
    }

    #[test]
    fn pauses_grow_a_receiver_may_ask_for_longer_ones_and_after_three_days_it_has_failed() {
        assert_eq!(pause_s(&judged(&answered(503, None), 2, now_ms())), Some(300));
        assert_eq!(
            pause_s(&judged(&answered(429, Some("600")), 2, now_ms())),
            Some(600)
        );
        assert_eq!(
            pause_s(&judged(&answered(429, Some("9999999")), 1, now_ms())),
            Some(86_400)
        );
        assert_eq!(pause_s(&judged(&answered(503, None), 9, now_ms())), Some(86_400));
        assert!(matches!(
            judged(&answered(503, None), 10, now_ms()),
            DeliveryOutcome::Failed(..)
        ));
        let days: u64 = PAUSES_S.iter().sum();
        assert!(days > 3 * 86_400);
    }
}

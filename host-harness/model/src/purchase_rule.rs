//! The rule of a purchase: when it may be sent, what an answer means, and when the next attempt is due. Nothing else
//! decides that.
//!
//! The sum of the earlier attempts (an attempt is on record before the vendor is called):
//!
//! | each of the earlier attempts | together |
//! |---|---|
//! | there was none, and the record can vouch for it | none |
//! | there was none that the record knows of | not done |
//! | was refused, was unavailable, or only looked up | not done |
//! | one of them was unknown, brought a license, or was cut off with its worker; the record was restored | in doubt |
//! | one of them was accepted: the vendor has taken the order, and issues the license later | in doubt |
//!
//! The record vouches that a line was never attempted where two things are so: the line was ordered less than a minute
//! ago, in this boot of the machine; and the order has no idempotency key, or the record remembers all that happened in
//! the last 30 days. An older line may be that of a copy of the record, and an order with a key may be the repetition of
//! an order that was lost with the record.
//!
//! Time is told by the clock that nobody can set ([`crate::moment`]). What happened before the machine was started again
//! happened just now.
//!
//! The first step of an attempt:
//!
//! | earlier attempts | first step |
//! |---|---|
//! | none, or not done | buy |
//! | in doubt since the record was restored, and nobody has said that no other copy goes on | look up, and buy nothing |
//! | in doubt, and accepted | look up, and buy nothing: the vendor issues it, or an operator decides |
//! | in doubt, for less than the time of looking up only | look up, and buy nothing: the vendor may still be carrying it out |
//! | in doubt for longer, with settings that have changed since | look up, and buy nothing: not to find it means nothing |
//! | in doubt for longer, with the same settings | the plugin looks up, and buys what was not found |
//! | any of these, and the line is to be withdrawn | look up, and buy nothing |
//! | in doubt, and the instance is disabled | look up, and buy nothing |
//!
//! While an instance is disabled, nothing else is attempted for it.
//!
//! The meaning of an answer:
//!
//! | answer to a purchase | outcome | the vendor |
//! |---|---|---|
//! | the license of this purchase, with a key | licensed | answered |
//! | accepted: the vendor issues the license later | accepted | answered |
//! | a license, or accepted, though no request of that call succeeded | unknown | is silent |
//! | accepted, though nothing that may have bought was sent, and nothing was before | unknown | is silent |
//! | anything else that looks like success | unknown | is silent |
//! | refused, misconfigured or unavailable, though a request that may have bought was sent | unknown | is silent |
//! | refused, though the vendor answered no request, while an earlier attempt is in doubt | unknown | answered |
//! | refused | refused | answered |
//! | the plugin broke off before any request left | in doubt before: unknown; else unavailable | is silent |
//! | misconfigured | in doubt before: unknown; else unavailable | takes nothing until the settings are corrected |
//! | unavailable; the sandbox could not be entered | unavailable | is silent, or is left alone as long as it asks for |
//! | unknown; the plugin broke off | unknown | is silent |
//! | the call was never made | in doubt before: unknown; else unavailable | is silent |
//! | the call was never made because the settings were saved meanwhile | the same | answered |
//!
//! | a look-up finds | outcome | the vendor |
//! |---|---|---|
//! | the license of this purchase, with a key | licensed | answered |
//! | accepted: the vendor issues the license later | accepted | answered |
//! | a license or accepted, though no request of that call succeeded; declined, though none was answered | looked up | is silent |
//! | declined, under another account, or while another copy of the record may go on | looked up | answered |
//! | declined: the vendor had taken the order, and will not issue a license any more | refused | answered |
//! | nothing | looked up | answered |
//! | nothing, or declined: the line is to be withdrawn, and what was in doubt can't be under way any more | not bought | answered |
//! | nothing can be looked up until the settings are corrected | looked up | takes nothing until then |
//! | anything else, or it fails | looked up | is silent, or is left alone as long as it asks for |

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::attempt::{AttemptOutcome, AttemptResult, Doubt, EarlierAttempts};
use crate::clock::{millis, rfc3339};
use crate::instance::{Authority, FieldRole, SettingsVersion};
use crate::license::License;
use crate::license_check::LicenseDefect;
use crate::moment::Moment;
use crate::problem::Problem;
use crate::seen::Seen;

/// The default time of looking up only: a purchase that is still being carried out can't be seen yet. A front end
/// gives up on a request that is not answered (load balancers after four minutes or less), and a purchase that was not
/// carried out by then never will be.
pub const LOOK_UP_ONLY: Duration = Duration::from_secs(5 * 60);

/// The shortest time of looking up only at servers of other machines, whatever time is on record: a request that is under
/// way when its connection breaks may still arrive.
pub const LOOK_UP_ONLY_MIN: Duration = Duration::from_secs(60);

/// The longest pause granted to a vendor that asks for one. A longer one is a mistake of a server on the way.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest pause before an attempt that may be made as soon as the time of looking up only is over.
pub const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// How long after it was ordered a line is bought without a look-up. A worker takes a line within a second; what takes
/// longer may have been in a backup, a snapshot or a machine that was asleep.
pub const VOUCHED_FOR: Duration = Duration::from_secs(60);

/// How long a record must have remembered everything, until an order with an idempotency key is taken for new. A shop
/// does not repeat an order that is older.
pub const MEMORY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An earlier attempt at a purchase, with the fields that the rule needs.
#[derive(Clone, Debug)]
pub struct EarlierAttempt {
    /// The number, from 1.
    pub number: u32,
    /// When it was begun.
    pub begun: Moment,
    /// When it ended. `None`: it has not.
    pub finished: Option<Moment>,
    /// How it ended. `None`: it has not.
    pub result: Option<AttemptResult>,
    /// The version of its instance's settings. `None`: it is not known.
    pub settings_version: Option<i64>,
}

/// The sum of an asset's attempts, added in the order in which they were begun.
#[derive(Debug, Default)]
pub struct Earlier {
    last: u32,
    last_settings_version: Option<i64>,
    /// Whether the last attempt has not ended: its worker died at an unknown time.
    is_cut_off: bool,
    /// Whether the record was restored after the line was ordered.
    is_restored: bool,
    /// Whether the vendor has taken the order.
    is_accepted: bool,
    in_doubt: Option<Doubt>,
}

impl Earlier {
    /// Adds the next attempt.
    pub fn add(&mut self, attempt: &EarlierAttempt) {
        self.in_doubt = self.in_doubt(attempt.begun);
        self.is_cut_off = attempt.result.is_none();
        self.is_restored |= attempt.result == Some(AttemptResult::Restored);
        self.is_accepted |= attempt.result == Some(AttemptResult::Accepted);
        self.last = attempt.number;
        self.last_settings_version = attempt.settings_version;
        if attempt.result.is_some_and(may_have_bought) {
            self.in_doubt = Some(self.doubt_since(attempt.finished.unwrap_or(attempt.begun)));
        }
    }

    /// Whether the record was restored after the line was ordered.
    pub fn is_restored(&self) -> bool {
        self.is_restored
    }

    /// The number of the attempt that comes next.
    pub fn next_number(&self) -> u32 {
        self.last.saturating_add(1)
    }

    /// The state of the earlier attempts for an attempt that is begun at that moment.
    pub fn summary(&self, next_begun: Moment, line: &LineAge) -> EarlierAttempts {
        match (self.last, self.in_doubt(next_begun)) {
            (0, _) if line.is_vouched_for(next_begun) => EarlierAttempts::None,
            (_, None) => EarlierAttempts::NotDone,
            (_, Some(_)) => EarlierAttempts::Unknown,
        }
    }

    /// The doubt for an attempt that is begun at that moment. An attempt that was cut off had ended by then: the next
    /// one is begun only once its worker is dead. So had what was done before the machine was started again, at a time
    /// that no clock can tell any more.
    pub fn in_doubt(&self, next_begun: Moment) -> Option<Doubt> {
        match (self.is_cut_off, self.in_doubt) {
            (true, _) => Some(self.doubt_since(next_begun)),
            (false, Some(doubt)) if !doubt.since.is_of_the_boot_of(next_begun) => Some(Doubt {
                since: next_begun,
                ..doubt
            }),
            (false, doubt) => doubt,
        }
    }

    /// The doubt that includes the last attempt, which ended at that moment. All attempts that may have bought were made
    /// with the same settings, or with settings that mean the same to the vendor: with others a purchase is only looked
    /// up.
    fn doubt_since(&self, ended: Moment) -> Doubt {
        let doubt = self.in_doubt;
        Doubt {
            since: ended,
            settings_version: doubt
                .and_then(|doubt| doubt.settings_version)
                .or(self.last_settings_version),
            is_accepted: self.is_accepted,
        }
    }
}

/// The results of attempts that bought nothing, whatever earlier ones did.
pub const NOTHING_BOUGHT: [AttemptResult; 4] = [
    AttemptResult::Refused,
    AttemptResult::Unavailable,
    AttemptResult::LookedUp,
    AttemptResult::NotBought,
];

fn may_have_bought(result: AttemptResult) -> bool {
    !NOTHING_BOUGHT.contains(&result)
}

/// What tells whether a line that has no attempt on record can have been bought.
#[derive(Clone, Copy, Debug)]
pub struct LineAge {
    /// When the line was ordered.
    pub placed: Moment,
    /// Whether its order has an idempotency key, so that it may be a repetition.
    pub has_key: bool,
    /// How long the record has certainly remembered everything: since it was made, restored or adopted. Zero while another
    /// copy of it may go on.
    pub remembered: Duration,
}

impl LineAge {
    /// Whether the record can vouch at that moment that the line was never bought.
    pub fn is_vouched_for(&self, now: Moment) -> bool {
        let is_new = !self.has_key || self.remembered >= MEMORY;
        is_new && now.is_certainly_within(VOUCHED_FOR, self.placed)
    }
}

/// Whether a line without license is certainly not bought, so that it can be withdrawn without a look-up, given what is in
/// doubt of its attempts and whether the last one was refused. A line that the record can't vouch for may have been bought by
/// what the record has lost; a vendor that refused it would have shown it.
pub fn is_certainly_not_bought(
    in_doubt: Option<Doubt>,
    was_refused: bool,
    line: &LineAge,
    now: Moment,
) -> bool {
    in_doubt.is_none() && (was_refused || line.is_vouched_for(now))
}

/// The code of a look-up after which a line is not withdrawn yet, because a request may be under way.
const WITHDRAWAL_WAITS: &str = "withdrawal-waits";

/// The code of a line that can't be withdrawn, because its plugin can't look a purchase up.
const WITHDRAWAL_NOT_CERTAIN: &str = "withdrawal-not-certain";

/// Whether an operator's word that the vendor has sold nothing withdraws a line without license, given what is in doubt of its
/// attempts and the code of its last one, where that was a look-up. Only after a look-up that could tell nothing: what the
/// vendor shows, even of a license that is no right one, or of an account that the settings have left, counts more. Not while a
/// request may be under way, which the vendor could carry out after it was asked, nor what the vendor has accepted, nor while
/// another copy of the record may go on with the line (`awaits_adoption`).
pub fn is_withdrawn_on_word(
    in_doubt: Option<Doubt>,
    last_look_up: Option<&str>,
    awaits_adoption: bool,
    look_up_only: Duration,
    now: Moment,
) -> bool {
    let is_over =
        |doubt: Doubt| !doubt.is_accepted && look_up_only_left(doubt.since, look_up_only, now).is_none();
    let told_nothing = matches!(last_look_up, Some(WITHDRAWAL_WAITS | WITHDRAWAL_NOT_CERTAIN));
    told_nothing && !awaits_adoption && in_doubt.is_none_or(is_over)
}

/// The first step of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstStep {
    /// Buys. The plugin looks up before it where the purchase is in doubt.
    Buy,
    /// Looks up, and buys nothing.
    LookUp(LookUpReason),
    /// Looks up what the vendor has taken, and buys nothing. What has changed since that version ([`changed_since`]) says
    /// what a look-up that finds nothing means. `None`: the version is not known.
    LookUpAccepted {
        /// The version of the instance's settings that the order was taken with.
        version: Option<i64>,
    },
    /// Buys if the settings still mean the same as in that version, and otherwise looks up; [`changed_since`] tells.
    BuyIfUnchanged {
        /// The version of the instance's settings that the purchase may have been made with.
        version: i64,
    },
}

/// The first step of an attempt at that moment, given what is in doubt. `awaits_adoption`: another copy of the record may
/// go on with the line, until this one is adopted.
pub fn first_step(
    in_doubt: Option<Doubt>,
    awaits_adoption: bool,
    look_up_only: Duration,
    now: Moment,
) -> FirstStep {
    let Some(doubt) = in_doubt else {
        return FirstStep::Buy;
    };
    if awaits_adoption {
        return FirstStep::LookUp(LookUpReason::NotAdopted);
    }
    if doubt.is_accepted {
        return FirstStep::LookUpAccepted {
            version: doubt.settings_version,
        };
    }
    if let Some(left) = look_up_only_left(doubt.since, look_up_only, now) {
        let until_ms = now.wall_ms.saturating_add(millis(left));
        return FirstStep::LookUp(LookUpReason::UnderWay { until_ms });
    }
    match doubt.settings_version {
        Some(version) => FirstStep::BuyIfUnchanged { version },
        None => FirstStep::Buy,
    }
}

/// The time of looking up only that counts for an instance, given the time on record. Servers of this machine, such as a
/// simulator, may be given less than [`LOOK_UP_ONLY_MIN`].
pub fn look_up_only_at(authorities: &[Authority], on_record: Duration) -> Duration {
    let is_here = !authorities.is_empty() && authorities.iter().all(Authority::is_of_this_machine);
    match is_here {
        true => on_record,
        false => on_record.max(LOOK_UP_ONLY_MIN),
    }
}

/// What is left at that moment of the time of looking up only. `None`: it is certainly over.
pub fn look_up_only_left(in_doubt_since: Moment, look_up_only: Duration, now: Moment) -> Option<Duration> {
    let left = look_up_only.saturating_sub(now.certainly_since(in_doubt_since));
    let is_known = now.is_of_the_boot_of(in_doubt_since);
    (!is_known || !left.is_zero()).then_some(left)
}

/// The reason to look up only because the settings differ from a former version, given all versions since. `None`:
/// they mean the same to the vendor: no field has changed that names the account. A field whose meaning is not on record
/// counts as one that does, and so does one that any version since took for one, and every option.
pub fn changed_since(version: i64, history: &[SettingsVersion]) -> Option<LookUpReason> {
    let mut then_and_now = BTreeMap::new();
    let mut options_then_and_now = BTreeMap::new();
    for later in history.iter().filter(|later| later.version > version) {
        for (field, change) in later.changes.iter().chain(&later.secret_changes) {
            let (_, now) = then_and_now.entry(field).or_insert((&change.old, &change.new));
            *now = &change.new;
        }
        for (option, change) in &later.other_changes.options {
            let (_, now) = options_then_and_now
                .entry(option)
                .or_insert((&change.old, &change.new));
            *now = &change.new;
        }
    }
    let since: Vec<_> = history.iter().filter(|since| since.version >= version).collect();
    let names_account = |field: &str| {
        let roles = || since.iter().map(|since| since.roles.as_ref());
        let is_known = roles().any(|roles| roles.is_some_and(|roles| roles.contains_key(field)));
        let is_account = |roles: Option<&BTreeMap<String, FieldRole>>| {
            roles.is_none_or(|roles| roles.get(field) == Some(&FieldRole::Account))
        };
        !is_known || roles().any(is_account)
    };
    let changed = then_and_now.into_iter().filter(|(_, (then, now))| then != now);
    let mut fields: Vec<_> = changed
        .filter(|(field, _)| names_account(field))
        .map(|(field, _)| format!("`{field}`"))
        .collect();
    // What an option means, only the plugin knows.
    let options = options_then_and_now.into_iter();
    let options = options.filter(|(_, (then, now))| then != now);
    fields.extend(options.map(|(option, _)| format!("the option `{option}`")));
    // Another version of the plugin may ask other servers with the same values.
    let then = history.iter().find(|of_then| of_then.version == version);
    let now = history.iter().max_by_key(|of_now| of_now.version);
    let servers = |of: Option<&SettingsVersion>| of.and_then(|of| of.authorities.clone());
    if let (Some(then), Some(now)) = (servers(then), servers(now))
        && then != now
        && fields.is_empty()
    {
        fields.push("the servers that it asks, or what it shows them".to_owned());
    }
    (!fields.is_empty()).then_some(LookUpReason::OtherSettings { version, fields })
}

/// Why a purchase is looked up and not sent again, even if it is not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookUpReason {
    /// The vendor may still be carrying the purchase out.
    UnderWay {
        /// Until about when, in milliseconds since 1970.
        until_ms: i64,
    },
    /// The line is to be withdrawn, and is not sent any more.
    ToBeWithdrawn {
        /// Until about when the vendor may still be carrying the purchase out, in milliseconds since 1970. `None`: it can't be
        /// any more.
        until_ms: Option<i64>,
    },
    /// The vendor has taken the order, and issues the license later.
    Accepted {
        /// The fields that have changed since, so that another account may be asked.
        changed: Vec<String>,
    },
    /// Another copy of the record may be buying it: this one was restored, copied or moved, and not adopted since.
    NotAdopted,
    /// The instance buys nothing until it is enabled.
    Disabled,
    /// The purchase was sent with other settings, so a look-up that finds nothing means nothing.
    OtherSettings {
        /// The version of the settings with which it was sent.
        version: i64,
        /// The fields that have changed since.
        fields: Vec<String>,
    },
}

/// The problem of a purchase or return that another copy of the record may go on with.
pub fn not_adopted(why: &str) -> Problem {
    Problem::new(
        "record-not-adopted",
        format!(
            "{why}; another copy of this record may go on with it, since the record was restored or copied"
        ),
        "make sure that no other copy of the record is in use, then adopt this one",
    )
}

impl LookUpReason {
    /// Why a line that is to be withdrawn is only looked up, given why it would be if it was not. `None`: it would be bought.
    #[must_use]
    pub fn to_withdraw(reason: Option<Self>) -> Self {
        match reason {
            None => Self::ToBeWithdrawn { until_ms: None },
            Some(Self::UnderWay { until_ms }) => Self::ToBeWithdrawn {
                until_ms: Some(until_ms),
            },
            Some(other) => other,
        }
    }

    /// Why a line of a disabled instance is only looked up, given why it would be if the instance was enabled. `None`: it would
    /// be bought.
    #[must_use]
    pub fn while_disabled(reason: Option<Self>) -> Self {
        reason.unwrap_or(Self::Disabled)
    }

    /// Whether what the vendor says now is the last word on the purchase: it is asked under the same account, and nobody
    /// else goes on with it.
    fn is_the_vendor_s_last_word(&self) -> bool {
        match self {
            Self::UnderWay { .. } | Self::ToBeWithdrawn { .. } | Self::Disabled => true,
            Self::Accepted { changed } => changed.is_empty(),
            Self::NotAdopted | Self::OtherSettings { .. } => false,
        }
    }

    fn problem(&self, why: &str) -> Problem {
        match self {
            Self::UnderWay { until_ms } => Problem::new(
                "not-seen-yet",
                format!(
                    "{why}; the request may still be under way, so the purchase is not sent again before {}",
                    rfc3339(*until_ms)
                ),
                "wait: the purchase is looked up until then, and sent again after that",
            ),
            Self::ToBeWithdrawn { until_ms: None } => {
                Problem::new("not-bought", why, "nothing needs to be done")
            }
            Self::ToBeWithdrawn {
                until_ms: Some(until_ms),
            } => Problem::new(
                WITHDRAWAL_WAITS,
                format!(
                    "{why}; the request may still be under way, so the line is not withdrawn before {}",
                    rfc3339(*until_ms)
                ),
                "wait: the purchase is looked up until then, and the line is withdrawn if it is not there",
            ),
            Self::Accepted { changed } if !changed.is_empty() => Problem::new(
                "accepted-by-another",
                format!(
                    "{why}; it was taken with other settings, which differed in {}, and the license may still be issued there",
                    changed.join(", ")
                ),
                "restore these fields as the instance's history shows them, and the license is found as soon as it is there. Only if it is \
                 certain that the order is void, try to buy the license again: the present settings are used then",
            ),
            Self::Accepted { .. } => Problem::new(
                "accepted-and-not-seen",
                format!("{why}, although it has taken the order before"),
                "wait: the purchase is looked up until the license is there. If it does not come, ask the vendor's support; only if it \
                 is certain that the order is void, try to buy the license again",
            ),
            Self::NotAdopted => not_adopted(why),
            Self::Disabled => Problem::new(
                "instance-disabled",
                format!("{why}, and nothing is bought, because the instance is disabled"),
                "enable the instance, and the purchase goes on",
            ),
            Self::OtherSettings { version, fields } => Problem::new(
                "other-settings",
                format!(
                    "{why}; the license may have been bought with version {version} of the instance's settings, which differs in {}",
                    fields.join(", ")
                ),
                "restore these fields as the instance's history shows them, and the purchase continues by itself. If it is certain \
                 that the license was not bought with them, try to buy the license again: the present settings are used then",
            ),
        }
    }
}

/// The signal of an attempt about the vendor's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VendorSignal {
    /// The vendor answered, if only with a refusal.
    Answered,
    /// The vendor did not answer, or its answer does not tell what it has done.
    Silent,
    /// The vendor takes nothing from the instance until somebody corrects what is wrong.
    Misconfigured,
    /// The vendor asked for a pause of this length.
    LeaveAlone(Duration),
}

impl VendorSignal {
    /// The signal of an attempt without an answer: silence, or the pause that the vendor asked for.
    pub fn without_answer(pause: Option<Duration>) -> Self {
        pause.map_or(Self::Silent, Self::LeaveAlone)
    }
}

/// The result of an attempt.
#[derive(Clone, Debug)]
pub struct Attempted {
    /// The outcome, to be recorded.
    pub outcome: AttemptOutcome,
    /// The signal about the vendor.
    pub signal: VendorSignal,
    /// The time in which the vendor expects to issue the license. `None`: it did not say, or nothing is to come.
    pub comes_in: Option<Duration>,
}

impl Attempted {
    /// What an attempt means that only looked up, for a line that is to be withdrawn: what was refused is not bought.
    #[must_use]
    pub fn to_withdraw(self) -> Self {
        let outcome = match self.outcome {
            AttemptOutcome::Refused(problem) => AttemptOutcome::NotBought(problem),
            outcome => outcome,
        };
        Self { outcome, ..self }
    }
}

/// The answer to a call that was to buy.
#[derive(Clone, Debug)]
pub enum PurchaseAnswer {
    /// A license.
    Licensed(License),
    /// The vendor has taken the order, and issues the license later: in that time, where it said so.
    Accepted(Option<Duration>),
    /// Success without a license.
    WithoutLicense,
    /// Success with something that can't be a license.
    Defective(LicenseDefect),
    /// Definitely not bought; a retry can't help.
    Refused(Problem),
    /// Definitely not bought; a retry can help, after the pause that the vendor asked for, if any.
    Unavailable(Problem, Option<Duration>),
    /// Definitely not bought, and nothing else can be for the instance until somebody corrects what is wrong.
    Misconfigured(Problem),
    /// Possibly bought.
    Unknown(Problem),
    /// The plugin was not entered.
    NotEntered(Problem),
    /// The plugin gave up, or was stopped.
    BrokeOff(String),
    /// The call was not made.
    NotMade(Problem),
    /// The call was not made, because the settings were saved after the attempt was begun.
    Overtaken(Problem),
}

/// The meaning of the answer to a purchase, given what the host saw of the call's exchanges.
pub fn after_purchase(
    answer: PurchaseAnswer,
    seen: Seen,
    earlier: EarlierAttempts,
    client_transaction_id: Uuid,
) -> Attempted {
    let comes_in = match answer {
        PurchaseAnswer::Accepted(comes_in) => comes_in,
        _ => None,
    };
    let (outcome, signal) = match answer {
        PurchaseAnswer::Licensed(_) | PurchaseAnswer::Accepted(_) if !seen.is_answered => {
            (AttemptOutcome::Unknown(without_exchange()), VendorSignal::Silent)
        }
        PurchaseAnswer::Accepted(_) if !seen.may_have_changed && earlier == EarlierAttempts::None => {
            (AttemptOutcome::Unknown(without_exchange()), VendorSignal::Silent)
        }
        PurchaseAnswer::Accepted(_) => (AttemptOutcome::Accepted(accepted()), VendorSignal::Answered),
        PurchaseAnswer::Refused(problem)
        | PurchaseAnswer::Misconfigured(problem)
        | PurchaseAnswer::Unavailable(problem, _)
            if seen.may_have_changed =>
        {
            (AttemptOutcome::Unknown(problem), VendorSignal::Silent)
        }
        PurchaseAnswer::Licensed(license) if is_of(&license, client_transaction_id) => {
            (AttemptOutcome::Licensed(license), VendorSignal::Answered)
        }
        PurchaseAnswer::Licensed(_) | PurchaseAnswer::WithoutLicense => {
            (AttemptOutcome::Unknown(not_its_license()), VendorSignal::Silent)
        }
        PurchaseAnswer::Defective(defect) => {
            (AttemptOutcome::Unknown(defect.problem()), VendorSignal::Silent)
        }
        // What was refused without an answer says nothing of an earlier attempt.
        PurchaseAnswer::Refused(problem) if !seen.is_heard && earlier == EarlierAttempts::Unknown => {
            (AttemptOutcome::Unknown(problem), VendorSignal::Answered)
        }
        PurchaseAnswer::Refused(problem) => (AttemptOutcome::Refused(problem), VendorSignal::Answered),
        PurchaseAnswer::Unavailable(problem, pause) => (
            AttemptOutcome::Unavailable(problem),
            VendorSignal::without_answer(pause),
        ),
        PurchaseAnswer::Misconfigured(problem) => (not_made(problem, earlier), VendorSignal::Misconfigured),
        PurchaseAnswer::Unknown(problem) => (AttemptOutcome::Unknown(problem), VendorSignal::Silent),
        // What a component does when it begins may already be a request.
        PurchaseAnswer::NotEntered(problem) if seen.may_have_changed => {
            (AttemptOutcome::Unknown(problem), VendorSignal::Silent)
        }
        PurchaseAnswer::NotEntered(problem) => (AttemptOutcome::Unavailable(problem), VendorSignal::Silent),
        PurchaseAnswer::BrokeOff(why) if !seen.has_sent => {
            (not_made(broke_off_at_once(&why), earlier), VendorSignal::Silent)
        }
        // The plugin may have bought before it broke off.
        PurchaseAnswer::BrokeOff(why) => (AttemptOutcome::Unknown(broke_off(&why)), VendorSignal::Silent),
        PurchaseAnswer::NotMade(problem) => (not_made(problem, earlier), VendorSignal::Silent),
        PurchaseAnswer::Overtaken(problem) => (not_made(problem, earlier), VendorSignal::Answered),
    };
    Attempted {
        outcome,
        signal,
        comes_in,
    }
}

/// The answer to a call that only looks up.
#[derive(Clone, Debug)]
pub enum LookUpAnswer {
    /// A license.
    Found(License),
    /// The vendor has taken the order, and issues the license later: in that time, where it said so.
    Accepted(Option<Duration>),
    /// Something that can't be a license.
    Defective(LicenseDefect),
    /// No purchase was found.
    NotFound,
    /// The plugin can't look a purchase up without buying.
    NotOffered,
    /// The vendor had taken the order, and will not issue a license any more.
    Declined(Problem),
    /// Nothing can be looked up until somebody corrects what is wrong with the instance.
    Misconfigured(Problem),
    /// No usable answer; the vendor may have asked for a pause.
    Failed(Problem, Option<Duration>),
    /// The plugin gave up, or was stopped.
    BrokeOff(String),
    /// The call was not made, because somebody changed the instance since the attempt began.
    Overtaken(Problem),
}

/// The meaning of the answer to a look-up of a purchase that is not sent again for that reason, given what the host saw of
/// the call's exchanges.
pub fn after_look_up(
    answer: LookUpAnswer,
    seen: Seen,
    reason: &LookUpReason,
    client_transaction_id: Uuid,
) -> Attempted {
    let comes_in = match answer {
        LookUpAnswer::Accepted(comes_in) => comes_in,
        _ => None,
    };
    let is_last_look = *reason == LookUpReason::ToBeWithdrawn { until_ms: None };
    let (outcome, signal) = match answer {
        LookUpAnswer::Found(_) | LookUpAnswer::Accepted(_) if !seen.is_answered => {
            (AttemptOutcome::LookedUp(without_exchange()), VendorSignal::Silent)
        }
        LookUpAnswer::Declined(_) if !seen.is_heard => {
            (AttemptOutcome::LookedUp(without_exchange()), VendorSignal::Silent)
        }
        LookUpAnswer::NotFound if is_last_look && !seen.is_heard => {
            (AttemptOutcome::LookedUp(without_exchange()), VendorSignal::Silent)
        }
        LookUpAnswer::NotFound if is_last_look => (
            AttemptOutcome::NotBought(reason.problem("the vendor has not seen the purchase")),
            VendorSignal::Answered,
        ),
        LookUpAnswer::NotOffered if is_last_look => (
            AttemptOutcome::LookedUp(can_not_look_up()),
            VendorSignal::Answered,
        ),
        LookUpAnswer::Declined(_) if !reason.is_the_vendor_s_last_word() => (
            AttemptOutcome::LookedUp(reason.problem("the vendor has declined the order")),
            VendorSignal::Answered,
        ),
        LookUpAnswer::Accepted(_) => (AttemptOutcome::Accepted(accepted()), VendorSignal::Answered),
        LookUpAnswer::Found(license) if is_of(&license, client_transaction_id) => {
            (AttemptOutcome::Licensed(license), VendorSignal::Answered)
        }
        LookUpAnswer::Found(_) => (AttemptOutcome::LookedUp(not_its_license()), VendorSignal::Silent),
        LookUpAnswer::Defective(defect) => (AttemptOutcome::LookedUp(defect.problem()), VendorSignal::Silent),
        LookUpAnswer::NotFound => (
            AttemptOutcome::LookedUp(reason.problem("the vendor has not seen the purchase")),
            VendorSignal::Answered,
        ),
        LookUpAnswer::NotOffered => (
            AttemptOutcome::LookedUp(reason.problem("the plugin can't look a purchase up without buying")),
            VendorSignal::Answered,
        ),
        LookUpAnswer::Declined(problem) => (AttemptOutcome::Refused(problem), VendorSignal::Answered),
        LookUpAnswer::Misconfigured(problem) => {
            (AttemptOutcome::LookedUp(problem), VendorSignal::Misconfigured)
        }
        LookUpAnswer::Failed(problem, pause) => (
            AttemptOutcome::LookedUp(problem),
            VendorSignal::without_answer(pause),
        ),
        LookUpAnswer::BrokeOff(why) => (
            AttemptOutcome::LookedUp(Problem::new(
                "plugin-broke-off",
                why,
                "the next attempt looks the purchase up",
            )),
            VendorSignal::Silent,
        ),
        LookUpAnswer::Overtaken(problem) => (AttemptOutcome::LookedUp(problem), VendorSignal::Answered),
    };
    Attempted {
        outcome,
        signal,
        comes_in,
    }
}

/// The pause after an attempt that settled nothing: the usual one for its number, or a longer one if the vendor asks
/// for it.
pub fn pause(usual: Duration, signal: VendorSignal) -> Duration {
    match signal {
        VendorSignal::LeaveAlone(asked_for) => asked_for.min(RETRY_AFTER_MAX).max(usual),
        VendorSignal::Answered | VendorSignal::Silent | VendorSignal::Misconfigured => usual,
    }
}

/// When the next attempt is due, in milliseconds since 1970: after the pause, or as soon as the time of looking up only
/// is over. Not before the time in which a license `comes_in`, by the vendor's word.
pub fn due_at_ms(
    now_ms: i64,
    usual: Duration,
    signal: VendorSignal,
    reason: Option<&LookUpReason>,
    comes_in: Option<Duration>,
) -> i64 {
    if let Some(comes_in) = comes_in {
        let pause = comes_in.min(RETRY_AFTER_MAX).max(usual);
        return now_ms.saturating_add(millis(pause));
    }
    let due_at_ms = now_ms.saturating_add(millis(pause(usual, signal)));
    match (reason, signal) {
        (
            Some(
                LookUpReason::UnderWay { until_ms }
                | LookUpReason::ToBeWithdrawn {
                    until_ms: Some(until_ms),
                },
            ),
            VendorSignal::Answered | VendorSignal::Silent | VendorSignal::Misconfigured,
        ) => {
            let soonest_ms = now_ms.saturating_add(millis(SHORTEST_PAUSE));
            due_at_ms.min(soonest_ms.max(*until_ms))
        }
        _ => due_at_ms,
    }
}

/// Whether a license is the one that a purchase was to bring, and can be used.
fn is_of(license: &License, client_transaction_id: Uuid) -> bool {
    // A UUID may be written in upper case (RFC 9562 section 4).
    Uuid::try_parse(&license.client_transaction_id) == Ok(client_transaction_id)
        && !license.product_key.expose().is_empty()
}

/// The outcome of an attempt that was never made: nothing new about earlier ones.
fn not_made(problem: Problem, earlier: EarlierAttempts) -> AttemptOutcome {
    match earlier {
        EarlierAttempts::Unknown => AttemptOutcome::Unknown(problem),
        EarlierAttempts::None | EarlierAttempts::NotDone => AttemptOutcome::Unavailable(problem),
    }
}

fn accepted() -> Problem {
    Problem::new(
        "accepted",
        "the vendor has taken the order, and issues the license later",
        "wait: the purchase is looked up until the license is there, and is not sent again",
    )
}

fn not_its_license() -> Problem {
    Problem::new(
        "plugin-answer",
        "the plugin answered a purchase with something other than its license",
        "report it as a defect of the plugin; the next attempt looks the purchase up",
    )
}

fn without_exchange() -> Problem {
    Problem::new(
        "license-without-exchange",
        "the plugin brought news of a purchase although no request of this call succeeded",
        "report it as a defect of the plugin; the next attempt looks the purchase up",
    )
}

fn can_not_look_up() -> Problem {
    Problem::new(
        WITHDRAWAL_NOT_CERTAIN,
        "the license may have been bought, and the plugin can't look a purchase up without buying, so that the line can't be withdrawn",
        "ask the vendor: if it has not sold the license, withdraw the line on that word, or try to buy it again",
    )
}

fn broke_off_at_once(why: &str) -> Problem {
    Problem::new(
        "plugin-broke-off",
        why,
        "no request had left, so that nothing was bought; the next attempt is made automatically",
    )
}

fn broke_off(why: &str) -> Problem {
    Problem::new("plugin-broke-off", why, "the next attempt looks the purchase up")
}

#[cfg(test)]
mod tests;

//! Operators, their passwords and their sessions.

use std::time::Duration;

use bss_keys::{CodeNotMade, KeyDigest, PasswordHash, random_code};
use bss_model::clock::millis;
use bss_model::{
    Act, Actor, Diagnose, Diagnosis, ErrorKind, InvalidOperator, NewOperator, Operator, OperatorRole,
    OperatorSession, Secret, Subject,
};
use serde_json::json;
use uuid::Uuid;

use super::acts::write_act;
use super::stored::id;
use super::{Record, RecordError};
use crate::database::{Connection, Row};

/// How long an invitation is good for.
const INVITATION_LASTS: Duration = Duration::from_hours(24);

/// How long a session is good for, however much it is used.
const SESSION_LASTS: Duration = Duration::from_hours(12);

/// How long a session is good for that nobody uses.
const SESSION_IDLES: Duration = Duration::from_mins(30);

/// How exactly the last use of a session is on record: a page is no reason to write.
const USE_WRITTEN_EVERY: Duration = Duration::from_mins(1);

/// The longest text that is kept of what a browser says of itself, in characters.
const AGENT_CHARS_MAX: usize = 200;

/// Why an operator was not made or changed. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// The operator can't be one.
    #[error(transparent)]
    Invalid(#[from] InvalidOperator),
    /// Another operator has or had the name.
    #[error("there is or was an operator `{name}`")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There is no operator of the name.
    #[error("there is no operator `{name}`")]
    NoOperator {
        /// The name.
        name: String,
    },
    /// The operator was disabled.
    #[error("operator `{name}` is disabled")]
    Disabled {
        /// The name.
        name: String,
    },
    /// The invitation was used, or is too old, or never was one.
    #[error("this invitation is not good any more")]
    NoInvitation,
    /// No code could be made.
    #[error(transparent)]
    Code(#[from] CodeNotMade),
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for OperatorError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Invalid(error) => error.diagnosis(),
            Self::NameTaken { .. } => Diagnosis::new(ErrorKind::Conflict, "operator-name-taken").say(
                "choose another name: acts on record name operators by it, so a name is never used again",
            ),
            Self::NoOperator { .. } => Diagnosis::new(ErrorKind::NotFound, "no-operator"),
            Self::Disabled { .. } => {
                Diagnosis::new(ErrorKind::Conflict, "operator-disabled").say("enable the operator first")
            }
            Self::NoInvitation => Diagnosis::new(ErrorKind::Refused, "invitation-over")
                .say("ask for another one: an administrator, or `bss-host operator invite NAME`"),
            Self::Code(error) => error.diagnosis(),
            Self::Record(error) => error.diagnosis(),
        }
    }
}

impl Record {
    /// Makes an operator, who chooses a password with the code that is returned: once, within a day.
    ///
    /// # Errors
    /// When the operator can't be one, the name was used before, and when the record can't be written.
    pub async fn create_operator(
        &self,
        new: NewOperator,
        actor: &Actor,
    ) -> Result<(Operator, Secret), OperatorError> {
        new.check()?;
        let code = random_code()?;
        let operator_id = Uuid::new_v4();
        let mut transaction = self.begin_write().await?;
        let written = transaction.sql(
            "INSERT INTO operators (id, name, role, may_reveal, created_at_ms) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(operator_id.to_string())
        .bind(&new.name)
        .bind(new.role.word())
        .bind(i64::from(new.may_reveal))
        .bind_now()
        .execute()
        .await?;
        if written == 0 {
            return Err(OperatorError::NameTaken { name: new.name });
        }
        let detail = json!({ "name": new.name, "role": new.role, "mayReveal": new.may_reveal });
        let subject = Subject::operator(operator_id);
        write_act(
            &mut transaction,
            actor,
            Act::CreateOperator,
            &subject,
            None,
            detail,
        )
        .await?;
        invite(&mut transaction, operator_id, &code).await?;
        let operator = of_name(&mut transaction, &new.name).await?;
        transaction.commit().await?;
        Ok((operator, code))
    }

    /// Invites an operator to choose a password with the code that is returned. A code before that is good no more; the password stays
    /// what it is until another one is chosen.
    ///
    /// # Errors
    /// When there is no such operator, or it is disabled, and when the record can't be written.
    pub async fn invite_operator(
        &self,
        name: &str,
        actor: &Actor,
    ) -> Result<(Operator, Secret), OperatorError> {
        let code = random_code()?;
        let mut transaction = self.begin_write().await?;
        let operator = usable(&mut transaction, name).await?;
        invite(&mut transaction, operator.id, &code).await?;
        write_operator_act(&mut transaction, actor, Act::InviteOperator, &operator).await?;
        let operator = of_name(&mut transaction, name).await?;
        transaction.commit().await?;
        Ok((operator, code))
    }

    /// The operator who may choose a password with a code. `None`: nobody may.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn invited_operator(&self, code: &Secret) -> Result<Option<Operator>, RecordError> {
        let mut connection = self.readers.acquire().await?;
        invited(&mut connection, code).await
    }

    /// Gives the operator of an invitation a password. The code is good no more, and all of the operator's sessions end.
    ///
    /// # Errors
    /// When the code is good for nobody, and when the record can't be written.
    pub async fn accept_invitation(
        &self,
        code: &Secret,
        password: &PasswordHash,
    ) -> Result<Operator, OperatorError> {
        let mut transaction = self.begin_write().await?;
        let operator = invited(&mut transaction, code)
            .await?
            .ok_or(OperatorError::NoInvitation)?;
        transaction.sql(
            "UPDATE operators SET password_hash = $2, invitation_digest = NULL, invited_until_ms = NULL WHERE id = $1",
        )
        .bind(operator.id.to_string())
        .bind(password.as_text())
        .execute()
        .await?;
        end_all_of(&mut transaction, operator.id).await?;
        write_operator_act(
            &mut transaction,
            &operator.actor(),
            Act::ChoosePassword,
            &operator,
        )
        .await?;
        let operator = of_name(&mut transaction, &operator.name).await?;
        transaction.commit().await?;
        Ok(operator)
    }

    /// Changes what an operator may do.
    ///
    /// # Errors
    /// When there is no such operator, and when the record can't be written.
    pub async fn change_operator(
        &self,
        name: &str,
        role: OperatorRole,
        may_reveal: bool,
        actor: &Actor,
    ) -> Result<Operator, OperatorError> {
        let mut transaction = self.begin_write().await?;
        let operator = of_name(&mut transaction, name).await?;
        if (operator.role, operator.may_reveal) == (role, may_reveal) {
            return Ok(operator);
        }
        transaction
            .sql("UPDATE operators SET role = $2, may_reveal = $3 WHERE id = $1")
            .bind(operator.id.to_string())
            .bind(role.word())
            .bind(i64::from(may_reveal))
            .execute()
            .await?;
        let operator = of_name(&mut transaction, name).await?;
        write_operator_act(&mut transaction, actor, Act::ChangeOperator, &operator).await?;
        transaction.commit().await?;
        Ok(operator)
    }

    /// Keeps an operator from signing in, ends all of the operator's sessions, and takes an invitation back.
    ///
    /// # Errors
    /// When there is no such operator, or it was disabled before, and when the record can't be written.
    pub async fn disable_operator(&self, name: &str, actor: &Actor) -> Result<Operator, OperatorError> {
        let mut transaction = self.begin_write().await?;
        let operator = usable(&mut transaction, name).await?;
        transaction.sql(
            "UPDATE operators SET disabled_at_ms = $2, invitation_digest = NULL, invited_until_ms = NULL WHERE id = $1",
        )
        .bind(operator.id.to_string())
        .bind_now()
        .execute()
        .await?;
        end_all_of(&mut transaction, operator.id).await?;
        write_operator_act(&mut transaction, actor, Act::DisableOperator, &operator).await?;
        let operator = of_name(&mut transaction, name).await?;
        transaction.commit().await?;
        Ok(operator)
    }

    /// Lets a disabled operator sign in again, with the password of before.
    ///
    /// # Errors
    /// When there is no such operator, and when the record can't be written.
    pub async fn enable_operator(&self, name: &str, actor: &Actor) -> Result<Operator, OperatorError> {
        let mut transaction = self.begin_write().await?;
        let operator = of_name(&mut transaction, name).await?;
        if operator.disabled_at_ms.is_none() {
            return Ok(operator);
        }
        transaction
            .sql("UPDATE operators SET disabled_at_ms = NULL WHERE id = $1")
            .bind(operator.id.to_string())
            .execute()
            .await?;
        write_operator_act(&mut transaction, actor, Act::EnableOperator, &operator).await?;
        let operator = of_name(&mut transaction, name).await?;
        transaction.commit().await?;
        Ok(operator)
    }

    /// All operators, by name, also those that are disabled.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn operators(&self) -> Result<Vec<Operator>, RecordError> {
        let rows = self
            .readers
            .sql("SELECT * FROM operators ORDER BY name")
            .fetch_all()
            .await?;
        rows.iter().map(read).collect()
    }

    /// Whether some operator can sign in.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn has_operator(&self) -> Result<bool, RecordError> {
        let row = self
            .readers
            .sql("SELECT 1 FROM operators WHERE password_hash IS NOT NULL AND disabled_at_ms IS NULL LIMIT 1")
            .fetch_optional()
            .await?;
        Ok(row.is_some())
    }

    /// An operator who may sign in, and what the password is checked by. `None`: there is none of the name.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn operator_to_sign_in(
        &self,
        name: &str,
    ) -> Result<Option<(Operator, PasswordHash)>, RecordError> {
        let row = self.readers.sql(
            "SELECT * FROM operators WHERE name = $1 AND password_hash IS NOT NULL AND disabled_at_ms IS NULL",
        )
        .bind(name)
        .fetch_optional()
        .await?;
        let read = |row: &Row| Ok((read(row)?, PasswordHash::from_text(row.try_get("password_hash")?)));
        row.as_ref().map(read).transpose()
    }

    /// Begins a session of an operator whose password was checked, and returns the code that the browser shows from now on. The
    /// operator's sessions that are over are forgotten.
    ///
    /// # Errors
    /// When the operator was disabled meanwhile, or the password was changed, and when the record can't be written.
    pub async fn begin_operator_session(
        &self,
        operator: &Operator,
        checked: &PasswordHash,
        address: &str,
        agent: &str,
    ) -> Result<Secret, OperatorError> {
        let (code, now_ms) = (random_code()?, self.now_ms());
        let mut transaction = self.begin_write().await?;
        let is_same = transaction
            .sql("SELECT 1 FROM operators WHERE id = $1 AND password_hash = $2")
            .bind(operator.id.to_string())
            .bind(checked.as_text())
            .fetch_optional()
            .await?;
        usable(&mut transaction, &operator.name).await?;
        if is_same.is_none() {
            return Err(OperatorError::NoOperator {
                name: operator.name.clone(),
            });
        }
        let (begun_after, used_after) = alive_after(now_ms);
        transaction
            .sql("DELETE FROM operator_sessions WHERE begun_at_ms <= $1 OR used_at_ms <= $2")
            .bind(begun_after)
            .bind(used_after)
            .execute()
            .await?;
        transaction.sql(
            "INSERT INTO operator_sessions (id, operator_id, digest, begun_at_ms, used_at_ms, address, agent)
             VALUES ($1, $2, $3, $4, $4, $5, $6)",
        )
        .bind(Uuid::new_v4().to_string())
        .bind(operator.id.to_string())
        .bind(KeyDigest::of(&code).as_bytes())
        .bind(now_ms)
        .bind(address)
        .bind(agent.chars().take(AGENT_CHARS_MAX).collect::<String>())
        .execute()
        .await?;
        write_operator_act(&mut transaction, &operator.actor(), Act::SignIn, operator).await?;
        transaction.commit().await?;
        Ok(code)
    }

    /// The session whose code a browser shows, and its operator; it is used by that, unless a page asked by itself. `None`: the code is no session's, or that is over.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn operator_session(
        &self,
        code: &Secret,
        is_use: bool,
    ) -> Result<Option<(OperatorSession, Operator)>, RecordError> {
        let now_ms = self.now_ms();
        let (begun_after, used_after) = alive_after(now_ms);
        let row = self.readers.sql(
            "SELECT operators.*, operator_sessions.id AS session_id, operator_sessions.operator_id, begun_at_ms, used_at_ms,
                    address, agent
             FROM operator_sessions JOIN operators ON operators.id = operator_sessions.operator_id
             WHERE digest = $1 AND begun_at_ms > $2 AND used_at_ms > $3 AND disabled_at_ms IS NULL",
        )
        .bind(KeyDigest::of(code).as_bytes())
        .bind(begun_after)
        .bind(used_after)
        .fetch_optional()
        .await?;
        let Some(row) = row else { return Ok(None) };
        let found = (read_session(&row, "session_id")?, read(&row)?);
        if is_use && now_ms.saturating_sub(found.0.used_at_ms) >= millis(USE_WRITTEN_EVERY) {
            self.writer
                .sql("UPDATE operator_sessions SET used_at_ms = $2 WHERE id = $1")
                .bind(found.0.id.to_string())
                .bind(now_ms)
                .execute()
                .await?;
        }
        Ok(Some(found))
    }

    /// The sessions of an operator that are not over, the latest first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn operator_sessions(&self, operator: Uuid) -> Result<Vec<OperatorSession>, RecordError> {
        let (begun_after, used_after) = alive_after(self.now_ms());
        let rows = self.readers.sql(
            "SELECT * FROM operator_sessions WHERE operator_id = $1 AND begun_at_ms > $2 AND used_at_ms > $3
             ORDER BY begun_at_ms DESC",
        )
        .bind(operator.to_string())
        .bind(begun_after)
        .bind(used_after)
        .fetch_all()
        .await?;
        rows.iter().map(|row| read_session(row, "id")).collect()
    }

    /// Ends a session of an operator. One that is over stays so.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn end_operator_session(
        &self,
        operator: Uuid,
        session: Uuid,
        actor: &Actor,
    ) -> Result<(), RecordError> {
        let mut transaction = self.begin_write().await?;
        let name: Option<String> = transaction.sql(
            "SELECT name FROM operators WHERE id = $2 AND id IN (SELECT operator_id FROM operator_sessions WHERE id = $1)",
        )
        .bind(session.to_string())
        .bind(operator.to_string())
        .scalar_optional()
        .await?;
        let Some(name) = name else { return Ok(()) };
        transaction
            .sql("DELETE FROM operator_sessions WHERE id = $1")
            .bind(session.to_string())
            .execute()
            .await?;
        let (act, subject) = (Act::EndSession, Subject::operator(operator));
        write_act(
            &mut transaction,
            actor,
            act,
            &subject,
            None,
            json!({ "name": name }),
        )
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Ends all sessions, and takes all invitations back: those of a restored record may have ended since it was copied.
pub(super) async fn end_all(transaction: &mut Connection) -> Result<(), RecordError> {
    transaction.sql("DELETE FROM operator_sessions").execute().await?;
    transaction
        .sql("UPDATE operators SET invitation_digest = NULL, invited_until_ms = NULL")
        .execute()
        .await?;
    Ok(())
}

async fn end_all_of(transaction: &mut Connection, operator: Uuid) -> Result<(), RecordError> {
    transaction
        .sql("DELETE FROM operator_sessions WHERE operator_id = $1")
        .bind(operator.to_string())
        .execute()
        .await?;
    Ok(())
}

/// The times after which a session that is alive was begun, and was used.
fn alive_after(now_ms: i64) -> (i64, i64) {
    let before = |time| now_ms.saturating_sub(millis(time));
    (before(SESSION_LASTS), before(SESSION_IDLES))
}

async fn invite(transaction: &mut Connection, operator: Uuid, code: &Secret) -> Result<(), RecordError> {
    let until_ms = transaction.now_ms().saturating_add(millis(INVITATION_LASTS));
    transaction
        .sql("UPDATE operators SET invitation_digest = $2, invited_until_ms = $3 WHERE id = $1")
        .bind(operator.to_string())
        .bind(KeyDigest::of(code).as_bytes())
        .bind(until_ms)
        .execute()
        .await?;
    Ok(())
}

async fn invited(connection: &mut Connection, code: &Secret) -> Result<Option<Operator>, RecordError> {
    let row = connection.sql(
        "SELECT * FROM operators WHERE invitation_digest = $1 AND invited_until_ms > $2 AND disabled_at_ms IS NULL",
    )
    .bind(KeyDigest::of(code).as_bytes())
    .bind_now()
    .fetch_optional()
    .await?;
    row.as_ref().map(read).transpose()
}

async fn of_name(connection: &mut Connection, name: &str) -> Result<Operator, OperatorError> {
    let row = connection
        .sql("SELECT * FROM operators WHERE name = $1")
        .bind(name)
        .fetch_optional()
        .await?;
    let operator = row.as_ref().map(read).transpose()?;
    operator.ok_or_else(|| OperatorError::NoOperator {
        name: name.to_owned(),
    })
}

/// The operator of a name, who is not disabled.
async fn usable(connection: &mut Connection, name: &str) -> Result<Operator, OperatorError> {
    let operator = of_name(connection, name).await?;
    match operator.disabled_at_ms {
        None => Ok(operator),
        Some(_) => Err(OperatorError::Disabled {
            name: name.to_owned(),
        }),
    }
}

async fn write_operator_act(
    transaction: &mut Connection,
    actor: &Actor,
    act: Act,
    operator: &Operator,
) -> Result<(), RecordError> {
    let detail = match act {
        Act::ChangeOperator => {
            json!({ "name": operator.name, "role": operator.role, "mayReveal": operator.may_reveal })
        }
        _ => json!({ "name": operator.name }),
    };
    let subject = Subject::operator(operator.id);
    write_act(transaction, actor, act, &subject, None, detail).await
}

fn read(row: &Row) -> Result<Operator, RecordError> {
    Ok(Operator {
        id: id(row, "id")?,
        name: row.try_get("name")?,
        role: OperatorRole::from_word(row.try_get("role")?)?,
        may_reveal: row.try_get::<i64, _>("may_reveal")? != 0,
        has_password: row.try_get::<Option<String>, _>("password_hash")?.is_some(),
        invited_until_ms: row.try_get("invited_until_ms")?,
        created_at_ms: row.try_get("created_at_ms")?,
        disabled_at_ms: row.try_get("disabled_at_ms")?,
    })
}

fn read_session(row: &Row, id_column: &str) -> Result<OperatorSession, RecordError> {
    Ok(OperatorSession {
        id: id(row, id_column)?,
        operator_id: id(row, "operator_id")?,
        begun_at_ms: row.try_get("begun_at_ms")?,
        used_at_ms: row.try_get("used_at_ms")?,
        address: row.try_get("address")?,
        agent: row.try_get("agent")?,
    })
}

#[cfg(test)]
mod tests {
    use bss_model::clock::now_ms;
    use std::num::NonZeroU32;

    use bss_model::ActFilter;

    use super::*;

    const PASSWORD: &str = "four words of a page";

    async fn record() -> (tempfile::TempDir, Record) {
        let folder = tempfile::tempdir().unwrap();
        let record = crate::test_record::open(folder.path()).await;
        (folder, record)
    }

    fn maria() -> NewOperator {
        NewOperator {
            name: "maria".to_owned(),
            role: OperatorRole::Operator,
            may_reveal: false,
        }
    }

    fn me() -> Actor {
        Actor::operator("olivia")
    }

    fn hash() -> PasswordHash {
        PasswordHash::of(&Secret::new(PASSWORD)).unwrap()
    }

    /// An operator with a password, and a session.
    async fn signed_in(record: &Record) -> (Operator, PasswordHash, Secret) {
        let (_, code) = record.create_operator(maria(), &me()).await.unwrap();
        record.accept_invitation(&code, &hash()).await.unwrap();
        let (operator, hash) = record.operator_to_sign_in("maria").await.unwrap().unwrap();
        let session = record
            .begin_operator_session(&operator, &hash, "192.0.2.1", "Browser/1")
            .await
            .unwrap();
        (operator, hash, session)
    }

    async fn is_alive(record: &Record, session: &Secret) -> bool {
        record.operator_session(session, false).await.unwrap().is_some()
    }

    async fn set(record: &Record, query: &'static str) {
        record.writer.sql(query).execute().await.unwrap();
    }

    #[tokio::test]
    async fn an_invitation_is_good_once_and_only_for_its_day() {
        let (_folder, record) = record().await;
        let (operator, first) = record.create_operator(maria(), &me()).await.unwrap();
        assert!(!operator.has_password && operator.invited_until_ms.is_some());
        assert!(!record.has_operator().await.unwrap());
        assert!(record.operator_to_sign_in("maria").await.unwrap().is_none());
        let (_, second) = record.invite_operator("maria", &me()).await.unwrap();
        assert!(record.invited_operator(&first).await.unwrap().is_none());
        let invited = record.invited_operator(&second).await.unwrap().unwrap();
        assert_eq!(invited.name, "maria");
        record.accept_invitation(&second, &hash()).await.unwrap();
        assert!(record.has_operator().await.unwrap());
        let again = record.accept_invitation(&second, &hash()).await.unwrap_err();
        assert_eq!(again.diagnosis().code, "invitation-over");

        let (_, late) = record.invite_operator("maria", &me()).await.unwrap();
        set(&record, "UPDATE operators SET invited_until_ms = 1").await;
        let error = record.accept_invitation(&late, &hash()).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "invitation-over");
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_too_old_unused_ended_or_its_operator_disabled_or_given_a_password() {
        let (_folder, record) = record().await;
        let (operator, hash, session) = signed_in(&record).await;
        let (found, of) = record.operator_session(&session, true).await.unwrap().unwrap();
        assert_eq!((of, found.address.as_str()), (operator.clone(), "192.0.2.1"));
        let guessed = random_code().unwrap();
        assert!(!is_alive(&record, &guessed).await);

        let hour = 3_600_000;
        let minutes_ago = |minutes: i64| now_ms() - minutes * 60_000;
        for (begun, used, alive) in [
            (minutes_ago(0), minutes_ago(29), true),
            (minutes_ago(0), minutes_ago(31), false),
            (now_ms() - 11 * hour, minutes_ago(1), true),
            (now_ms() - 13 * hour, minutes_ago(1), false),
        ] {
            record
                .writer
                .sql("UPDATE operator_sessions SET begun_at_ms = $1, used_at_ms = $2")
                .bind(begun)
                .bind(used)
                .execute()
                .await
                .unwrap();
            assert_eq!(is_alive(&record, &session).await, alive, "{begun} {used}");
        }
        let again = async || {
            record
                .begin_operator_session(&operator, &hash, "", "")
                .await
                .unwrap()
        };
        let (ended, kept) = (again().await, again().await);
        assert_eq!(record.operator_sessions(operator.id).await.unwrap().len(), 2);
        let (found, _) = record.operator_session(&ended, true).await.unwrap().unwrap();
        // Another operator's id ends nothing.
        record
            .end_operator_session(Uuid::nil(), found.id, &me())
            .await
            .unwrap();
        assert!(is_alive(&record, &ended).await);
        record
            .end_operator_session(operator.id, found.id, &me())
            .await
            .unwrap();
        assert!(!is_alive(&record, &ended).await && is_alive(&record, &kept).await);
        let (_, code) = record.invite_operator("maria", &me()).await.unwrap();
        assert!(
            is_alive(&record, &kept).await,
            "an invitation changes nothing yet"
        );
        let other = PasswordHash::of(&Secret::new("other words of a page")).unwrap();
        record.accept_invitation(&code, &other).await.unwrap();
        assert!(!is_alive(&record, &kept).await);
        // The former password begins nothing, even where it was checked before.
        let late = record.begin_operator_session(&operator, &hash, "", "").await;
        assert_eq!(late.unwrap_err().diagnosis().code, "no-operator");
        let last = record
            .begin_operator_session(&operator, &other, "", "")
            .await
            .unwrap();
        record.disable_operator("maria", &me()).await.unwrap();
        assert!(!is_alive(&record, &last).await);
        assert!(record.operator_to_sign_in("maria").await.unwrap().is_none());
        let disabled = record.begin_operator_session(&operator, &other, "", "").await;
        assert_eq!(disabled.unwrap_err().diagnosis().code, "operator-disabled");
        record.enable_operator("maria", &me()).await.unwrap();
        assert!(record.operator_to_sign_in("maria").await.unwrap().is_some());
        assert!(!is_alive(&record, &last).await, "sessions stay ended");
    }

    #[tokio::test]
    async fn all_sessions_of_a_restored_record_are_over_and_its_invitations_good_for_nothing() {
        let (_folder, record) = record().await;
        let (_, _, session) = signed_in(&record).await;
        let (_, code) = record.invite_operator("maria", &me()).await.unwrap();
        let mut transaction = record.begin_write().await.unwrap();
        end_all(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
        assert!(!is_alive(&record, &session).await);
        assert!(record.invited_operator(&code).await.unwrap().is_none());
        assert!(record.operator_to_sign_in("maria").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_name_is_used_once_and_what_is_done_to_an_operator_is_an_act_without_secrets() {
        let (folder, record) = record().await;
        let (operator, _, session) = signed_in(&record).await;
        let error = record.create_operator(maria(), &me()).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "operator-name-taken");
        let error = record.invite_operator("nobody", &me()).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "no-operator");
        let changed = record
            .change_operator("maria", OperatorRole::Administrator, true, &me())
            .await
            .unwrap();
        assert_eq!(
            (changed.role, changed.may_reveal),
            (OperatorRole::Administrator, true)
        );
        record.disable_operator("maria", &me()).await.unwrap();
        let error = record.disable_operator("maria", &me()).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "operator-disabled");
        record.enable_operator("maria", &me()).await.unwrap();
        let filter = ActFilter {
            subject: Some(operator.id.to_string()),
            ..ActFilter::default()
        };
        let acts = record.acts(&filter, NonZeroU32::MAX).await.unwrap();
        let acts: Vec<_> = acts.iter().map(|act| act.act).collect();
        assert_eq!(
            acts,
            [
                Act::CreateOperator,
                Act::ChoosePassword,
                Act::SignIn,
                Act::ChangeOperator,
                Act::DisableOperator,
                Act::EnableOperator
            ]
        );
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            for secret in [session.expose(), PASSWORD] {
                assert!(
                    !bytes
                        .windows(secret.len())
                        .any(|window| window == secret.as_bytes())
                );
            }
        }
    }
}

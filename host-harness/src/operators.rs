//! Operators: made, invited to choose passwords, changed and disabled; signed in with a browser, and out.

use bss_keys::PasswordHash;
use bss_model::{Actor, NewOperator, Operator, OperatorRole, OperatorSession, Secret};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::blocking::run_blocking;
use crate::error::Error;
use crate::host::Host;
use crate::view;

/// The address of the page on which an operator chooses a password, before the code of the invitation.
const INVITATION: &str = "/console/welcome?code=";

/// Passwords that are hashed at once: each takes 19 MiB and a processor.
static HASHED_AT_ONCE: Semaphore = Semaphore::const_new(2);

impl Host {
    /// Makes an operator, and returns the invitation with which he or she chooses a password: once, within a day.
    ///
    /// # Errors
    /// When the name can't be one (`operator-name-invalid`) or was used before (`operator-name-taken`).
    pub async fn create_operator(
        &self,
        new: NewOperator,
        actor: &Actor,
    ) -> Result<view::InvitedOperator, Error> {
        Ok(invited(self.record().create_operator(new, actor).await?))
    }

    /// Invites an operator to choose another password. The present one stays until then.
    ///
    /// # Errors
    /// When there is no such operator (`no-operator`), or it is disabled.
    pub async fn invite_operator(&self, name: &str, actor: &Actor) -> Result<view::InvitedOperator, Error> {
        Ok(invited(self.record().invite_operator(name, actor).await?))
    }

    /// Invites the first administrator, of that name, as long as nobody can sign in. `None`: somebody can.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn invite_first_administrator(
        &self,
        name: &str,
        actor: &Actor,
    ) -> Result<Option<view::InvitedOperator>, Error> {
        if self.record().has_operator().await? {
            return Ok(None);
        }
        let known = self.record().operators().await?;
        let known = known.iter().find(|operator| operator.name == name);
        let invited = match known {
            // A disabled operator stays disabled: somebody has decided so.
            Some(known) if known.disabled_at_ms.is_some() => return Ok(None),
            Some(_) => self.invite_operator(name, actor).await?,
            None => {
                let new = NewOperator {
                    name: name.to_owned(),
                    role: OperatorRole::Administrator,
                    may_reveal: true,
                };
                self.create_operator(new, actor).await?
            }
        };
        Ok(Some(invited))
    }

    /// Changes what an operator may do.
    ///
    /// # Errors
    /// When there is no such operator.
    pub async fn change_operator(
        &self,
        name: &str,
        role: OperatorRole,
        may_reveal: bool,
        actor: &Actor,
    ) -> Result<view::Operator, Error> {
        let record = self.record();
        let operator = record.change_operator(name, role, may_reveal, actor).await?;
        Ok((&operator).into())
    }

    /// Keeps an operator from signing in, and ends all of the operator's sessions.
    ///
    /// # Errors
    /// When there is no such operator, or it was disabled before.
    pub async fn disable_operator(&self, name: &str, actor: &Actor) -> Result<view::Operator, Error> {
        Ok((&self.record().disable_operator(name, actor).await?).into())
    }

    /// Lets a disabled operator sign in again.
    ///
    /// # Errors
    /// When there is no such operator.
    pub async fn enable_operator(&self, name: &str, actor: &Actor) -> Result<view::Operator, Error> {
        Ok((&self.record().enable_operator(name, actor).await?).into())
    }

    /// All operators, by name.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn operators(&self) -> Result<Vec<view::Operator>, Error> {
        let operators = self.record().operators().await?;
        Ok(operators.iter().map(view::Operator::from).collect())
    }

    /// The operator who may choose a password with the code of an invitation. `None`: nobody may.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn invited_operator(&self, code: &Secret) -> Result<Option<Operator>, Error> {
        Ok(self.record().invited_operator(code).await?)
    }

    /// Gives the operator of an invitation a password. All sessions of the operator end.
    ///
    /// # Errors
    /// When the code is good for nobody (`invitation-over`), and when the password is too short or too long.
    pub async fn accept_invitation(&self, code: &Secret, password: &Secret) -> Result<Operator, Error> {
        let password = password.clone();
        let _turn = HASHED_AT_ONCE.acquire().await;
        let hash = run_blocking(move || PasswordHash::of(&password)).await?;
        Ok(self.record().accept_invitation(code, &hash).await?)
    }

    /// Begins a session of an operator, whose password this is, and returns the code that the browser shows from now on. `None`: it is
    /// no operator's, or not the password; both take the same time.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &Secret,
        address: &str,
        agent: &str,
    ) -> Result<Option<(Operator, Secret)>, Error> {
        let known = self.record().operator_to_sign_in(name).await?;
        let password = password.clone();
        let turn = HASHED_AT_ONCE.acquire().await;
        let checked = run_blocking(move || match known {
            Some((operator, hash)) => hash.is_of(&password).then_some((operator, hash)),
            None => {
                PasswordHash::waste_time(&password);
                None
            }
        })
        .await;
        drop(turn);
        let Some((operator, hash)) = checked else {
            return Ok(None);
        };
        let begun = self
            .record()
            .begin_operator_session(&operator, &hash, address, agent);
        Ok(Some((operator.clone(), begun.await?)))
    }

    /// The session whose code a browser shows, and its operator; it is used by that, unless a page asked by itself. `None`: the code is no session's, or that is over.
    ///
    /// # Errors
    /// When the record can't be read or written.
    pub async fn operator_session(
        &self,
        code: &Secret,
        is_use: bool,
    ) -> Result<Option<(OperatorSession, Operator)>, Error> {
        Ok(self.record().operator_session(code, is_use).await?)
    }

    /// The sessions of an operator that are not over, the latest first.
    ///
    /// # Errors
    /// When the record can't be read.
    pub async fn operator_sessions(&self, operator: Uuid) -> Result<Vec<view::OperatorSession>, Error> {
        let sessions = self.record().operator_sessions(operator).await?;
        Ok(sessions.iter().map(view::OperatorSession::from).collect())
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
    ) -> Result<(), Error> {
        Ok(self
            .record()
            .end_operator_session(operator, session, actor)
            .await?)
    }
}

fn invited((operator, code): (Operator, Secret)) -> view::InvitedOperator {
    view::InvitedOperator {
        operator: (&operator).into(),
        invitation: Secret::new(format!("{INVITATION}{}", code.expose())),
    }
}

//! The chain of acts: each act has a digest of itself and of all before it, so that one that is removed or altered shows.

use aws_lc_rs::digest;
use bss_model::{Advice, Diagnose, Diagnosis, ErrorKind, RecordedAct};
use data_encoding::HEXLOWER;

use super::super::RecordError;
use super::stored_act::read_act;
use crate::database::Connection;

/// Acts that are read at a time.
const ACTS_AT_ONCE: i64 = 1_000;

/// What was found of acts that are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedActs {
    /// The number of acts.
    pub acts: u64,
    /// The digest of all acts, as lower-case hexadecimal digits. Empty: there is none.
    pub digest: String,
}

/// Why the acts are not what they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// An act, or one before it, was altered or removed.
    #[error("act {number}, or an act before it, was altered or removed")]
    Broken {
        /// The number of the first act that does not fit the acts before it.
        number: i64,
    },
    /// The last acts were removed.
    #[error("acts up to number {written} were written, and those after number {found} are missing")]
    CutOff {
        /// The number of the last act that is there.
        found: i64,
        /// The number of the last act that was written.
        written: i64,
    },
    /// The digest that was noted is none of these acts'.
    #[error(
        "the noted digest `{noted}` is not that of any act: the acts were written anew, or the record was restored from a backup that is older than the digest"
    )]
    NotNoted {
        /// The digest.
        noted: String,
    },
    /// The record failed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Diagnose for AuditError {
    fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Broken { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "acts-altered").advise(Advice::RestoreBackup)
            }
            Self::CutOff { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "acts-missing").advise(Advice::RestoreBackup)
            }
            Self::NotNoted { .. } => {
                Diagnosis::new(ErrorKind::Damaged, "acts-rewritten").advise(Advice::RestoreBackup)
            }
            Self::Record(error) => error.diagnosis(),
        }
    }
}

/// The digest of an act, given that of the one before it. Every text is written with its length, so that no two acts are
/// written alike.
pub(super) fn digest(before: &str, act: &RecordedAct) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let instance_id = act.instance_id.map(|id| id.to_string());
    let texts = [
        Some(before),
        Some(act.actor.kind.word()),
        Some(&act.actor.name),
        Some(act.act.word()),
        Some(act.subject.kind.word()),
        Some(&act.subject.id),
        instance_id.as_deref(),
        act.detail.as_deref(),
    ];
    for text in texts {
        // No text is as long as this.
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        context.update(&length.to_be_bytes());
        context.update(text.unwrap_or_default().as_bytes());
    }
    context.update(&act.number.to_be_bytes());
    context.update(&act.at_ms.to_be_bytes());
    HEXLOWER.encode(context.finish().as_ref())
}

/// The digest of the last act. Acts that are older than the chain are put through it as if they were in it.
pub(super) async fn last(connection: &mut Connection) -> Result<(i64, String), RecordError> {
    let row = connection
        .sql("SELECT number, digest FROM acts ORDER BY number DESC LIMIT 1")
        .fetch_optional()
        .await?;
    let Some(row) = row else {
        return Ok((0, String::new()));
    };
    let number = row.try_get("number")?;
    if let Some(digest) = row.try_get("digest")? {
        return Ok((number, digest));
    }
    let mut walk = Walk::default();
    while walk.step(&mut *connection).await?.is_some() {}
    Ok((number, walk.digest))
}

/// Fails unless every act is as it was written.
pub(crate) async fn verify(
    connection: &mut Connection,
    noted: Option<&str>,
) -> Result<AuditedActs, AuditError> {
    // Read first: acts that are written meanwhile are no more than that.
    let written: Option<i64> = connection.sql("SELECT acts FROM turn").scalar_optional().await?;
    let mut walk = Walk::default();
    let mut was_noted = noted.is_none();
    let mut before = 0;
    while let Some(steps) = walk.step(&mut *connection).await? {
        for (number, computed, written) in steps {
            // No number is left out: an act that is not written after all gives its number back.
            if number != before + 1 || written.is_some_and(|written| written != computed) {
                return Err(AuditError::Broken { number });
            }
            before = number;
            was_noted |= noted.is_some_and(|noted| noted.trim().eq_ignore_ascii_case(&computed));
        }
    }
    let (written, found) = (written.unwrap_or_default(), walk.number);
    if written > found {
        return Err(AuditError::CutOff { found, written });
    }
    match noted {
        Some(noted) if !was_noted => Err(AuditError::NotNoted {
            noted: noted.to_owned(),
        }),
        _ => Ok(AuditedActs {
            acts: walk.acts,
            digest: walk.digest,
        }),
    }
}

/// An act's number, its digest as it is computed, and its digest as it was written.
type Step = (i64, String, Option<String>);

/// A walk through all acts, in order.
#[derive(Default)]
struct Walk {
    number: i64,
    digest: String,
    acts: u64,
    /// Whether an act with a digest has come: from there on, every act has one.
    is_chained: bool,
}

impl Walk {
    /// Goes through the next acts. `None`: there are no more.
    async fn step(&mut self, connection: &mut Connection) -> Result<Option<Vec<Step>>, RecordError> {
        let rows = connection
            .sql("SELECT * FROM acts WHERE number > $1 ORDER BY number LIMIT $2")
            .bind(self.number)
            .bind(ACTS_AT_ONCE)
            .fetch_all()
            .await?;
        let mut steps = Vec::with_capacity(rows.len());
        for row in &rows {
            self.number = row.try_get("number")?;
            self.acts += 1;
            // What can't be read was altered.
            let (Ok(act), Ok(written)) = (read_act(row), row.try_get::<Option<String>, _>("digest")) else {
                steps.push((self.number, self.digest.clone(), Some(String::new())));
                continue;
            };
            self.is_chained |= written.is_some();
            let written = match self.is_chained {
                true => Some(written.unwrap_or_default()),
                false => written,
            };
            self.digest = digest(&self.digest, &act);
            steps.push((self.number, self.digest.clone(), written));
        }
        Ok((!steps.is_empty()).then_some(steps))
    }
}

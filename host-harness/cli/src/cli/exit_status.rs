//! How a command ended, as its exit code says.

use std::process::ExitCode;

/// The end of a command, as its exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// 0: what was asked is done.
    Done,
    /// 1: the command was refused. Nothing was changed, but for attempts that are on record.
    Refused,
    /// 2: the command line was not understood.
    Usage,
    /// 3: the outcome is not known yet, or the vendor, the mail server, the plugin, the record or this machine could not
    /// be used.
    NoAnswer,
    /// 4: what was asked is done, and somebody has to look at what was found: alerts that nobody has acknowledged, a certificate
    /// that expires, or a statement that differs from the record.
    Attention,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(match status {
            ExitStatus::Done => 0,
            ExitStatus::Refused => 1,
            ExitStatus::Usage => 2,
            ExitStatus::NoAnswer => 3,
            ExitStatus::Attention => 4,
        })
    }
}

//! `--keep-former-hours`: how long a key that is replaced is taken too.

use std::time::Duration;

use clap::Args;

/// The longest time for which a former key is taken, in hours: who has not changed over in a month will not.
const HOURS_MAX: u32 = 31 * 24;

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct KeepFormer {
    /// Hours for which the former key is taken too, so that whoever has it can change over. Without it, only the new key is taken
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(HOURS_MAX)))]
    keep_former_hours: u32,
}

impl KeepFormer {
    /// The time for which the former key is taken.
    pub(super) fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.keep_former_hours) * 60 * 60)
    }
}

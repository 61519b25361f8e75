//! The steps from an older database to this one: the files of `migrations`.

use std::sync::LazyLock;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// The number, the name and the SQL of each step.
const STEPS: &[(i64, &str, &str)] = &include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// All steps.
pub(crate) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| up_to(i64::MAX));

/// The steps up to one of them.
pub(crate) fn up_to(last: i64) -> Migrator {
    let steps = STEPS.iter().filter(|(number, ..)| *number <= last);
    let steps = steps.map(|&(number, name, sql)| {
        let name = name.replace('_', " ");
        Migration::new(
            number,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(steps.collect())
}

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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn the_steps_are_what_sqlx_reads_in_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
        let read = Migrator::new(folder.as_path()).await.unwrap();
        let facts = |step: &Migration| {
            let (name, digest) = (step.description.to_string(), step.checksum.to_vec());
            (step.version, name, step.migration_type, digest, step.no_tx)
        };
        let ours: Vec<_> = MIGRATIONS.iter().map(facts).collect();
        assert_eq!(ours, read.iter().map(facts).collect::<Vec<_>>());
        assert!(up_to(1).iter().map(facts).eq(ours.into_iter().take(1)));
    }
}

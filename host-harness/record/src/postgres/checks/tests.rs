use bss_test_postgres::{Database, Options, Server, shared};
use sqlx::Connection as _;

use super::*;

/// A server that may keep the record, without a word to be said about it.
fn fit() -> Facts {
    Facts {
        version: 150_018,
        encoding: "UTF8".to_owned(),
        fsync: true,
        full_page_writes: true,
        cluster_name: String::new(),
        synchronous_standbys: "ANY 1 (*)".to_owned(),
        read_only: false,
        is_superuser: false,
        may_create: false,
        closed_tables: Vec::new(),
        clock_difference: Duration::from_secs(10),
    }
}

#[test]
fn a_server_that_is_as_it_should_be_is_taken_without_a_word() {
    assert_eq!(judge(&fit(), Intent::Use), Ok(Vec::new()));
    let may_create = Facts {
        may_create: true,
        ..fit()
    };
    assert_eq!(judge(&may_create, Intent::Migrate), Ok(Vec::new()));
}

#[test]
fn a_server_that_could_lose_or_garble_the_record_is_refused() {
    let refused = |facts: Facts| judge(&facts, Intent::Use).unwrap_err();
    assert_eq!(
        refused(Facts {
            version: 140_012,
            ..fit()
        }),
        DatabaseUnfit::TooOld { major: 14 }
    );
    let encoding = "SQL_ASCII".to_owned();
    assert_eq!(
        refused(Facts {
            encoding: encoding.clone(),
            ..fit()
        }),
        DatabaseUnfit::NotUtf8 { encoding }
    );
    assert_eq!(
        refused(Facts {
            fsync: false,
            ..fit()
        }),
        DatabaseUnfit::NotDurable { setting: "fsync" }
    );
    assert_eq!(
        refused(Facts {
            full_page_writes: false,
            ..fit()
        }),
        DatabaseUnfit::NotDurable {
            setting: "full_page_writes"
        }
    );
    assert_eq!(
        refused(Facts {
            read_only: true,
            ..fit()
        }),
        DatabaseUnfit::ReadOnly
    );
}

#[test]
fn only_a_server_that_says_that_it_is_for_tests_may_lose_what_it_confirmed() {
    let throwaway = Facts {
        fsync: false,
        cluster_name: THROWAWAY.to_owned(),
        ..fit()
    };
    assert_eq!(
        judge(&throwaway, Intent::Use),
        Ok(vec![DatabaseWarning::Throwaway])
    );
    let other = Facts {
        cluster_name: "bss".to_owned(),
        ..throwaway
    };
    assert!(judge(&other, Intent::Use).is_err());
}

#[test]
fn a_user_without_rights_is_refused_what_it_can_t_do() {
    let closed = Facts {
        closed_tables: (1..9).map(|n| format!("t{n}")).collect(),
        ..fit()
    };
    let error = judge(&closed, Intent::Use).unwrap_err();
    assert_eq!(error.diagnosis().code, "database-rights-missing");
    assert!(error.to_string().ends_with(": t1, t2, t3, t4, t5"), "{error}");
    assert_eq!(judge(&fit(), Intent::Migrate), Err(DatabaseUnfit::MayNotCreate));
}

#[test]
fn what_is_not_wrong_but_risky_is_warned_of() {
    let difference = Duration::from_millis(10_001);
    let risky = Facts {
        synchronous_standbys: " ".to_owned(),
        is_superuser: true,
        clock_difference: difference,
        ..fit()
    };
    let warnings = [
        DatabaseWarning::NoSynchronousStandby,
        DatabaseWarning::ClocksApart { difference },
        DatabaseWarning::Superuser,
    ];
    assert_eq!(judge(&risky, Intent::Use), Ok(warnings.to_vec()));
}

#[test]
fn the_time_that_the_answer_took_is_no_difference_between_clocks() {
    let [at_0, at_5, at_20, at_30] = [0, 5, 20, 30].map(Duration::from_secs);
    assert_eq!(distance(at_5, at_20, at_30), at_0);
    assert_eq!(distance(at_5, at_5, at_5), at_0);
    assert_eq!(distance(at_5, at_0, at_30), at_5);
    assert_eq!(distance(at_0, at_30, at_5), Duration::from_secs(25));
}

/// What a database says to a user.
async fn facts(database: &Database<'_>, user: &str) -> Facts {
    let url = database
        .url()
        .replace("postgres://postgres@", &format!("postgres://{user}@"));
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let facts = look(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    facts
}

#[tokio::test]
async fn a_server_for_tests_says_that_it_is_one_and_its_owner_is_warned() {
    let database = shared().unwrap().database().unwrap();
    let facts = facts(&database, "postgres").await;
    assert!(!facts.fsync && facts.full_page_writes && facts.encoding == "UTF8");
    assert!((OLDEST_VERSION..1_000_000).contains(&facts.version), "{facts:?}");
    assert!(facts.clock_difference < Duration::from_secs(1), "{facts:?}");
    let warnings = [
        DatabaseWarning::Throwaway,
        DatabaseWarning::NoSynchronousStandby,
        DatabaseWarning::Superuser,
    ];
    assert_eq!(judge(&facts, Intent::Migrate), Ok(warnings.to_vec()));
}

#[tokio::test]
async fn an_ordinary_user_s_rights_are_seen_table_by_table() {
    let database = shared().unwrap().database().unwrap();
    let user = format!("ordinary_{}", database.name());
    database
        .sql(&format!(
            "CREATE ROLE {user} LOGIN; CREATE TABLE open (x BIGINT); CREATE TABLE readable (x BIGINT); CREATE TABLE _sqlx_migrations (x BIGINT);
             GRANT SELECT, INSERT, UPDATE, DELETE ON open TO {user}; GRANT SELECT ON readable, _sqlx_migrations TO {user}"
        ))
        .unwrap();
    let before = facts(&database, &user).await;
    assert!(!before.may_create && !before.is_superuser);
    assert_eq!(before.closed_tables, ["readable"]);
    database
        .sql(&format!(
            "GRANT INSERT, UPDATE, DELETE ON readable TO {user}; GRANT CREATE ON SCHEMA public TO {user}"
        ))
        .unwrap();
    let after = facts(&database, &user).await;
    assert!(after.may_create && after.closed_tables.is_empty(), "{after:?}");
    assert!(judge(&after, Intent::Migrate).is_ok());
    database
        .sql(&format!("DROP OWNED BY {user}; DROP ROLE {user}"))
        .unwrap();
}

#[tokio::test]
async fn a_database_without_a_schema_to_make_tables_in_is_refused_to_who_migrates() {
    let database = shared().unwrap().database().unwrap();
    database.sql("DROP SCHEMA public").unwrap();
    let facts = facts(&database, "postgres").await;
    assert_eq!(judge(&facts, Intent::Migrate), Err(DatabaseUnfit::MayNotCreate));
}

#[tokio::test]
async fn no_session_can_call_its_server_one_for_tests() {
    let options = Options {
        settings: &[("cluster_name", "")],
        ..Options::default()
    };
    let server = Server::start_with(&options).unwrap();
    let database = server.database().unwrap();
    let facts = facts(&database, "postgres").await;
    assert_eq!(
        judge(&facts, Intent::Migrate),
        Err(DatabaseUnfit::NotDurable { setting: "fsync" })
    );
    let set = database
        .sql(&format!("SET cluster_name = '{THROWAWAY}'"))
        .unwrap_err();
    assert!(set.to_string().contains("cannot be changed"), "{set}");
    let kept = database
        .sql(&format!("ALTER ROLE postgres SET cluster_name = '{THROWAWAY}'"))
        .unwrap_err();
    assert!(kept.to_string().contains("cannot be changed"), "{kept}");
}

#[tokio::test]
async fn a_server_that_only_reads_is_refused() {
    let database = shared().unwrap().database().unwrap();
    let name = database.name();
    database
        .sql(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on"
        ))
        .unwrap();
    let facts = facts(&database, "postgres").await;
    assert_eq!(judge(&facts, Intent::Use), Err(DatabaseUnfit::ReadOnly));
}

#[tokio::test]
async fn a_standby_is_refused() {
    let mut server = Server::start().unwrap();
    server.demote().unwrap();
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    let facts = look(&mut connection).await.unwrap();
    assert_eq!(judge(&facts, Intent::Use), Err(DatabaseUnfit::ReadOnly));
}

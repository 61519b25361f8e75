//! What a verification of a record on a server finds.

use super::*;

/// A filled record on a server, and what it was copied as.
async fn moved() -> (Ready, Copied) {
    let ready = Ready {
        folder: tempfile::tempdir().unwrap(),
        database: test_record::database().await,
    };
    filling::in_directory(ready.path()).await;
    let copied = ready.copy().await.unwrap();
    (ready, copied)
}

async fn verify(ready: &Ready, expected: Option<&Copied>) -> Result<crate::VerifiedServer, CopyError> {
    let expected = expected.map(|copied| copied.tables.as_slice());
    Record::verify_server(ready.path(), &HostKeySource::File, &ready.address(), expected).await
}

#[tokio::test]
async fn one_value_that_was_altered_fails_the_verification_by_the_tables_of_the_copy() {
    for statement in [
        "UPDATE orders SET request_digest = request_digest || 'x' WHERE id IN (SELECT max(id) FROM orders)",
        "UPDATE duties SET mails = NOT mails",
        "UPDATE plugins SET content = content || '\\x00' WHERE number = 1",
        "UPDATE mails SET copy_of = NULL, kind = 'other' WHERE copy_of IS NOT NULL",
        "DELETE FROM outcomes WHERE number = 100",
    ] {
        let (ready, copied) = moved().await;
        let verified = verify(&ready, Some(&copied)).await.unwrap();
        assert_eq!(verified.tables, copied.tables);
        ready.database.sql(statement).unwrap();
        let error = verify(&ready, Some(&copied)).await.unwrap_err();
        assert_eq!(error.diagnosis().code, "tables-differ", "{statement}: {error:?}");
        verify(&ready, None).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_sealed_chained_referred_to_and_numbered_is_verified_without_the_copy() {
    let cases = [
        (
            "values-unopened",
            "UPDATE webhooks SET sealed_keys = '\\x0102' WHERE id IN (SELECT max(id) FROM webhooks)",
        ),
        (
            "acts-altered",
            "UPDATE acts SET actor_name = 'another' WHERE number = 2",
        ),
        ("acts-missing", "DELETE FROM acts WHERE number = 3"),
        (
            "rows-missing",
            "ALTER TABLE deliveries DROP CONSTRAINT deliveries_webhook_id_fkey; DELETE FROM webhooks WHERE id IN (SELECT max(id) FROM webhooks)",
        ),
        ("numbers-used", "SELECT setval('outcomes_number_seq', 5)"),
    ];
    for (code, statement) in cases {
        let (ready, _) = moved().await;
        verify(&ready, None).await.unwrap();
        ready.database.sql(statement).unwrap();
        assert_eq!(code_of(verify(&ready, None).await), code, "{statement}");
    }
}

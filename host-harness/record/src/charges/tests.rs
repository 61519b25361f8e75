use super::*;

const CHARGED: Uuid = Uuid::from_u128(1);
const INSTANCE: Uuid = Uuid::from_u128(9);

/// A connection in a transaction, on which an asset of an instance has been charged.
async fn charged(record: &Record) -> crate::database::Transaction {
    crate::test_record::without_references(record).await;
    let mut connection = record.begin_write().await.unwrap();
    // Without foreign keys, the instance, the order and the asset need no rows of their own.
    let rows = [
        "INSERT INTO charge_series (instance_id, prefix, last_charge) VALUES ($2, 'ESD', 7)",
        "INSERT INTO charges (id, instance_id, prefix, number, order_id, customer_id, charged_at_ms)
         VALUES (1, $2, 'ESD', 7, $1, 'C-1', 1)",
        "INSERT INTO charge_lines VALUES ($1, 1, 1, 'a', 'A', 1, 'EUR', 14900, 1)",
    ];
    for row in rows {
        let row = connection
            .sql(row)
            .bind(CHARGED.to_string())
            .bind(INSTANCE.to_string());
        row.execute().await.unwrap();
    }
    connection
}

#[tokio::test]
async fn a_credit_is_the_whole_line_once_and_nothing_without_a_charge() {
    let directory = tempfile::tempdir().unwrap();
    let record = crate::test_record::open(directory.path()).await;
    let mut connection = charged(&record).await;
    let [cancellation, another] = [Uuid::new_v4(), Uuid::new_v4()];

    let uncharged = credit(&mut connection, Uuid::new_v4(), cancellation, 2)
        .await
        .unwrap();
    assert_eq!(uncharged, None);
    let first = credit(&mut connection, CHARGED, cancellation, 2)
        .await
        .unwrap()
        .unwrap();
    let number = |text: &str| text.parse::<SerialNumber>().unwrap();
    let expected = Credit {
        number: number("ESD-CR-000001"),
        charge: number("ESD-000007"),
        instance_id: INSTANCE,
        order_id: CHARGED,
        customer_id: "C-1".to_owned(),
        asset_id: CHARGED,
        position: 1,
        product_code: "a".to_owned(),
        product_name: "A".to_owned(),
        quantity: 1,
        price: Price {
            currency: "EUR".to_owned(),
            minor_units: 14_900,
        },
        reason: CreditReason::Return,
        cancellation_id: Some(cancellation),
        credited_at_ms: 2,
    };
    assert_eq!(first, expected);
    let again = credit(&mut connection, CHARGED, another, 3).await.unwrap();
    assert_eq!(again, Some(expected));
    let credits: i64 = connection
        .sql("SELECT COUNT(*) FROM credits")
        .scalar()
        .await
        .unwrap();
    assert_eq!(credits, 1);
}

#[tokio::test]
async fn the_database_itself_changes_and_removes_no_charge_and_no_credit() {
    let directory = tempfile::tempdir().unwrap();
    let record = crate::test_record::on_sqlite(directory.path()).await;
    let mut connection = charged(&record).await;
    credit(&mut connection, CHARGED, Uuid::new_v4(), 2).await.unwrap();
    for statement in [
        "UPDATE charges SET charged_at_ms = 2",
        "UPDATE charge_lines SET minor_units = 0",
        "UPDATE credits SET minor_units = 0",
        "DELETE FROM credits",
        "DELETE FROM charge_lines",
        "DELETE FROM charges",
    ] {
        let refused = connection.sql(statement).execute().await;
        let error = refused.unwrap_err();
        let error = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            error.contains("never changes") || error.contains("is kept"),
            "{statement}: {error}"
        );
    }
}

/// Makes a data directory whose database is from before there were charges: two instances, whose invoices and credits are numbered
/// together.
async fn older_record(directory: &std::path::Path) {
    let mut connection =
        crate::database::sqlite::older_record(directory, &crate::migrations::up_to(25)).await;
    // The lines of the orders and the product need no rows of their own.
    connection
        .sql("PRAGMA foreign_keys = OFF")
        .execute()
        .await
        .unwrap();
    let [first, second] = [1, 2].map(|number| Uuid::from_u128(number).to_string());
    let instance = "INSERT INTO instances (id, owner, name, currency, options, reach, standing, version, settings, authorities,
                                           services_entity_tag, created_at_ms)
                    VALUES ($1, '', 'esd ' || $2, 'EUR', '{}', '{\"allowed_networks\":[]}', 'ready', 1, '{}', '[]', '', 1)";
    let order = "INSERT INTO orders (id, instance_id, request_digest, customer, customer_id, contact, placed_at_ms)
                 VALUES ($1, $1, '', '{\"id\":\"c-1\",\"name\":\"n\",\"country\":\"GR\"}', 'c-' || $2, NULL, 1)";
    let invoice =
        "INSERT INTO invoices (order_id, instance_id, number, issued_at_ms) VALUES ($1, $1, $2, $2 * 100)";
    for statement in [instance, order, invoice] {
        for (id, number) in [(&first, 2), (&second, 1)] {
            let statement = connection.sql(statement).bind(id).bind(number);
            statement.execute().await.unwrap();
        }
    }
    // Two licenses of the first order, the second of which was charged later, and one of the second order.
    for (order, position, at_ms) in [(&first, 1, 200), (&first, 2, 999), (&second, 1, 100)] {
        for statement in [
            "INSERT INTO assets (id, instance_id, order_id, position, product_code, product_name, generation, customer_id,
                                 client_transaction_id, status, sync_status, return_status, created_at_ms)
             VALUES ($1 || '-' || $2, $1, $1, $2, 'p', 'P', 0, 'c-1', $1 || $2, 'active', 'synchronized', 'none', 1)",
            "INSERT INTO invoice_lines VALUES ($1 || '-' || $2, $1, $2, 'p', 'P', 'EUR', $3 * 10, $3, 3)",
        ] {
            let statement = connection.sql(statement).bind(order).bind(position).bind(at_ms);
            statement.execute().await.unwrap();
        }
    }
    for statement in [
        "INSERT INTO credits VALUES ($1 || '-2', 5, 'EUR', 9990, $2, 1500, $1, $1)",
        "INSERT INTO running_numbers VALUES ('invoice', 2), ('credit', 5)",
    ] {
        let statement = connection.sql(statement).bind(&first).bind(&second);
        statement.execute().await.unwrap();
    }
    connection.close().await.unwrap();
}

/// The rows of a query, each as text.
async fn texts(record: &Record, query: &'static str) -> Vec<String> {
    record.readers.sql(query).scalars().await.unwrap()
}

#[tokio::test]
async fn what_was_an_invoice_is_a_charge_with_its_number_its_lines_and_its_credits() {
    let directory = tempfile::tempdir().unwrap();
    older_record(directory.path()).await;
    let host_key = std::sync::Arc::new(bss_keys::HostKey::generate().unwrap());
    let record = Record::open_with(directory.path(), &bss_keys::HostKeySource::Given(host_key))
        .await
        .unwrap();

    let charges = texts(
        &record,
        "SELECT concat_ws(' ', substr(instance_id, -1), prefix || '.', number, substr(order_id, -1), customer_id, charged_at_ms)
         FROM charges ORDER BY id",
    );
    assert_eq!(charges.await, ["2 . 1 2 c-1 100", "1 . 2 1 c-2 200"]);
    let lines = texts(
        &record,
        "SELECT concat_ws(' ', c.number, substr(l.asset_id, -3), l.position, l.product_code, l.product_name, l.quantity, l.currency,
                          l.minor_units, l.charged_at_ms)
         FROM charge_lines l JOIN charges c ON c.id = l.charge_id ORDER BY c.number, l.position",
    );
    assert_eq!(
        lines.await,
        [
            "1 2-1 1 p P 3 EUR 1000 100",
            "2 1-1 1 p P 3 EUR 2000 200",
            "2 1-2 2 p P 3 EUR 9990 999",
        ]
    );
    let credits = texts(
        &record,
        "SELECT concat_ws(' ', substr(instance_id, -1), prefix || '.', number, charge_prefix || '.', charge_number,
                          substr(order_id, -1), customer_id, substr(asset_id, -3), position, product_code, product_name, quantity,
                          currency, minor_units, reason, substr(cancellation_id, -1), credited_at_ms)
         FROM credits",
    );
    assert_eq!(
        credits.await,
        ["1 . 5 . 2 1 c-2 1-2 2 p P 3 EUR 9990 return 2 1500"]
    );

    let series = record.charge_series(Uuid::from_u128(1)).await.unwrap();
    let expected = ChargeSeries {
        prefix: "ESD-2".parse().unwrap(),
        charges: 0,
        credits: 0,
    };
    assert_eq!(series, expected, "what comes has numbers of its own");
    let mut connection = record.writer.acquire().await.unwrap();
    let next = next_number(&mut connection, Uuid::from_u128(1), Numbered::Charges).await;
    assert_eq!(next.unwrap().to_string(), "ESD-2-000001");
}

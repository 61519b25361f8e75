//! Owners: what belongs to one is not there for another, and each has its own names and certificates.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use bss_keys::{HostKey, HostKeySource, InstalledCertificate, PfxCode};
use bss_model::{
    Act, ActFilter, ChargeFilter, Diagnose as _, Instance, NewInstance, NewOrder, Owner, Page, Reach,
    Thumbprint,
};
use bss_record::{CreateError, IdentityError, RECORD_FILE, Record, RemoveError, SaveError, WITNESS_FILE};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::certificates::{RSA_KEY, client_params, make, pfx_with};
use crate::charges::buy;
use crate::database::Database;
use crate::orders::{order, sell, shop};
use crate::record::{Closed, TestRecord, actor, ready_instance, settings};
use crate::services::{definition, product};

const CODE: &str = "a code";

fn owner(name: &str) -> Owner {
    name.parse().unwrap()
}

fn new(owner: Option<&Owner>, name: &str) -> NewInstance {
    NewInstance {
        owner: owner.cloned(),
        name: name.to_owned(),
        currency: "EUR".to_owned(),
        options: BTreeMap::new(),
        reach: Reach::default(),
        plugin: None,
    }
}

async fn create(record: &Record, owner: Option<&Owner>, name: &str) -> Instance {
    record.create_instance(new(owner, name), &actor()).await.unwrap()
}

/// A PFX file, and the thumbprint of its certificate.
fn file(name: &str) -> (Vec<u8>, Thumbprint) {
    let made = make(&client_params(name), &RSA_KEY);
    (
        pfx_with(&made, CODE, &["-certfile", "chain.pem"]),
        Thumbprint::of(&made.leaf_der),
    )
}

async fn import(record: &Record, owner: Option<&Owner>, pfx: &[u8]) -> InstalledCertificate {
    record
        .certificates_of(owner)
        .import(pfx, &PfxCode::new(CODE), &actor())
        .await
        .unwrap()
        .installed
}

#[tokio::test]
async fn two_owners_have_instances_of_one_name_and_one_owner_has_not() {
    let record = TestRecord::open().await;
    let (a, b) = (owner("a"), owner("b"));
    let mut ids = Vec::new();
    for owner in [None, Some(&a), Some(&b)] {
        let made = create(&record, owner, "esd").await;
        assert_eq!(made.owner.as_ref(), owner);
        assert_eq!(
            record.instance_of(owner, "esd").await.unwrap().as_ref(),
            Some(&made)
        );
        assert_eq!(
            record.instances_of(owner).await.unwrap(),
            std::slice::from_ref(&made)
        );
        let again = record
            .create_instance(new(owner, "esd"), &actor())
            .await
            .unwrap_err();
        assert!(
            matches!(&again, CreateError::NameTaken { name } if name == "esd"),
            "{again:?}"
        );
        ids.push(made.id);
    }
    let again = record.opened_again().await;
    let all: Vec<_> = again
        .instances()
        .await
        .unwrap()
        .iter()
        .map(|made| made.id)
        .collect();
    assert_eq!(all, ids, "the operator sees all");
    assert_eq!(
        record.instance("esd").await.unwrap().map(|made| made.id),
        Some(ids[0])
    );
    create(&record, Some(&a), "of a alone").await;
    for other in [None, Some(&b)] {
        assert_eq!(record.instance_of(other, "of a alone").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_certificate_of_another_owner_is_refused_like_one_that_is_not_installed() {
    let record = TestRecord::open().await;
    let (a, b) = (owner("a"), owner("b"));
    let owners = [None, Some(&a), Some(&b)];
    for whose in owners {
        let (pfx, thumbprint) = file("client");
        let installed = import(&record, whose, &pfx).await;
        assert_eq!(
            (installed.thumbprint, installed.owner.as_ref()),
            (thumbprint, whose)
        );
        for other in owners.into_iter().filter(|other| *other != whose) {
            let certificates = record.certificates_of(other);
            assert_eq!(certificates.get(&thumbprint).await.unwrap(), None);
            assert!(!certificates.list().await.unwrap().contains(&installed));
            let identity = certificates.identity(&thumbprint).await.unwrap_err();
            assert!(
                matches!(identity, IdentityError::NotInstalled { .. }),
                "{identity:?}"
            );
            let removed = certificates.remove(&thumbprint, &actor()).await.unwrap_err();
            assert!(matches!(removed, RemoveError::NotInstalled { .. }), "{removed:?}");
            let theirs = create(&record, other, &format!("{thumbprint} {whose:?}")).await;
            let chosen = settings(Some(thumbprint));
            let saved = record
                .save_settings(theirs.id, 0, chosen, &actor())
                .await
                .unwrap_err();
            assert!(matches!(saved, SaveError::NoCertificate { .. }), "{saved:?}");
        }
        let its = create(&record, whose, &format!("{thumbprint} {whose:?}")).await;
        let chosen = settings(Some(thumbprint));
        record.save_settings(its.id, 0, chosen, &actor()).await.unwrap();
        record.certificates_of(whose).identity(&thumbprint).await.unwrap();
    }
    assert_eq!(
        record.all_certificates().await.unwrap().len(),
        3,
        "the operator sees all"
    );
}

#[tokio::test]
async fn the_database_itself_gives_no_instance_the_certificate_of_another_owner() {
    let record = TestRecord::open().await;
    let a = owner("a");
    import(&record, Some(&a), &file("client").0).await;
    for (name, whose) in [("theirs", None), ("its", Some(&a))] {
        create(&record, whose, name).await;
        let set = format!(
            "UPDATE instances SET thumbprint = (SELECT thumbprint FROM certificates) WHERE name = '{name}'"
        );
        let set = record.database().try_execute(&set).await;
        assert_eq!(set.is_ok(), whose.is_some(), "{name}: {set:?}");
    }
}

#[tokio::test]
async fn the_file_of_one_certificate_gives_two_owners_a_copy_each() {
    let record = TestRecord::open().await;
    let (a, b) = (owner("a"), owner("b"));
    let (pfx, thumbprint) = file("client");
    import(&record, Some(&a), &pfx).await;
    let of_a = create(&record, Some(&a), "of a").await;
    let chosen = settings(Some(thumbprint));
    record
        .save_settings(of_a.id, 0, chosen.clone(), &actor())
        .await
        .unwrap();

    let copy = import(&record, Some(&b), &pfx).await;
    assert_eq!(copy.owner, Some(b.clone()));
    // The comparison leaves `a`'s instance out: none of `b`'s shares the certificate.
    let of_b = create(&record, Some(&b), "of b").await;
    let of_b = record.save_settings(of_b.id, 0, chosen, &actor()).await.unwrap();
    let certificates = record.certificates_of(Some(&b));
    let used_by = certificates.used_by().await.unwrap();
    assert_eq!(used_by, BTreeMap::from([(thumbprint, vec!["of b".to_owned()])]));
    let in_use = certificates.remove(&thumbprint, &actor()).await.unwrap_err();
    assert!(
        matches!(&in_use, RemoveError::InUse { instances, .. } if instances == &["of b"]),
        "{in_use:?}"
    );
    record
        .save_settings(of_b.id, of_b.version, settings(None), &actor())
        .await
        .unwrap();
    certificates.remove(&thumbprint, &actor()).await.unwrap();
    assert_eq!(certificates.get(&thumbprint).await.unwrap(), None);
    record
        .certificates_of(Some(&a))
        .identity(&thumbprint)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_private_key_that_is_moved_to_another_owner_does_not_open() {
    let record = TestRecord::open().await;
    let (a, b) = (owner("a"), owner("b"));
    let (pfx, thumbprint) = file("client");
    import(&record, Some(&a), &pfx).await;
    record
        .certificates_of(Some(&a))
        .identity(&thumbprint)
        .await
        .unwrap();
    let database = record.database();
    database.execute("DELETE FROM certificate_chains").await;
    database.execute("UPDATE certificates SET owner = 'b'").await;
    let error = record
        .certificates_of(Some(&b))
        .identity(&thumbprint)
        .await
        .unwrap_err();
    assert!(matches!(error, IdentityError::HostKey(_)), "{error:?}");
}

/// An instance of an owner that sells.
pub(crate) async fn shop_of(record: &Record, owner: Option<&Owner>) -> Instance {
    let instance = create(record, owner, "esd").await;
    record
        .save_settings(instance.id, 0, settings(None), &actor())
        .await
        .unwrap();
    let both = definition(vec![product("a", "Office")]);
    record.apply_services_definition(instance.id, both).await.unwrap();
    sell(record, instance.id, &["a"]).await;
    instance
}

#[tokio::test]
async fn orders_of_two_owners_with_one_key_at_instances_of_one_name_are_two_orders() {
    let record = TestRecord::open().await;
    let (a, b) = (owner("a"), owner("b"));
    let mut placed = Vec::new();
    for owner in [None, Some(&a), Some(&b)] {
        let instance = shop_of(&record, owner).await;
        let request = NewOrder {
            idempotency_key: Some("k".to_owned()),
            ..order(instance.id, &[("a", 1)])
        };
        let order = record
            .place_order(request.clone(), &actor())
            .await
            .unwrap()
            .into_order();
        let again = record.place_order(request, &actor()).await.unwrap().into_order();
        assert_eq!(order.id, again.id);
        placed.push(order.id);
    }
    placed.sort();
    placed.dedup();
    assert_eq!(placed.len(), 3);
}

#[tokio::test]
async fn charges_of_an_owner_are_those_of_its_instances_alone() {
    let record = TestRecord::open().await;
    let (a, b) = (owner("a"), owner("b"));
    let mut of_owner = Vec::new();
    for owner in [&a, &b] {
        let instance = shop_of(&record, Some(owner)).await;
        let placed = record
            .place_order(order(instance.id, &[("a", 1)]), &actor())
            .await;
        let placed = placed.unwrap().into_order();
        buy(&record, placed.lines[0].asset_id).await;
        of_owner.push((owner, placed.id));
    }
    for (owner, order) in of_owner {
        let filter = ChargeFilter {
            owner: Some(owner.clone()),
            ..ChargeFilter::default()
        };
        let charges = record.charges(&filter, &Page::all()).await.unwrap().rows;
        assert_eq!(
            charges.iter().map(|charge| charge.order_id).collect::<Vec<_>>(),
            [order]
        );
    }
}

#[tokio::test]
async fn the_ids_of_an_owner_s_order_are_the_same_in_every_record_with_the_host_key() {
    let host_key = Arc::new(HostKey::generate().unwrap());
    let a = owner("a");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let record = TestRecord::with_key(&HostKeySource::Given(Arc::clone(&host_key))).await;
        let instance = shop_of(&record, Some(&a)).await;
        let request = NewOrder {
            idempotency_key: Some("k".to_owned()),
            ..order(instance.id, &[("a", 1)])
        };
        ids.push(
            record
                .place_order(request, &actor())
                .await
                .unwrap()
                .into_order()
                .id,
        );
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn acts_are_found_by_the_owner_of_what_they_changed() {
    let record = TestRecord::open().await;
    let (a, b) = (owner("a"), owner("b"));
    let (pfx, thumbprint) = file("client");
    for owner in [None, Some(&a), Some(&b)] {
        let instance = shop_of(&record, owner).await;
        let request = order(instance.id, &[("a", 1)]);
        record.place_order(request, &actor()).await.unwrap().into_order();
        import(&record, owner, &pfx).await;
        let certificates = record.certificates_of(owner);
        certificates.remove(&thumbprint, &actor()).await.unwrap();
    }
    record
        .set_look_up_only(std::time::Duration::ZERO, &actor())
        .await
        .unwrap();
    let filter = ActFilter {
        owner: Some(b.clone()),
        ..ActFilter::default()
    };
    let acts = record.acts(&filter, NonZeroU32::MAX).await.unwrap();
    let done: Vec<_> = acts.iter().map(|act| act.act).collect();
    let expected = [
        Act::CreateInstance,
        Act::SaveSettings,
        Act::SetPrice,
        Act::DecideProduct,
        Act::PlaceOrder,
        Act::ImportCertificate,
        Act::RemoveCertificate,
    ];
    assert_eq!(done, expected);
    let of_b = record.instance_of(Some(&b), "esd").await.unwrap().unwrap().id;
    assert!(acts.iter().all(|act| act.instance_id.is_none_or(|id| id == of_b)));
    let with_no_owner = record.instance("esd").await.unwrap().unwrap();
    let its = ActFilter {
        instance: Some(with_no_owner.id),
        ..ActFilter::default()
    };
    let its = record.acts(&its, NonZeroU32::MAX).await.unwrap();
    assert!(
        its.iter()
            .all(|act| act.detail.as_ref().is_none_or(|detail| !detail.contains("owner")))
    );
    record.verify_acts(None).await.unwrap();
}

/// The columns of each table, but for what the migrations themselves write down.
async fn tables(database: &mut SqliteConnection, schema: &str) -> BTreeMap<String, Vec<String>> {
    let names = format!(
        "SELECT name FROM {schema}.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '%migrations'"
    );
    let names: Vec<String> = sqlx::query_scalar(AssertSqlSafe(names))
        .fetch_all(&mut *database)
        .await
        .unwrap();
    let mut tables = BTreeMap::new();
    for name in names {
        let columns = format!("SELECT name FROM pragma_table_info('{name}', '{schema}')");
        let columns: Vec<String> = sqlx::query_scalar(AssertSqlSafe(columns))
            .fetch_all(&mut *database)
            .await
            .unwrap();
        tables.insert(name, columns);
    }
    tables
}

async fn run(database: &mut SqliteConnection, statement: String) {
    sqlx::query(AssertSqlSafe(statement))
        .execute(database)
        .await
        .unwrap();
}

/// The migrations, as they lie in the record's crate.
const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/record/migrations");

/// Makes a record that has no owner into one from before there were any, with the same rows.
async fn as_before_owners(record: TestRecord) -> Closed {
    let former = record.closed().await;
    let (now, then) = (former.path().join("now.db"), former.path().join(RECORD_FILE));
    std::fs::rename(&then, &now).unwrap();
    std::fs::remove_file(former.path().join(WITNESS_FILE)).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&then);
    let options = options.create_if_missing(true).foreign_keys(false);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    let mut migrations = sqlx::migrate::Migrator::new(std::path::Path::new(MIGRATIONS))
        .await
        .unwrap();
    migrations
        .migrations
        .to_mut()
        .retain(|migration| migration.version < 22);
    migrations.run(&mut database).await.unwrap();
    run(&mut database, format!("ATTACH '{}' AS now", now.display())).await;
    let present = tables(&mut database, "now").await;
    for (table, columns) in tables(&mut database, "main").await {
        // A table that is gone by now has no rows to give.
        let Some(present) = present.get(&table) else {
            continue;
        };
        let both = columns.iter().filter(|column| present.contains(column));
        let both = both
            .map(|column| format!("\"{column}\""))
            .collect::<Vec<_>>()
            .join(", ");
        run(&mut database, format!("DELETE FROM main.{table}")).await;
        let rows = format!("INSERT INTO main.{table} ({both}) SELECT {both} FROM now.{table}");
        run(&mut database, rows).await;
    }
    database.close().await.unwrap();
    std::fs::remove_file(now).unwrap();
    former
}

#[tokio::test]
async fn a_record_from_before_owners_keeps_all_that_it_has_as_the_operator_s_own() {
    let record = TestRecord::on_sqlite().await;
    let (pfx, thumbprint) = file("client");
    let installed = import(&record, None, &pfx).await;
    let selling = shop(&record).await;
    let placed = record
        .place_order(order(selling, &[("a", 2)]), &actor())
        .await
        .unwrap()
        .into_order();
    let bought = buy(&record, placed.lines[0].asset_id).await;
    ready_instance(&record, "with a certificate", Some(thumbprint)).await;
    let before = record.instances().await.unwrap();

    let directory = as_before_owners(record).await;
    let record = Record::open(directory.path()).await.unwrap();
    assert_eq!(record.instances().await.unwrap(), before);
    assert_eq!(record.instances_of(None).await.unwrap(), before);
    let certificates = record.certificates();
    assert_eq!(certificates.list().await.unwrap(), [installed]);
    let identity = certificates.identity(&thumbprint).await.unwrap();
    assert_eq!(identity.installed().chain, 2);
    assert_eq!(record.order(placed.id).await.unwrap(), Some(placed));
    assert_eq!(record.asset(bought.id).await.unwrap(), Some(bought));
    let history = record.instance_history(selling, &Page::all()).await.unwrap();
    assert_eq!(history.rows.len(), 1);
    record.verify_acts(None).await.unwrap();
    record.verify().await.unwrap();

    // What refers to the tables that were made anew still holds.
    let in_use = certificates.remove(&thumbprint, &actor()).await.unwrap_err();
    assert_eq!(in_use.diagnosis().code, "certificate-in-use");
    let user = record.instance("with a certificate").await.unwrap().unwrap();
    record
        .save_settings(user.id, user.version, settings(None), &actor())
        .await
        .unwrap();
    certificates.remove(&thumbprint, &actor()).await.unwrap();
    record.close().await;
    let database = Database::in_directory(directory.path());
    let chains: i64 = database.value("SELECT COUNT(*) FROM certificate_chains").await;
    assert_eq!(chains, 0, "a chain goes with its certificate");
    let orphan = "DELETE FROM instances WHERE name = 'esd'";
    assert!(database.try_execute(orphan).await.is_err());
}

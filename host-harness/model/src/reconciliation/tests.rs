use proptest::prelude::*;

use super::*;
use crate::statement::StatementAmount;

const DAY_MS: i64 = 86_400_000;
/// The statement's span.
const SPAN: (i64, i64) = (100 * DAY_MS, 130 * DAY_MS);

fn amount(text: &str) -> StatementAmount {
    StatementAmount::parse(text, false).unwrap()
}

fn price_of(product: &str) -> StatementPrice {
    StatementPrice {
        amount: amount(if product == "a" { "100.10" } else { "70" }),
        currency: Some("EUR".to_owned()),
    }
}

/// A license that was bought within the statement's span and returned within it or not.
fn license(number: u128, product: &str, is_returned: bool) -> RecordedLicense {
    RecordedLicense {
        asset_id: Uuid::from_u128(number),
        order_id: Uuid::from_u128(number / 3),
        product_code: product.to_owned(),
        product_name: format!("Product {product}"),
        quantity: 1,
        client_transaction_id: Uuid::from_u128(1_000_000 + number),
        transaction_id: Some(format!("T-{number}")),
        license_token_id: Some(format!("L-{number}")),
        bought_at_ms: Some(SPAN.0 + 5),
        returned_at_ms: is_returned.then_some(SPAN.0 + 10),
        charged: Some(Price {
            currency: "EUR".to_owned(),
            minor_units: 14_900,
        }),
        is_credited: is_returned,
    }
}

/// Three licenses of each product, and more.
fn licenses() -> impl Strategy<Value = Vec<RecordedLicense>> {
    prop::collection::vec((any::<bool>(), any::<bool>()), 0..20).prop_map(|more| {
        let some = [(true, false); 3].into_iter().chain([(false, false); 3]);
        let all = some.chain(more).enumerate();
        all.map(|(number, (is_a, is_returned))| {
            license(number as u128, if is_a { "a" } else { "b" }, is_returned)
        })
        .collect()
    })
}

/// The statement that the vendor of these licenses would send: a line for each with its state, or a line for each purchase and
/// each return.
fn statement(recorded: &[RecordedLicense], by_event: bool) -> Statement {
    let mut lines = Vec::new();
    for license in recorded {
        let line = StatementLine {
            line: 0,
            license_token: license.license_token_id.clone(),
            transaction: license.transaction_id.clone(),
            product: Some(license.product_code.clone()),
            price: Some(price_of(&license.product_code)),
            at_ms: None,
            is_returned: license.returned_at_ms.is_some(),
        };
        if by_event && line.is_returned {
            lines.push(StatementLine {
                is_returned: false,
                ..line.clone()
            });
        }
        lines.push(line);
    }
    for (number, line) in (2..).zip(&mut lines) {
        line.line = number;
    }
    Statement {
        lines,
        tells_returns: true,
        prices: PricesAre::TheVendors,
        since_ms: Some(SPAN.0),
        until_ms: Some(SPAN.1),
    }
}

fn words(recorded: &[RecordedLicense], statement: &Statement) -> Vec<&'static str> {
    let found = reconcile(recorded, statement).discrepancies;
    found.iter().map(|found| found.kind.word()).collect()
}

proptest! {
    #[test]
    fn a_statement_made_from_the_record_has_no_differences(
        recorded in licenses(), by_event in any::<bool>(), with in 0..3_u8, small in any::<bool>()
    ) {
        let mut statement = statement(&recorded, by_event);
        for line in &mut statement.lines {
            // Either name is enough, and letters may be small or large.
            match with {
                0 => line.license_token = None,
                1 => (line.transaction, line.product) = (None, None),
                _ => line.product = Some("PRODUCT ".to_owned() + line.product.as_deref().unwrap()),
            }
            if small {
                line.license_token = line.license_token.take().map(|name| name.to_lowercase());
            }
        }
        statement.lines.reverse();
        let outcome = reconcile(&recorded, &statement);
        prop_assert_eq!(outcome.discrepancies, []);
        prop_assert_eq!(outcome.licenses, recorded.len() as u64);
    }

    #[test]
    fn each_single_change_of_a_statement_is_found(recorded in licenses(), by_event in any::<bool>(), at in any::<prop::sample::Index>()) {
        let whole = statement(&recorded, by_event);
        let at = at.index(whole.lines.len());
        let line = whole.lines[at].clone();
        let changed = |change: &dyn Fn(&mut Statement)| {
            let mut statement = whole.clone();
            change(&mut statement);
            words(&recorded, &statement)
        };
        let is_pair = by_event && recorded.iter().any(|license| {
            license.license_token_id == line.license_token && license.returned_at_ms.is_some()
        });
        let without = changed(&|statement| { statement.lines.remove(at); });
        prop_assert_eq!(without, match (is_pair, line.is_returned) {
            (false, _) => vec!["bought-here"],
            (true, true) => vec!["returned-here"],
            // The return alone says that it was bought.
            (true, false) => vec![],
        });
        let unknown = changed(&|statement| statement.lines[at].license_token = Some("L-?".to_owned()));
        prop_assert!(unknown.contains(&"bought-there"), "{unknown:?}");
        let more = changed(&|statement| statement.lines.push(StatementLine {
            line: 1_000, license_token: Some("L-?".to_owned()), transaction: None, product: None, price: None, at_ms: None,
            is_returned: false,
        }));
        prop_assert_eq!(more, ["bought-there"]);
        let twice = changed(&|statement| statement.lines.push(StatementLine { line: 1_000, ..line.clone() }));
        prop_assert_eq!(twice, ["listed-twice"]);
        let other = changed(&|statement| statement.lines[at].transaction = Some("T-?".to_owned()));
        prop_assert_eq!(other, ["other-transaction"]);
        let product = changed(&|statement| statement.lines[at].product = Some("c".to_owned()));
        prop_assert_eq!(product, ["other-product"]);
        let state = changed(&|statement| statement.lines[at].is_returned ^= true);
        prop_assert!(state.iter().any(|word| ["returned-there", "returned-here", "listed-twice"].contains(word)), "{state:?}");
        if !line.is_returned {
            let dearer = changed(&|statement| statement.lines[at].price = Some(StatementPrice {
                amount: amount("100.11"), ..price_of("a")
            }));
            prop_assert_eq!(dearer, ["other-price"]);
            let foreign = changed(&|statement| statement.lines[at].price.as_mut().unwrap().currency = Some("USD".to_owned()));
            prop_assert_eq!(foreign, ["other-price"]);
        }
    }

    #[test]
    fn each_single_change_of_the_record_is_found(recorded in licenses(), by_event in any::<bool>(), at in any::<prop::sample::Index>()) {
        let statement = statement(&recorded, by_event);
        let at = at.index(recorded.len());
        let changed = |change: &dyn Fn(&mut RecordedLicense)| {
            let mut recorded = recorded.clone();
            change(&mut recorded[at]);
            words(&recorded, &statement)
        };
        prop_assert_eq!(changed(&|license| license.license_token_id = None), ["bought-there"]);
        match recorded[at].returned_at_ms {
            None => prop_assert_eq!(changed(&|license| license.returned_at_ms = Some(SPAN.0 + 20)), ["returned-here"]),
            Some(_) => {
                prop_assert_eq!(changed(&|license| license.is_credited = false), ["returned-there"]);
                prop_assert_eq!(changed(&|license| license.returned_at_ms = None), ["returned-there"]);
            }
        }
    }
}

#[test]
fn a_statement_of_a_month_is_compared_with_that_month_alone() {
    let next_month = SPAN.1 + 1;
    let month_before = SPAN.0 - 1;
    let returned_later = RecordedLicense {
        returned_at_ms: Some(next_month),
        is_credited: true,
        ..license(1, "a", false)
    };
    let bought_later = RecordedLicense {
        bought_at_ms: Some(next_month),
        ..license(2, "a", false)
    };
    let returned_now = RecordedLicense {
        bought_at_ms: Some(month_before),
        ..license(3, "a", true)
    };
    let recorded = [returned_later, bought_later, returned_now];
    let mut of_month = statement(&recorded[..1], false);
    of_month.lines[0].is_returned = false;
    let outcome = reconcile(&recorded, &of_month);
    assert_eq!(outcome.licenses, 1);
    let found: Vec<_> = outcome
        .discrepancies
        .iter()
        .map(|found| (found.kind.word(), found.asset_id, found.line))
        .collect();
    let asset = Some(Uuid::from_u128(3));
    assert_eq!(found, [("returned-here", asset, None)]);

    let mut later = statement(&recorded[1..2], false);
    later.lines.extend(of_month.lines.clone());
    later.tells_returns = false;
    assert_eq!(
        words(&recorded, &later),
        [""; 0],
        "what is there too early is here all the same"
    );
}

#[test]
fn a_purchase_whose_license_is_not_known_is_named_with_its_order_line() {
    let open = RecordedLicense {
        transaction_id: None,
        license_token_id: None,
        bought_at_ms: None,
        ..license(1, "a", false)
    };
    let line = StatementLine {
        line: 2,
        license_token: Some("L-1".to_owned()),
        transaction: Some(open.client_transaction_id.to_string()),
        product: None,
        price: None,
        at_ms: None,
        is_returned: false,
    };
    let statement = Statement {
        lines: vec![line],
        ..Statement::default()
    };
    let outcome = reconcile(std::slice::from_ref(&open), &statement);
    let [found] = <[Discrepancy; 1]>::try_from(outcome.discrepancies).unwrap();
    assert_eq!(found.kind, DiscrepancyKind::BoughtThere);
    assert_eq!((found.asset_id, found.line), (Some(open.asset_id), Some(2)));
    assert_eq!(outcome.licenses, 0);
}

#[test]
fn lines_of_another_month_are_left_out() {
    let recorded = [license(1, "a", false)];
    let mut statement = statement(&recorded, false);
    let stranger = |at_ms| StatementLine {
        line: 9,
        license_token: Some("L-?".to_owned()),
        at_ms: Some(at_ms),
        ..statement.lines[0].clone()
    };
    let (before, first, after) = (stranger(SPAN.0 - 1), stranger(SPAN.0), stranger(SPAN.1));
    statement.lines.extend([before, after]);
    let outcome = reconcile(&recorded, &statement);
    assert_eq!((outcome.lines, outcome.lines_left_out), (1, 2));
    assert_eq!(outcome.discrepancies, []);
    statement.lines.push(first);
    assert_eq!(words(&recorded, &statement), ["bought-there"]);
}

#[test]
fn prices_are_compared_with_what_was_charged_where_they_are_the_charged_ones() {
    let recorded = [license(1, "a", false), license(2, "b", false)];
    let mut statement = statement(&recorded, false);
    statement.prices = PricesAre::Charged;
    let at = |text: &str, currency: Option<&str>| {
        Some(StatementPrice {
            amount: amount(text),
            currency: currency.map(str::to_owned),
        })
    };
    statement.lines[0].price = at("149", None);
    statement.lines[1].price = at("149.00", Some("EUR"));
    assert_eq!(words(&recorded, &statement), [""; 0]);
    statement.lines[1].price = at("149.00", Some("USD"));
    statement.lines[0].price = at("148.99", None);
    let found = reconcile(&recorded, &statement).discrepancies;
    let told = found.iter().map(|found| match &found.kind {
        DiscrepancyKind::OtherPrice { found, expected } => format!("{found} for {expected}"),
        other => other.word().to_owned(),
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, ["148.99 for 149.00 EUR", "149.00 USD for 149.00 EUR"]);
}

#[test]
fn a_statement_of_a_time_of_which_the_record_has_nothing_is_told_from_one_without_differences() {
    let recorded = [license(1, "a", false), license(2, "b", true)];
    let of = |since_ms, at_ms| {
        let mut statement = statement(&recorded, false);
        (statement.since_ms, statement.until_ms) = (Some(since_ms), Some(since_ms + DAY_MS));
        statement.lines.iter_mut().for_each(|line| line.at_ms = at_ms);
        statement
    };
    let is_of_another_time = |statement: &Statement| reconcile(&recorded, statement).is_of_another_time();
    assert!(!is_of_another_time(&of(SPAN.0, None)));
    assert!(!is_of_another_time(&of(SPAN.0, Some(SPAN.0))));
    assert!(is_of_another_time(&of(SPAN.1, None)));
    assert!(is_of_another_time(&of(SPAN.0, Some(SPAN.1))));
    // A month of returns alone has no license, and is no other one.
    let bought_before = license(2, "b", true);
    let bought_before = RecordedLicense {
        bought_at_ms: Some(0),
        ..bought_before
    };
    let returns = statement(std::slice::from_ref(&bought_before), false);
    let outcome = reconcile(&[bought_before], &returns);
    assert_eq!((outcome.licenses, outcome.returns), (0, 1));
    assert!(!outcome.is_of_another_time(), "{outcome:?}");
    // Nothing there is nothing of another time.
    let nothing = Statement {
        lines: Vec::new(),
        ..of(SPAN.1, None)
    };
    assert!(!is_of_another_time(&nothing));
}

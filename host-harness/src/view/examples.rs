//! Records from which the tests make views, and a comparison of views as JSON.

use bss_model::{
    Asset, AssetStatus, AttemptResult, Authority, Instance, LicenseSecrets, LicenseTokenStatus, OrderParties,
    Party, Price, Problem, Reach, Reason, ReturnStatus, SavedProxy, Secret, Standing, SyncStatus,
};
use serde::Serialize;
use uuid::Uuid;

pub(super) const KEY: &str = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE";
pub(super) const LINK: &str = "https://redeem.example.com/activate?token=wholly-secret";

/// Fails unless a view is written as this JSON, its fields in this order.
pub(super) fn assert_json(view: &impl Serialize, expected: &str) {
    let written = serde_json::to_string_pretty(view).unwrap();
    assert_eq!(written, expected.trim());
}

/// An id that ends in a number.
pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(super) fn price(minor_units: i64) -> Price {
    Price {
        currency: "EUR".to_owned(),
        minor_units,
    }
}

pub(super) fn problem() -> Problem {
    Problem {
        correlation_id: "c-1".to_owned(),
        ..Problem::new(
            "offer-unknown",
            "The offer is not known.",
            "Fetch the catalog again.",
        )
    }
}

/// An instance that is not complete, and trusts certificates of its own.
pub(super) fn instance() -> Instance {
    Instance {
        id: id(9),
        name: "esd".to_owned(),
        first_name: Some("first".to_owned()),
        owner: None,
        currency: "EUR".to_owned(),
        options: [("login-authority".to_owned(), "localhost:1".to_owned())].into(),
        reach: Reach {
            trusted_authorities_pem: Some("-----BEGIN".to_owned()),
            allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
            allowed_hosts: vec!["login.example.com".to_owned()],
            proxy: Some(SavedProxy::Through {
                url: "http://proxy.example.com:3128".to_owned(),
                user: Some("user".to_owned()),
                sealed_password: Some("sealed".to_owned()),
            }),
        },
        version: 2,
        values: [("country".to_owned(), "DE".to_owned())].into(),
        secrets: [].into(),
        url_fields: None,
        standing: Standing::NeedsSelection,
        authorities: vec![Authority {
            name: "api.example.com".to_owned(),
            client_certificate: true,
            secret_headers: Vec::new(),
        }],
        thumbprint: Some("0123456789ABCDEF0123456789ABCDEF01234567".parse().unwrap()),
        plugin: None,
        created_at_ms: 1_000,
        disabled_at_ms: Some(2_000),
    }
}

/// A customer who buys from a reseller, through the instance `esd`.
pub(super) fn parties() -> OrderParties {
    let party = |id: &str, name: &str| Party {
        id: id.to_owned(),
        name: name.to_owned(),
        country: "DE".to_owned(),
    };
    OrderParties {
        instance_id: id(9),
        instance: "esd".to_owned(),
        customer: party("C-1", "Beispiel GmbH"),
        reseller: Some(party("R-1", "Handel AG")),
        platform: None,
    }
}

/// An asset with a license that is not cancelled, although the vendor has taken it back.
pub(super) fn licensed() -> Asset {
    Asset {
        id: id(1),
        instance_id: id(9),
        order_id: id(2),
        position: 1,
        product_code: "EP2-06798".to_owned(),
        product_name: "Office".to_owned(),
        quantity: 3,
        generation: 0,
        client_transaction_id: id(3),
        status: AssetStatus::Active,
        sync_status: SyncStatus::Synchronized,
        reason: None,
        transaction_id: Some("t-1".to_owned()),
        license_token_id: Some("l-1".to_owned()),
        masked_product_key: Some(Secret::new(KEY).masked()),
        activation_link_host: Some("redeem.example.com".to_owned()),
        license_token_status: Some(LicenseTokenStatus::Returned),
        return_status: ReturnStatus::Successful,
        purchased_at_ms: Some(1_100),
        returnable_until_ms: Some(9_000),
        created_at_ms: 1_000,
        due_at_ms: 1_000,
        wanted_since_ms: 1_000,
        price: Some(price(24_900)),
        refreshed_at_ms: Some(1_200),
        withdrawal_asked_at_ms: None,
    }
}

/// The secrets of the license of [`licensed`].
pub(super) fn secrets() -> LicenseSecrets {
    LicenseSecrets {
        product_key: Secret::new(KEY),
        activation_link: Some(Secret::new(LINK)),
    }
}

/// An asset whose license is still to be bought, after an attempt that found nothing yet.
pub(super) fn open() -> Asset {
    Asset {
        sync_status: SyncStatus::Unsynchronised,
        reason: Some(Reason {
            result: AttemptResult::LookedUp,
            problem: problem(),
        }),
        transaction_id: None,
        license_token_id: None,
        masked_product_key: None,
        activation_link_host: None,
        license_token_status: None,
        return_status: ReturnStatus::None,
        purchased_at_ms: None,
        returnable_until_ms: None,
        refreshed_at_ms: None,
        ..licensed()
    }
}

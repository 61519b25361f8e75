use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn error_of(text: &str) -> DatabaseAddressError {
    text.parse::<DatabaseAddress>().unwrap_err()
}

fn options_of(text: &str) -> PgConnectOptions {
    text.parse::<DatabaseAddress>().unwrap().options()
}

#[test]
fn a_server_on_another_machine_has_to_prove_who_it_is() {
    let options = options_of("postgres://bss:secret@db.example:6432/licenses?sslmode=verify-full");
    assert_eq!((options.get_host(), options.get_port()), ("db.example", 6432));
    assert_eq!(
        (options.get_username(), options.get_database()),
        ("bss", Some("licenses"))
    );
    assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull));
    assert!(options.get_socket().is_none());
    for mode in [
        "",
        "?sslmode=verify-ca",
        "?sslmode=require",
        "?sslmode=prefer",
        "?sslmode=disable",
    ] {
        for host in [
            "db.example",
            "192.0.2.7",
            "[2001:db8::7]",
            "localhost.example",
            "[::ffff:192.0.2.7]",
        ] {
            let address = format!("postgres://bss:secret@{host}/licenses{mode}");
            assert_eq!(error_of(&address), DatabaseAddressError::Unverified, "{address}");
        }
    }
    assert_eq!(
        DatabaseAddressError::Unverified.diagnosis().code,
        "database-address-unverified"
    );
}

#[test]
fn a_server_on_this_machine_needs_no_proof() {
    for host in [
        "localhost",
        "127.0.0.1",
        "127.8.9.10",
        "[::1]",
        "LOCALHOST",
        "[::ffff:127.0.0.1]",
    ] {
        let options = options_of(&format!("postgres://{host}/bss"));
        assert!(matches!(options.get_ssl_mode(), PgSslMode::Prefer), "{host}");
        let verified = options_of(&format!("postgres://{host}/bss?sslmode=verify-full"));
        assert!(matches!(verified.get_ssl_mode(), PgSslMode::VerifyFull), "{host}");
    }
    assert_eq!(options_of("postgres://[::1]/bss").get_host(), "::1");
}

#[test]
fn the_directory_of_a_socket_is_named_in_either_way() {
    for address in [
        "postgres://%2Frun%2Fpostgresql/bss",
        "postgresql:///bss?host=/run/postgresql",
    ] {
        let options = options_of(address);
        let directory = options.get_socket().map(|path| path.as_path());
        assert_eq!(
            directory,
            Some(std::path::Path::new("/run/postgresql")),
            "{address}"
        );
        assert!(matches!(options.get_ssl_mode(), PgSslMode::Disable));
        assert_eq!(options.get_port(), PORT);
    }
}

#[test]
fn a_text_that_is_no_address_is_refused_for_what_is_wrong() {
    use DatabaseAddressError as E;
    for (text, error) in [
        ("", E::NoUrl),
        ("bss", E::NoUrl),
        ("postgres:bss", E::NoUrl),
        ("postgres://localhost/bss#part", E::NoUrl),
        ("sqlite:///var/lib/bss/record.db", E::OtherScheme),
        ("mysql://localhost/bss", E::OtherScheme),
        ("postgres://localhost", E::NoDatabase),
        ("postgres://localhost/", E::NoDatabase),
        ("postgres:///bss", E::NoHost),
        ("postgres:///bss?host=", E::NoHost),
        ("postgres://localhost/bss/other", E::Part { part: "database" }),
        ("postgres://localhost/bss%00", E::Part { part: "database" }),
        ("postgres://localhost/%FF", E::Part { part: "database" }),
        ("postgres://us%00er@localhost/bss", E::Part { part: "user" }),
        ("postgres://u:a%00b@localhost/bss", E::Part { part: "password" }),
        ("postgres://localhost/bss?host=/run", E::Part { part: "host" }),
        (
            "postgres:///bss?host=one.example,two.example",
            E::Part { part: "host" },
        ),
        (
            "postgres://localhost/bss?sslmode=verify",
            E::Part { part: "sslmode" },
        ),
        (
            "postgres://localhost/bss?sslrootcert=%00",
            E::Part { part: "sslrootcert" },
        ),
        (
            "postgres://localhost/bss?statement-cache-capacity=many",
            E::Part {
                part: "statement-cache-capacity",
            },
        ),
        (
            "postgres://localhost/bss?sslmode=prefer&sslmode=disable",
            E::Parameter { number: 2 },
        ),
        (
            "postgres://localhost/bss?sslmode=prefer&Sslmode=disable",
            E::Parameter { number: 2 },
        ),
        (
            "postgres://localhost/bss?password=secret",
            E::Parameter { number: 1 },
        ),
        (
            "postgres://localhost/bss?options=-c%20fsync=off",
            E::Parameter { number: 1 },
        ),
        (
            "postgres://localhost/bss?target_session_attrs=read-write",
            E::Parameter { number: 1 },
        ),
    ] {
        assert_eq!(error_of(text), error, "{text}");
    }
    assert_eq!(
        error_of("postgres:///bss").diagnosis().code,
        "database-address-invalid"
    );
}

#[test]
fn an_address_is_shown_with_its_server_and_database_alone() {
    let address: DatabaseAddress = "postgres://bss:secret@localhost/licenses".parse().unwrap();
    assert_eq!(
        address.to_string(),
        "database `licenses` on `localhost`, port 5432"
    );
    assert_eq!(
        format!("{address:?}"),
        "DatabaseAddress(\"database `licenses` on `localhost`, port 5432\")"
    );
}

/// What is printed of a text, whether it is an address or not.
fn printed(text: &str) -> String {
    match text.parse::<DatabaseAddress>() {
        Ok(address) => format!("{address} {address:?} {address:#?}"),
        Err(error) => format!("{error} {error:?} {:?}", error.diagnosis()),
    }
}

/// Something that is a little like an address.
fn alike() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "postgres:",
        "//",
        "/",
        ":",
        "@",
        "?",
        "&",
        "=",
        "%",
        "%00",
        "%2F",
        "#",
        "[",
        "]",
        "localhost",
        "db.example",
        "host",
        "sslmode",
        "verify-full",
        "5432",
        "99999",
        "\u{e4}",
        " ",
        "\t",
    ];
    proptest::collection::vec(proptest::sample::select(PARTS), 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,60}", alike in alike()) {
        printed(&text);
        printed(&alike);
        printed(&format!("postgres://{text}"));
    }

    #[test]
    fn no_password_is_printed(password in "[ -~]{9,40}", wrong in "(|/|\\?host=x\\.example|\\?sslmode=require|\\?user=x|#x)", host in "(localhost|x\\.example)") {
        let encoded = utf8_percent_encode(&password, NON_ALPHANUMERIC).to_string();
        let address = format!("postgres://bss:{encoded}@{host}/licenses{wrong}");
        let printed = printed(&address);
        prop_assert!(!printed.contains(&password) && !printed.contains(&encoded), "{}", printed);
    }

    #[test]
    fn a_password_that_ends_the_host_too_early_is_in_no_error(password in "[a-z]{9,20}[/?#][a-z]{9,20}") {
        let printed = printed(&format!("postgres://bss:{password}@x.example/licenses?sslmode=verify-full"));
        let found = password.split(['/', '?', '#']).find(|part| printed.contains(part));
        prop_assert_eq!(found, None, "{}", printed);
    }
}

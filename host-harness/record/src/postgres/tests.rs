use bss_test_postgres::{Authority, Options, Server, ServerCertificate};
use sqlx::{Connection as _, PgConnection};
use tempfile::NamedTempFile;

use super::*;

/// A server on loopback, with or without a certificate.
fn server(certificate: Option<&ServerCertificate>) -> Server {
    let options = Options {
        on_loopback: true,
        certificate,
        ..Options::default()
    };
    Server::start_with(&options).unwrap()
}

fn file_of(authority: &Authority) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    file
}

/// Connects to a server by a name, and returns whether the connection is encrypted.
async fn connect(server: &Server, name: &str, parameters: &str) -> Result<bool, sqlx::Error> {
    let port = server.port();
    let address = format!("postgres://postgres@{name}:{port}/postgres?{parameters}");
    let address: DatabaseAddress = address.parse().unwrap();
    let mut connection = PgConnection::connect_with(&address.options()).await?;
    let question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    sqlx::query_scalar(question).fetch_one(&mut connection).await
}

#[tokio::test]
async fn a_server_is_believed_that_has_a_certificate_of_its_name_and_a_named_authority() {
    let authority = Authority::new().unwrap();
    let server = server(Some(&authority.issue("localhost").unwrap()));
    let root = file_of(&authority);
    let verified = format!("sslmode=verify-full&sslrootcert={}", root.path().display());
    assert!(connect(&server, "localhost", &verified).await.unwrap());
    let other = file_of(&Authority::new().unwrap());
    let refused = [
        // The certificate is another name's.
        ("127.0.0.1", verified.clone()),
        // The server's certificate is of no authority that is trusted.
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={}", other.path().display()),
        ),
        ("localhost", "sslmode=verify-full".to_owned()),
    ];
    for (name, parameters) in refused {
        let error = connect(&server, name, &parameters).await.unwrap_err();
        assert!(
            format!("{error:?}").contains("InvalidCertificate"),
            "{name}: {error:?}"
        );
        // Nothing else is in the way.
        assert!(connect(&server, name, "sslmode=prefer").await.unwrap());
    }
}

#[tokio::test]
async fn a_server_without_a_certificate_is_refused_where_it_has_to_prove_who_it_is() {
    let server = server(None);
    let error = connect(&server, "localhost", "sslmode=verify-full")
        .await
        .unwrap_err();
    assert!(matches!(error, sqlx::Error::Tls(_)), "{error:?}");
    assert!(!connect(&server, "localhost", "sslmode=prefer").await.unwrap());
}

#[tokio::test]
async fn a_server_is_reached_by_its_socket_without_encryption() {
    let server = Server::start().unwrap();
    let address: DatabaseAddress = server.url("postgres").parse().unwrap();
    let mut connection = PgConnection::connect_with(&address.options()).await.unwrap();
    let name: String = sqlx::query_scalar("SHOW application_name")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(name, "bss-host");
}

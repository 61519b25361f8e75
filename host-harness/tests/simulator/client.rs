//! A TLS client that shows the certificate it is told to, and signs the assertions that Entra asks for.

use std::error::Error;
use std::sync::Arc;

use ::aws_lc_rs::rand::SystemRandom;
use ::aws_lc_rs::signature::{self, RsaEncoding, RsaKeyPair};
use anyhow::{Context as _, Result, anyhow};
use bss_simulator::{CertificateRequest, Details, IssuedCertificate, Simulator, SimulatorOptions};
use bytes::Bytes;
use data_encoding::{BASE64URL_NOPAD, HEXUPPER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uuid::Uuid;

use crate::openapi::OpenApi;

/// An answer of the simulator.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The code of a CIS refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .expect("the refusal has a code")
            .to_owned()
    }

    /// The AADSTS code of an Entra refusal.
    pub(crate) fn aadsts(&self) -> i64 {
        self.json()["error_codes"][0]
            .as_i64()
            .expect("the refusal has a code")
    }
}

/// A simulator on a directory that is deleted with it.
pub(crate) struct Microsoft {
    pub(crate) simulator: Simulator,
    pub(crate) directory: tempfile::TempDir,
}

impl Microsoft {
    pub(crate) async fn start() -> Microsoft {
        Microsoft::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut SimulatorOptions)) -> Microsoft {
        let directory = tempfile::tempdir().unwrap();
        let mut options = SimulatorOptions::new(directory.path().join("microsoft"));
        change(&mut options);
        let simulator = Simulator::start(options).await.unwrap();
        Microsoft { simulator, directory }
    }

    pub(crate) async fn restart(self) -> Microsoft {
        let Microsoft { simulator, directory } = self;
        simulator.stop().await;
        let simulator = Simulator::start(SimulatorOptions::new(directory.path().join("microsoft")))
            .await
            .unwrap();
        Microsoft { simulator, directory }
    }

    /// A client with a certificate that is registered.
    pub(crate) fn client(&self) -> Client {
        let issued = self
            .simulator
            .issue_client_certificate(&CertificateRequest::default())
            .unwrap();
        self.client_with(&issued)
    }

    pub(crate) fn client_with(&self, issued: &IssuedCertificate) -> Client {
        Client::new(self.simulator.details(), Some(issued), &[&TLS13, &TLS12])
    }

    pub(crate) fn client_without_certificate(&self, version: &'static SupportedProtocolVersion) -> Client {
        Client::new(self.simulator.details(), None, &[version])
    }
}

/// A client that trusts the simulator, shows a certificate, and checks every answer of CIS by the OpenAPI file.
pub(crate) struct Client {
    pub(crate) details: Details,
    pub(crate) assertion: Assertion,
    tls: Arc<ClientConfig>,
    openapi: OpenApi,
}

impl Client {
    pub(crate) fn new(
        details: &Details,
        issued: Option<&IssuedCertificate>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&details.ca_file).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match issued {
            None => config.with_no_client_auth(),
            Some(issued) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(issued.private_key_pem.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        let assertion = issued.map(Assertion::of).unwrap_or_default();
        Client {
            details: details.clone(),
            assertion,
            tls: Arc::new(config),
            openapi: OpenApi::cis(),
        }
    }

    /// A copy of the client with these names in ALPN; without any it speaks HTTP/1.1.
    pub(crate) fn offering(&self, protocols: &[&[u8]]) -> Client {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Client {
            details: self.details.clone(),
            assertion: self.assertion.clone(),
            tls: Arc::new(tls),
            openapi: OpenApi::cis(),
        }
    }

    /// Opens a connection with TLS on it.
    pub(crate) async fn tls(&self, url: &str) -> Result<TlsStream<TcpStream>> {
        let uri: http::Uri = url.parse()?;
        let authority = uri.authority().context("no authority")?;
        let port = authority.port_u16().context("no port")?;
        let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from(authority.host().to_owned())?;
        Ok(TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, tcp)
            .await?)
    }

    /// Opens a connection with HTTP on it.
    pub(crate) async fn connect(&self, url: &str) -> Result<Connection> {
        let tls = self.tls(url).await?;
        let authority = url
            .parse::<http::Uri>()?
            .authority()
            .context("no authority")?
            .to_string();
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Connection {
            sender,
            authority,
            driver,
        })
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply> {
        self.connect(url).await?.send(method, url, headers, body).await
    }

    pub(crate) fn token_url(&self, version: Version) -> String {
        let Details {
            login_authority,
            tenant,
            ..
        } = &self.details;
        match version {
            Version::V1 => format!("https://{login_authority}/{tenant}/oauth2/token"),
            Version::V2 => format!("https://{login_authority}/{tenant}/oauth2/v2.0/token"),
        }
    }

    /// The form that a client posts, with the assertion as it is now.
    pub(crate) fn token_form(&self, version: Version) -> Vec<(&'static str, String)> {
        let assertion = self
            .assertion
            .sign(&self.token_url(version), self.details.client_id);
        let resource = self.details.resource_api.clone();
        vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", self.details.client_id.to_string()),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
            ),
            ("client_assertion", assertion),
            match version {
                Version::V1 => ("resource", resource),
                Version::V2 => ("scope", format!("{resource}/.default")),
            },
        ]
    }

    pub(crate) async fn post_form(&self, url: &str, form: &[(&'static str, String)]) -> Result<Reply> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, url, &headers, body.finish().as_bytes())
            .await
    }

    pub(crate) async fn ask_for_access_token(&self, version: Version) -> Reply {
        self.post_form(&self.token_url(version), &self.token_form(version))
            .await
            .unwrap()
    }

    pub(crate) async fn access_token(&self) -> String {
        let reply = self.ask_for_access_token(Version::V2).await;
        assert_eq!(reply.status, StatusCode::OK, "{:?}", reply.body);
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Calls CIS; the answer is checked by the OpenAPI file.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        access_token: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply> {
        let authorization = access_token.map(|access_token| format!("Bearer {access_token}"));
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        all.extend(authorization.as_deref().map(|value| ("authorization", value)));
        if body.is_some() {
            all.push(("content-type", "application/json"));
        }
        let body = body.map_or(Vec::new(), |body| serde_json::to_vec(body).unwrap());
        let url = format!("{}{path}", self.details.service_url);
        let reply = self.send(method.clone(), &url, &all, &body).await?;
        let Reply {
            status,
            headers,
            body,
        } = &reply;
        let held = self
            .openapi
            .check_response(&method, &format!("/cis{path}"), *status, headers, body);
        held.map_err(|problem| anyhow!("not as described: {problem}\n{reply:?}"))?;
        Ok(reply)
    }

    pub(crate) async fn get(&self, path: &str, access_token: &str) -> Reply {
        self.call(Method::GET, path, Some(access_token), &[], None)
            .await
            .unwrap()
    }

    pub(crate) async fn post(&self, path: &str, access_token: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, Some(access_token), &[], Some(body))
            .await
            .unwrap()
    }

    /// The query of a catalog page.
    pub(crate) fn offers(&self, country: &str, language: &str, rest: &str) -> String {
        let channel_id = &self.details.channel_id;
        format!("/catalog/offers?country={country}&language={language}&channelId={channel_id}{rest}")
    }

    /// A purchase that is right in every respect, with a client transaction id of its own.
    pub(crate) fn purchase(&self) -> Value {
        json!({
            "clientTransactionId": Uuid::new_v4(),
            "channelId": self.details.channel_id,
            "offerId": "EP2-06798",
            "country": "DE",
            "language": "de-DE",
            "currency": "EUR",
            "quantity": 1,
            "customer": { "id": "C-1", "name": "Käufer", "country": "DE" },
        })
    }
}

/// An open connection.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    authority: String,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(crate) async fn send(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply> {
        let path = url
            .parse::<http::Uri>()?
            .path_and_query()
            .context("no path")?
            .to_string();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_str(value)?);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

/// The two versions of Entra's token endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Version {
    V1,
    V2,
}

/// A signature algorithm of a JWT, in JOSE's spelling.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Algorithm {
    PS256,
    RS256,
    RS384,
}

/// The parts of an assertion; tests change one of them and see it refused.
#[derive(Clone)]
pub(crate) struct Assertion {
    pub(crate) algorithm: Algorithm,
    pub(crate) private_key_pem: String,
    pub(crate) x5t: Option<String>,
    pub(crate) x5t_s256: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) jti: Option<String>,
    /// The first moment at which the assertion is valid, in seconds from now.
    pub(crate) not_before: i64,
    /// The end of the assertion's life, in seconds from now.
    pub(crate) expires: i64,
}

impl Default for Assertion {
    fn default() -> Assertion {
        Assertion {
            algorithm: Algorithm::PS256,
            private_key_pem: String::new(),
            x5t: None,
            x5t_s256: None,
            audience: None,
            issuer: None,
            subject: None,
            jti: None,
            not_before: -60,
            expires: 540,
        }
    }
}

impl Assertion {
    /// An assertion as Entra's documentation has it now: PS256 with `x5t#S256`.
    pub(crate) fn of(issued: &IssuedCertificate) -> Assertion {
        let der = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
        let sha256 = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, &der);
        Assertion {
            private_key_pem: issued.private_key_pem.to_string(),
            x5t_s256: Some(BASE64URL_NOPAD.encode(sha256.as_ref())),
            ..Assertion::default()
        }
    }

    /// An assertion as Entra's documentation had it before: RS256 with `x5t`.
    pub(crate) fn in_the_older_form(issued: &IssuedCertificate) -> Assertion {
        let sha1 = HEXUPPER.decode(issued.thumbprint.as_bytes()).unwrap();
        Assertion {
            algorithm: Algorithm::RS256,
            x5t: Some(BASE64URL_NOPAD.encode(&sha1)),
            x5t_s256: None,
            ..Assertion::of(issued)
        }
    }

    pub(crate) fn sign(&self, audience: &str, client_id: Uuid) -> String {
        let client_id = client_id.to_string();
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "aud": self.audience.as_deref().unwrap_or(audience),
            "iss": self.issuer.as_ref().unwrap_or(&client_id),
            "sub": self.subject.as_ref().unwrap_or(&client_id),
            "jti": self.jti.clone().unwrap_or_else(|| Uuid::new_v4().to_string()),
            "nbf": now + self.not_before,
            "exp": now + self.expires,
        });
        if self.jti.as_deref() == Some("") {
            claims.as_object_mut().unwrap().remove("jti");
        }
        let mut header = json!({ "alg": format!("{:?}", self.algorithm), "typ": "JWT" });
        for (name, value) in [("x5t", &self.x5t), ("x5t#S256", &self.x5t_s256)] {
            if let Some(value) = value {
                header[name] = json!(value);
            }
        }
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let key = PrivateKeyDer::from_pem_slice(self.private_key_pem.as_bytes()).unwrap();
        let key = RsaKeyPair::from_pkcs8(key.secret_der()).unwrap();
        let padding: &'static dyn RsaEncoding = match self.algorithm {
            Algorithm::PS256 => &signature::RSA_PSS_SHA256,
            Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
            Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

/// The TLS alert at the end of an error's chain of causes, if there is one.
pub(crate) fn alert(error: &anyhow::Error) -> Option<rustls::AlertDescription> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = tls.or(error.downcast_ref::<rustls::Error>()) {
            return Some(*alert);
        }
        cause = error.source();
    }
    None
}

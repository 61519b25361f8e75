//! A receiver of webhooks on a real socket, for tests: it keeps what it is sent, and answers what it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

/// What a receiver was sent.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// A receiver on a real socket with a certificate of its own authority. Stops when it is dropped.
pub(crate) struct Receiver {
    port: u16,
    pub(crate) authority_pem: String,
    received: Arc<Mutex<Vec<Received>>>,
    /// The statuses of the next answers; 204 where there is none.
    answers: Arc<Mutex<VecDeque<u16>>>,
    stopped: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("one");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a configuration");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (received, answers) = (
            Arc::<Mutex<Vec<_>>>::default(),
            Arc::<Mutex<VecDeque<u16>>>::default(),
        );
        let stopped = Arc::new(AtomicBool::new(false));
        let (config, all, next, stop) = (
            Arc::new(config),
            received.clone(),
            answers.clone(),
            stopped.clone(),
        );
        let serving = std::thread::spawn(move || {
            for tcp in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                // A sender that leaves before the end has sent nothing.
                let _ = tcp.ok().and_then(|tcp| serve(tcp, &config, &next, &all));
            }
        });
        Self {
            port,
            authority_pem: authority.pem(),
            received,
            answers,
            stopped,
            serving: Some(serving),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/hooks", self.port)
    }

    pub(crate) fn answer(&self, statuses: &[u16]) {
        self.answers.lock().expect("the answers").extend(statuses);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("the requests").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// Reads a request, keeps it, and answers it then, so that who has the answer finds the request. `None`: there was none, or nobody reads the
/// answer.
fn serve(
    mut tcp: TcpStream,
    config: &Arc<ServerConfig>,
    answers: &Mutex<VecDeque<u16>>,
    received: &Mutex<Vec<Received>>,
) -> Option<()> {
    let mut tls = ServerConnection::new(config.clone()).ok()?;
    let mut stream = Stream::new(&mut tls, &mut tcp);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
    let (head, body) = loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .to_lowercase()
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok())?;
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    received.lock().expect("the requests").push(Received {
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body,
    });
    let status = answers.lock().expect("the answers").pop_front().unwrap_or(204);
    let location = if status == 302 {
        "location: https://localhost:1/\r\n"
    } else {
        ""
    };
    let answer =
        format!("HTTP/1.1 {status} Said\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

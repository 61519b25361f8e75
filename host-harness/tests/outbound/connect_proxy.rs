//! An HTTP proxy on a real socket that opens tunnels, or refuses to, and keeps what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a proxy does with whoever asks for a tunnel.
#[derive(Clone)]
pub(crate) enum Does {
    /// Opens it.
    Connect,
    /// Opens it for a login by `Basic` with these digits, and answers 407 to others.
    ConnectFor(&'static str),
    /// Says this, and closes.
    Say(&'static str),
    /// Says nothing.
    Nothing,
}

/// A proxy that stops when it is dropped.
pub(crate) struct ConnectProxy {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl ConnectProxy {
    pub(crate) async fn start(does: Does) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            let mut tunnels = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                tunnels.spawn(serve(client, does.clone(), Arc::clone(&keep)));
            }
        });
        Self {
            port,
            asked,
            accepting,
        }
    }

    /// The proxy's URL, with what stands before its host.
    pub(crate) fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}127.0.0.1:{}", self.port)
    }

    /// The heads of all requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn serve(mut client: TcpStream, does: Does, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    asked.lock().expect("no panic").push(head.clone());
    let said = match does {
        Does::Nothing => return std::future::pending().await,
        Does::Say(said) => said,
        Does::ConnectFor(login) if !head.contains(&format!("proxy-authorization: Basic {login}\r\n")) => {
            "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n"
        }
        Does::Connect | Does::ConnectFor(_) => {
            let target = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
            let Ok(mut server) = TcpStream::connect(target).await else {
                return;
            };
            // As older proxies say it.
            let opened = client.write_all(b"HTTP/1.0 200 Connection established\r\n\r\n");
            if opened.await.is_ok() {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
            return;
        }
    };
    let _ = client.write_all(said.as_bytes()).await;
    let _ = client.shutdown().await;
    // What is still to be read would reset the connection under the answer.
    let _ = client.read_to_end(&mut Vec::new()).await;
}

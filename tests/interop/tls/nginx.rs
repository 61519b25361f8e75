//! nginx as a reverse proxy in front of the simulator's CIS, asking for client certificates.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use tempfile::TempDir;

use super::pki::Served;
use super::{free_port, until};

/// The configuration of one port of nginx.
pub(super) struct Site {
    pub(super) served: Served,
    /// The value of `ssl_protocols`.
    pub(super) tls: &'static str,
    pub(super) http2: bool,
    /// The lines that say how client certificates are verified: `ssl_verify_client` and the like.
    pub(super) verify: &'static str,
}

/// The server to which nginx passes requests on, and the certificate with which it does.
pub(super) struct Behind {
    pub(super) port: u16,
    /// The certificate with its key, PEM.
    pub(super) client_certificate: String,
    /// The certificate of the authority of both the server and its clients, PEM.
    pub(super) authority: String,
}

/// A request as nginx saw it.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    pub(super) port: String,
    pub(super) connection: u64,
    /// SHA-1 of the client certificate in lower-case hex.
    pub(super) certificate: String,
    pub(super) verify: String,
    pub(super) tls: String,
    pub(super) http: String,
    pub(super) status: u16,
}

/// A running nginx, stopped when it is dropped.
pub(super) struct Nginx {
    process: Child,
    folder: TempDir,
    pub(super) ports: Vec<u16>,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// Starts nginx with a port for each site; all accept connections when this returns.
    pub(super) fn start(behind: &Behind, sites: &[Site]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let ports: Vec<u16> = sites.iter().map(|_| free_port()).collect();
        write(folder.path(), "behind.pem", &behind.client_certificate);
        write(folder.path(), "authority.pem", &behind.authority);
        let mut servers = String::new();
        for (port, site) in ports.iter().zip(sites) {
            write(folder.path(), &format!("{port}.pem"), &site.served.certificate);
            write(folder.path(), &format!("{port}.key"), &site.served.key);
            let _ = write!(servers, "{}", server(*port, site, behind.port));
        }
        // A single process, so that killing it leaves none behind.
        let configuration = format!(
            r#"daemon off; master_process off; pid nginx.pid; error_log error.log info;
events {{ worker_connections 256; }}
http {{
  log_format seen escape=json '{{"port":"$server_port","connection":$connection,"certificate":"$ssl_client_fingerprint","verify":"$ssl_client_verify","tls":"$ssl_protocol","http":"$server_protocol","status":$status}}';
  access_log access.log seen;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  ssl_client_certificate authority.pem;
  proxy_ssl_certificate behind.pem; proxy_ssl_certificate_key behind.pem;
  proxy_ssl_trusted_certificate authority.pem; proxy_ssl_verify on; proxy_ssl_name localhost;
  proxy_http_version 1.1; proxy_set_header Host localhost;
{servers}}}
"#
        );
        write(folder.path(), "nginx.conf", &configuration);
        let process = Command::new(program())
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx starts. Hint: `cargo xtask interop tls` installs it");
        let mut nginx = Self {
            process,
            folder,
            ports,
        };
        nginx.wait_until_ready();
        nginx
    }

    fn wait_until_ready(&mut self) {
        for port in self.ports.clone() {
            until("nginx accepts connections", || {
                if let Some(status) = self.process.try_wait().expect("a process has a status") {
                    panic!("nginx ended ({status}): {}", self.file("error.log"));
                }
                TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// The requests that came to a port so far. nginx logs a request only after it has answered it, so this waits
    /// until `at_least` so many are logged.
    pub(super) fn seen(&self, port: u16, at_least: usize) -> Vec<Seen> {
        until("nginx logs the requests", || {
            let log = self.file("access.log");
            let complete = log.rsplit_once('\n').map_or("", |(lines, _)| lines);
            let seen: Vec<Seen> = complete
                .lines()
                .map(|line| serde_json::from_str(line).expect("the log is JSON"))
                .filter(|seen: &Seen| seen.port == port.to_string())
                .collect();
            (seen.len() >= at_least).then_some(seen)
        })
    }
}

fn server(port: u16, site: &Site, behind: u16) -> String {
    let Site {
        tls, http2, verify, ..
    } = site;
    let http2 = if *http2 { " http2" } else { "" };
    format!(
        "  server {{
    listen 127.0.0.1:{port} ssl{http2}; ssl_protocols {tls};
    ssl_certificate {port}.pem; ssl_certificate_key {port}.key;
    {verify}
    location / {{ {} proxy_pass https://127.0.0.1:{behind}; }}
  }}\n",
        if verify.contains("optional") {
            "if ($ssl_client_verify != SUCCESS) { return 403; }"
        } else {
            ""
        }
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file in a temporary directory");
}

/// The path of nginx, which Debian installs where only root's shell looks.
fn program() -> PathBuf {
    let elsewhere = Path::new("/usr/sbin/nginx");
    if elsewhere.is_file() {
        elsewhere.to_owned()
    } else {
        "nginx".into()
    }
}

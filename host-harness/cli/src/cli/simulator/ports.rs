//! The ports of a simulator's last start, so that an instance that was configured for them still reaches it.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use bss_simulator::Details;
use serde::{Deserialize, Serialize};

use super::super::files::write_whole;

/// The file in the simulator's directory.
pub(super) const FILE: &str = "ports.json";

/// The ports of both listeners; 0 where there was no start before.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Ports {
    service: u16,
    login: u16,
}

impl Ports {
    pub(super) fn of_last_start(directory: &Path) -> anyhow::Result<Self> {
        let file = directory.join(FILE);
        match std::fs::read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            read => {
                serde_json::from_slice(&read?).with_context(|| format!("`{}` is damaged", file.display()))
            }
        }
    }

    pub(super) fn keep(details: &Details, directory: &Path) -> anyhow::Result<()> {
        let port = |authority: &str| authority.rsplit_once(':')?.1.parse().ok();
        let ports = Self {
            service: port(&details.resource_api).unwrap_or_default(),
            login: port(&details.login_authority).unwrap_or_default(),
        };
        let file = directory.join(FILE);
        write_whole(&file, &serde_json::to_vec(&ports)?)
            .with_context(|| format!("`{}` can't be written", file.display()))
    }

    /// The addresses of the service and of the login; where a port is 0, with that of the last start.
    pub(super) fn instead_of_any(&self, service: SocketAddr, login: SocketAddr) -> (SocketAddr, SocketAddr) {
        let with_port = |address: SocketAddr, port| match address.port() {
            0 => SocketAddr::new(address.ip(), port),
            _ => address,
        };
        (with_port(service, self.service), with_port(login, self.login))
    }
}

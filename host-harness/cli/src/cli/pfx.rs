//! Makes PFX files, for the demo and the simulator: with OpenSSL, as an operator would, or with a library.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use bss_simulator::IssuedCertificate;

use super::files::write_whole;

/// The maker of a PFX file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    OpenSsl,
    Library,
}

/// Writes a PFX file with OpenSSL, or with the library where `openssl` is not installed.
pub(super) fn write(issued: &IssuedCertificate, code: &str, file: &Path) -> anyhow::Result<Maker> {
    let maker = match with_openssl(issued, code, file) {
        Ok(()) => Maker::OpenSsl,
        Err(error)
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound) =>
        {
            with_library(issued, code, file)?;
            Maker::Library
        }
        Err(error) => return Err(error),
    };
    Ok(maker)
}

/// Writes a PFX file with OpenSSL. The key goes through a pipe and the code through the environment: neither is ever in
/// clear in a file, or in an argument.
fn with_openssl(issued: &IssuedCertificate, code: &str, file: &Path) -> anyhow::Result<()> {
    let mut openssl = Command::new("openssl")
        .args([
            "pkcs12",
            "-export",
            "-name",
            "Microsoft ESD",
            "-passout",
            "env:BSS_PFX_CODE",
            "-out",
        ])
        .arg(file)
        .env("BSS_PFX_CODE", code)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = openssl.stdin.take() {
        for pem in [
            issued.private_key_pem.as_bytes(),
            issued.certificate_pem.as_bytes(),
            issued.chain_pem.as_bytes(),
        ] {
            stdin
                .write_all(pem)
                .context("the certificate can't be written to openssl")?;
        }
    }
    let output = openssl
        .wait_with_output()
        .context("openssl's output can't be read")?;
    if !output.status.success() {
        bail!(
            "openssl failed to make the PFX file: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// Writes a PFX file without any other program.
pub(super) fn with_library(issued: &IssuedCertificate, code: &str, file: &Path) -> anyhow::Result<()> {
    write_whole(file, &issued.pfx(code)?).with_context(|| format!("`{}` can't be written", file.display()))
}

//! Keys, certificates and PFX files, made anew for each run; PFX files with the `openssl` program.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_RSA_SHA256,
};

/// The RSA key of all certificates of a run: making one takes most of a second.
pub(crate) static RSA_KEY: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());

/// A certificate with its chain, in PEM form.
pub(crate) struct Made {
    pub(crate) key: String,
    pub(crate) leaf: String,
    pub(crate) leaf_der: Vec<u8>,
    pub(crate) chain: String,
    pub(crate) chain_der: Vec<Vec<u8>>,
}

/// Parameters of a client's certificate.
pub(crate) fn client_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![format!("{name}.example.test")]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    params
}

/// Makes a certificate under an intermediate authority under a root.
pub(crate) fn make(params: &CertificateParams, key: &KeyPair) -> Made {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let root = CertifiedIssuer::self_signed(authority("test root"), KeyPair::generate().unwrap()).unwrap();
    let intermediate = CertifiedIssuer::signed_by(
        authority("test intermediate"),
        KeyPair::generate().unwrap(),
        &root,
    )
    .unwrap();
    let leaf = params.signed_by(key, &intermediate).unwrap();
    Made {
        key: key.serialize_pem(),
        leaf: leaf.pem(),
        leaf_der: leaf.der().to_vec(),
        chain: format!("{}{}", root.pem(), intermediate.pem()),
        chain_der: vec![intermediate.der().to_vec(), root.der().to_vec()],
    }
}

/// A client's certificate as it should be.
pub(crate) fn good() -> Made {
    make(&client_params("client"), &RSA_KEY)
}

/// Runs `openssl` and returns what it printed.
pub(crate) fn openssl(directory: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("these tests need the `openssl` program (3.0 or later): install it");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A PFX file of the key and certificate alone.
pub(crate) fn pfx(made: &Made, code: &str) -> Vec<u8> {
    pfx_with(made, code, &[])
}

/// A PFX file made with more options of `openssl pkcs12 -export`. `chain.pem` is there to be named.
pub(crate) fn pfx_with(made: &Made, code: &str, options: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("key.pem"), &made.key).unwrap();
    std::fs::write(path.join("leaf.pem"), &made.leaf).unwrap();
    std::fs::write(path.join("chain.pem"), &made.chain).unwrap();
    let code = format!("pass:{code}");
    let mut arguments = vec![
        "pkcs12", "-export", "-in", "leaf.pem", "-out", "out.pfx", "-passout", &code,
    ];
    if !options.contains(&"-nokeys") {
        arguments.extend(["-inkey", "key.pem"]);
    }
    arguments.extend(options);
    openssl(path, &arguments);
    std::fs::read(path.join("out.pfx")).unwrap()
}

/// A PFX file in any composition, which `openssl` would refuse to make.
pub(crate) fn odd_pfx(entries: &[(&KeyPair, &[&[u8]])], code: &str) -> Vec<u8> {
    use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    let mut store = KeyStore::new();
    for (index, (key, certificates)) in entries.iter().enumerate() {
        let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
        let certificates = certificates.iter().map(|der| Certificate::from_der(der).unwrap());
        let chain = PrivateKeyChain::new(vec![index as u8], key, certificates);
        store.add_entry(&format!("entry {index}"), KeyStoreEntry::PrivateKeyChain(chain));
    }
    store
        .writer(code)
        .encryption_iterations(10)
        .mac_iterations(10)
        .write()
        .unwrap()
}

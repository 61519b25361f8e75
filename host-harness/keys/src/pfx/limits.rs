//! How much of a PFX file is read, and how much work is done for it.

/// The longest file that is read. A key with ten certificates takes about 20 KiB; a larger file is no key with its
/// chain.
pub(crate) const PFX_BYTES_MAX: usize = 256 * 1024;

/// The longest file that is looked at, which may be the text of a PFX file: base64 in UTF-16 takes 2.7 times as many bytes.
pub(crate) const FILE_BYTES_MAX: usize = 3 * PFX_BYTES_MAX;

/// Keys and certificates in one file. A chain has a handful; each bag may cost a key derivation.
pub(crate) const BAGS_MAX: usize = 100;

/// The most iterations of one key derivation. OpenSSL and Windows do 2,000, the most careful tools 600,000.
pub(crate) const ITERATIONS_MAX: u64 = 1_000_000;

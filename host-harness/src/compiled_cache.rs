//! Compiled components, kept so that a program that starts for one call need not compile for seconds.
//!
//! What is read here becomes native code of the host's own process, so it is taken only from a directory
//! that nobody but its owner can write, and only for the engine that wrote it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Group and others may not write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The compiled components in one directory.
pub(crate) struct CompiledCache {
    directory: PathBuf,
}

impl CompiledCache {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The component of these bytes: compiled before by an engine like this one, or now. A cache that
    /// can't be read or written costs time and nothing else.
    pub(crate) fn component(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
        let file = self.directory.join(file_name(engine, bytes));
        match self.read(engine, &file) {
            Ok(component) => return Ok(component),
            Err(error) => tracing::debug!(%error, "not compiled before"),
        }
        let component = Component::new(engine, bytes)?;
        let compiled = component.serialize()?;
        if let Err(error) = self.write(&file, &compiled) {
            tracing::warn!(%error, "the compiled plugin can't be kept");
        }
        Ok(component)
    }

    fn read(&self, engine: &Engine, file: &Path) -> wasmtime::Result<Component> {
        for path in [self.directory.as_path(), file] {
            let metadata = fs::symlink_metadata(path)?;
            let home = fs::metadata("/proc/self").map_or(metadata.uid(), |own| own.uid());
            if metadata.is_symlink() || metadata.mode() & WRITABLE_BY_OTHERS != 0 || metadata.uid() != home {
                wasmtime::bail!("others could have written it");
            }
        }
        let compiled = fs::read(file)?;
        #[expect(
            unsafe_code,
            reason = "only this process's user can have written the file, and it did so with `Component::serialize`; \
                      wasmtime checks that the engine is the same"
        )]
        // SAFETY: see the reason above.
        unsafe {
            Component::deserialize(engine, compiled)
        }
    }

    /// Whole or not at all: another process may read at the same time.
    fn write(&self, file: &Path, compiled: &[u8]) -> io::Result<()> {
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&self.directory)?;
        let unfinished = self.directory.join(uuid::Uuid::new_v4().to_string());
        let mut writing = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        let written = writing
            .write_all(compiled)
            .and_then(|()| fs::rename(&unfinished, file));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }
}

/// By the component's content and by all that decides what it is compiled to.
fn file_name(engine: &Engine, bytes: &[u8]) -> String {
    let content = HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref());
    let mut compatibility = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    format!("{content}-{:016x}.cwasm", compatibility.finish())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn files(directory: &Path) -> Vec<PathBuf> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    fn component() -> Vec<u8> {
        wat::parse_str("(component)").unwrap()
    }

    #[test]
    fn a_component_is_compiled_once_and_read_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledCache::new(folder.path().join("compiled"));
        let engine = Engine::default();
        cache.component(&engine, &component()).unwrap();
        let [file] = files(&cache.directory).try_into().unwrap();
        assert!(cache.read(&engine, &file).is_ok());
        cache.component(&engine, &component()).unwrap();
        assert_eq!(files(&cache.directory), [file]);
    }

    #[test]
    fn one_that_others_could_have_written_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledCache::new(folder.path().join("compiled"));
        let engine = Engine::default();
        cache.component(&engine, &component()).unwrap();
        let [file] = files(&cache.directory).try_into().unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.read(&engine, &file).is_err());
        assert!(cache.component(&engine, &component()).is_ok());
        assert!(
            cache.read(&engine, &file).is_ok(),
            "it was replaced by one of our own"
        );
        fs::set_permissions(&cache.directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(cache.read(&engine, &file).is_err());
    }

    #[test]
    fn one_that_is_damaged_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledCache::new(folder.path().join("compiled"));
        let engine = Engine::default();
        cache.component(&engine, &component()).unwrap();
        let [file] = files(&cache.directory).try_into().unwrap();
        fs::write(&file, b"half of it").unwrap();
        assert!(cache.component(&engine, &component()).is_ok());
        assert!(cache.read(&engine, &file).is_ok());
    }
}

//! Compiled components, kept so that a program that starts for one call need not compile for seconds.
//!
//! A file that is read here becomes native code of the host's own process, so it is taken only from a directory
//! that nobody but its owner can write, only whole, and only for the engine that wrote it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use bss_keys::Foreign;
use bss_model::with_causes;
use data_encoding::HEXLOWER;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The permission to write that the group and others must not have.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The most files that are kept: the plugins of some versions, for the engines of some versions, and what other programs
/// are just writing.
const FILES_MAX: usize = 16;

/// The compiled components in one directory.
pub(crate) struct CompiledCache {
    directory: PathBuf,
}

/// Why a component is not taken from the cache.
#[derive(Debug, thiserror::Error)]
enum CacheError {
    #[error("`{}` is a symbolic link, belongs to another user, or can be written by other users", .0.display())]
    Exposed(PathBuf),
    #[error("compiled plugin `{}` is incomplete or was altered", .0.display())]
    Damaged(PathBuf),
    #[error("compiled plugin `{}` was made by another version of the engine", .path.display())]
    Foreign {
        path: PathBuf,
        #[source]
        source: wasmtime::Error,
    },
    #[error("`{}` can't be read or written", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl CacheError {
    fn is_nothing_there(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl CompiledCache {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The component of these bytes: read from the cache if an engine like this one compiled it before, else compiled
    /// now. A cache that can't be read or written costs time and nothing else.
    pub(crate) fn component(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
        let file = self.directory.join(file_name(engine, bytes));
        match self.read(engine, &file) {
            Ok(component) => return Ok(component),
            Err(error) if error.is_nothing_there() => {
                tracing::debug!("the cache has no compiled form of the plugin")
            }
            Err(error) => tracing::warn!(
                "the plugin is compiled again because the cached form can't be used: {}",
                with_causes(&error)
            ),
        }
        let component = Component::new(engine, bytes)?;
        let compiled = component.serialize()?;
        if let Err(error) = self.write(&file, &compiled) {
            tracing::warn!(
                "the compiled plugin can't be written to the cache: {}",
                with_causes(&error)
            );
        }
        Ok(component)
    }

    fn read(&self, engine: &Engine, path: &Path) -> Result<Component, CacheError> {
        self.check_directory()?;
        let failed = |source| CacheError::File {
            path: path.to_owned(),
            source,
        };
        let is_link = fs::symlink_metadata(path).map_err(failed)?.is_symlink();
        let mut file = File::open(path).map_err(failed)?;
        if is_link || is_exposed(&file.metadata().map_err(failed)?) {
            return Err(CacheError::Exposed(path.to_owned()));
        }
        let mut whole = Vec::new();
        file.read_to_end(&mut whole).map_err(failed)?;
        // What is used stays when the directory is pruned.
        let _ = file.set_modified(SystemTime::now());
        let (expected, compiled) = whole
            .split_at_checked(SHA256_OUTPUT_LEN)
            .ok_or_else(|| CacheError::Damaged(path.to_owned()))?;
        if digest(&SHA256, compiled).as_ref() != expected {
            return Err(CacheError::Damaged(path.to_owned()));
        }
        #[expect(
            unsafe_code,
            reason = "only this process's user can have written the file, it is what was written, and that was made by \
                      `Component::serialize`; wasmtime checks that the engine is the same"
        )]
        // SAFETY: see the reason above.
        let component = unsafe { Component::deserialize(engine, compiled) };
        component.map_err(|source| CacheError::Foreign {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes a file whole or not at all, because another process may read at the same time.
    fn write(&self, path: &Path, compiled: &[u8]) -> Result<(), CacheError> {
        let failed = |source| CacheError::File {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&self.directory)
            .map_err(failed)?;
        self.check_directory()?;
        let unfinished = self.directory.join(uuid::Uuid::new_v4().to_string());
        let mut writing = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(failed)?;
        let written = writing
            .write_all(digest(&SHA256, compiled).as_ref())
            .and_then(|()| writing.write_all(compiled))
            .and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        self.prune();
        written.map_err(failed)
    }

    /// Removes what no program has used for longest. A file that is being read stays whole for its reader.
    fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        let used = |entry: fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
        let mut files: Vec<_> = entries.filter_map(Result::ok).filter_map(used).collect();
        files.sort_by(|one, other| other.cmp(one));
        for (_, file) in files.into_iter().skip(FILES_MAX) {
            let _ = fs::remove_file(file);
        }
    }

    fn check_directory(&self) -> Result<(), CacheError> {
        let metadata = fs::symlink_metadata(&self.directory).map_err(|source| CacheError::File {
            path: self.directory.clone(),
            source,
        })?;
        if metadata.is_symlink() || is_exposed(&metadata) {
            return Err(CacheError::Exposed(self.directory.clone()));
        }
        Ok(())
    }
}

/// Whether another user than this process's could have written the file.
fn is_exposed(metadata: &fs::Metadata) -> bool {
    metadata.mode() & WRITABLE_BY_OTHERS != 0 || Foreign::check(metadata).is_err()
}

/// A name made of the component's content and of all that decides what it is compiled to.
fn file_name(engine: &Engine, bytes: &[u8]) -> String {
    let content = HEXLOWER.encode(digest(&SHA256, bytes).as_ref());
    let mut compatibility = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    format!("{content}-{:016x}.cwasm", compatibility.finish())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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

    /// A cache with one component in it, and its file.
    fn filled() -> (tempfile::TempDir, CompiledCache, Engine, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledCache::new(folder.path().join("compiled"));
        let engine = Engine::default();
        cache.component(&engine, &component()).unwrap();
        let [file] = files(&cache.directory).try_into().unwrap();
        (folder, cache, engine, file)
    }

    fn allow(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_component_is_compiled_once_and_read_afterwards() {
        let (_folder, cache, engine, file) = filled();
        assert!(cache.read(&engine, &file).is_ok());
        cache.component(&engine, &component()).unwrap();
        assert_eq!(files(&cache.directory), [file]);
    }

    #[test]
    fn what_was_not_used_for_longest_is_removed_and_what_is_used_stays() {
        let (_folder, cache, engine, used) = filled();
        let long_ago = SystemTime::UNIX_EPOCH;
        for number in 0..2 * FILES_MAX {
            let old = File::create(cache.directory.join(format!("{number}.cwasm"))).unwrap();
            old.set_modified(long_ago + std::time::Duration::from_secs(number as u64))
                .unwrap();
        }
        File::open(&used).unwrap().set_modified(long_ago).unwrap();
        cache.component(&engine, &component()).unwrap();
        let another = wat::parse_str("(component (core module))").unwrap();
        cache.component(&engine, &another).unwrap();
        let kept = files(&cache.directory);
        assert_eq!(kept.len(), FILES_MAX);
        assert!(kept.contains(&used));
        assert!(!cache.directory.join("0.cwasm").exists());
        assert!(
            cache
                .directory
                .join(format!("{}.cwasm", 2 * FILES_MAX - 1))
                .exists()
        );
    }

    #[test]
    fn a_new_directory_and_its_files_are_the_owner_s_alone() {
        let (_folder, cache, _engine, file) = filled();
        assert_eq!(fs::metadata(&cache.directory).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn one_that_others_could_have_written_is_compiled_again() {
        let (_folder, cache, engine, file) = filled();
        allow(&file, 0o666);
        let refused = cache.read(&engine, &file).unwrap_err();
        assert!(
            matches!(&refused, CacheError::Exposed(path) if *path == file),
            "{refused}"
        );
        assert!(cache.component(&engine, &component()).is_ok());
        assert!(
            cache.read(&engine, &file).is_ok(),
            "it was replaced by one of our own"
        );
    }

    #[test]
    fn a_directory_that_others_can_write_is_neither_read_nor_written() {
        let (_folder, cache, engine, file) = filled();
        for mode in [0o777, 0o770, 0o702] {
            allow(&cache.directory, mode);
            let refused = cache.read(&engine, &file).unwrap_err();
            assert!(matches!(refused, CacheError::Exposed(_)), "{refused}");
            let other = wat::parse_str("(component (core module))").unwrap();
            assert!(
                cache.component(&engine, &other).is_ok(),
                "it is compiled and not kept"
            );
            assert_eq!(files(&cache.directory).len(), 1);
        }
        allow(&cache.directory, 0o755);
        assert!(cache.read(&engine, &file).is_ok());
    }

    #[test]
    fn a_link_is_not_followed() {
        let (folder, cache, engine, file) = filled();
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        symlink(&elsewhere, &file).unwrap();
        let refused = cache.read(&engine, &file).unwrap_err();
        assert!(matches!(refused, CacheError::Exposed(_)), "{refused}");
        fs::rename(&elsewhere, &file).unwrap();
        assert!(cache.read(&engine, &file).is_ok());

        let linked = CompiledCache::new(folder.path().join("linked"));
        symlink(&cache.directory, &linked.directory).unwrap();
        let file = linked.directory.join(file.file_name().unwrap());
        let refused = linked.read(&engine, &file).unwrap_err();
        assert!(matches!(refused, CacheError::Exposed(_)), "{refused}");
    }

    #[test]
    fn one_that_is_damaged_anywhere_is_compiled_again() {
        let (_folder, cache, engine, file) = filled();
        let whole = fs::read(&file).unwrap();
        let mut damaged = vec![
            whole[..whole.len() - 1].to_vec(),
            b"half of it".to_vec(),
            Vec::new(),
        ];
        for place in [0, SHA256_OUTPUT_LEN, whole.len() / 2, whole.len() - 1] {
            let mut turned = whole.clone();
            turned[place] ^= 1;
            damaged.push(turned);
        }
        for bytes in damaged {
            fs::write(&file, bytes).unwrap();
            let refused = cache.read(&engine, &file).unwrap_err();
            assert!(matches!(refused, CacheError::Damaged(_)), "{refused}");
            assert!(cache.component(&engine, &component()).is_ok());
            assert!(cache.read(&engine, &file).is_ok(), "it was replaced");
        }
    }

    #[test]
    fn one_of_another_engine_is_not_taken_even_under_the_right_name() {
        let (_folder, cache, engine, file) = filled();
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = Engine::new(&config).unwrap();
        assert_ne!(
            file_name(&engine, &component()),
            file_name(&other, &component()),
            "each has a file of its own"
        );
        let planted = cache.directory.join(file_name(&other, &component()));
        fs::copy(&file, &planted).unwrap();
        let refused = cache.read(&other, &planted).unwrap_err();
        assert!(matches!(refused, CacheError::Foreign { .. }), "{refused}");
        assert!(cache.component(&other, &component()).is_ok());
        assert!(cache.read(&other, &planted).is_ok(), "it was replaced");
    }

    #[test]
    fn nothing_is_written_to_the_log_when_there_is_nothing_to_take() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompiledCache::new(folder.path().join("compiled"));
        let missing = cache
            .read(&Engine::default(), &cache.directory.join("x"))
            .unwrap_err();
        assert!(missing.is_nothing_there(), "{missing}");
    }
}

//! All entries of a store, carried to another folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::super::OpenError;
use super::inventory::Inventory;
use super::layout::Layout;
use crate::model::Sha256;

/// What was carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Files that were not there before.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Inventory {
    /// Copies the entries to the store in `folder`, with the times that they were used at. What is there already stays; an entry
    /// that is evicted meanwhile is left out. Each is whole there or absent, and all are on the disk when this returns.
    /// Fails if a relay has that store open. Blocking.
    pub fn copy_to(&self, folder: &Path) -> Result<Carried, OpenError> {
        let failed = |cause| OpenError::Folder { folder: folder.to_owned(), cause };
        let (to, lock) = Layout::open(folder)?;
        if lock.is_none() {
            return Err(failed(io::ErrorKind::ReadOnlyFilesystem.into()));
        }
        let mut carried = Carried::default();
        for shard in self.shelves() {
            for kept in shard.map_err(failed)?.kept {
                if let Some(bytes) = self.copy_entry(&to, kept.sha256).map_err(failed)? {
                    carried.files += 1;
                    carried.bytes += bytes;
                }
            }
        }
        Ok(carried)
    }

    /// The bytes of one that was copied.
    fn copy_entry(&self, to: &Layout, sha256: Sha256) -> io::Result<Option<u64>> {
        let place = to.entry(sha256);
        if place.exists() {
            return Ok(None);
        }
        let mut from = match File::open(self.layout().entry(sha256)) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause),
        };
        let facts = from.metadata()?;
        let temporary = to.temporary().join(sha256.to_string());
        let copied = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let copied = copied.and_then(|mut copy| {
            let bytes = io::copy(&mut from, &mut copy)?;
            if bytes != facts.len() {
                return Err(io::Error::other("a kept file changed while it was read"));
            }
            copy.set_modified(facts.modified()?)?;
            copy.sync_all()?;
            let shard = place.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(shard)?;
            fs::rename(&temporary, &place)?;
            File::open(shard)?.sync_all()?;
            Ok(Some(bytes))
        });
        if copied.is_err() {
            // It is not needed, and the first failure is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        copied
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use sha2::Digest as _;

    use super::*;

    fn put(root: &Path, bytes: &[u8]) -> Sha256 {
        let sha256 = Sha256(sha2::Sha256::digest(bytes).into());
        let (layout, _lock) = Layout::open(root).unwrap();
        let place = layout.entry(sha256);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, bytes).unwrap();
        let used = std::time::UNIX_EPOCH + std::time::Duration::new(1_700_000_000, 123_456_789);
        File::options().write(true).open(&place).unwrap().set_modified(used).unwrap();
        sha256
    }

    #[test]
    fn entries_are_carried_whole_with_their_uses_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let (one, two) = (put(&from, b"one"), put(&from, b"two, longer"));
        put(&to, b"two, longer");
        let stranger = from.join("sha256/ab");
        fs::create_dir_all(&stranger).unwrap();
        fs::write(stranger.join("notes"), "somebody's").unwrap();
        let carried = Inventory::of(&from).copy_to(&to).unwrap();
        assert_eq!(carried, Carried { files: 1, bytes: 3 });
        let layout = Layout::at(&to);
        assert_eq!(fs::read(layout.entry(one)).unwrap(), b"one");
        assert_eq!(fs::read(layout.entry(two)).unwrap(), b"two, longer");
        let facts = layout.entry(one).metadata().unwrap();
        assert_eq!((facts.mtime(), facts.mtime_nsec()), (1_700_000_000, 123_456_789));
        assert_eq!(fs::read_dir(layout.temporary()).unwrap().count(), 0);
        assert!(!to.join("sha256/ab/notes").exists());
    }

    #[test]
    fn a_store_that_somebody_has_open_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        put(&from, b"one");
        let held = Layout::open(&to).unwrap();
        assert!(matches!(Inventory::of(&from).copy_to(&to), Err(OpenError::InUse(_))));
        drop(held);
    }

    #[test]
    fn a_store_that_is_missing_has_nothing_to_carry() {
        let folder = tempfile::tempdir().unwrap();
        let carried = Inventory::of(&folder.path().join("none")).copy_to(&folder.path().join("to"));
        assert_eq!(carried.unwrap(), Carried::default());
    }
}

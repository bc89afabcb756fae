//! All entries of a store, carried to another folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use sha2::Digest as _;
use tracing::warn;

use super::super::OpenError;
use super::check::{PIECE, open};
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
    /// that is evicted meanwhile is left out, and so is one with other bytes than its digest says: its time would have the
    /// relay believe it. Each is whole there or absent, and all are on the disk when this returns.
    /// Fails if a relay has that store open. Blocking.
    pub fn copy_to(&self, folder: &Path) -> Result<Carried, OpenError> {
        // Where nothing may be written there is no lock, and the first entry fails.
        let (to, _lock) = Layout::open(folder)?;
        let mut carried = Carried::default();
        for shard in self.shelves() {
            for kept in shard.map_err(|cause| of(self.layout().root(), cause))?.kept {
                if let Some(bytes) = self.copy_entry(&to, kept.sha256)? {
                    carried.files += 1;
                    carried.bytes += bytes;
                }
            }
        }
        // Folders that are new in it.
        let entries = to.entries();
        File::open(&entries).and_then(|folder| folder.sync_all()).map_err(|cause| of(&entries, cause))?;
        Ok(carried)
    }

    /// The bytes of one that was copied.
    fn copy_entry(&self, to: &Layout, sha256: Sha256) -> Result<Option<u64>, OpenError> {
        let place = to.entry(sha256);
        if place.exists() {
            return Ok(None);
        }
        let entry = self.layout().entry(sha256);
        let unread = |cause| of(&entry, cause);
        let mut from = match open(&entry) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(unread(cause)),
        };
        let used = from.metadata().and_then(|facts| facts.modified()).map_err(unread)?;
        let temporary = to.temporary().join(sha256.to_string());
        let copied = copy_hashed(&mut from, &entry, &temporary).and_then(|(copy, bytes, found)| {
            if found != sha256 {
                warn!(%sha256, %found, "a kept file has other bytes than its digest says: it is left out");
                return Ok(None);
            }
            put(&copy, used, &temporary, &place).map_err(|cause| of(&place, cause))?;
            Ok(Some(bytes))
        });
        if !matches!(copied, Ok(Some(_))) {
            // It is not needed, and the first failure is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        copied
    }
}

/// Copies what is read from `entry` into a file of its own; with the number of bytes, and their digest.
fn copy_hashed(from: &mut File, entry: &Path, to: &Path) -> Result<(File, u64, Sha256), OpenError> {
    let unwritten = |cause| of(to, cause);
    let copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to);
    let mut copy = copy.map_err(unwritten)?;
    let (mut hasher, mut piece, mut bytes) = (sha2::Sha256::new(), vec![0; PIECE], 0);
    loop {
        let read = from.read(&mut piece).map_err(|cause| of(entry, cause))?;
        if read == 0 {
            return Ok((copy, bytes, Sha256(hasher.finalize().into())));
        }
        hasher.update(&piece[..read]);
        copy.write_all(&piece[..read]).map_err(unwritten)?;
        bytes += read as u64;
    }
}

/// Gives the copy its time and its name, when it is on the disk.
fn put(copy: &File, used: SystemTime, temporary: &Path, place: &Path) -> io::Result<()> {
    copy.set_modified(used)?;
    copy.sync_all()?;
    let shard = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(shard)?;
    fs::rename(temporary, place)?;
    File::open(shard)?.sync_all()
}

fn of(path: &Path, cause: io::Error) -> OpenError {
    OpenError::Folder { folder: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn keep(root: &Path, bytes: &[u8]) -> Sha256 {
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
        let (one, two) = (keep(&from, b"one"), keep(&from, b"two, longer"));
        keep(&to, b"two, longer");
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
        assert_eq!(layout.entry(one).metadata().unwrap().mode() & 0o777, 0o600);
        // What a copy that was killed has left is no part of the next one.
        fs::remove_file(layout.entry(one)).unwrap();
        fs::write(layout.temporary().join(one.to_string()), "longer than one").unwrap();
        Inventory::of(&from).copy_to(&to).unwrap();
        assert_eq!(fs::read(layout.entry(one)).unwrap(), b"one");
    }

    #[test]
    fn an_entry_with_other_bytes_is_left_out_whatever_its_time_says() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let (one, two) = (keep(&from, b"one"), keep(&from, b"two"));
        let entry = Layout::at(&from).entry(one);
        let used = entry.metadata().unwrap().modified().unwrap();
        fs::write(&entry, b"oNe").unwrap();
        File::options().write(true).open(&entry).unwrap().set_modified(used).unwrap();
        let carried = Inventory::of(&from).copy_to(&to).unwrap();
        assert_eq!(carried, Carried { files: 1, bytes: 3 });
        let layout = Layout::at(&to);
        assert!(!layout.entry(one).exists() && layout.entry(two).exists());
        assert_eq!(fs::read_dir(layout.temporary()).unwrap().count(), 0);
    }

    #[test]
    fn one_that_is_evicted_meanwhile_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        let one = keep(&from, b"one");
        let (to, _lock) = Layout::open(&folder.path().join("to")).unwrap();
        fs::remove_file(Layout::at(&from).entry(one)).unwrap();
        assert!(matches!(Inventory::of(&from).copy_entry(&to, one), Ok(None)));
    }

    #[test]
    fn a_store_that_somebody_has_open_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        keep(&from, b"one");
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

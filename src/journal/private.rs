//! The data folder and the journal's files are their owner's alone: they tell which projects somebody works with, and
//! pages of a private index lie in them.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::JournalError;
use crate::folder_lock::{self, Holder};
use crate::sqlite_file::{self, close_to_others};

/// The database's name in the data folder.
pub(super) const DATABASE: &str = "journal.sqlite3";
/// Locked as long as the database is open; a second process would find stale caches and its own writer.
pub(super) const LOCK: &str = "journal.lock";
/// There as long as a backup is being put into the folder, and after that has failed.
pub(super) const UNFINISHED: &str = "restore.unfinished";

/// What else may be in a data folder: the cache of package files, and the key that pages are signed with.
const CACHE: &str = "files";
const KEY: &str = "serverkey.pem";
/// The tokens.
const TOKENS: &str = "tokens.toml";
/// And the key that bundles are signed with.
const BUNDLE_KEY: &str = "bundlekey.pem";
/// And what the names of the statistics' files begin with.
const STATISTICS: &str = "statistics";

/// Makes the folder if it is missing, for its owner alone, and closes one to others that an earlier version made. One in
/// which other things lie as well is left as it is: others may have to get at those.
pub(super) fn folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {
            if is_ours(folder)? {
                close_to_others(folder, 0o700);
            } else {
                tracing::info!(folder = %folder.display(), "other things lie in the data folder too: its mode stays");
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Whether nothing lies in a folder but what the relay puts there.
fn is_ours(folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let is_ours = name.to_str().is_some_and(|name| {
            let begins = [DATABASE, KEY, BUNDLE_KEY, STATISTICS].iter().any(|ours| name.starts_with(ours));
            [CACHE, LOCK, UNFINISHED, TOKENS].contains(&name) || begins
        });
        if !is_ours {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a backup was begun to be put into the folder, and is not whole there.
pub(super) fn is_unfinished(folder: &Path) -> bool {
    folder.join(UNFINISHED).exists()
}

/// Which process works on a data folder.
pub fn holder(folder: &Path) -> io::Result<Holder> {
    folder_lock::holder(&folder.join(LOCK))
}

/// Takes the folder for this process, for as long as the file is open.
pub(super) fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join(LOCK);
    let file = sqlite_file::make(&path).map_err(|error| JournalError::folder(&path, error))?;
    match folder_lock::take(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(JournalError::folder(&path, error)),
    }
}

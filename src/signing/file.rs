//! The files of private keys: whole or absent, and their owner's alone.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The name in the data folder of the key that pages are signed with.
pub const NAME: &str = "serverkey.pem";
/// The same of the key that bundles are signed with.
pub const BUNDLE_NAME: &str = "bundlekey.pem";
/// Readable and writable by its owner.
const MODE: u32 = 0o600;

/// What the file of that name is called until it is whole.
fn unfinished(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.new"))
}

/// The key's text; `None` if there is none yet. One that others may read is closed to them.
pub(super) fn read(folder: &Path, name: &str) -> io::Result<Option<String>> {
    let path = folder.join(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        // A link that leads nowhere, such as into a folder that is not mounted yet, is no missing key.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mode = path.metadata()?.permissions().mode() & 0o7777;
    if mode & !MODE != 0
        && let Err(error) = std::fs::set_permissions(&path, Permissions::from_mode(mode & MODE))
    {
        tracing::warn!(path = %path.display(), %error, "others may read the key, and its mode cannot be changed");
    }
    Ok(Some(text))
}

/// Writes it; `false` if there is one, which stays. Once this returns well, a power cut takes nothing of it away.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> io::Result<bool> {
    let unfinished = unfinished(folder, name);
    // Of a process that was killed; a link in its place is not followed either.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // Making it takes seconds, in which somebody may have put back an old one.
    let path = folder.join(name);
    if path.symlink_metadata().is_ok() {
        std::fs::remove_file(&unfinished)?;
        return Ok(false);
    }
    std::fs::rename(&unfinished, path)?;
    File::open(folder)?.sync_all()?;
    Ok(true)
}

/// Copies the key of that name in the folder `from` into `to`; `false` if there is none, or one there already, which stays.
pub fn copy(name: &str, from: &Path, to: &Path) -> io::Result<bool> {
    match read(from, name)? {
        Some(text) => write(to, name, &text),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_or_absent_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), NAME).unwrap(), None);
        // What a process left that was killed while it wrote.
        std::fs::write(unfinished(folder.path(), NAME), "half").unwrap();
        assert_eq!(read(folder.path(), NAME).unwrap(), None);
        write(folder.path(), NAME, "whole").unwrap();
        assert_eq!(read(folder.path(), NAME).unwrap().as_deref(), Some("whole"));
        let mode = |name| folder.path().join(name).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(NAME), 0o600);
        assert!(!unfinished(folder.path(), NAME).exists());
        for (before, after) in
            [(0o644, 0o600), (0o777, 0o600), (0o4640, 0o600), (0o444, 0o400), (0o400, 0o400)]
        {
            std::fs::set_permissions(folder.path().join(NAME), Permissions::from_mode(before)).unwrap();
            read(folder.path(), NAME).unwrap();
            assert_eq!(mode(NAME), after, "{before:o}");
        }
    }

    #[test]
    fn one_that_is_there_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), NAME, "first").unwrap());
        assert!(!write(folder.path(), NAME, "second").unwrap());
        assert_eq!(read(folder.path(), NAME).unwrap().as_deref(), Some("first"));
        assert!(!unfinished(folder.path(), NAME).exists());
        std::fs::remove_file(folder.path().join(NAME)).unwrap();
        std::os::unix::fs::symlink("/nowhere/key", folder.path().join(NAME)).unwrap();
        assert!(!write(folder.path(), NAME, "third").unwrap());
        assert!(read(folder.path(), NAME).is_err());
    }

    #[test]
    fn a_link_in_place_of_the_unfinished_one_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::fs::write(&elsewhere, "untouched").unwrap();
        std::os::unix::fs::symlink(&elsewhere, unfinished(folder.path(), NAME)).unwrap();
        write(folder.path(), NAME, "key").unwrap();
        assert_eq!(std::fs::read_to_string(elsewhere).unwrap(), "untouched");
    }
}

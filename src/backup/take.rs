//! Takes a backup of a data folder, beside a relay that works on it or without one.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::manifest::{BESIDE, Part, Unwritten};
use super::{BackupError, Manifest};
use crate::blob::Inventory;
use crate::journal::{Journal, UnlockedJournal};
use crate::model::{Clock, UpstreamIdentity};
use crate::signing;
use crate::stats;
use crate::tokens;

/// What is to be copied, and where to.
#[derive(Debug, Clone)]
pub struct BackupJob {
    /// The relay's data folder.
    pub data: PathBuf,
    /// Whose folder it has to be, if that is given.
    pub upstream: Option<UpstreamIdentity>,
    /// The folder of the kept package files, if they are to be copied too.
    pub files: Option<PathBuf>,
    /// The backup's folder, which is made; an empty one will do.
    pub to: PathBuf,
    /// Tells when it was taken.
    pub clock: Clock,
}

impl BackupJob {
    /// The folder of the package files in a backup.
    pub const FILES: &str = "files";

    /// Takes the backup. If it fails nothing of it is left. Blocking, for as long as the disk takes; what is written by the
    /// relay meanwhile is not in it.
    pub fn run(&self) -> Result<Manifest, BackupError> {
        let journal = UnlockedJournal::open(&self.data, self.upstream.as_ref())?;
        let Some(journal) = journal.filter(|_| !Journal::is_unfinished(&self.data)) else {
            return Err(BackupError::NoJournal(self.data.clone()));
        };
        let made = self.prepare()?;
        let unwritten = self.claim(made)?;
        let taken = self.copy(&journal, unwritten);
        if taken.is_err() {
            self.give_up(made);
        }
        taken
    }

    /// Makes the folder; tells whether it was missing.
    fn prepare(&self) -> Result<bool, BackupError> {
        let failed = BackupError::disk(&self.to);
        match DirBuilder::new().mode(0o700).create(&self.to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut entries = fs::read_dir(&self.to).map_err(&failed)?;
                // A file system of its own has this in its root.
                let is_in_use =
                    entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lost+found"));
                if is_in_use { Err(BackupError::NotEmpty(self.to.clone())) } else { Ok(false) }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Takes the folder, which was empty a moment ago. Of several that are begun at once one gets it, and the others touch
    /// nothing of its.
    fn claim(&self, made: bool) -> Result<Unwritten, BackupError> {
        Manifest::begin(&self.to).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return BackupError::NotEmpty(self.to.clone());
            }
            if made {
                // It is empty, and the first failure is the one to tell.
                let _ = fs::remove_dir(&self.to);
            }
            BackupError::disk(&self.to)(error)
        })
    }

    fn copy(&self, journal: &UnlockedJournal, unwritten: Unwritten) -> Result<Manifest, BackupError> {
        let mut manifest = Manifest::new(self.clock.unix());
        let copied = journal.copy_to(&self.to)?;
        manifest.upstream = copied.upstream.map(|upstream| upstream.as_str().to_owned());
        manifest.last_serial = copied.last_serial.map(|serial| serial.0);
        let mut names = vec![Journal::FILE];
        if stats::backup::copy(&self.data, &self.to)? {
            names.push(stats::backup::FILE);
        }
        for name in [signing::KEY_FILE, signing::BUNDLE_KEY_FILE] {
            let key = signing::copy_key(name, &self.data, &self.to);
            if key.map_err(BackupError::disk(&self.to.join(name)))? {
                names.push(name);
            }
        }
        let copied = tokens::copy(&self.data, &self.to);
        if copied.map_err(BackupError::disk(&self.to.join(tokens::FILE)))? {
            names.push(tokens::FILE);
        }
        for name in names {
            let part = Part::of(&self.to, name).map_err(BackupError::disk(&self.to.join(name)))?;
            manifest.parts.push(part);
        }
        if let Some(files) = &self.files {
            let carried = Inventory::of(files).copy_to(&self.to.join(Self::FILES))?;
            manifest.files = Some(carried.into());
        }
        manifest.write(&self.to, unwritten).map_err(BackupError::disk(&self.to))?;
        if let Some(parent) = self.to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let synced = File::open(parent).and_then(|parent| parent.sync_all());
            synced.map_err(BackupError::disk(parent))?;
        }
        Ok(manifest)
    }

    /// Removes what this run has put into its folder.
    fn give_up(&self, made: bool) {
        // Why there is no backup is told already; a rest without a manifest is no backup.
        if made {
            let _ = fs::remove_dir_all(&self.to);
            return;
        }
        for name in BESIDE.into_iter().chain([Journal::FILE, Manifest::FILE]) {
            for end in ["", "-journal", "-wal", "-shm", ".new"] {
                let _ = fs::remove_file(self.to.join(format!("{name}{end}")));
            }
        }
        let _ = fs::remove_dir_all(self.to.join(Path::new(Self::FILES)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_are_begun_at_once_one_gets_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let job = BackupJob {
            data: place.path().join("data"),
            upstream: None,
            files: None,
            to: place.path().join("to"),
            clock: Clock::standing_at(0),
        };
        // Both see that nothing is in it.
        let (one, two) = (job.prepare().unwrap(), job.prepare().unwrap());
        assert_eq!((one, two), (true, false));
        let mut manifest = Manifest::new(0);
        manifest.last_serial = Some(7);
        let unwritten = job.claim(two).unwrap();
        assert!(matches!(job.claim(one), Err(BackupError::NotEmpty(_))));
        manifest.write(&job.to, unwritten).unwrap();
        assert!(std::fs::read_to_string(job.to.join("backup.json")).unwrap().contains('7'));
    }
}

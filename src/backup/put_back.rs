//! Makes a data folder of a backup.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::manifest::BESIDE;
use super::{BackupError, BackupJob, Files, Manifest};
use crate::blob::Inventory;
use crate::journal::{Journal, Restoring};
use crate::model::{Clock, Serial, UpstreamIdentity};

/// Numbers that a relay may have given out in a day at the most, ten times what PyPI's whole changelog takes.
const SERIALS_A_DAY: i64 = 200_000;
/// And at once, in the first comparison of a large index.
const SERIALS_AT_ONCE: i64 = 1_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// Which backup is to be put where.
#[derive(Debug, Clone)]
pub struct RestoreJob {
    /// The backup's folder.
    pub from: PathBuf,
    /// The data folder; made if missing.
    pub data: PathBuf,
    /// The folder for package files, which may have some already.
    pub files: PathBuf,
    /// Whose backup it has to be, if that is given.
    pub upstream: Option<UpstreamIdentity>,
    /// The last serial that the lost relay has told its clients, if that is known.
    pub told: Option<Serial>,
    /// Tells how old the backup is.
    pub clock: Clock,
}

/// What was put back.
#[derive(Debug, Clone)]
pub struct PutBack {
    /// The backup.
    pub manifest: Manifest,
    /// Package files that came, and were not there before; `None` if the backup has none.
    pub files: Option<Files>,
    /// The last serial that the relay will name first; `None` before the first listing.
    pub last_serial: Option<Serial>,
    /// Above which number those of the relay's own go on, if it ever needs some.
    pub told: Option<Serial>,
}

impl RestoreJob {
    /// Puts the backup back. Nothing is written before all of its parts were found to be as they were written. If it is
    /// killed or fails, no relay starts on the folder until it is done again. Blocking.
    pub fn run(&self) -> Result<PutBack, BackupError> {
        let manifest = Manifest::read(&self.from)?;
        if let (Some(of), Some(asked)) = (&manifest.upstream, &self.upstream)
            && of != asked.as_str()
        {
            return Err(BackupError::OtherUpstream { of: of.clone(), asked: asked.clone() });
        }
        let told = self.told(&manifest)?;
        manifest.check_parts(&self.from)?;
        let unfinished = Journal::is_unfinished(&self.data);
        for place in BESIDE.iter().flat_map(|name| self.places(name)) {
            if place.symlink_metadata().is_ok() && !unfinished {
                return Err(BackupError::Occupied(place));
            }
        }
        let restoring = Restoring::begin(&self.data)?;
        let put = self.put_all(&manifest, restoring, told);
        let (files, last_serial) = put
            .map_err(|cause| BackupError::Unfinished { folder: self.data.clone(), cause: Box::new(cause) })?;
        Ok(PutBack { manifest, files, last_serial, told })
    }

    /// All parts, the journal last.
    fn put_all(
        &self,
        manifest: &Manifest,
        restoring: Restoring,
        told: Option<Serial>,
    ) -> Result<(Option<Files>, Option<Serial>), BackupError> {
        for name in BESIDE {
            self.put(manifest, name)?;
        }
        let files = match manifest.files {
            Some(_) => Some(Inventory::of(&self.from.join(BackupJob::FILES)).copy_to(&self.files)?.into()),
            None => None,
        };
        Ok((files, restoring.finish(&self.from, told, self.clock.unix_millis())?))
    }

    /// Where a part goes, and what may lie beside it.
    fn places(&self, name: &str) -> [PathBuf; 4] {
        ["", "-wal", "-shm", "-journal"].map(|end| self.data.join(format!("{name}{end}")))
    }

    /// Up to which number serials may have been told since the backup was taken.
    fn told(&self, manifest: &Manifest) -> Result<Option<Serial>, BackupError> {
        let Some(last) = manifest.last_serial else { return Ok(None) };
        let age = self.clock.unix().saturating_sub(manifest.taken).max(0);
        let room = (age.saturating_mul(SERIALS_A_DAY) / SECONDS_A_DAY).saturating_add(SERIALS_AT_ONCE);
        let told = self.told.map_or(last.saturating_add(room), |told| told.0.max(last));
        // XML-RPC's `int` has 32 bits, and numbers go on from here. Where no others were told they do so anyway.
        if told > last && told > i64::from(i32::MAX) - SERIALS_AT_ONCE {
            return Err(BackupError::TooHigh { told });
        }
        Ok(Some(Serial(told)))
    }

    /// One part, in place of what an unfinished restore has left.
    fn put(&self, manifest: &Manifest, name: &str) -> Result<(), BackupError> {
        let place = self.data.join(name);
        let failed = BackupError::disk(&place);
        for rest in self.places(name) {
            match fs::remove_file(rest) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
        }
        if manifest.has(name) {
            copy(&self.from.join(name), &place).map_err(failed)?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const TAKEN: i64 = 1_700_000_000;

    /// What may have been told by a relay whose backup stood at `last`, so many seconds after it was taken.
    fn told(last: Option<i64>, age: i64, told: Option<i64>) -> Result<Option<i64>, BackupError> {
        let mut manifest = Manifest::new(TAKEN);
        manifest.last_serial = last;
        let job = RestoreJob {
            from: PathBuf::new(),
            data: PathBuf::new(),
            files: PathBuf::new(),
            upstream: None,
            told: told.map(Serial),
            clock: Clock::standing_at(TAKEN + age),
        };
        Ok(job.told(&manifest)?.map(|told| told.0))
    }

    #[test]
    fn more_may_have_been_told_the_older_the_backup_is() {
        assert_eq!(told(Some(100), 0, None).unwrap(), Some(1_000_100));
        assert_eq!(told(Some(100), 3 * DAY, None).unwrap(), Some(1_600_100));
        assert_eq!(told(Some(100), DAY / 2, None).unwrap(), Some(1_100_100));
        // By a clock that is behind it was not taken yet.
        assert_eq!(told(Some(100), -3 * DAY, None).unwrap(), Some(1_000_100));
        assert_eq!(told(None, DAY, None).unwrap(), None, "there was no listing");
    }

    #[test]
    fn what_is_said_to_have_been_told_counts_unless_the_backup_knows_better() {
        assert_eq!(told(Some(100), 3 * DAY, Some(170)).unwrap(), Some(170));
        assert_eq!(told(Some(100), 3 * DAY, Some(70)).unwrap(), Some(100));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused_unless_they_are_the_backups_own() {
        let most = i64::from(i32::MAX) - SERIALS_AT_ONCE;
        assert_eq!(told(Some(most - SERIALS_AT_ONCE), 0, None).unwrap(), Some(most));
        for (last, age, said) in [(most, 0, None), (100, 20_000 * DAY, None), (100, 0, Some(most + 1))] {
            let refused = told(Some(last), age, said);
            assert!(
                matches!(refused, Err(BackupError::TooHigh { .. })),
                "{last} {age} {said:?}: {refused:?}"
            );
        }
        assert_eq!(told(Some(most + 7), 0, Some(0)).unwrap(), Some(most + 7));
    }
}

//! Makes a data folder of a backup.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{BackupError, BackupJob, Manifest};
use crate::blob::{Carried, Inventory};
use crate::journal::{Journal, Restoring};
use crate::model::{Clock, Serial, UpstreamIdentity};
use crate::signing;
use crate::stats;

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
    /// Package files that came.
    pub carried: Carried,
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
        let beside = [stats::backup::FILE, signing::KEY_FILE];
        for name in beside {
            let place = self.data.join(name);
            if place.symlink_metadata().is_ok() && !unfinished {
                return Err(BackupError::Occupied(place));
            }
        }
        let restoring = Restoring::begin(&self.data)?;
        for name in beside {
            self.put(&manifest, name)?;
        }
        let carried = match manifest.files {
            Some(_) => Inventory::of(&self.from.join(BackupJob::FILES)).copy_to(&self.files)?,
            None => Carried::default(),
        };
        let last_serial = restoring.finish(&self.from, told)?;
        Ok(PutBack { manifest, carried, last_serial, told })
    }

    /// Up to which number serials may have been told since the backup was taken.
    fn told(&self, manifest: &Manifest) -> Result<Option<Serial>, BackupError> {
        let Some(last) = manifest.last_serial else { return Ok(None) };
        let days = self.clock.unix().saturating_sub(manifest.taken).max(0) / SECONDS_A_DAY;
        let room = days.saturating_mul(SERIALS_A_DAY).saturating_add(SERIALS_AT_ONCE);
        let told = self.told.map_or(last.saturating_add(room), |told| told.0.max(last));
        // XML-RPC's `int` has 32 bits, and numbers go on from here.
        if told > i64::from(i32::MAX) - SERIALS_AT_ONCE {
            return Err(BackupError::TooHigh { told });
        }
        Ok(Some(Serial(told)))
    }

    /// One part, in place of what an unfinished restore has left.
    fn put(&self, manifest: &Manifest, name: &str) -> Result<(), BackupError> {
        let place = self.data.join(name);
        let failed = BackupError::disk(&place);
        for end in ["", "-wal", "-shm", "-journal"] {
            match fs::remove_file(self.data.join(format!("{name}{end}"))) {
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

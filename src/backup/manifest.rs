//! What a backup holds. Written last, so that it is there only where the rest is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::BackupError;
use crate::blob::Carried;
use crate::journal::Journal;
use crate::signing;
use crate::stats;
use crate::tokens;

/// The parts but for the journal, and the package files.
pub(super) const BESIDE: [&str; 4] =
    [stats::backup::FILE, signing::KEY_FILE, signing::BUNDLE_KEY_FILE, tokens::FILE];
/// The newest form of the manifest.
const FORM: u32 = 1;
/// Bytes that are read and hashed at a time.
const PIECE: usize = 1 << 20;
/// A manifest is a few hundred bytes.
const LONGEST: u64 = 1 << 20;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this file.
    form: u32,
    /// The version of the program that took it.
    pub program: String,
    /// Unix seconds of when it was begun.
    pub taken: i64,
    /// Whose packages it tells of; `None` if the relay never had an upstream.
    pub upstream: Option<String>,
    /// The last serial that its journal knows; `None` before the first listing.
    pub last_serial: Option<i64>,
    /// Its files but for package files.
    pub parts: Vec<Part>,
    /// Kept package files, if they were asked for.
    pub files: Option<Files>,
}

/// The place of a manifest. Who has it may write into the backup's folder.
#[derive(Debug)]
pub(super) struct Unwritten {
    path: PathBuf,
    file: File,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, which it has in the data folder too.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// The package files of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl From<Carried> for Files {
    fn from(carried: Carried) -> Self {
        Self { count: carried.files, bytes: carried.bytes }
    }
}

impl Manifest {
    /// Its name in the backup's folder.
    pub const FILE: &str = "backup.json";

    /// Of a backup that was begun at `taken`, in Unix seconds.
    pub(super) fn new(taken: i64) -> Self {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self { form: FORM, program, taken, upstream: None, last_serial: None, parts: Vec::new(), files: None }
    }

    /// Of the backup in a folder; its parts are not looked at.
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(Self::FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoBackup(folder.to_owned()));
            }
            Err(error) => return Err(BackupError::disk(&path)(error)),
        };
        let misshapen = |reason: String| BackupError::Misshapen { path: path.clone(), reason };
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).map_err(BackupError::disk(&path))?;
        // The form first: what a later one has beside it is not known.
        let form = serde_json::from_slice::<Form>(&text).map_err(|error| misshapen(error.to_string()))?.form;
        if form > FORM {
            return Err(BackupError::Newer { path, found: form, known: FORM });
        }
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| misshapen(error.to_string()))?;
        if let Some(part) = manifest.parts.iter().find(|part| Path::new(&part.name).components().count() != 1)
        {
            return Err(misshapen(format!("{:?} is no file of a backup", part.name)));
        }
        if !manifest.has(Journal::FILE) {
            return Err(misshapen(format!("it names no {}", Journal::FILE)));
        }
        Ok(manifest)
    }

    /// Takes the folder for one backup: fails with [`io::ErrorKind::AlreadyExists`] if another one was begun there.
    pub(super) fn begin(folder: &Path) -> io::Result<Unwritten> {
        let path = folder.join("backup.json.new");
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Unwritten { path, file })
    }

    /// Puts it into the folder, once everything else is on the disk.
    pub(super) fn write(&self, folder: &Path, mut unwritten: Unwritten) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        unwritten.file.write_all(&text)?;
        unwritten.file.sync_all()?;
        fs::rename(&unwritten.path, folder.join(Self::FILE))?;
        File::open(folder)?.sync_all()
    }

    /// Whether it has a part of that name.
    pub fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.name == name)
    }

    /// Fails if a part is missing, or not as it was written.
    pub fn check_parts(&self, folder: &Path) -> Result<(), BackupError> {
        for part in &self.parts {
            let path = folder.join(&part.name);
            match Part::of(folder, &part.name) {
                Ok(found) if found == *part => {}
                Ok(_) => return Err(BackupError::Altered(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(BackupError::Altered(path));
                }
                Err(error) => return Err(BackupError::disk(&path)(error)),
            }
        }
        Ok(())
    }
}

/// What every form of the manifest has.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

impl Part {
    /// Of a file as it is now.
    pub(super) fn of(folder: &Path, name: &str) -> io::Result<Self> {
        let mut file = File::open(folder.join(name))?;
        let (mut hasher, mut piece, mut bytes) = (Sha256::new(), vec![0; PIECE], 0);
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
            bytes += read as u64;
        }
        Ok(Self { name: name.to_owned(), bytes, sha256: hex::encode(hasher.finalize()) })
    }
}

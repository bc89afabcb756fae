//! Takes a bundle into a data folder that no relay works on.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256 as Hasher};

use super::BundleError;
use super::manifest::{Head, Sha256Text};
use super::walk::{Member, Visit, walk};
use crate::blob::{Intake, Inventory};
use crate::journal::{BundlePartError, Importing, Journal, JournalSettings, PartClaims, TakenPart};
use crate::signing::PublicBundleKey;

/// Bytes that are unpacked at a time.
const PIECE: usize = 1 << 18;

/// Which bundle is to be taken, and where to.
#[derive(Debug, Clone)]
pub struct ImportJob {
    /// The bundle's file. It is read twice.
    pub from: PathBuf,
    /// The file with the exporter's public key, if one is given.
    pub key: Option<PathBuf>,
    /// The data folder; made if it is missing.
    pub data: PathBuf,
    /// The folder for package files.
    pub files: PathBuf,
    /// The journal's limits and clock.
    pub journal: JournalSettings,
}

/// What was taken.
#[derive(Debug, Clone)]
pub struct Imported {
    /// What the bundle claims, which is so here now.
    pub claims: PartClaims,
    /// When upstream was heard last by the exporter, in Unix seconds.
    pub as_of: Option<i64>,
    /// The journal's part.
    pub part: TakenPart,
    /// Package files that came; those that were kept already are none.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
}

impl ImportJob {
    /// Takes the bundle: all of it or nothing, as far as anybody is answered. Before anything is changed it is read to its end and
    /// found to be signed, whole, and what comes next here. Killed, it can be run again. Blocking, for as long as the disk takes.
    pub fn run(&self) -> Result<Imported, BundleError> {
        let key = PublicBundleKey::of_file(self.key.as_deref().ok_or(BundleError::NoKey)?)?;
        let (head, end) = walk(&self.from, &key, &mut Look)?;
        let claims = head.claims();
        if let Some(since) = claims.since.filter(|_| !Journal::is_in(&self.data)) {
            return Err(BundlePartError::Empty { since }.into());
        }
        let importing = Importing::begin(&self.data)?;
        importing.check(&claims)?;
        let staging = importing.staging()?;
        let part = staging.join("part.sqlite3");
        let mut taking = Take {
            importing: &importing,
            claims: &claims,
            part: &part,
            files: None,
            folder: &self.files,
            came: (0, 0),
        };
        let again = walk(&self.from, &key, &mut taking)?;
        let (files, file_bytes) = taking.came;
        drop(taking);
        // Signed, whole, and another one than was looked at.
        if again != (head.clone(), end) {
            return Err(BundleError::Altered {
                path: self.from.clone(),
                part: "the whole bundle".to_owned(),
            });
        }
        let kept = Inventory::of(&self.files);
        let part = importing.take(&part, &claims, &self.journal, &|sha256| kept.has(sha256))?;
        Ok(Imported { claims, as_of: head.as_of, part, files, file_bytes })
    }
}

/// Only looks whether all is as it is signed.
struct Look;

impl Visit for Look {
    fn journal(&mut self, _head: &Head, part: &mut Member<'_>) -> Result<(), BundleError> {
        part.copy_to(&mut io::sink(), Path::new(""))
    }

    fn file(&mut self, file: &mut Member<'_>) -> Result<(), BundleError> {
        file.copy_to(&mut io::sink(), Path::new(""))
    }
}

/// Takes package files in, which nobody asks for before the journal names them, and has the journal's part lie ready.
struct Take<'a> {
    importing: &'a Importing,
    claims: &'a PartClaims,
    /// Where the journal's part goes.
    part: &'a Path,
    /// Where package files go; there once the journal's part was checked.
    files: Option<Intake>,
    folder: &'a Path,
    /// Files and bytes.
    came: (u64, u64),
}

impl Visit for Take<'_> {
    fn journal(&mut self, head: &Head, part: &mut Member<'_>) -> Result<(), BundleError> {
        let packed = self.part.with_extension("gz");
        let failed = BundleError::disk(&packed);
        let mut file = new(&packed).map_err(&failed)?;
        part.copy_to(&mut file, &packed)?;
        drop(file);
        if !unpack(&packed, self.part, head).map_err(&failed)? {
            let reason = "its journal is not what it says once it is unpacked".to_owned();
            return Err(BundlePartError::Misshapen(reason).into());
        }
        std::fs::remove_file(&packed).map_err(&failed)?;
        self.importing.check_part(self.part, self.claims)?;
        // Not before: what is refused makes no folder either.
        self.files = head.files.then(|| Intake::open(self.folder)).transpose()?;
        Ok(())
    }

    fn file(&mut self, file: &mut Member<'_>) -> Result<(), BundleError> {
        let failed = BundleError::disk(self.folder);
        let incoming = match (&self.files, file.digest) {
            (Some(intake), Some(digest)) => intake.begin(digest, file.size).map_err(&failed)?,
            _ => None,
        };
        let Some(mut incoming) = incoming else { return file.copy_to(&mut io::sink(), Path::new("")) };
        file.copy_to(incoming.file(), self.folder)?;
        incoming.keep(file.used).map_err(&failed)?;
        self.came = (self.came.0 + 1, self.came.1.saturating_add(file.size));
        Ok(())
    }
}

fn new(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Unpacks the journal's part; false if it is not of the size and digest that are signed. No more than one byte above that size is written.
fn unpack(from: &Path, to: &Path, head: &Head) -> io::Result<bool> {
    let packed = &head.journal;
    let mut unpacked =
        GzDecoder::new(BufReader::new(File::open(from)?)).take(packed.unpacked_bytes.saturating_add(1));
    let (mut file, mut hasher, mut bytes, mut piece) = (new(to)?, Hasher::new(), 0, vec![0; PIECE]);
    loop {
        let read = match unpacked.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        bytes += read as u64;
        hasher.update(&piece[..read]);
        file.write_all(&piece[..read])?;
    }
    Ok(bytes == packed.unpacked_bytes
        && Sha256Text::from(<[u8; 32]>::from(hasher.finalize())) == packed.unpacked_sha256)
}

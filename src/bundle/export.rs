//! Makes a bundle of a data folder, beside a relay that works on it or without one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest as _, Sha256 as Hasher};
use tar::{Builder, Header};

use super::BundleError;
use super::manifest::{
    END, END_CONTEXT, END_SIGNATURE, End, FILES, FORM, HEAD, HEAD_CONTEXT, HEAD_SIGNATURE, Head, JOURNAL,
    Packed, Sha256Text, Tally,
};
use crate::blob::{Inventory, Kept};
use crate::journal::{Journal, MadePart, UnlockedJournal};
use crate::model::{Clock, Serial, UpstreamIdentity};
use crate::signing::BundleKey;

/// Bytes that are written at a time.
const PIECE: usize = 1 << 18;

/// What is to be exported, and where to.
#[derive(Debug, Clone)]
pub struct ExportJob {
    /// The relay's data folder.
    pub data: PathBuf,
    /// Whose folder it has to be, if that is given.
    pub upstream: Option<UpstreamIdentity>,
    /// The folder of the kept package files, if they are to be in it.
    pub files: Option<PathBuf>,
    /// The events after this serial; `None`: all that are known.
    pub since: Option<Serial>,
    /// The bundle's file, which is made.
    pub to: PathBuf,
    /// Tells when it was made.
    pub clock: Clock,
}

/// What was exported.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The journal's part.
    pub part: MadePart,
    /// Package files.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
}

impl ExportJob {
    /// Makes the bundle. It is there only once it is whole and on the disk; if it fails nothing of it is left. Blocking, for as
    /// long as the disk takes.
    pub fn run(&self) -> Result<Exported, BundleError> {
        let journal = UnlockedJournal::open(&self.data, self.upstream.as_ref())?;
        let Some(mut journal) = journal.filter(|_| !Journal::is_unfinished(&self.data)) else {
            return Err(BundleError::NoJournal(self.data.clone()));
        };
        if self.to.symlink_metadata().is_ok() {
            return Err(BundleError::Exists(self.to.clone()));
        }
        let key = BundleKey::of(&self.data)?;
        let parent =
            self.to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = BundleError::disk(parent);
        // Beside the bundle: there is room, or there is none for that either.
        let beside =
            tempfile::Builder::new().prefix(".cheesewire-bundle-").tempdir_in(parent).map_err(&failed)?;
        let unpacked = beside.path().join("journal.sqlite3");
        let part = journal.make_part(&unpacked, self.since, self.clock.unix())?;
        let packed = beside.path().join("journal.sqlite3.gz");
        let journal = pack(&unpacked, &packed).map_err(&failed)?;
        fs::remove_file(&unpacked).map_err(&failed)?;
        let head = Head {
            form: FORM,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            upstream: part.claims.upstream.as_str().to_owned(),
            taken: part.claims.taken,
            as_of: part.as_of,
            since: self.since.map(|since| since.0),
            last_serial: part.claims.last_serial.0,
            journal,
            files: self.files.is_some(),
        };
        let unfinished = beside.path().join("bundle");
        let end = self.write(&unfinished, &packed, &head, &key)?;
        // Not over a file that came meanwhile.
        fs::hard_link(&unfinished, &self.to).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BundleError::Exists(self.to.clone()),
            _ => failed(error),
        })?;
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(&failed)?;
        Ok(Exported { part, files: end.files, file_bytes: end.bytes })
    }

    fn write(&self, to: &Path, packed: &Path, head: &Head, key: &BundleKey) -> Result<End, BundleError> {
        let failed = BundleError::disk(&self.to);
        let file = File::options().write(true).create_new(true).mode(0o600).open(to).map_err(&failed)?;
        let mut archive = Builder::new(BufWriter::with_capacity(PIECE, file));
        let begun = signed(&mut archive, head, [HEAD, HEAD_SIGNATURE], HEAD_CONTEXT, key).map_err(&failed)?;
        let journal = File::open(packed).map_err(&failed)?;
        member(&mut archive, JOURNAL, head.journal.bytes, 0, journal).map_err(&failed)?;
        let mut tally = Tally::default();
        if let Some(folder) = &self.files {
            let inventory = Inventory::of(folder);
            for shard in inventory.shelves() {
                let mut kept = shard.map_err(BundleError::disk(folder))?.kept;
                kept.sort_unstable_by_key(|kept| kept.sha256.0);
                for kept in kept {
                    append(&mut archive, &inventory, kept, &mut tally, &failed)?;
                }
            }
        }
        let end = tally.end(&begun);
        signed(&mut archive, &end, [END, END_SIGNATURE], END_CONTEXT, key).map_err(&failed)?;
        let file = archive
            .into_inner()
            .and_then(|writer| writer.into_inner().map_err(io::IntoInnerError::into_error));
        file.and_then(|file| file.sync_all()).map_err(&failed)?;
        Ok(end)
    }
}

type Writer = Builder<BufWriter<File>>;

/// One package file; one that is evicted meanwhile is left out.
fn append(
    archive: &mut Writer,
    inventory: &Inventory,
    kept: Kept,
    tally: &mut Tally,
    failed: &impl Fn(io::Error) -> BundleError,
) -> Result<(), BundleError> {
    let Some(file) = inventory.open(kept.sha256).map_err(failed)? else { return Ok(()) };
    let size = file.metadata().map_err(failed)?.len();
    let used = kept.used.duration_since(UNIX_EPOCH).map_or(0, |used| used.as_secs());
    let mut file = Hashed { reader: file.take(size), hasher: Hasher::new(), bytes: 0 };
    member(archive, &format!("{FILES}{}", kept.sha256), size, used, &mut file).map_err(failed)?;
    if file.bytes != size || <[u8; 32]>::from(file.hasher.finalize()) != kept.sha256.0 {
        return Err(BundleError::Damaged(kept.sha256));
    }
    // Each is another one, and they are sorted.
    let _ = tally.add(kept.sha256, size);
    Ok(())
}

/// A member of the archive; its size has to be right.
fn member(archive: &mut Writer, name: &str, size: u64, modified: u64, bytes: impl Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(modified);
    header.set_cksum();
    archive.append(&header, bytes)
}

/// A text and its signature; the text.
fn signed(
    archive: &mut Writer,
    what: &impl Serialize,
    names: [&str; 2],
    context: &[u8],
    key: &BundleKey,
) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(what)?;
    text.push(b'\n');
    let signature = key.sign(&[context, &text].concat());
    for (name, bytes) in names.into_iter().zip([&text[..], &signature[..]]) {
        member(archive, name, bytes.len() as u64, 0, bytes)?;
    }
    Ok(text)
}

/// Packs the journal's part.
fn pack(from: &Path, to: &Path) -> io::Result<Packed> {
    let mut from = Hashed { reader: File::open(from)?, hasher: Hasher::new(), bytes: 0 };
    let file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let to = Hashed { reader: BufWriter::with_capacity(PIECE, file), hasher: Hasher::new(), bytes: 0 };
    let mut packer = GzEncoder::new(to, Compression::default());
    io::copy(&mut from, &mut packer)?;
    let mut to = packer.finish()?;
    to.flush()?;
    Ok(Packed {
        bytes: to.bytes,
        sha256: <[u8; 32]>::from(to.hasher.finalize()).into(),
        unpacked_bytes: from.bytes,
        unpacked_sha256: Sha256Text::from(<[u8; 32]>::from(from.hasher.finalize())),
    })
}

/// What is read from or written to something, counted and hashed.
struct Hashed<T> {
    reader: T,
    hasher: Hasher,
    bytes: u64,
}

impl<T> Hashed<T> {
    fn saw(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(piece)?;
        self.saw(&piece[..read]);
        Ok(read)
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.reader.write(piece)?;
        self.saw(&piece[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.reader.flush()
    }
}

//! Whether what stands at an entry's path is the entry: any contradiction throws the whole entry away.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use sha2::Digest as _;
use tracing::warn;

use super::super::Key;
use super::Disk;
use super::usage::Mark;
use crate::metric;
use crate::model::Sha256;

/// An entry that is what it should be.
#[derive(Debug)]
pub(in super::super) struct Sound {
    pub(in super::super) file: File,
    pub(in super::super) size: u64,
    /// What its time has as long as nobody else writes to it.
    mark: Mark,
}

impl Sound {
    /// Whether it is still the entry: not taken away, and as it was found; one look at the file.
    pub(in super::super) fn is_kept(&self) -> io::Result<bool> {
        let facts = self.file.metadata()?;
        Ok(facts.nlink() > 0 && self.is_as_found(&facts)?)
    }

    /// Nobody has written to it.
    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        self.is_as_found(&self.file.metadata()?)
    }

    fn is_as_found(&self, facts: &Metadata) -> io::Result<bool> {
        Ok(facts.len() == self.size && Mark::read(facts.modified()?) == self.mark)
    }
}

/// Bytes of one read.
pub(super) const PIECE: usize = 256 << 10;

impl Disk {
    /// Opens an entry if it is sound; blocking. Its length is compared each time; its bytes only if it does not have its
    /// mark: somebody else wrote to it, or put another file in its place.
    pub(super) fn sound(&self, key: &Key) -> io::Result<Option<Sound>> {
        let path = self.layout.entry(key.sha256);
        let file = match open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            // A link, a socket and the like cannot be opened; what cannot be read is left alone.
            Err(cause) if fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_file()) => {
                return Err(cause);
            }
            Err(cause) => return self.unsound(key, &format!("no file: {cause}")),
        };
        let facts = file.metadata()?;
        if !facts.is_file() {
            return self.unsound(key, "no file");
        }
        if let Some(stated) = key.size.filter(|&stated| stated != facts.len()) {
            return self.unsound(key, &format!("{} bytes instead of {stated}", facts.len()));
        }
        let (modified, mut mark) = (facts.modified()?, self.recency.mark(key.sha256));
        if Mark::read(modified) != mark {
            let actual = digest(&file)?;
            if actual != key.sha256 {
                return self.unsound(key, &format!("other bytes: sha256 is {actual}"));
            }
            if file.metadata()?.modified()? != modified {
                return self.unsound(key, "written to while it was read");
            }
            match file.set_modified(self.recency.fresh(key.sha256)) {
                // Where nothing can be written it is read again the next time.
                Err(_) if self.read_only() => mark = Mark::read(modified),
                noted => noted?,
            }
        }
        Ok(Some(Sound { file, size: facts.len(), mark }))
    }

    /// Whether a file of the key's length stands at its path; blocking.
    pub(in super::super) fn has(&self, key: &Key) -> bool {
        let facts = fs::symlink_metadata(self.layout.entry(key.sha256));
        facts.is_ok_and(|facts| facts.is_file() && key.size.is_none_or(|size| size == facts.len()))
    }

    fn unsound<T>(&self, key: &Key, found: &str) -> io::Result<Option<T>> {
        warn!(sha256 = %key.sha256, found, "a kept file is not what it should be: thrown away");
        metrics::counter!(metric::CACHE_UNSOUND_TOTAL).increment(1);
        if !self.read_only() {
            self.discard(key.sha256)?;
        }
        Ok(None)
    }
}

/// Opens for reading; neither follows a link nor waits for a pipe's other end.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// The digest of a whole file, from its first byte on; blocking.
pub(super) fn digest(file: &File) -> io::Result<Sha256> {
    use std::os::unix::fs::FileExt as _;
    let (mut hasher, mut piece, mut at) = (sha2::Sha256::new(), vec![0; PIECE], 0);
    loop {
        match file.read_at(&mut piece, at) {
            Ok(0) => return Ok(Sha256(hasher.finalize().into())),
            Ok(read) => {
                hasher.update(&piece[..read]);
                at += read as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

//! A kept file as memory: its bytes go from the page cache to the socket without a copy of ours.

use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use memmap2::{Advice, Mmap, UncheckedAdvice};

use super::check::Sound;
use super::reader::Gate;

/// Bytes of one read where the kernel does not load pages on request.
const PIECE: usize = 128 << 10;
/// As many bytes around one that is touched the kernel may map with it: a huge page.
const BLOCK: usize = 2 << 20;

/// A kept file, mapped. Clones are one mapping; it lasts as long as any of its bytes are held.
///
/// The pages are the kernel's page cache. Those that were sent count as this process's resident memory (`RssFile`) until they
/// are shed, which is done before they are too many: the kernel would take them back at need, but who watches or bounds
/// a process's memory sees no difference. Shed pages are still in the page cache, and sent again for a minor fault.
///
/// **Cut short by hand.** Entries are never truncated by us, but a hand may do it, and a program that reads a
/// mapping behind the new end is killed with SIGBUS. Nothing here ever reads one: bytes are loaded by the kernel
/// (`madvise`) and copied by it to the socket (`writev`), and both then fail with `EFAULT` instead. The client's
/// connection is cut, and [`Map::ready`] refuses what comes after.
///
/// **Written to by hand.** The time of the file shows it (see `usage`) from the next look on, which each use and each part
/// that is given out takes: the connection is cut before its end, and the entry is opened, and so checked, anew.
#[derive(Debug, Clone)]
pub struct Map(Arc<Mapped>);

#[derive(Debug)]
struct Mapped {
    entry: Sound,
    memory: Memory,
    /// All of it; slices of it keep the mapping.
    bytes: Bytes,
    came: Option<SystemTime>,
    gate: Gate,
    /// The most bytes that are touched before they are shed.
    most: usize,
    /// The blocks that bytes were given of since then.
    touched: Mutex<Vec<usize>>,
}

/// The mapping, shared by [`Mapped`] and its bytes.
#[derive(Debug, Clone)]
struct Memory(Arc<Mmap>);

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Map {
    /// Maps an entry of more than no bytes; blocking. At most some `most` bytes of it count as our memory.
    #[expect(unsafe_code, reason = "memory maps; see below")]
    pub(super) fn new(entry: Sound, gate: &Gate, most: usize) -> io::Result<Self> {
        let length = usize::try_from(entry.size).map_err(io::Error::other)?;
        // SAFETY: the bytes behind the slice must not change as long as it lives. Entries are named by their
        // digest, written beside, and put in place by a rename, never opened for writing again: what replaces
        // one is another file. Against hands from outside see the type's words.
        let map = unsafe { memmap2::MmapOptions::new().len(length).map(&entry.file)? };
        let memory = Memory(Arc::new(map));
        let bytes = Bytes::from_owner(memory.clone());
        let came = entry.file.metadata()?.created().ok();
        let (gate, touched) = (gate.clone(), Mutex::default());
        Ok(Self(Arc::new(Mapped { entry, memory, bytes, came, gate, most, touched })))
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.0.bytes.len() as u64
    }

    /// When its fetch began, if the file system keeps that.
    pub(in super::super) fn came(&self) -> Option<SystemTime> {
        self.0.came
    }

    /// It is still the entry: neither evicted nor written to.
    pub(in super::super) fn is_kept(&self) -> bool {
        self.0.entry.is_kept().unwrap_or(false)
    }

    /// The bytes of a range, if they are in memory: then sending them waits for no disk. An error if the file
    /// has changed.
    pub fn ready(&self, range: Range<u64>) -> io::Result<Option<Bytes>> {
        let range = self.within(range)?;
        Ok(if self.is_resident(&range)? { Some(self.give(range)?) } else { None })
    }

    /// The same, read from the disk first, off the reactor.
    pub async fn load(&self, range: Range<u64>) -> io::Result<Bytes> {
        let range = self.within(range)?;
        let permit = self.0.gate.enter().await?;
        let (map, wanted) = (self.clone(), range.clone());
        let loaded = tokio::task::spawn_blocking(move || map.populate(&wanted)).await;
        drop(permit);
        loaded??;
        self.give(range)
    }

    fn give(&self, range: Range<usize>) -> io::Result<Bytes> {
        // A file that is smaller never has so much of itself mapped.
        if self.0.bytes.len() > self.0.most {
            self.touch(&range)?;
        }
        Ok(self.0.bytes.slice(range))
    }

    fn touch(&self, range: &Range<usize>) -> io::Result<()> {
        let mut touched = self.0.touched.lock().unwrap_or_else(PoisonError::into_inner);
        for block in range.start / BLOCK..range.end.div_ceil(BLOCK) {
            if touched.contains(&block) {
                continue;
            }
            if (touched.len() + 1) * BLOCK > self.0.most {
                self.shed()?;
                touched.clear();
            }
            touched.push(block);
        }
        Ok(())
    }

    /// Takes all pages out of this process, not out of the page cache.
    #[expect(unsafe_code, reason = "memory maps; see below")]
    fn shed(&self) -> io::Result<()> {
        // SAFETY: of a shared mapping of a file nothing is lost: the bytes of a page that is touched next are the file's,
        // which are the same (see `Map::new`).
        unsafe { self.0.memory.0.unchecked_advise(UncheckedAdvice::DontNeed) }
    }

    fn within(&self, range: Range<u64>) -> io::Result<Range<usize>> {
        if !self.0.entry.is_unchanged()? {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a kept file was written to by somebody"));
        }
        let end = usize::try_from(range.end.min(self.size())).map_err(io::Error::other)?;
        let start = usize::try_from(range.start).map_err(io::Error::other)?.min(end);
        Ok(start..end)
    }

    /// Asks the kernel which pages of the range are in memory: 256 of them, a MiB, take it 2 µs.
    #[expect(unsafe_code, reason = "memory maps; see below")]
    fn is_resident(&self, range: &Range<usize>) -> io::Result<bool> {
        let page = rustix::param::page_size();
        let start = range.start / page * page;
        let length = range.end - start;
        let mut pages = vec![0_u8; length.div_ceil(page)];
        let address = self.0.memory.0.as_ptr().wrapping_add(start);
        // SAFETY: the address is a page's, of a mapping that `self` holds and that reaches as far; the vector
        // has a byte for each page. Nothing is read from the mapping.
        let failed = unsafe { libc::mincore(address.cast_mut().cast(), length, pages.as_mut_ptr()) } != 0;
        if failed { Err(io::Error::last_os_error()) } else { Ok(pages.iter().all(|page| page & 1 == 1)) }
    }

    /// Brings the range into memory; blocking.
    fn populate(&self, range: &Range<usize>) -> io::Result<()> {
        let (start, length) = (range.start, range.len());
        if self.0.memory.0.advise_range(Advice::PopulateRead, start, length).is_ok() {
            return Ok(());
        }
        // Kernels before 5.14, or a page that cannot be read: reading says which, and killed is nobody.
        let mut piece = vec![0; PIECE.min(length)];
        for at in (start..range.end).step_by(PIECE) {
            let wanted = piece.len().min(range.end - at);
            self.0.entry.file.read_exact_at(&mut piece[..wanted], at as u64)?;
        }
        Ok(())
    }
}

//! A file's bytes: in memory, or made by offset.

use bytes::Bytes;

use super::noise;
use super::zip::Archive;

/// The bytes of a package file.
#[derive(Debug, Clone)]
pub struct Content {
    bytes: Bytes,
    /// Where bytes are made instead of kept, and how many.
    hole: u64,
    made: u64,
}

impl Content {
    /// A file that is held whole.
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), hole: 0, made: 0 }
    }

    pub(super) fn archive(archive: Archive) -> Self {
        let made = archive.outside.end - archive.outside.start;
        Self { bytes: archive.bytes, hole: archive.outside.start, made }
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64 + self.made
    }

    /// At most `limit` bytes from `from`; nothing past the end.
    pub fn read(&self, from: u64, limit: usize) -> Bytes {
        let after = self.hole + self.made;
        if from >= self.hole && from < after {
            let len = (after - from).min(limit as u64);
            return noise::bytes(from - self.hole, usize::try_from(len).unwrap_or(limit)).into();
        }
        let (start, end) =
            if from < self.hole { (from, self.hole) } else { (from - self.made, self.bytes.len() as u64) };
        // What is kept is in memory, so its offsets fit.
        let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(self.bytes.len());
        let (start, end) = (index(start), index(end));
        self.bytes.slice(start..end.min(start.saturating_add(limit)).max(start))
    }

    /// The whole file, for comparing. The 64 MB one too: ask for it once.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let next = self.read(all.len() as u64, 1 << 20);
            if next.is_empty() {
                return all;
            }
            all.extend_from_slice(&next);
        }
    }
}

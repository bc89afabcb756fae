//! A zip writer that knows offsets: stored members only, and one member whose bytes are elsewhere.
//!
//! The `zip` crate writes what it is given; the 64 MB member is never given as a whole, only its length
//! and checksum are known. Stored members keep wheels byte for byte the same whatever deflate is linked.

use std::ops::Range;

use bytes::Bytes;

/// 1980-01-01, the earliest day that zip has.
const DATE: u16 = 0x0021;
/// A regular file, `rw-r--r--`.
const MODE: u32 = 0o100_644 << 16;

/// A finished archive.
#[derive(Debug)]
pub(super) struct Archive {
    /// Every byte but the outside member's.
    pub(super) bytes: Bytes,
    /// Where the outside member stands in the archive; empty at the end if there is none.
    pub(super) outside: Range<u64>,
}

/// An archive that is being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    out: Vec<u8>,
    central: Vec<u8>,
    members: u16,
    outside: Option<Range<u64>>,
}

impl Writer {
    /// Adds a member.
    pub(super) fn member(&mut self, name: &str, data: &[u8]) {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        self.header(name, crc.sum(), data.len());
        self.out.extend_from_slice(data);
    }

    /// Adds the one member whose bytes are elsewhere.
    pub(super) fn outside(&mut self, name: &str, crc: u32, len: u32) {
        self.header(name, crc, len as usize);
        let start = self.offset();
        self.outside = Some(start..start + u64::from(len));
    }

    /// Writes the directory.
    pub(super) fn finish(mut self) -> Archive {
        let start = self.offset();
        let len = self.central.len();
        self.out.append(&mut self.central);
        put32(&mut self.out, 0x0605_4b50);
        for word in [0, 0, self.members, self.members] {
            put16(&mut self.out, word);
        }
        put32(&mut self.out, small(len as u64));
        put32(&mut self.out, small(start));
        put16(&mut self.out, 0);
        let end = self.out.len() as u64;
        Archive { bytes: self.out.into(), outside: self.outside.unwrap_or(end..end) }
    }

    fn offset(&self) -> u64 {
        let outside = self.outside.as_ref().map_or(0, |range| range.end - range.start);
        self.out.len() as u64 + outside
    }

    fn header(&mut self, name: &str, crc: u32, len: usize) {
        let offset = self.offset();
        let len = small(len as u64);
        put32(&mut self.central, 0x0201_4b50);
        // Made by Unix, so that the mode counts.
        put16(&mut self.central, 0x0314);
        put32(&mut self.out, 0x0403_4b50);
        for part in [&mut self.out, &mut self.central] {
            // Needs 2.0; names are UTF-8; stored; midnight.
            for word in [20, 0x0800, 0, 0, DATE] {
                put16(part, word);
            }
            for word in [crc, len, len] {
                put32(part, word);
            }
            put16(part, u16::try_from(name.len()).unwrap_or(u16::MAX));
            put16(part, 0);
        }
        self.out.extend_from_slice(name.as_bytes());
        for _ in 0..3 {
            put16(&mut self.central, 0);
        }
        put32(&mut self.central, MODE);
        put32(&mut self.central, small(offset));
        self.central.extend_from_slice(name.as_bytes());
        self.members += 1;
    }
}

fn put16(out: &mut Vec<u8>, word: u16) {
    out.extend_from_slice(&word.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, word: u32) {
    out.extend_from_slice(&word.to_le_bytes());
}

/// Fixtures are far below zip's 4 GB; the sandbox's settings cannot ask for more.
fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

//! Bodies on disk are zlib streams: JSON, HTML and XML shrink to about a sixth.

use std::fmt;
use std::io::{self, Read as _, Write as _};

use bytes::{Buf as _, Bytes};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Level 2: within some percent of level 6 on index pages at a third of its time.
const LEVEL: u32 = 2;
/// Bytes that are unpacked at once: a fifth of a millisecond.
const PIECE: u64 = 64 * 1024;

/// The compressed form of `body`.
pub(super) fn pack(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(LEVEL));
    encoder.write_all(body)?;
    encoder.finish()
}

/// The body of `size` bytes that was packed; an error if it is another, so that damage is never handed out.
pub(super) fn unpack(packed: &[u8], size: u64) -> io::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(usize::try_from(size).map_err(io::Error::other)?);
    ZlibDecoder::new(packed).take(size.saturating_add(1)).read_to_end(&mut body)?;
    checked(body.len() as u64, size)?;
    Ok(body)
}

fn checked(found: u64, noted: u64) -> io::Result<()> {
    if found == noted {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "a kept body has another size than noted"))
}

/// A body that stays compressed in memory, and is unpacked piece by piece.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed {
    bytes: Bytes,
    size: u64,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed({} of {})", self.bytes.len(), self.size)
    }
}

impl Packed {
    /// Packs a body; takes milliseconds a megabyte, so not on the reactor.
    pub fn pack(body: &[u8]) -> io::Result<Self> {
        Ok(Self { bytes: pack(body)?.into(), size: body.len() as u64 })
    }

    /// What was kept, if it is sound.
    pub(super) fn read(packed: &[u8], size: i64) -> io::Result<Self> {
        let size = u64::try_from(size).map_err(io::Error::other)?;
        let read = ZlibDecoder::new(packed).take(size.saturating_add(1));
        checked(io::copy(&mut { read }, &mut io::sink())?, size)?;
        Ok(Self { bytes: Bytes::copy_from_slice(packed), size })
    }

    /// The compressed bytes.
    pub fn packed(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of the body.
    pub(super) fn size(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX)
    }

    /// The body in pieces of 64 KiB.
    pub fn pieces(&self) -> impl Iterator<Item = io::Result<Bytes>> + Send + 'static {
        let mut decoder = ZlibDecoder::new(self.bytes.clone().reader());
        std::iter::from_fn(move || {
            let mut piece = Vec::new();
            match decoder.by_ref().take(PIECE).read_to_end(&mut piece) {
                Ok(0) => None,
                Ok(_) => Some(Ok(piece.into())),
                Err(error) => Some(Err(error)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back_or_is_an_error() {
        let body = b"<a href='x'>x</a>".repeat(100);
        let packed = pack(&body).unwrap();
        assert!(packed.len() < body.len() / 4);
        let size = body.len() as u64;
        assert_eq!(unpack(&packed, size).unwrap(), body);
        for wrong in [unpack(&packed, size - 1), unpack(&packed, size + 1), unpack(&packed[..40], size)] {
            assert!(wrong.is_err());
        }
    }

    #[test]
    fn a_packed_body_comes_back_in_pieces_and_damage_is_found_before() {
        let body = b"<value>x</value>".repeat(50_000);
        let packed = Packed::pack(&body).unwrap();
        let pieces: Vec<Bytes> = packed.pieces().map(Result::unwrap).collect();
        assert!(pieces.len() > 10 && pieces.iter().all(|piece| piece.len() as u64 <= PIECE));
        assert_eq!(pieces.concat(), body);
        assert_eq!(Packed::read(packed.packed(), packed.size()).unwrap(), packed);
        let cut = &packed.packed()[..packed.packed().len() / 2];
        assert!(Packed::read(cut, packed.size()).is_err());
        assert!(Packed::read(packed.packed(), packed.size() + 1).is_err());
    }
}

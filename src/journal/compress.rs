//! Bodies on disk are zlib streams: JSON and HTML shrink to about a sixth.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Level 2: within some percent of level 6 on index pages at a third of its time.
const LEVEL: u32 = 2;

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
    if u64::try_from(body.len()) != Ok(size) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a kept body has another size than noted"));
    }
    Ok(body)
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
}

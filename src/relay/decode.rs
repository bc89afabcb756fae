//! Undoes a content coding that upstream gave a file though nobody asked for one.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use tracing::debug;

use super::resources::Resources;
use crate::blob::Writer;
use crate::model::Algorithm;
use crate::upstream::Coding;

/// Coded bytes that are read at a time. Decoded they are a thousand times as many at most (RFC 1951): 16 MiB in memory.
const PIECE: u64 = 16 << 10;

enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
}

impl Decoder {
    fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(MultiGzDecoder::new(Vec::new())),
            Coding::Deflate => Self::Deflate(ZlibDecoder::new(Vec::new())),
        }
    }

    /// Decodes a piece; the last one if it is empty.
    fn decode(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(decoder) if piece.is_empty() => decoder.try_finish()?,
            Self::Gzip(decoder) => decoder.write_all(piece)?,
            Self::Deflate(decoder) if piece.is_empty() => decoder.try_finish()?,
            Self::Deflate(decoder) => decoder.write_all(piece)?,
        }
        Ok(match self {
            Self::Gzip(decoder) => std::mem::take(decoder.get_mut()),
            Self::Deflate(decoder) => std::mem::take(decoder.get_mut()),
        })
    }
}

/// What the written bytes are without their coding; `None` if they do not have it, or there is no room for them.
pub(super) async fn decoded(
    resources: &Arc<Resources>,
    coded: &Writer,
    coding: Coding,
    algorithm: Algorithm,
) -> Option<Writer> {
    let (reader, size) = (coded.reader(), coded.written());
    let mut writer = resources.store.writer(None).await.ok()?.decided_by(algorithm);
    let mut decoder = Decoder::new(coding);
    let mut at = 0;
    loop {
        let length = usize::try_from(PIECE.min(size - at)).ok()?;
        let piece = reader.read_at(at, vec![0; length]).await.ok()?;
        at += length as u64;
        let task = tokio::task::spawn_blocking(move || decoder.decode(&piece).map(|bytes| (decoder, bytes)));
        let bytes = match task.await.ok()? {
            Ok((back, bytes)) => {
                decoder = back;
                bytes
            }
            Err(error) => {
                debug!(%error, "a file does not have the coding that upstream says it has");
                return None;
            }
        };
        if writer.written() + bytes.len() as u64 > resources.settings.max_file {
            return None;
        }
        if !bytes.is_empty() {
            writer = writer.append(vec![Bytes::from(bytes)]).await.ok()?;
        }
        if length == 0 {
            return Some(writer);
        }
    }
}

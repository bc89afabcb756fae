//! gzip for answers: only for who lists it, never deflate or br (docs/wire.md section 2, rule 8).

use std::io::Write as _;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{Stream, StreamExt as _};

/// Below this a coded answer saves no packet.
const WORTH: usize = 1400;
/// Answers above this are coded off the reactor: 64 KiB take about a millisecond.
const INLINE: usize = 64 * 1024;

/// Whether an answer of this size is worth coding.
pub(super) fn worth(len: usize) -> bool {
    len >= WORTH
}

/// Codes a whole answer.
pub(super) async fn gzip(bytes: Bytes) -> Body {
    if bytes.len() <= INLINE {
        return Body::from(coded(&bytes));
    }
    match tokio::task::spawn_blocking(move || coded(&bytes)).await {
        Ok(coded) => Body::from(coded),
        // The runtime is going down; the client sees the connection end.
        Err(error) => Body::from_stream(futures_util::stream::iter([Err::<Bytes, _>(error)])),
    }
}

fn coded(bytes: &[u8]) -> Bytes {
    let mut coder = Coder::new();
    let mut out = coder.push(bytes).to_vec();
    out.extend_from_slice(&coder.finish());
    out.into()
}

/// Codes an answer piece by piece.
pub(super) fn gzip_stream<E>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
) -> impl Stream<Item = Result<Bytes, E>> + Send + 'static
where
    E: Send + 'static,
{
    let state = Some((pieces, Coder::new()));
    futures_util::stream::try_unfold(state, |state| async move {
        let Some((mut pieces, mut coder)) = state else { return Ok(None) };
        loop {
            match pieces.next().await.transpose()? {
                Some(piece) => {
                    let bytes = coder.push(&piece);
                    if !bytes.is_empty() {
                        return Ok(Some((bytes, Some((pieces, coder)))));
                    }
                }
                None => return Ok(Some((coder.finish(), None))),
            }
        }
    })
}

/// A gzip encoder over memory, whose writes cannot fail.
struct Coder(GzEncoder<Vec<u8>>);

impl Coder {
    fn new() -> Self {
        // Level 1: 27 ms for the largest page of the changelog, against 63 at level 6.
        Self(GzEncoder::new(Vec::new(), Compression::fast()))
    }

    fn push(&mut self, bytes: &[u8]) -> Bytes {
        let _ = self.0.write_all(bytes);
        std::mem::take(self.0.get_mut()).into()
    }

    fn finish(mut self) -> Bytes {
        let _ = self.0.try_finish();
        std::mem::take(self.0.get_mut()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::io::Read as _;

    #[tokio::test]
    async fn a_coded_stream_reads_back_whole() {
        let pieces: Vec<Result<Bytes, Infallible>> =
            (0..100).map(|n| Ok(Bytes::from(vec![n; 10_000]))).collect();
        let coded: Vec<_> =
            gzip_stream(futures_util::stream::iter(pieces)).map(Result::unwrap).collect().await;
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&coded.concat()[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, (0..100).flat_map(|n| vec![n; 10_000]).collect::<Vec<u8>>());
    }
}

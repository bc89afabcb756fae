//! What a call gets: whole bytes, or bytes that leave while they are written.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};

use crate::xmlrpc::{Encoder, Fault, TooWide, Value, encode_fault, encode_response};

/// Why a streamed answer ended early; its connection is cut, so that no client takes it for whole.
pub type StreamError = Box<dyn std::error::Error + Send + Sync>;

/// An answer as bytes of a `methodResponse`.
pub enum Answer {
    /// Small answers and faults.
    Whole(Bytes),
    /// Answers that grow with the index, in pieces of about 64 KiB.
    Stream(BoxStream<'static, Result<Bytes, StreamError>>),
}

/// Bytes that are written before they leave: what a socket takes at once.
const PIECE: usize = 64 * 1024;

impl Answer {
    pub(super) fn value(value: &Value, wide: bool) -> Result<Self, Fault> {
        Ok(Self::Whole(encode_response(value, wide)?))
    }

    pub(super) fn fault(fault: &Fault) -> Self {
        Self::Whole(encode_fault(fault))
    }
}

/// The value that rows make together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Frame {
    Array,
    Struct,
}

/// Writes chunks of rows as they come from the journal; no value tree, one piece in memory.
pub(super) struct Rows<C, F> {
    chunks: Option<C>,
    encoder: Encoder,
    frame: Frame,
    row: F,
}

impl<C, T, E, F> Rows<C, F>
where
    C: Stream<Item = Result<Vec<T>, E>> + Send + Unpin + 'static,
    T: Send + 'static,
    E: Into<StreamError> + 'static,
    F: Fn(&mut Encoder, &T) -> Result<(), TooWide> + Send + 'static,
{
    /// `row` writes one row: a value in an array, a member in a struct.
    pub(super) fn new(chunks: C, wide: bool, frame: Frame, row: F) -> Self {
        let mut encoder = Encoder::new(wide);
        encoder.open_response();
        match frame {
            Frame::Array => encoder.open_array(),
            Frame::Struct => encoder.open_struct(),
        }
        Self { chunks: Some(chunks), encoder, frame, row }
    }

    /// The answer, once its first piece is there: until then a failure is a proper fault.
    pub(super) async fn answer(mut self) -> Result<Answer, Fault> {
        let first = self.piece().await.map_err(|error| match error.downcast::<TooWide>() {
            Ok(too_wide) => Fault::from(*too_wide),
            Err(error) => {
                tracing::error!(%error, "rows can't be read");
                Fault::internal()
            }
        })?;
        let Some(first) = first else { return Err(Fault::internal()) };
        if self.chunks.is_none() {
            return Ok(Answer::Whole(first));
        }
        let rest =
            stream::try_unfold(
                self,
                |mut rows| async move { Ok(rows.piece().await?.map(|piece| (piece, rows))) },
            );
        Ok(Answer::Stream(stream::once(async { Ok(first) }).chain(rest).boxed()))
    }

    /// The next piece; `None` after the last.
    async fn piece(&mut self) -> Result<Option<Bytes>, StreamError> {
        while let Some(chunks) = &mut self.chunks {
            if let Some(chunk) = chunks.next().await {
                for row in chunk.map_err(Into::into)? {
                    (self.row)(&mut self.encoder, &row)?;
                }
            } else {
                self.chunks = None;
                match self.frame {
                    Frame::Array => self.encoder.close_array(),
                    Frame::Struct => self.encoder.close_struct(),
                }
                self.encoder.close_response();
            }
            if self.encoder.len() >= PIECE {
                break;
            }
        }
        Ok((!self.encoder.is_empty()).then(|| self.encoder.take()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmlrpc::{Limits, decode_response};

    fn rows(
        numbers: &[i64],
    ) -> Rows<
        impl Stream<Item = Result<Vec<i64>, StreamError>> + use<>,
        fn(&mut Encoder, &i64) -> Result<(), TooWide>,
    > {
        let chunks: Vec<_> = numbers.chunks(1000).map(|chunk| Ok(chunk.to_vec())).collect();
        Rows::new(stream::iter(chunks), false, Frame::Array, |encoder, n| encoder.int(*n))
    }

    #[tokio::test]
    async fn many_rows_leave_in_pieces_and_read_back_whole() {
        let numbers: Vec<i64> = (0..20_000).collect();
        let Answer::Stream(pieces) = rows(&numbers).answer().await.unwrap() else { panic!("in one piece") };
        let pieces: Vec<Bytes> = pieces.map(Result::unwrap).collect().await;
        assert!(pieces.len() > 3 && pieces.iter().all(|piece| piece.len() < 2 * PIECE));
        let value = decode_response(&pieces.concat(), Limits { depth: 64 }).unwrap().unwrap();
        assert_eq!(value, numbers.into_iter().collect());
    }

    #[tokio::test]
    async fn a_number_too_wide_is_a_fault_while_nothing_has_left() {
        let fault = rows(&[1 << 31]).answer().await.err().unwrap();
        assert_eq!(fault.string, "OverflowError: int exceeds XML-RPC limits");
    }
}

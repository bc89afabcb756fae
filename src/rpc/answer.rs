//! What a call gets: whole bytes, or bytes that leave while they are written.

use std::num::NonZeroUsize;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::journal::JournalError;
use crate::xmlrpc::{Encoder, Fault, TooWide, Value, encode_fault, encode_response};

/// Why a streamed answer ended early; its connection is cut, so that no client takes it for whole.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// A number that the caller cannot read.
    #[error(transparent)]
    TooWide(#[from] TooWide),
    /// Rows that cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was to be kept, and has more bytes than may be.
    #[error("the answer has more bytes than may be kept of one")]
    TooLarge,
    /// The task that wrote it has died.
    #[error("the task that wrote the answer has died")]
    Lost,
}

impl From<StreamError> for Fault {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::TooWide(error) => error.into(),
            StreamError::Journal(error) => error.into(),
            StreamError::TooLarge | StreamError::Lost => {
                tracing::error!(%error, "an answer could not be written");
                Self::internal()
            }
        }
    }
}

/// An answer as it leaves.
pub type Pieces = BoxStream<'static, Result<Bytes, StreamError>>;

/// An answer as bytes of a `methodResponse`.
pub enum Answer {
    /// Small answers and faults.
    Whole(Bytes),
    /// Answers that grow with the index.
    Stream(Streamed),
    /// The same, coded with the caller's own [`super::Coder`].
    Coded(Streamed),
}

/// An answer that leaves in pieces of some hundred KiB at most.
pub struct Streamed {
    /// What leaves.
    pub pieces: Pieces,
    /// All their bytes, if that is known already.
    pub length: Option<u64>,
}

/// Bytes of a piece. Each wakes its client, and each reader has one in memory; those that are kept are joined besides
/// ([`super::rendering`]).
const PIECE: NonZeroUsize = NonZeroUsize::new(128 * 1024).expect("not zero");

/// An encoder for an answer that is [`written`].
pub(super) fn encoder(wide: bool) -> Encoder {
    Encoder::in_pieces(wide, PIECE)
}

impl Answer {
    pub(super) fn value(value: &Value, wide: bool) -> Result<Self, Fault> {
        Ok(Self::Whole(encode_response(value, wide)?))
    }

    pub(super) fn fault(fault: &Fault) -> Self {
        Self::Whole(encode_fault(fault))
    }

    /// An answer once its first piece is there: until then a failure is a proper fault. What fits one piece is whole.
    pub(super) async fn streamed(pieces: Pieces) -> Result<Self, Fault> {
        Self::sized(pieces, None).await
    }

    /// The same, of a known length or not.
    pub(super) async fn sized(pieces: Pieces, length: Option<u64>) -> Result<Self, Fault> {
        let (first, mut rest) = begun(pieces).await?;
        if first.len() < PIECE.get() {
            // It is mostly the only one.
            let Some(second) = rest.next().await.transpose()? else { return Ok(Self::Whole(first)) };
            rest = from(second, rest);
        }
        Ok(Self::Stream(Streamed { pieces: from(first, rest), length }))
    }

    /// An answer that is coded, once its first piece is there.
    pub(super) async fn coded(pieces: Pieces, length: Option<u64>) -> Result<Self, Fault> {
        let (first, rest) = begun(pieces).await?;
        Ok(Self::Coded(Streamed { pieces: from(first, rest), length }))
    }
}

async fn begun(mut pieces: Pieces) -> Result<(Bytes, Pieces), Fault> {
    let first = pieces.next().await.unwrap_or(Err(StreamError::Lost))?;
    Ok((first, pieces))
}

fn from(first: Bytes, rest: Pieces) -> Pieces {
    stream::once(async { Ok(first) }).chain(rest).boxed()
}

/// Writes an answer as it is asked for: `step` writes some rows, and says whether there may be more by giving its
/// state back; at the end it has closed what `encoder` has open. What one step wrote is in memory.
pub(super) fn written<S, F, W>(encoder: Encoder, state: S, step: F) -> Pieces
where
    S: Send + 'static,
    F: Fn(S, Encoder) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(Encoder, Option<S>), StreamError>> + Send,
{
    let step = std::sync::Arc::new(step);
    stream::unfold(Some((encoder, Some(state))), move |writing| {
        let step = step.clone();
        async move {
            let (mut encoder, mut state) = writing?;
            loop {
                if let Some(piece) = encoder.piece() {
                    return Some((Ok(piece), Some((encoder, state))));
                }
                let Some(more) = state else { return Some((Ok(encoder.take()), None)) };
                match step(more, encoder).await {
                    Ok(back) => (encoder, state) = back,
                    Err(error) => return Some((Err(error), None)),
                }
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmlrpc::{Limits, decode_response};

    /// The answer that is an array of numbers, a thousand at a time.
    fn pieces(numbers: Vec<i64>) -> Pieces {
        let mut encoder = encoder(false);
        encoder.open_response();
        encoder.open_array();
        written(encoder, numbers, |mut numbers, mut encoder| async move {
            let rest = numbers.split_off(numbers.len().min(1000));
            for n in &numbers {
                encoder.int(*n)?;
            }
            if !rest.is_empty() {
                return Ok((encoder, Some(rest)));
            }
            encoder.close_array();
            encoder.close_response();
            Ok((encoder, None))
        })
    }

    #[tokio::test]
    async fn many_rows_leave_in_pieces_and_read_back_whole() {
        let numbers: Vec<i64> = (0..20_000).collect();
        let Answer::Stream(answer) = Answer::streamed(pieces(numbers.clone())).await.unwrap() else {
            panic!("in one piece")
        };
        let pieces: Vec<Bytes> = answer.pieces.map(Result::unwrap).collect().await;
        assert!(pieces.len() > 3 && pieces.iter().rev().skip(1).all(|piece| piece.len() == PIECE.get()));
        let value = decode_response(&pieces.concat(), Limits { depth: 64 }).unwrap().unwrap();
        assert_eq!(value, numbers.into_iter().collect());
    }

    #[tokio::test]
    async fn small_pieces_are_not_taken_for_the_whole() {
        let pieces = ["one", "two", "three"].map(|piece| Ok(Bytes::from(piece)));
        let Answer::Stream(answer) = Answer::streamed(stream::iter(pieces).boxed()).await.unwrap() else {
            panic!("in one piece")
        };
        let pieces: Vec<Bytes> = answer.pieces.map(Result::unwrap).collect().await;
        assert_eq!(pieces.concat(), b"onetwothree");
    }

    #[tokio::test]
    async fn few_rows_are_whole() {
        let Answer::Whole(bytes) = Answer::streamed(pieces(vec![7])).await.unwrap() else {
            panic!("in pieces")
        };
        assert_eq!(decode_response(&bytes, Limits { depth: 64 }).unwrap(), Ok(Value::from_iter([7])));
    }

    #[tokio::test]
    async fn a_number_too_wide_is_a_fault_while_nothing_has_left() {
        let fault = Answer::streamed(pieces(vec![1 << 31])).await.err().unwrap();
        assert_eq!(fault.string, "OverflowError: int exceeds XML-RPC limits");
    }
}

//! Files that come from elsewhere than upstream: what a flight needs of whoever has them brought here. That is `push`, which
//! stands above and uses this module.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::FetchError;
use crate::journal::KnownFile;

/// Pieces of an upload that wait to be written: each is what one read of a socket brought.
const PIECES: usize = 4;

/// Whoever has files brought here.
pub trait Bringer: fmt::Debug + Send + Sync {
    /// No file is fetched from upstream: all are brought.
    fn brings_all(&self) -> bool;

    /// How long a client waits for the first byte of a file that is to be brought.
    fn wait(&self) -> Duration;

    /// An upload of the file has begun, and nobody has taken it yet.
    fn has_upload(&self, file: &KnownFile) -> bool;

    /// Fails if the file is known not to come, so that nobody has to wait.
    fn check(self: Arc<Self>, file: KnownFile) -> BoxFuture<'static, Result<(), FetchError>>;

    /// The next upload of the file. Has it asked for, if that is due; fails as soon as it is known that none comes for now.
    fn upload(self: Arc<Self>, file: KnownFile) -> BoxFuture<'static, Result<Upload, FetchError>>;

    /// The file is kept: it need not be brought any more.
    fn arrived(&self, file: &KnownFile);
}

/// A file that is being uploaded, for the flight that takes it.
#[derive(Debug)]
pub struct Upload {
    pieces: mpsc::Receiver<Piece>,
    verdict: oneshot::Sender<Result<(), FetchError>>,
}

/// The other end of an [`Upload`]. Dropped before its end, the upload was cut.
#[derive(Debug)]
pub struct Uploader {
    pieces: mpsc::Sender<Piece>,
    verdict: oneshot::Receiver<Result<(), FetchError>>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    /// All bytes were there.
    End,
}

/// The flight does not take any more: it has ended, or has no use for this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTaken;

/// What an upload hears once its file is kept, or why it is not.
#[derive(Debug)]
pub(super) struct Receipt(oneshot::Sender<Result<(), FetchError>>);

/// An upload and whoever sends it.
pub fn upload() -> (Uploader, Upload) {
    let (sender, pieces) = mpsc::channel(PIECES);
    let (verdict, told) = oneshot::channel();
    (Uploader { pieces: sender, verdict: told }, Upload { pieces, verdict })
}

impl Uploader {
    /// Hands the next bytes over, at the pace of whoever takes them.
    pub async fn send(&self, bytes: Bytes) -> Result<(), NotTaken> {
        self.pieces.send(Piece::Bytes(bytes)).await.map_err(|_| NotTaken)
    }

    /// Says that these were all, and waits for what becomes of the file: kept, or the reason why it is not. A flight that ended
    /// without a word has not taken it.
    pub async fn end(self) -> Result<Result<(), FetchError>, NotTaken> {
        // Whoever takes no more may have said why.
        let _ = self.pieces.send(Piece::End).await;
        self.verdict().await
    }

    /// What became of it, where a piece was not taken.
    pub async fn verdict(self) -> Result<Result<(), FetchError>, NotTaken> {
        let Self { pieces, verdict } = self;
        drop(pieces);
        verdict.await.map_err(|_| NotTaken)
    }
}

impl Upload {
    /// The pieces, and where to say what became of them.
    pub(super) fn open(self) -> (Pieces, Receipt) {
        (Pieces { pieces: self.pieces, ended: false }, Receipt(self.verdict))
    }
}

/// An upload's bytes as they come.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
}

impl Pieces {
    /// The next bytes and what has come behind them, up to about `most`; `None` at the end.
    pub(super) async fn batch(&mut self, most: usize) -> Result<Option<Vec<Bytes>>, FetchError> {
        let (mut batch, mut gathered) = (Vec::new(), 0);
        while !self.ended && gathered < most {
            let piece = if batch.is_empty() {
                self.pieces.recv().await
            } else {
                match self.pieces.try_recv() {
                    Ok(piece) => Some(piece),
                    // What is wrong with the rest, the next call tells.
                    Err(_) => break,
                }
            };
            match piece {
                Some(Piece::Bytes(bytes)) => {
                    gathered += bytes.len();
                    batch.push(bytes);
                }
                Some(Piece::End) => self.ended = true,
                None => return Err(FetchError::Cut),
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }
}

impl Receipt {
    /// Whoever uploads may have left.
    pub(super) fn give(self, verdict: Result<(), FetchError>) {
        let _ = self.0.send(verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_whose_sender_goes_before_its_end_is_cut_and_one_that_is_whole_has_an_end() {
        let (uploader, upload) = upload();
        let (mut pieces, receipt) = upload.open();
        for bytes in [&b"ab"[..], b"c"] {
            uploader.send(Bytes::from_static(bytes)).await.unwrap();
        }
        assert_eq!(pieces.batch(100).await.unwrap().unwrap().concat(), b"abc");
        let ending = tokio::spawn(uploader.end());
        assert_eq!(pieces.batch(100).await, Ok(None));
        receipt.give(Ok(()));
        assert_eq!(ending.await.unwrap(), Ok(Ok(())));

        let (uploader, upload) = super::upload();
        let (mut pieces, _receipt) = upload.open();
        uploader.send(Bytes::from_static(b"ab")).await.unwrap();
        drop(uploader);
        assert_eq!(pieces.batch(1).await.unwrap().unwrap().concat(), b"ab");
        assert_eq!(pieces.batch(1).await, Err(FetchError::Cut));
    }

    #[tokio::test]
    async fn whoever_uploads_hears_that_nobody_takes_it() {
        let (uploader, upload) = upload();
        drop(upload);
        assert_eq!(uploader.send(Bytes::from_static(b"a")).await, Err(NotTaken));
        assert_eq!(uploader.end().await, Err(NotTaken));
    }
}

//! A flight whose bytes others bring: waits for an upload, and takes it in. Followers read while it arrives, the last bytes
//! are held back as always, and what was given out before of the same file has to be the beginning of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::FetchError;
use super::bring::{Bringer, Pieces, Receipt};
use super::flight::{End, Fetcher, total, unkept};
use super::stage::{Stage, released};
use crate::blob::{Reader, Writer};

/// From one look whether anybody still waits to the next.
const LOOK: Duration = Duration::from_secs(1);

/// What followers may have read of the file before.
struct Shown {
    reader: Reader,
    bytes: u64,
}

impl Fetcher {
    /// The file from whoever brings it, right and whole, and where to say that it is kept.
    pub(super) async fn brought(&self, bringer: &Arc<dyn Bringer>) -> Result<(Writer, Receipt), End> {
        let shown = self.shown();
        loop {
            bringer.clone().check(self.target.known()).await?;
            self.start.stage.send_replace(Stage::Awaiting(bringer.wait()));
            let upload = tokio::select! {
                biased;
                upload = bringer.clone().upload(self.target.known()) => upload?,
                () = self.left() => return Err(End::GivenUp),
            };
            let (mut pieces, receipt) = upload.open();
            match self.taken(&mut pieces, shown.as_ref()).await {
                Ok(writer) => return Ok((writer, receipt)),
                Err(error) => {
                    receipt.give(Err(error.clone()));
                    // Bytes of it have gone out, which may be wrong: they must not be followed by others.
                    if self.shown().is_some() {
                        return Err(error.into());
                    }
                    self.target.report(&error);
                }
            }
        }
    }

    /// What followers may have read by now.
    fn shown(&self) -> Option<Shown> {
        match &*self.start.stage.borrow() {
            Stage::Flowing { reader, released, .. } if *released > 0 => {
                Some(Shown { reader: reader.clone(), bytes: *released })
            }
            _ => None,
        }
    }

    /// Waits until nobody follows the flight, and gives it up.
    async fn left(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.start.given_up() {
                return;
            }
        }
    }

    /// Takes an upload in, whoever leaves meanwhile: it comes in any case.
    async fn taken(&self, pieces: &mut Pieces, shown: Option<&Shown>) -> Result<Writer, FetchError> {
        let settings = &self.resources.settings;
        let begun = self.resources.store.writer(self.target.size).await;
        let mut writer = begun.map_err(|cause| unkept(&cause))?.decided_by(self.digest.algorithm());
        while let Some(batch) = pieces.batch(settings.batch).await? {
            self.check_size(writer.written() + total(&batch), false)?;
            if let Some(shown) = shown {
                self.compare(shown, writer.written(), &batch).await?;
            }
            writer = writer.append(batch).await.map_err(|spilled| unkept(&spilled.cause))?;
            let size = self.target.size;
            let released = released(writer.written(), size, settings.holdback);
            self.start.stage.send_replace(Stage::Flowing { reader: writer.reader(), size, released });
        }
        self.check_size(writer.written(), true)?;
        let (expected, actual) = (self.digest, writer.digest());
        if expected == actual { Ok(writer) } else { Err(FetchError::wrong(expected, actual)) }
    }

    /// No more bytes than the index states, and as many at the end.
    fn check_size(&self, sent: u64, ended: bool) -> Result<(), FetchError> {
        let max = self.resources.settings.max_file;
        match self.target.size {
            Some(stated) if sent > stated || ended && sent < stated => Err(FetchError::Size { stated, sent }),
            None if sent > max => Err(FetchError::TooLarge(max)),
            Some(_) | None => Ok(()),
        }
    }

    /// Fails if the bytes at that place are others than those that followers may have read there.
    async fn compare(&self, shown: &Shown, mut at: u64, batch: &[Bytes]) -> Result<(), FetchError> {
        for bytes in batch {
            let known =
                usize::try_from(shown.bytes.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
            if known > 0 {
                let before = shown.reader.read_at(at, vec![0; known]).await.map_err(|_| FetchError::Lost)?;
                if before != bytes[..known] {
                    return Err(FetchError::OtherBytes);
                }
            }
            at += bytes.len() as u64;
        }
        Ok(())
    }
}

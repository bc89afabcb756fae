//! The least rate of a body that a peer sends: one that drips is cut.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, timeout};

use super::form::FormError;

/// Bytes a second that a peer has to send while it is waited for, taken over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeastRate {
    /// Bytes a second; 0: none is too slow.
    pub bytes: u64,
    /// The time over which the rate is taken.
    pub window: Duration,
}

impl Default for LeastRate {
    fn default() -> Self {
        Self { bytes: 4096, window: Duration::from_secs(10) }
    }
}

impl LeastRate {
    /// What has to come in one window, at least one byte.
    pub(super) fn least(self) -> u64 {
        u64::try_from(u128::from(self.bytes) * self.window.as_millis() / 1000).unwrap_or(u64::MAX).max(1)
    }
}

/// A body, its limits, and how it has come in this window.
struct Measured<S> {
    body: S,
    rate: LeastRate,
    /// Bytes that may still come.
    left: u64,
    limit: u64,
    waited: Duration,
    brought: u64,
    /// A piece was given out.
    given: bool,
}

/// A body's pieces, one at each poll: who reads them takes no more than it uses. Fails at the byte past `limit`, and if less than
/// the least rate comes while it is waited for. The time in which nobody reads does not count.
pub(super) fn measured<S, E>(
    body: S,
    limit: u64,
    rate: LeastRate,
) -> impl Stream<Item = Result<Bytes, FormError>> + Send
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Error,
{
    let state = Measured { body, rate, left: limit, limit, waited: Duration::ZERO, brought: 0, given: false };
    stream::unfold(Some(state), |state| async {
        let mut state = state?;
        match state.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(state))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

impl<S, E> Measured<S>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Error,
{
    async fn next(&mut self) -> Result<Option<Bytes>, FormError> {
        if std::mem::take(&mut self.given) {
            tokio::task::yield_now().await;
        }
        loop {
            let begun = Instant::now();
            let next = timeout(self.rate.window.saturating_sub(self.waited), self.body.next()).await;
            self.waited += begun.elapsed();
            if let Ok(piece) = &next {
                let Some(piece) = piece else { return Ok(None) };
                let piece = piece.as_ref().map_err(|error| {
                    tracing::debug!(%error, "an upload broke off");
                    FormError::Cut
                })?;
                let bytes = piece.len() as u64;
                self.left = self.left.checked_sub(bytes).ok_or(FormError::TooLarge(self.limit))?;
                self.brought += bytes;
            }
            if self.waited >= self.rate.window {
                if self.rate.bytes > 0 && self.brought < self.rate.least() {
                    return Err(FormError::TooSlow);
                }
                (self.waited, self.brought) = (Duration::ZERO, 0);
            }
            if let Ok(Some(Ok(piece))) = next
                && !piece.is_empty()
            {
                self.given = true;
                return Ok(Some(piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn slow(pause: Duration, pieces: usize) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Unpin {
        Box::pin(stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok(Bytes::from_static(&[7; 100]))
        }))
    }

    async fn read(body: impl Stream<Item = Result<Bytes, FormError>>) -> Result<usize, FormError> {
        let mut body = std::pin::pin!(body);
        let mut total = 0;
        while let Some(piece) = body.next().await {
            total += piece?.len();
        }
        Ok(total)
    }

    const RATE: LeastRate = LeastRate { bytes: 100, window: Duration::from_secs(10) };

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_cut_and_a_slow_one_is_not() {
        assert_eq!(read(measured(slow(Duration::from_millis(999), 50), 5000, RATE)).await, Ok(5000));
        let dripping = measured(slow(Duration::from_millis(1100), 50), 5000, RATE);
        assert_eq!(read(dripping).await, Err(FormError::TooSlow));
        let silent = measured(slow(Duration::from_hours(1), 1), 5000, RATE);
        assert_eq!(read(silent).await, Err(FormError::TooSlow));
        let free = LeastRate { bytes: 0, ..RATE };
        assert_eq!(read(measured(slow(Duration::from_hours(1), 2), 5000, free)).await, Ok(200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_measured_only_while_it_is_waited_for_and_bounded_in_bytes() {
        let mut body = std::pin::pin!(measured(slow(Duration::ZERO, 50), 4900, RATE));
        let mut total = 0;
        let error = loop {
            match body.next().await.unwrap() {
                Ok(piece) => total += piece.len(),
                Err(error) => break error,
            }
            tokio::time::sleep(Duration::from_mins(1)).await;
        };
        assert_eq!((total, error), (4900, FormError::TooLarge(4900)));
    }
}

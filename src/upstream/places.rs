//! Places for fetches at once, a bounded queue for them (promise 9), and hosts that asked for silence (promise 8).

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use url::Url;

use super::UpstreamError;
use super::throttle::LONGEST_SILENCE;

/// Hosts whose silence is remembered. The index and its files are two; a page may name any.
const HOSTS: u64 = 1_000;
/// When to come back if the queue is full: the places are free again within a second or two.
const FULL: UpstreamError = UpstreamError::Limited { retry: Duration::from_secs(2) };

#[derive(Debug)]
pub(super) struct Places {
    free: Semaphore,
    waiting: Semaphore,
    /// Until when a host wants to hear nothing.
    silent: moka::sync::Cache<String, Instant>,
}

impl Places {
    /// `at_once`: fetches under way; `waiting`: further ones that may wait for a place.
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        let silent = moka::sync::Cache::builder().max_capacity(HOSTS).time_to_live(LONGEST_SILENCE).build();
        Self {
            free: Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)),
            waiting: Semaphore::new(waiting.min(Semaphore::MAX_PERMITS)),
            silent,
        }
    }

    /// Waits for a place. Fails if too many wait, or the host wants silence, also if it says so meanwhile.
    pub(super) async fn take(&self, url: &Url) -> Result<SemaphorePermit<'_>, UpstreamError> {
        self.may_ask(url)?;
        // Nothing closes it: either a place is free, or this waits for one.
        let place = if let Ok(place) = self.free.try_acquire() {
            place
        } else {
            let _waiting = self.waiting.try_acquire().map_err(|_| FULL)?;
            self.free.acquire().await.map_err(|_| FULL)?
        };
        self.may_ask(url)?;
        Ok(place)
    }

    /// Fails as long as the host wants silence.
    pub(super) fn may_ask(&self, url: &Url) -> Result<(), UpstreamError> {
        let Some(until) = self.silent.get(&host(url)) else { return Ok(()) };
        let retry = until.saturating_duration_since(Instant::now());
        if retry.is_zero() { Ok(()) } else { Err(UpstreamError::Limited { retry }) }
    }

    /// Remembers what an answer asked for. A shorter silence than already promised changes nothing.
    pub(super) fn heed(&self, url: &Url, error: &UpstreamError) {
        if let UpstreamError::Limited { retry } = error {
            let (host, until) = (host(url), Instant::now() + (*retry).min(LONGEST_SILENCE));
            let known = self.silent.get(&host);
            self.silent.insert(host, known.map_or(until, |known| known.max(until)));
        }
    }
}

fn host(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str) -> Url {
        format!("http://{host}.test/simple/").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_limited_hears_nothing_until_it_has_passed_and_others_do() {
        let places = Places::new(1, 1);
        let limited = |secs| UpstreamError::Limited { retry: Duration::from_secs(secs) };
        places.heed(&url("a"), &limited(7));
        places.heed(&url("a"), &limited(2));
        let retry = Duration::from_secs(7);
        assert_eq!(places.take(&url("a")).await.map(drop), Err(UpstreamError::Limited { retry }));
        places.take(&url("b")).await.map(drop).unwrap();
        tokio::time::advance(retry).await;
        places.take(&url("a")).await.map(drop).unwrap();
        places.heed(&url("a"), &UpstreamError::TimedOut);
        places.take(&url("a")).await.map(drop).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_may_wait_is_refused_and_who_waits_learns_of_a_silence() {
        let places = Places::new(1, 1);
        let place = places.take(&url("a")).await.unwrap();
        let (a, b) = (url("a"), url("b"));
        // A full queue is no word of the host's.
        let mut second = Box::pin(places.take(&a));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        assert_eq!(places.take(&b).await.map(drop), Err(FULL));
        places.heed(&url("a"), &UpstreamError::Limited { retry: Duration::from_secs(5) });
        drop(place);
        assert!(matches!(second.await, Err(UpstreamError::Limited { .. })));
        places.take(&b).await.map(drop).unwrap();
    }
}

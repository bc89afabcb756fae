//! What upstream said "too many requests" to (promise 8): the address that got it rests for as long as that says, the rest
//! of its host for a few seconds; then one request tries whether the host answers again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use url::{Position, Url};

use super::UpstreamError;
use super::throttle::LONGEST_SILENCE;
use super::turns::host_of;
use crate::bounded::{Bounded, by_count};

/// Hosts whose pause is remembered. The index and its files are two; a page may name any.
const HOSTS: usize = 1_000;
/// Addresses that are remembered, each with some 200 bytes.
const ADDRESSES: u64 = 10_000;
/// The first pause of a host; it doubles with each try that fails, up to what upstream says.
const FIRST_PAUSE: Duration = Duration::from_secs(3);
/// How long others wait for the one request that tries.
const PATIENCE: Duration = Duration::from_secs(10);

/// All that rests.
#[derive(Debug)]
pub(super) struct Rests {
    addresses: Bounded<String, Instant>,
    hosts: Mutex<HashMap<String, Host>>,
    /// A try has ended.
    ended: watch::Sender<u64>,
}

/// A host that said so and has not answered since.
#[derive(Debug)]
struct Host {
    until: Instant,
    pause: Duration,
    /// What it asked for last.
    said: Duration,
    /// The request that tries, by its number.
    tries: Option<u64>,
}

/// Leave to ask an address.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    rests: &'a Rests,
    /// It is the one that tries.
    tries: Option<(String, u64)>,
}

impl Rests {
    pub(super) fn new() -> Self {
        Self { addresses: by_count(ADDRESSES), hosts: Mutex::default(), ended: watch::Sender::new(0) }
    }

    /// Fails while the address or its host rests. While another request tries the host, this waits for its end.
    pub(super) async fn pass(&self, url: &Url) -> Result<Pass<'_>, UpstreamError> {
        let host = host_of(url);
        let mut ended = self.ended.subscribe();
        let tried = async {
            loop {
                ended.borrow_and_update();
                self.check(url)?;
                if let Some(pass) = self.free(&host) {
                    return Ok(pass);
                }
                // Its sender is ours.
                let _ = ended.changed().await;
            }
        };
        timeout(PATIENCE, tried).await.unwrap_or(Err(UpstreamError::Limited { retry: FIRST_PAUSE }))
    }

    /// Fails while the address or its host rests.
    pub(super) fn check(&self, url: &Url) -> Result<(), UpstreamError> {
        let address = self.addresses.get(address_of(url));
        let host = self.lock().get(&host_of(url)).map(|host| host.until);
        let until = address.into_iter().chain(host).max();
        let retry = until.map(|until| until.saturating_duration_since(Instant::now()));
        retry.filter(|retry| !retry.is_zero()).map_or(Ok(()), |retry| Err(UpstreamError::Limited { retry }))
    }

    /// Whether the address rests, and for longer than its host.
    pub(super) fn rests_alone(&self, url: &Url) -> bool {
        let Some(until) = self.addresses.get(address_of(url)) else { return false };
        let host = self.lock().get(&host_of(url)).map(|host| host.until);
        until > Instant::now() && host.is_none_or(|host| until > host)
    }

    /// Leave for the host, unless another request tries it.
    fn free(&self, host: &str) -> Option<Pass<'_>> {
        let mut hosts = self.lock();
        let Some(known) = hosts.get_mut(host) else { return Some(Pass { rests: self, tries: None }) };
        if known.tries.is_some() {
            return None;
        }
        let id = *self.ended.borrow();
        known.tries = Some(id);
        Some(Pass { rests: self, tries: Some((host.to_owned(), id)) })
    }

    /// An address was refused, for so long.
    pub(super) fn rest(&self, url: &Url, retry: Duration) {
        let until = Instant::now() + retry.min(LONGEST_SILENCE);
        let known = self.addresses.get(address_of(url));
        self.addresses.insert(address_of(url).to_owned(), known.map_or(until, |known| known.max(until)));
    }

    /// A host has refused a request, which after a redirect is not the one that was asked.
    pub(super) fn heed(&self, url: &Url, error: &UpstreamError) {
        let UpstreamError::Limited { retry } = error else { return };
        self.rest(url, *retry);
        let (now, said) = (Instant::now(), (*retry).min(LONGEST_SILENCE));
        let mut hosts = self.lock();
        if hosts.len() >= HOSTS {
            hosts.retain(|_, host| host.until > now || host.tries.is_some());
        }
        let full = hosts.len() >= HOSTS;
        match hosts.get_mut(&host_of(url)) {
            // Sent before the pause.
            Some(host) if host.until > now => host.said = said,
            Some(host) => {
                if host.tries.take().is_some() {
                    host.pause = host.pause.saturating_mul(2);
                }
                (host.pause, host.said) = (host.pause.min(said), said);
                host.until = now + host.pause;
            }
            None if full => {}
            None => {
                let pause = FIRST_PAUSE.min(said);
                hosts.insert(host_of(url), Host { until: now + pause, pause, said, tries: None });
            }
        }
        drop(hosts);
        self.tell();
    }

    fn tell(&self) {
        self.ended.send_modify(|ended| *ended += 1);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        // Whole entries only.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address_of(url: &Url) -> &str {
    &url[..Position::AfterQuery]
}

impl Pass<'_> {
    /// What became of the request. A host that answers anything but an outage or another "too many" is asked again.
    pub(super) fn ended<T>(&self, result: &Result<T, UpstreamError>) {
        let Some((name, id)) = &self.tries else { return };
        let mut hosts = self.rests.lock();
        let Some(host) = hosts.get_mut(name).filter(|host| host.tries == Some(*id)) else { return };
        let failed = match result {
            Err(UpstreamError::Status(status)) => *status >= 500,
            Err(UpstreamError::Unreachable(_) | UpstreamError::TimedOut | UpstreamError::Broken(_)) => true,
            // One that this host itself gave has ended the try already.
            Ok(_)
            | Err(
                UpstreamError::Limited { .. }
                | UpstreamError::Absent(_)
                | UpstreamError::TooLarge(_)
                | UpstreamError::Unexpected(_)
                | UpstreamError::Fault(_)
                | UpstreamError::Refused(_)
                | UpstreamError::Bundled
                | UpstreamError::Settings(_),
            ) => false,
        };
        if failed {
            host.tries = None;
            host.pause = host.pause.saturating_mul(2).min(host.said);
            host.until = Instant::now() + host.pause;
        } else {
            hosts.remove(name);
        }
        drop(hosts);
        self.rests.tell();
    }
}

impl Drop for Pass<'_> {
    /// It was given up: the next one tries.
    fn drop(&mut self) {
        let Some((name, id)) = &self.tries else { return };
        let mut hosts = self.rests.lock();
        let Some(host) = hosts.get_mut(name).filter(|host| host.tries == Some(*id)) else { return };
        host.tries = None;
        drop(hosts);
        self.rests.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        format!("http://{text}").parse().unwrap()
    }

    fn limited(seconds: u64) -> UpstreamError {
        UpstreamError::Limited { retry: Duration::from_secs(seconds) }
    }

    async fn seconds(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn refuse(rests: &Rests, address: &str, seconds: u64) {
        rests.heed(&url(address), &limited(seconds));
    }

    async fn refused(rests: &Rests, address: &str) -> Option<u64> {
        match rests.pass(&url(address)).await {
            Ok(_) => None,
            Err(UpstreamError::Limited { retry }) => Some(retry.as_secs()),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_that_was_refused_rests_as_long_as_that_said_and_its_host_a_few_seconds() {
        let rests = Rests::new();
        refuse(&rests, "a.test/simple/x/", 600);
        refuse(&rests, "a.test/simple/x/", 2);
        assert_eq!(refused(&rests, "a.test/simple/x/#here").await, Some(600));
        assert_eq!(refused(&rests, "a.test/simple/y/").await, Some(3));
        assert_eq!(refused(&rests, "b.test/simple/x/").await, None);
        seconds(3).await;
        assert_eq!(refused(&rests, "a.test/simple/y/").await, None);
        assert_eq!(refused(&rests, "a.test/simple/x/").await, Some(597));
        seconds(597).await;
        assert_eq!(refused(&rests, "a.test/simple/x/").await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_tries_the_host_and_the_others_wait_for_what_it_gets() {
        let rests = Rests::new();
        refuse(&rests, "a.test/x", 600);
        seconds(3).await;
        let (address, other) = (url("a.test/y"), url("a.test/z"));
        let first = rests.pass(&address).await.unwrap();
        let mut second = Box::pin(rests.pass(&other));
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        first.ended(&Ok(()));
        assert!(second.await.unwrap().tries.is_none() && refused(&rests, "a.test/q").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_fails_doubles_the_pause_up_to_what_upstream_says() {
        let rests = Rests::new();
        refuse(&rests, "a.test/x", 10);
        for (n, pause) in [3, 6, 10, 10].into_iter().enumerate() {
            assert_eq!(refused(&rests, "a.test/y").await, Some(pause), "{n}");
            seconds(pause).await;
            let (address, other) = (url(&format!("a.test/{n}")), url("a.test/z"));
            let tries = rests.pass(&address).await.unwrap();
            let mut waits = Box::pin(rests.pass(&other));
            assert!(futures_util::poll!(waits.as_mut()).is_pending());
            if n == 1 {
                tries.ended::<()>(&Err(UpstreamError::TimedOut));
            } else {
                rests.heed(&address, &limited(10));
                tries.ended::<()>(&Err(limited(10)));
            }
            assert!(waits.await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_given_up_leaves_it_to_the_next_and_answers_to_earlier_requests_change_nothing() {
        let rests = Rests::new();
        refuse(&rests, "a.test/x", 60);
        refuse(&rests, "a.test/y", 60);
        assert_eq!(refused(&rests, "a.test/z").await, Some(3));
        seconds(3).await;
        let (address, other) = (url("a.test/z"), url("a.test/w"));
        let tries = rests.pass(&address).await.unwrap();
        let mut next = Box::pin(rests.pass(&other));
        assert!(futures_util::poll!(next.as_mut()).is_pending());
        drop(tries);
        let next = next.await.unwrap();
        assert!(next.tries.is_some());
        next.ended::<()>(&Err(UpstreamError::Absent(404)));
        assert!(rests.lock().is_empty());
    }
}

//! Other mirrors' statistics: their sealed days are found on a page, fetched, and added to the relay's own, each once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::metric;
use crate::stats::{Collector, Day, Mirror, Stats, StatsError, StatsSettings, TakeError, Taken};
use crate::upstream::{Upstream, UpstreamError};

/// Most bytes of a page that names days: some ten thousand years.
const PAGE: usize = 4 << 20;
/// Pieces of an answer that wait to be unpacked.
const PIECES: usize = 4;

/// Why something was not taken. It is tried again next time.
#[derive(Debug, thiserror::Error)]
pub enum LeftError {
    /// It could not be fetched.
    #[error(transparent)]
    Fetch(#[from] UpstreamError),
    /// It could not be read or written.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// The mirror names a day that there is not.
    #[error("there is no such day")]
    NoDay,
    /// The mirror names a day that is not over, or not yet here.
    #[error("that day is in the future")]
    Future,
    /// A task of ours died, which its log names.
    #[error("a fault of the relay's, which its log names")]
    Lost,
}

impl From<StatsError> for LeftError {
    fn from(error: StatsError) -> Self {
        Self::Take(error.into())
    }
}

/// What came of a round.
#[derive(Debug, Default)]
pub struct Collected {
    /// Days that were taken, by mirror.
    pub taken: Vec<(String, Day, Taken)>,
    /// What was left: the mirror, the day if it is about one, and why.
    pub left: Vec<(String, Option<String>, LeftError)>,
}

/// Takes all days of these mirrors that are not taken yet.
pub async fn collect(
    upstream: &Upstream,
    collector: &Arc<Collector>,
    mirrors: &[Mirror],
    settings: &StatsSettings,
) -> Collected {
    let mut collected = Collected::default();
    let today = Day::at(settings.clock.unix());
    for mirror in mirrors {
        let days = match days_of(upstream, mirror).await {
            Ok(days) => days,
            Err(error) => {
                collected.leave(mirror, None, error);
                continue;
            }
        };
        for named in days {
            match take(upstream, collector, mirror, &named, today, settings.collect_bytes).await {
                Ok(None) => {}
                Ok(Some((day, taken))) => {
                    count("taken");
                    collected.taken.push((mirror.name(), day, taken));
                }
                Err(error) => collected.leave(mirror, Some(named), error),
            }
        }
    }
    collected
}

impl Collected {
    fn leave(&mut self, mirror: &Mirror, day: Option<String>, error: LeftError) {
        count("left");
        self.left.push((mirror.name(), day, error));
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(metric::STATS_COLLECTED_DAYS_TOTAL, "outcome" => outcome).increment(1);
}

/// Does it again and again, until `stop`.
pub async fn collect_for_ever(
    upstream: Upstream,
    stats: Stats,
    settings: StatsSettings,
    stop: CancellationToken,
) {
    if settings.collect.0.is_empty() {
        return stop.cancelled().await;
    }
    let shortest = Duration::from_secs(1);
    let mut ticks = tokio::time::interval(settings.collect_interval.max(shortest));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let own = stats.clone();
        let collector = match spawn_blocking(move || Collector::of(&own)).await {
            Ok(Ok(collector)) => Arc::new(collector),
            Ok(Err(error)) => {
                tracing::warn!(%error, "statistics of other mirrors are not collected this time");
                continue;
            }
            Err(_) => continue,
        };
        let round = collect(&upstream, &collector, &settings.collect.0, &settings);
        let Some(collected) = stop.run_until_cancelled(round).await else { return };
        for (mirror, day, Taken { lines, left_out, downloads }) in collected.taken {
            tracing::info!(mirror, %day, lines, left_out, downloads, "a day of another mirror is collected");
        }
        for (mirror, day, error) in collected.left {
            tracing::warn!(mirror, day, %error, "statistics of another mirror are left; they are tried again");
        }
    }
}

/// The days that a mirror names, in its spelling.
async fn days_of(upstream: &Upstream, mirror: &Mirror) -> Result<Vec<String>, LeftError> {
    let (pieces, mut page) = channel::<Bytes>(PIECES);
    let url = mirror.page();
    let fetch = async {
        let fetched = upstream.mirror(&url, PAGE, &pieces).await;
        drop(pieces);
        fetched
    };
    let read = async {
        let mut text = Vec::new();
        while let Some(piece) = page.recv().await {
            text.extend_from_slice(&piece);
        }
        text
    };
    let (fetched, text) = tokio::join!(fetch, read);
    fetched?;
    Ok(named(&text))
}

/// What stands in `href=.(20..-..-..).bz2`, as the collector of old looked for it, each once.
fn named(page: &[u8]) -> Vec<String> {
    let found = memchr::memmem::find_iter(page, b"href=").filter_map(|at| {
        let [_, day @ .., _, b'b', b'z', b'2'] = page.get(at + 5..at + 20)? else { return None };
        let is_day = day.len() == 10 && day.starts_with(b"20") && day[4] == b'-' && day[7] == b'-';
        is_day.then(|| String::from_utf8_lossy(day).into_owned())
    });
    let mut days: Vec<String> = found.collect();
    days.sort();
    days.dedup();
    days
}

/// Takes a day; `None` if it is taken already.
async fn take(
    upstream: &Upstream,
    collector: &Arc<Collector>,
    mirror: &Mirror,
    named: &str,
    today: Day,
    most: u64,
) -> Result<Option<(Day, Taken)>, LeftError> {
    let day: Day = named.parse().map_err(|_| LeftError::NoDay)?;
    if day > today {
        return Err(LeftError::Future);
    }
    let (own, name) = (collector.clone(), mirror.name());
    let known = spawn_blocking(move || own.has(&name, day)).await.map_err(|_| LeftError::Lost)?;
    if known? {
        return Ok(None);
    }
    let mut url = mirror.page();
    // Below a page whose path ends with a slash.
    url.set_path(&format!("{}{day}.bz2", mirror.page().path()));
    let (pieces, packed) = channel(PIECES);
    let (own, name) = (collector.clone(), mirror.name());
    let unpack = spawn_blocking(move || unpack(&own, &name, day, most, packed));
    let most = usize::try_from(most / 4).unwrap_or(usize::MAX);
    let fetched = upstream.mirror(&url, most, &pieces).await;
    if fetched.is_ok() {
        // It is all there. If nobody takes that any more, the reason is told below.
        let _ = pieces.send(Bytes::new()).await;
    }
    drop(pieces);
    let unpacked = unpack.await.map_err(|_| LeftError::Lost)?;
    fetched?;
    let taken = unpacked?;
    Ok(taken.map(|taken| (day, taken)))
}

/// Unpacks what comes until an empty piece, the end; without one nothing is taken.
fn unpack(
    collector: &Collector,
    mirror: &str,
    day: Day,
    most: u64,
    mut packed: Receiver<Bytes>,
) -> Result<Option<Taken>, TakeError> {
    let mut taking = collector.take(mirror, day, most)?;
    while let Some(piece) = packed.blocking_recv() {
        if piece.is_empty() {
            return match taking.finish() {
                Ok(taken) => Ok(Some(taken)),
                Err(error) => Err(error),
            };
        }
        if let Err(error) = taking.feed(&piece) {
            taking.abandon()?;
            return Err(error);
        }
    }
    taking.abandon()?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_found_as_the_old_collector_found_them() {
        let page = b"<a href=\"2011-07-22.bz2\">x</a> href='2011-07-21.bz2' href=x2010-02-30xbz2 href=\"2011-07-22.bz2\" \
            href=\"1999-01-01.bz2\" href=\"2011-07-2.bz2\" href=\"2011-07-23.bz2";
        assert_eq!(named(page), ["2010-02-30", "2011-07-21", "2011-07-22", "2011-07-23"]);
        assert_eq!(named(b"href=\"2011-07-22.bz"), [""; 0]);
    }
}

//! The way to a current entry: what is kept, else upstream, else what is kept all the same.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Entry, Policy, Received, Revalidation, Source, Standing, Told, Unanswered, Wait};
use crate::bounded::{Bounded, by_count};
use crate::memo::{FillError, Memo};
use crate::model::{Serial, is_younger};

/// Ten years: a deadline that the clock cannot tell is none.
const NEVER: Duration = Duration::from_hours(24 * 3652);

/// The entries in memory.
pub type Memory<S> = Memo<<S as Source>::Key, Kept<S>, Unanswered<<S as Source>::Error>>;
type Kept<S> = Arc<Entry<<S as Source>::Value>>;
type Result<S, T = Kept<S>> = std::result::Result<T, Unanswered<<S as Source>::Error>>;

/// Upstream does not have something.
#[derive(Debug, Clone, Copy)]
struct Absence {
    /// Unix seconds of when it said so.
    since: i64,
    /// What [`Source::serial`] said then.
    serial: Option<Serial>,
}

/// Serves entries by the rules. Clones share everything.
pub struct Engine<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    policy: Policy,
    memory: Memory<S>,
    absent: Bounded<S::Key, Absence>,
}

impl<S: Source> Clone for Engine<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Source> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl<S: Source> Engine<S> {
    /// Serves what `source` has; `memory` bounds what stays in memory.
    pub fn new(source: S, policy: Policy, memory: Memory<S>) -> Self {
        let absent = by_count(policy.absent_entries);
        Self(Arc::new(Inner { source, policy, memory, absent }))
    }

    /// What it serves from.
    pub fn source(&self) -> &S {
        &self.0.source
    }

    /// The entry in memory, fresh or not.
    pub fn in_memory(&self, key: &S::Key) -> Option<Kept<S>> {
        self.0.memory.get(key)
    }

    /// Drops what is in memory under a key, and that upstream does not have it.
    pub fn forget(&self, key: &S::Key) {
        self.0.memory.forget(key);
        self.0.absent.remove(key);
    }

    /// Whether an entry is fresh, as far as that can be said without looking anything up; `now` in Unix seconds.
    pub fn is_fresh_as_it_was(&self, entry: &Entry<S::Value>, now: i64) -> bool {
        let head = self.0.source.head();
        entry.is_young(now, self.0.policy.max_age)
            && entry.agreed_at(head)
            && !self.0.is_disproved(entry, head)
    }

    /// The current entry under a key; one question to upstream however many ask.
    pub async fn current(&self, key: &S::Key, wait: Wait) -> Result<S> {
        let inner = &self.0;
        inner.check_absent(key).await?;
        let known = inner.memory.get(key);
        if let Some(entry) = &known
            && inner.source.is_as_read(key, entry)
            && inner.is_fresh(key, entry).await?
        {
            inner.source.tell(key, Told::Hit);
            return Ok(entry.clone());
        }
        if known.is_none() {
            inner.source.admit(key).await?;
        }
        let begun = Instant::now();
        let until = |time| begun.checked_add(time).unwrap_or(begun + NEVER);
        let renewal = Box::pin(inner.clone().renew(key.clone(), known.clone()));
        let pause = match inner.within(until(wait.slow_after), inner.memory.fill(key, renewal)).await {
            Ok(renewed) => {
                inner.source.tell(key, Told::Renewed);
                return renewed;
            }
            // It is slow: nothing has to pass before it is asked again.
            Err(silence) => silence.unwrap_or(Duration::ZERO),
        };
        // Slow. The renewal goes on; what is kept goes out, if it may, else there is nothing but to wait on.
        if let Some(kept) = inner.meanwhile(key, known, pause).await? {
            return Ok(kept);
        }
        let renewal = Box::pin(inner.clone().renew(key.clone(), None));
        let renewed = match inner.within(until(wait.deadline), inner.memory.fill(key, renewal)).await {
            Ok(renewed) => renewed?,
            Err(Some(silence)) => return Err(Unanswered::Silent(silence)),
            Err(None) => {
                inner.source.tell(key, Told::Late);
                return Err(Unanswered::Late);
            }
        };
        inner.source.tell(key, Told::Renewed);
        Ok(renewed)
    }
}

impl<S: Source> Inner<S> {
    /// Young enough, and nothing newer is known: that makes an entry stale at once (promise 10).
    async fn is_fresh(&self, key: &S::Key, entry: &Entry<S::Value>) -> Result<S, bool> {
        let now = self.source.now();
        let young = entry.is_young(now, self.policy.max_age);
        if !young && !entry.was_paused() {
            return Ok(false);
        }
        // Read before the standing: what becomes known between makes us ask once more, never once less.
        let head = self.source.head();
        // A serial that turned out to be wrong agrees with nothing.
        let wrong = self.is_disproved(entry, head);
        if young && !wrong && entry.agreed_at(head) {
            return Ok(true);
        }
        let standing = self.source.standing(key, entry.last_serial).await?;
        if young && entry.agrees(standing) && (!wrong || standing == Standing::Unknown) {
            entry.note_agreement(head);
            return Ok(true);
        }
        // No pause outlasts the time for which an entry may be used.
        let usable = !entry.stale || entry.is_usable(now, self.policy.stale_if_error);
        Ok(usable && entry.is_paused(now, standing))
    }

    /// Its serial turned out to be wrong. That happens to one beyond the head, and without another event.
    fn is_disproved(&self, entry: &Entry<S::Value>, head: Option<Serial>) -> bool {
        let beyond = entry.last_serial.filter(|&serial| Some(serial) > head);
        beyond.is_some_and(|serial| self.source.disproves(serial, entry.checked))
    }

    /// What a question brings up to a moment. The error is upstream's silence, if it lasts until then; in that case the
    /// question is not begun: what is known to fail is said at once (promise 7).
    async fn within(
        &self,
        until: Instant,
        renewal: impl Future<Output = std::result::Result<Kept<S>, FillError<Unanswered<S::Error>>>>,
    ) -> std::result::Result<Result<S>, Option<Duration>> {
        tokio::select! {
            biased;
            silence = self.source.silent_at(until) => Err(Some(silence)),
            renewed = renewal => Ok(renewed.map_err(Unanswered::of)),
            () = sleep_until(until) => Err(None),
        }
    }

    /// What goes out while upstream is slow.
    async fn meanwhile(
        &self,
        key: &S::Key,
        known: Option<Kept<S>>,
        pause: Duration,
    ) -> Result<S, Option<Kept<S>>> {
        // The renewal may have ended this moment.
        let kept = match self.memory.get(key).or(known) {
            Some(entry) => Some(entry),
            None => self.source.load(key).await?.map(Arc::new),
        };
        let Some(entry) = kept else { return Ok(None) };
        if self.source.is_as_read(key, &entry) && self.is_fresh(key, &entry).await? {
            self.source.tell(key, if entry.stale { Told::Slow } else { Told::Renewed });
            self.memory.put(key, entry.clone());
            return Ok(Some(entry));
        }
        if !entry.is_usable(self.source.now(), self.policy.stale_if_error) {
            return Ok(None);
        }
        let standing = self.source.standing(key, entry.last_serial).await?;
        if !entry.may_outlast(standing) || self.removed_since(key, &entry, standing).await? {
            return Ok(None);
        }
        self.source.tell(key, Told::Slow);
        let pause = self.policy.failure_pause.max(pause);
        let paused = Arc::new(entry.paused(self.source.now(), pause, standing, true));
        // The next callers need not wait to learn the same; the renewal's end replaces it.
        self.memory.put(key, paused.clone());
        Ok(Some(paused))
    }

    /// Asks upstream until its copy is as new as what is known. `known`: the caller's entry from memory.
    async fn renew(self: Arc<Self>, key: S::Key, known: Option<Kept<S>>) -> Result<S> {
        // Another's renewal may have replaced it meanwhile.
        let known = self.memory.get(&key).or(known);
        let mut known = match known {
            Some(entry) if self.source.is_as_read(&key, &entry) => Some(entry),
            // What could not be kept is as good as it was.
            known => self.source.load(&key).await?.map(Arc::new).or(known),
        };
        if let Some(entry) = &known
            && self.is_fresh(&key, entry).await?
        {
            return Ok(entry.clone());
        }
        // What was behind last time is not waited for again.
        let patient = !known.as_ref().is_some_and(|entry| entry.was_paused());
        let mut pauses = self.policy.behind_pauses.iter().filter(|_| patient);
        loop {
            let serial = known.as_ref().and_then(|entry| entry.last_serial);
            let standing = self.source.standing(&key, serial).await?;
            let answer = match self.source.ask(&key, known.as_deref(), standing).await? {
                Revalidation::Same => {
                    // A source lets nothing be confirmed that was not known.
                    let Some(entry) = &known else { return Err(Unanswered::Lost) };
                    let confirmed = entry.confirmed(self.source.now());
                    self.source.touch(&key, confirmed.checked).await;
                    Some(confirmed)
                }
                Revalidation::New(received) if self.is_older(&received, known.as_deref()) => None,
                Revalidation::New(Received { entry, raw, .. }) => {
                    self.source.keep(&key, &entry, &raw).await;
                    Some(entry)
                }
                Revalidation::Instead(Received { entry, raw, .. }) => {
                    self.source.keep(&key, &entry, &raw).await;
                    return Ok(Arc::new(entry));
                }
                Revalidation::Absent => return self.absent(&key).await,
                Revalidation::Failed { error, pause } => {
                    return self.stale(&key, known, standing, (error, pause)).await;
                }
            };
            if let Some(entry) = answer {
                if self.may_go_out(&key, &entry, standing).await? {
                    let behind = self.policy.behind_pause;
                    return Ok(Arc::new(match standing {
                        Standing::Unlisted => entry.paused(self.source.now(), behind, standing, false),
                        Standing::Unknown | Standing::At(_) | Standing::Gone => entry,
                    }));
                }
                known = Some(Arc::new(entry));
            }
            let Some(pause) = pauses.next() else { return self.behind(&key, known, standing).await };
            tokio::time::sleep(*pause).await;
        }
    }

    /// Whether an answer is one from before what is known. That is so as long as a cache of upstream's can have it: what
    /// upstream goes on giving is no older copy, and then the serial of what is known was wrong. So it was if upstream's
    /// last serial turned out to be lower.
    fn is_older(&self, received: &Received<S>, known: Option<&Entry<S::Value>>) -> bool {
        known.is_some_and(|known| {
            let believed = known.last_serial.filter(|&serial| !self.source.disproves(serial, known.checked));
            received.stated
                && believed > received.entry.last_serial
                && known.is_young(self.source.now(), self.policy.older_after)
        })
    }

    /// Upstream's copy is not older than what is known. What is not known, and what nobody had, may have been removed.
    async fn may_go_out(&self, key: &S::Key, entry: &Entry<S::Value>, standing: Standing) -> Result<S, bool> {
        let unknown = standing == Standing::Unknown && entry.last_serial.is_some();
        let agrees = entry.agrees(standing) || standing == Standing::Unlisted;
        Ok(agrees && !(unknown && self.removed_since(key, entry, standing).await?))
    }

    /// A removal is known that an entry was made before. What is as new as the last known event is not: a derived event may
    /// have a number above that (see `follow::derive`).
    async fn removed_since(
        &self,
        key: &S::Key,
        entry: &Entry<S::Value>,
        standing: Standing,
    ) -> Result<S, bool> {
        if matches!(standing, Standing::At(_)) && entry.agrees(standing) {
            return Ok(false);
        }
        Ok(self.source.removed_after(key, entry.last_serial).await?)
    }

    /// Upstream does not have it: that is remembered for a moment, and what was kept is gone.
    async fn absent(&self, key: &S::Key) -> Result<S> {
        self.memory.forget(key);
        self.source.forget(key).await;
        let serial = self.source.serial(key, false).await?;
        self.absent.insert(key.clone(), Absence { since: self.source.now(), serial });
        Err(Unanswered::Absent)
    }

    /// Fails if upstream did not have it a moment ago and nothing became known since.
    async fn check_absent(&self, key: &S::Key) -> Result<S, ()> {
        let Some(absence) = self.absent.get(key) else { return Ok(()) };
        if is_younger(absence.since, self.source.now(), self.policy.absent_max_age)
            && self.source.serial(key, true).await? == absence.serial
        {
            return Err(Unanswered::Absent);
        }
        self.absent.remove(key);
        Ok(())
    }

    /// Upstream's copies stay behind what is known.
    async fn behind(&self, key: &S::Key, known: Option<Kept<S>>, standing: Standing) -> Result<S> {
        self.source.tell(key, Told::Behind(standing));
        let pause = self.policy.behind_pause;
        match (known, standing) {
            (Some(entry), Standing::At(_) | Standing::Unknown) => {
                if self.removed_since(key, &entry, standing).await? {
                    return Err(Unanswered::BeforeRemoval(pause));
                }
                Ok(Arc::new(entry.paused(self.source.now(), pause, standing, false)))
            }
            (Some(entry), Standing::Unlisted) if entry.may_outlast(standing) => {
                Ok(Arc::new(entry.paused(self.source.now(), pause, standing, false)))
            }
            // It is known to be removed: a copy from before must not go out (promise 10).
            (_, Standing::Gone | Standing::Unlisted) => self.absent(key).await,
            // Not reached: what stays behind is known.
            (None, Standing::At(_) | Standing::Unknown) => Err(Unanswered::Lost),
        }
    }

    /// Upstream fails: what is kept goes out, if it is not too old and not removed.
    async fn stale(
        &self,
        key: &S::Key,
        known: Option<Kept<S>>,
        standing: Standing,
        (error, pause): (S::Error, Duration),
    ) -> Result<S> {
        let now = self.source.now();
        let Some(entry) = known else { return Err(self.source.unkept(key, error).await?.into()) };
        let usable = entry.may_outlast(standing) && entry.is_usable(now, self.policy.stale_if_error);
        if !usable || self.removed_since(key, &entry, standing).await? {
            return Err(error.into());
        }
        self.source.tell(key, Told::Stale(&error, now.saturating_sub(entry.checked)));
        let pause = self.policy.failure_pause.max(pause);
        Ok(Arc::new(entry.paused(self.source.now(), pause, standing, true)))
    }
}

//! One engine for everything that is kept and asked for again: pages, documents, relayed calls.
//!
//! [`Engine`] has the rules: what is fresh, what upstream must confirm, what goes out although it is old because upstream
//! fails, is slow or is behind, and what is known to be absent. A [`Source`] knows one kind of entry: how to ask upstream for
//! it, where it is kept, and what is known of it from elsewhere. One question is asked at a time for each key, however many
//! wait, and it goes on when they leave (docs/promises.md, promise 3).

mod engine;
mod entry;
#[cfg(test)]
mod tests;

use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

pub use engine::{Engine, Memory};
pub use entry::{Entry, Standing};

use crate::memo::FillError;
use crate::model::Serial;

/// For how long what is kept goes out, and why. By default nothing goes out twice.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// How long an entry is fresh after upstream's last word on it.
    pub max_age: Duration,
    /// How old an entry may be that goes out because upstream fails or is slow.
    pub stale_if_error: Duration,
    /// How long such an entry goes out before upstream is asked again.
    pub failure_pause: Duration,
    /// The pauses before upstream is asked again for an entry that is behind what is known of it.
    pub behind_pauses: Vec<Duration>,
    /// How long an entry that stayed behind goes out before upstream is asked again.
    pub behind_pause: Duration,
    /// For how long after an entry an answer with a lower serial is one from an old cache.
    pub older_after: Duration,
    /// How long an absence is remembered.
    pub absent_max_age: Duration,
    /// How many absences are remembered.
    pub absent_entries: u64,
}

/// How long one caller waits.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// After this time a kept entry goes out instead, if it may.
    pub slow_after: Duration,
    /// After this time there is no answer.
    pub deadline: Duration,
}

/// Why there is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered<E> {
    /// Upstream does not have it.
    #[error("upstream does not have it")]
    Absent,
    /// Upstream has not answered within the caller's deadline; the question goes on.
    #[error("upstream has not answered yet")]
    Late,
    /// Upstream wants no questions for this time, which is longer than the caller waits.
    #[error("upstream can be asked again after a wait of {} s", .0.as_secs())]
    Silent(Duration),
    /// Upstream's copies are older than a removal that is known; upstream is worth asking again after this time.
    #[error("upstream's copy is older than a removal")]
    BeforeRemoval(Duration),
    /// The task that asked has died.
    #[error("a task that was to answer has died")]
    Lost,
    /// What the source said.
    #[error("{0}")]
    Failed(E),
}

impl<E> From<E> for Unanswered<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

impl<E> Unanswered<E> {
    fn of(error: FillError<Self>) -> Self {
        match error {
            FillError::Failed(error) => error,
            FillError::Lost => Self::Lost,
        }
    }
}

/// An answer of upstream's, read.
pub struct Received<S: Source> {
    /// The entry that it makes.
    pub entry: Entry<S::Value>,
    /// The answer itself states the entry's serial.
    pub stated: bool,
    /// What is kept of it besides.
    pub raw: S::Raw,
}

/// What asking upstream brought.
pub enum Revalidation<S: Source> {
    /// An answer.
    New(Received<S>),
    /// What is known is still right.
    Same,
    /// An answer made from elsewhere, because upstream has none of its own. It is not compared with what is known.
    Instead(Received<S>),
    /// Upstream does not have it.
    Absent,
    /// Upstream failed: what is kept may go out instead.
    Failed {
        /// What failed.
        error: S::Error,
        /// How long upstream is not asked again for it, at least.
        pause: Duration,
    },
}

/// How a question ended, for logs and metrics.
#[derive(Debug)]
pub enum Told<'a, E> {
    /// The entry in memory was fresh.
    Hit,
    /// The question was answered while the caller waited.
    Renewed,
    /// Upstream was slow, and a kept entry went out.
    Slow,
    /// Upstream was slow, and the caller's deadline passed.
    Late,
    /// Upstream failed, and a kept entry of this age in seconds went out.
    Stale(&'a E, i64),
    /// Upstream's copies stayed behind what is known.
    Behind(Standing),
}

/// One kind of entry: how upstream is asked for it, where it is kept, what is known of it from elsewhere.
pub trait Source: Sized + Send + Sync + 'static {
    /// Names an entry.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// What an entry holds; cheap to clone.
    type Value: Clone + Send + Sync + 'static;
    /// What is kept of an answer besides its entry.
    type Raw: Send + Sync;
    /// A failure; all who wait get the same.
    type Error: Clone + Send + Sync + 'static;

    /// Unix seconds.
    fn now(&self) -> i64;

    /// Asks upstream. `known`: what it may confirm. An error is final: nothing kept goes out instead.
    fn ask(
        &self,
        key: &Self::Key,
        known: Option<&Entry<Self::Value>>,
        standing: Standing,
    ) -> impl Future<Output = Result<Revalidation<Self>, Self::Error>> + Send;

    /// What is kept where a restart does not lose it.
    fn load(
        &self,
        key: &Self::Key,
    ) -> impl Future<Output = Result<Option<Entry<Self::Value>>, Self::Error>> + Send;

    /// Keeps an answer there. One that cannot be kept goes out all the same.
    fn keep(
        &self,
        key: &Self::Key,
        entry: &Entry<Self::Value>,
        raw: &Self::Raw,
    ) -> impl Future<Output = ()> + Send;

    /// Takes note of how a question ended.
    fn tell(&self, key: &Self::Key, told: Told<'_, Self::Error>);

    /// Keeps that upstream confirmed an entry, at `checked` in Unix seconds.
    fn touch(&self, _key: &Self::Key, _checked: i64) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Forgets what is kept of what upstream does not have.
    fn forget(&self, _key: &Self::Key) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Fails if what is not in memory is known not to exist.
    fn admit(&self, _key: &Self::Key) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// The failure to tell where nothing is kept.
    fn unkept(
        &self,
        _key: &Self::Key,
        error: Self::Error,
    ) -> impl Future<Output = Result<Self::Error, Self::Error>> + Send {
        async { Ok(error) }
    }

    /// Whether an entry in memory still is what reading it anew would make.
    fn is_as_read(&self, _key: &Self::Key, _value: &Self::Value) -> bool {
        true
    }

    /// A serial that rises whenever the standing of any entry may have changed; `None` if there is none.
    fn head(&self) -> Option<Serial> {
        None
    }

    /// What is known from elsewhere of something that had `serial` when it was seen last.
    fn standing(
        &self,
        _key: &Self::Key,
        _serial: Option<Serial>,
    ) -> impl Future<Output = Result<Standing, Self::Error>> + Send {
        async { Ok(Standing::Unknown) }
    }

    /// Whether a serial that was stated at `checked` turned out to be wrong.
    fn disproves(&self, _serial: Serial, _checked: i64) -> bool {
        false
    }

    /// Whether something was removed that an entry of that serial still has.
    fn removed_after(
        &self,
        _key: &Self::Key,
        _serial: Option<Serial>,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send {
        async { Ok(false) }
    }

    /// The serial that ends an absence when it changes. `by_now`: what is becoming known this moment counts.
    fn serial(
        &self,
        _key: &Self::Key,
        _by_now: bool,
    ) -> impl Future<Output = Result<Option<Serial>, Self::Error>> + Send {
        async { Ok(None) }
    }

    /// Waits until upstream wants no questions up to `until` at least, and tells for how long from now.
    fn silent_at(&self, _until: Instant) -> impl Future<Output = Duration> + Send {
        std::future::pending()
    }
}

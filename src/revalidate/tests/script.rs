//! A source in memory that says what a test tells it to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::Serial;
use crate::revalidate::{Entry, Received, Revalidation, Source, Standing, Told};

/// Unix seconds at the beginning of each test.
pub(super) const START: i64 = 1_700_000_000;

/// What upstream says to one question.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    /// A text with a serial of its own.
    Text(&'static str, i64),
    /// A text without one: it gets that of the last known event.
    Plain(&'static str),
    Same,
    Instead(&'static str),
    Absent,
    /// Upstream fails and is not to be asked for so many seconds.
    Fails(u64),
    /// An answer that nothing kept may replace.
    Refuses,
    /// So many seconds pass, and then it says this.
    After(u64, &'static Then),
    /// The task that asked dies.
    Dies,
}

#[derive(Default)]
struct State {
    says: VecDeque<Then>,
    asked: usize,
    told: Vec<String>,
    store: Option<(&'static str, Option<Serial>, i64)>,
    standing: Option<Standing>,
    head: i64,
    removed: Option<Serial>,
    disproved: Option<Serial>,
    silent_until: Option<Instant>,
    unknown: bool,
    as_read: Option<&'static str>,
    ahead: i64,
    admits_after: Option<Duration>,
}

/// The source. Clones share everything, as a journal on disk does.
#[derive(Clone)]
pub(super) struct Script {
    begun: Instant,
    state: Arc<Mutex<State>>,
}

impl Script {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What upstream says to the next questions; what it said not yet is forgotten.
    pub(super) fn say(&self, says: &[Then]) {
        self.state().says = says.iter().copied().collect();
    }

    pub(super) fn asked(&self) -> usize {
        self.state().asked
    }

    /// What was told since the last look.
    pub(super) fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.state().told)
    }

    /// Something becomes known.
    pub(super) fn stands(&self, standing: Standing) {
        let mut state = self.state();
        state.standing = Some(standing);
        state.head += 1;
    }

    /// A removal with this serial becomes known.
    pub(super) fn removed(&self, serial: i64) {
        self.state().removed = Some(Serial(serial));
    }

    /// A serial turns out to be wrong.
    pub(super) fn disprove(&self, serial: i64) {
        self.state().disproved = Some(Serial(serial));
    }

    pub(super) fn silent_for(&self, time: Duration) {
        self.state().silent_until = Some(Instant::now() + time);
    }

    /// It becomes known that there is no such thing, for who has nothing in memory.
    pub(super) fn deny(&self) {
        self.state().unknown = true;
    }

    /// The next caller with nothing in memory is admitted after this time.
    pub(super) fn admit_after(&self, time: Duration) {
        self.state().admits_after = Some(time);
    }

    /// Only this text is what reading it anew would make.
    pub(super) fn reads(&self, text: &'static str) {
        let mut state = self.state();
        state.as_read = Some(text);
        let Some((kept, _, _)) = &mut state.store else { return };
        *kept = text;
    }

    /// Corrects the clock by so many seconds.
    pub(super) fn correct_clock(&self, by: i64) {
        self.state().ahead += by;
    }

    /// What is in the store.
    pub(super) fn stored(&self) -> Option<(&'static str, i64)> {
        self.state().store.map(|(text, _, checked)| (text, checked - START))
    }

    pub(super) fn lose_store(&self) {
        self.state().store = None;
    }
}

impl Source for Script {
    type Key = &'static str;
    type Value = &'static str;
    type Raw = ();
    type Error = &'static str;

    fn now(&self) -> i64 {
        let passed = i64::try_from(self.begun.elapsed().as_secs()).unwrap();
        START + passed + self.state().ahead
    }

    async fn ask(
        &self,
        _key: &Self::Key,
        known: Option<&Entry<&'static str>>,
        standing: Standing,
    ) -> Result<Revalidation<Self>, &'static str> {
        let mut says = {
            let mut state = self.state();
            state.asked += 1;
            state.says.pop_front().ok_or("upstream was asked once too often")?
        };
        while let Then::After(seconds, then) = says {
            sleep(Duration::from_secs(seconds)).await;
            says = *then;
        }
        let received =
            |text, serial, stated| Received { entry: Entry::new(text, serial, self.now()), stated, raw: () };
        Ok(match says {
            Then::Text(text, serial) => Revalidation::New(received(text, Some(Serial(serial)), true)),
            Then::Plain(text) => Revalidation::New(received(text, standing.serial(), false)),
            Then::Same => {
                assert!(known.is_some());
                Revalidation::Same
            }
            Then::Instead(text) => Revalidation::Instead(received(text, None, false)),
            Then::Absent => Revalidation::Absent,
            Then::Fails(seconds) => {
                Revalidation::Failed { error: "upstream failed", pause: Duration::from_secs(seconds) }
            }
            Then::Refuses => return Err("upstream refused"),
            Then::Dies => panic!("on purpose"),
            Then::After(..) => unreachable!(),
        })
    }

    async fn load(&self, _key: &Self::Key) -> Result<Option<Entry<&'static str>>, &'static str> {
        Ok(self.state().store.map(|(text, serial, checked)| Entry::new(text, serial, checked)))
    }

    async fn keep(&self, _key: &Self::Key, entry: &Entry<&'static str>, (): &()) {
        self.state().store = Some((**entry, entry.last_serial, entry.checked));
    }

    fn tell(&self, _key: &Self::Key, told: Told<'_, &'static str>) {
        self.state().told.push(format!("{told:?}"));
    }

    async fn touch(&self, _key: &Self::Key, at: i64) {
        if let Some((_, _, checked)) = &mut self.state().store {
            *checked = at;
        }
    }

    async fn forget(&self, _key: &Self::Key) {
        self.state().store = None;
    }

    async fn admit(&self, _key: &Self::Key) -> Result<(), &'static str> {
        let wait = self.state().admits_after.take();
        if let Some(wait) = wait {
            sleep(wait).await;
        }
        if self.state().unknown { Err("known not to exist") } else { Ok(()) }
    }

    async fn unkept(&self, _key: &Self::Key, _error: &'static str) -> Result<&'static str, &'static str> {
        Ok("upstream failed, and nothing is kept")
    }

    fn is_as_read(&self, _key: &Self::Key, value: &&'static str) -> bool {
        self.state().as_read.is_none_or(|text| text == *value)
    }

    fn head(&self) -> Option<Serial> {
        Some(Serial(self.state().head))
    }

    async fn standing(&self, _key: &Self::Key, _serial: Option<Serial>) -> Result<Standing, &'static str> {
        Ok(self.state().standing.unwrap_or(Standing::Unknown))
    }

    fn disproves(&self, serial: Serial, _checked: i64) -> bool {
        self.state().disproved == Some(serial)
    }

    async fn removed_after(&self, _key: &Self::Key, serial: Option<Serial>) -> Result<bool, &'static str> {
        Ok(self.state().removed.is_some_and(|removed| serial < Some(removed)))
    }

    async fn serial(&self, _key: &Self::Key, _by_now: bool) -> Result<Option<Serial>, &'static str> {
        Ok(self.state().standing.and_then(Standing::serial))
    }

    async fn silent_at(&self, until: Instant) -> Duration {
        let silent_until = self.state().silent_until.filter(|silent| *silent >= until);
        match silent_until {
            Some(silent) => silent.saturating_duration_since(Instant::now()),
            None => std::future::pending().await,
        }
    }
}

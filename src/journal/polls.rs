//! What the one who follows upstream and those who ask by time tell each other: a question wants a poll that began just
//! now, and one poll serves all who wait.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How news come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// By asking for upstream's changelog, which costs a small call.
    Changelog,
    /// By comparing upstream's listings, which is too much to be done for a question.
    Listings,
    /// By bundles that are imported while no relay runs: no question brings any.
    Bundles,
}

/// The polls of one journal.
#[derive(Debug)]
pub struct Polls(watch::Sender<State>);

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// `None` until somebody follows upstream.
    news: Option<News>,
    /// When the last poll began.
    begun: Option<Instant>,
    running: bool,
    /// A question wants one.
    wanted: bool,
    /// Since when a question waits for one; over when a poll that began after that has ended.
    waited: Option<Instant>,
    /// Polls fail; the next is at about that time.
    down: Option<Instant>,
}

/// A poll that runs. Dropped without [`Poll::ended`] it counts as ended: what it was to bring is not there.
pub struct Poll<'a>(&'a Polls);

impl Polls {
    pub(super) fn new() -> Self {
        Self(watch::Sender::default())
    }

    /// Says how news come from now on.
    pub fn come_by(&self, news: News) {
        self.0.send_if_modified(|state| state.news.replace(news) != Some(news));
    }

    /// Whether news come by comparing listings.
    pub(super) fn by_listings(&self) -> bool {
        self.0.borrow().news == Some(News::Listings)
    }

    /// Whether news come from upstream's changelog, at first hand or in bundles.
    pub(super) fn by_changelog(&self) -> bool {
        matches!(self.0.borrow().news, Some(News::Changelog | News::Bundles))
    }

    /// Waits until a question wants a poll.
    pub async fn wanted(&self) {
        // Its sender is ours.
        let _ = self.0.subscribe().wait_for(|state| state.wanted).await;
    }

    /// A poll begins: it is for everybody who wants one by now.
    pub fn begin(&self) -> Poll<'_> {
        self.0.send_modify(|state| {
            (state.begun, state.running, state.wanted) = (Some(Instant::now()), true, false);
        });
        Poll(self)
    }

    /// Waits until a poll that began at most `age` ago has ended, and sees to it that there is one. Returns at once where
    /// a question causes none: listings are compared, or upstream is known to be down. The caller brings its deadline.
    pub async fn recent(&self, age: Duration) {
        let now = Instant::now();
        let recent = |begun: Instant| now.saturating_duration_since(begun) <= age;
        let mut states = self.0.subscribe();
        loop {
            let state = *states.borrow_and_update();
            if matches!(state.news, Some(News::Listings | News::Bundles)) || state.down.is_some() {
                return;
            }
            if !state.begun.is_some_and(recent) {
                self.0.send_if_modified(|state| !std::mem::replace(&mut state.wanted, true));
            } else if !state.running {
                return;
            }
            // Its sender is ours.
            let _ = states.changed().await;
        }
    }

    /// As [`Self::recent`], for at most `most` since the first of those began to wait who wait for the same poll: however
    /// many questions come one after the other, a poll that does not end costs them `most` together.
    pub async fn recent_within(&self, age: Duration, most: Duration) {
        let recent = self.recent(age);
        let mut recent = std::pin::pin!(recent);
        if futures_util::poll!(recent.as_mut()).is_ready() {
            return;
        }
        let now = Instant::now();
        self.0.send_if_modified(|state| {
            state.waited.get_or_insert(now);
            false
        });
        let began = self.0.borrow().waited.unwrap_or(now);
        // An end that is too far away is none.
        match began.checked_add(most) {
            Some(end) => drop(tokio::time::timeout_at(end, recent).await),
            None => recent.await,
        }
    }

    /// The pause after a failure is over, and the next poll is for a question to cause.
    pub fn try_again(&self) {
        self.0.send_modify(|state| state.down = None);
    }

    /// When upstream is asked again, if it is known to be down.
    pub(super) fn retry(&self) -> Option<Duration> {
        let until = self.0.borrow().down?;
        Some(until.saturating_duration_since(Instant::now()))
    }
}

impl Poll<'_> {
    /// It ended well, or failed: then upstream is left alone for as long as is given, and known to be down until one ends
    /// well.
    pub fn ended(self, pause: Option<Duration>) {
        let down = pause.map(|pause| Instant::now() + pause);
        self.0.0.send_modify(|state| state.down = down);
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            state.running = false;
            // Whoever began to wait before the poll did got what it waited for.
            state.waited = state.waited.filter(|waited| state.begun < Some(*waited));
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn polls() -> Arc<Polls> {
        let polls = Polls::new();
        polls.come_by(News::Changelog);
        Arc::new(polls)
    }

    #[tokio::test(start_paused = true)]
    async fn one_poll_is_for_all_who_wait_and_for_those_who_come_within_a_second() {
        let polls = polls();
        assert!(polls.wanted().now_or_never().is_none());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let polls = Arc::clone(&polls);
                tokio::spawn(async move { polls.recent(SECOND).await })
            })
            .collect();
        polls.wanted().await;
        let poll = polls.begin();
        assert!(polls.wanted().now_or_never().is_none(), "it is under way");
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        poll.ended(None);
        for task in waiting {
            task.await.unwrap();
        }
        advance(SECOND).await;
        assert!(polls.recent(SECOND).now_or_never().is_some());
        advance(Duration::from_millis(1)).await;
        assert!(polls.recent(SECOND).now_or_never().is_none());
        assert!(polls.wanted().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_began_too_early_is_not_the_one_that_is_wanted() {
        let polls = polls();
        let slow = polls.begin();
        advance(2 * SECOND).await;
        let question = polls.recent(SECOND);
        let mut question = std::pin::pin!(question);
        assert!(question.as_mut().now_or_never().is_none());
        slow.ended(None);
        assert!(question.as_mut().now_or_never().is_none(), "it may have missed what came since it began");
        polls.wanted().await;
        polls.begin().ended(None);
        question.await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_where_a_poll_brings_nothing() {
        let polls = polls();
        polls.begin().ended(Some(9 * SECOND));
        advance(2 * SECOND).await;
        assert!(polls.recent(SECOND).now_or_never().is_some());
        assert_eq!(polls.retry(), Some(7 * SECOND));
        // It is tried again: until it answers it is down.
        let again = polls.begin();
        assert!(polls.recent(SECOND).now_or_never().is_some());
        again.ended(None);
        advance(2 * SECOND).await;
        assert!(polls.recent(SECOND).now_or_never().is_none());
        polls.come_by(News::Listings);
        assert!(polls.recent(SECOND).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_does_not_end_costs_all_who_ask_one_after_the_other_one_wait_together() {
        let (polls, most) = (polls(), 2 * SECOND);
        let began = Instant::now();
        let waits = async || {
            let asked = Instant::now();
            polls.recent_within(SECOND, most).await;
            asked.elapsed()
        };
        let slow = polls.begin();
        advance(2 * SECOND).await;
        assert_eq!(waits().await, most);
        for _ in 0..100 {
            assert_eq!(waits().await, Duration::ZERO);
        }
        // It ends, but began before they asked; so does the next, which did not.
        slow.ended(None);
        assert_eq!(waits().await, Duration::ZERO);
        polls.begin().ended(None);
        assert_eq!((waits().await, began.elapsed()), (Duration::ZERO, 4 * SECOND));
        advance(2 * SECOND).await;
        assert_eq!(waits().await, most, "another poll is another wait");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_before_anybody_follows_waits_for_the_first_poll() {
        let polls = Polls::new();
        let mut question = std::pin::pin!(polls.recent(SECOND));
        assert!(question.as_mut().now_or_never().is_none());
        polls.come_by(News::Changelog);
        assert!(question.as_mut().now_or_never().is_none());
        drop(polls.begin());
        assert!(question.as_mut().now_or_never().is_some());
    }
}

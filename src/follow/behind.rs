//! An upstream whose last serial is lower than it was: one of several servers lags, or it was restored from an older copy.
//!
//! One that has passed its last serial of then since is told by the last row that we have: it is asked for again with what
//! follows it, and is another row, or none.
//!
//! A server that lags has only rows that we have. One that was restored may have others, below our last serial; as long as
//! it is not known which it is, "nothing happened" must not be said then. It is taken for restored when each of its answers
//! in [`super::FollowSettings::calls_doubt`] is lower. From there on (`journal::Position`):
//!
//! 1. its changelog is read from the last row that we have in common, and each row gets our next number;
//! 2. each project with an event that is lost is looked at: what its page shows is told by events, else `docupdate`;
//! 3. if not all that is lost was known here, as of an upstream that went back to before our first listing, or where
//!    listings are compared anyway, a listing is compared in which any other serial counts, not only a higher one.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::FollowError;
use super::follower::Follower;
use super::poll::Polled;
use super::state::Doubt;
use crate::journal::{Position, QuestionStart};
use crate::metric;
use crate::model::{Event, Serial};
use crate::upstream::ChangelogPart;

/// Answers of one run that it takes besides the time: a run that begins hours after the first lower answer asks more than
/// one of several servers.
const LEAST_ANSWERS: u32 = 3;

/// How many serials below upstream's last one the last row in common is looked for at first: some hours of PyPI's, in an
/// answer of 1 MB. Then ten times as many, and so on.
const WINDOW: i64 = 5_000;

impl Follower {
    /// Upstream names `last`, which is lower than `known`, its last serial before. Fails if new events may hide;
    /// [`Polled::More`] tells that upstream was restored, which only `conclude` makes it.
    pub(super) async fn fell_back(
        &self,
        known: Serial,
        last: Serial,
        conclude: bool,
    ) -> Result<Polled, FollowError> {
        let left = self.doubt_left(known, last).await?;
        if self.has_strange_rows(last).await? {
            self.journal.not_caught_up();
            if !left.is_zero() || !conclude {
                return Err(FollowError::Behind { known, last, left });
            }
        } else if !left.is_zero() || !conclude {
            return Ok(Polled::Current);
        } else if self.listed_last_serial().await?.is_some_and(|listed| listed > last) {
            // Nothing of it hides, so there is time until a listing that does not know more either.
            return Ok(Polled::Current);
        }
        let lowest = self.journal.note_behind(last).await?.least;
        let to = self.last_in_common(lowest, last).await?;
        self.restored(to, last, false).await?;
        Ok(Polled::More)
    }

    /// What upstream tells after `since`; `None` if it was restored, which only `conclude` makes it. Fails as long as it may
    /// have been: the last row that we have is read again with what follows it, and is another one.
    pub(super) async fn rows_after(
        &self,
        since: Serial,
        conclude: bool,
    ) -> Result<Option<ChangelogPart>, FollowError> {
        let again = since > Serial(0) && self.journal.ends_with_row(since).await?;
        let from = if again { Serial(since.0 - 1) } else { since };
        let mut slice = self.upstream.changelog_since(from).await.map_err(|error| self.judge(error))?;
        let Some(last) = slice.last.filter(|&last| again && last > since) else { return Ok(Some(slice)) };
        if self.still_has(since, slice.take_upto(since)).await? {
            self.doubt_lock().overtaken = false;
            return Ok(Some(slice));
        }
        self.doubt_lock().overtaken = true;
        self.journal.not_caught_up();
        let left = self.doubt_left(since, last).await?;
        if !left.is_zero() || !conclude {
            return Err(FollowError::Overtaken { known: since, left });
        }
        let to = self.last_in_common(since, since).await?;
        self.restored(to, last, false).await?;
        Ok(None)
    }

    /// Whether upstream still has what we have up to `known`, of which it gives `rows` now.
    async fn still_has(&self, known: Serial, rows: Vec<Event>) -> Result<bool, FollowError> {
        let none = rows.is_empty();
        for row in rows {
            if !self.journal.common_with(vec![row]).await?.differs {
                return Ok(true);
            }
        }
        if !none {
            return Ok(false);
        }
        // Not every number is given out. Or the row was taken back: then those before it are the same.
        let ahead = self.journal.position().is_none_or(Position::is_ahead);
        let Some(known_from) = self.journal.known_from().await?.filter(|_| !ahead) else { return Ok(true) };
        let from = Serial(known.0.saturating_sub(WINDOW)).max(known_from);
        let mut slice = self.upstream.changelog_since(from).await.map_err(|error| self.judge(error))?;
        slice.cut(known);
        Ok(!self.journal.common_with(sorted(slice.events)).await?.differs)
    }

    /// The same of a listing: which events it does not know, nobody can tell. An older copy must not be given here.
    pub(super) async fn listing_fell_back(
        &self,
        known: Position,
        last: Serial,
    ) -> Result<Polled, FollowError> {
        let left = self.doubt_left(known.theirs, last).await?;
        self.journal.not_caught_up();
        if !left.is_zero() {
            return Err(FollowError::Behind { known: known.theirs, last, left });
        }
        let ours = if known.is_ahead() { known.ours } else { last };
        self.restored(Position { ours, theirs: last }, last, true).await?;
        Ok(Polled::More)
    }

    /// Upstream's last serial is not lower than it was.
    pub(super) async fn not_behind(&self, known: Serial, last: Serial) -> Result<(), FollowError> {
        self.tell_if_behind(known, last);
        if last > known && self.doubt_lock().overtaken {
            // A higher one says nothing else.
            return Ok(());
        }
        let doubt = std::mem::take(&mut *self.doubt_lock());
        // Also of an earlier run.
        if doubt.answers > 0 || !self.heard_abreast.swap(true, Ordering::Relaxed) {
            self.journal.note_abreast().await?;
        }
        Ok(())
    }

    /// How long upstream has to stay so until it is taken for restored.
    async fn doubt_left(&self, known: Serial, last: Serial) -> Result<Duration, FollowError> {
        self.tell_if_behind(known, last);
        let behind = self.journal.note_behind(last).await?;
        let answers = {
            let mut doubt = self.doubt_lock();
            doubt.answers = doubt.answers.saturating_add(1);
            doubt.answers
        };
        let since = self.journal.clock().unix_millis().saturating_sub(behind.since);
        let since = Duration::from_millis(u64::try_from(since).unwrap_or(0));
        let left = self.settings.calls_doubt.saturating_sub(since);
        Ok(if answers < LEAST_ANSWERS { left.max(self.settings.shortest_wait) } else { left })
    }

    /// Whether upstream's last row is one that we have not. If we have it, we have all before it.
    async fn has_strange_rows(&self, last: Serial) -> Result<bool, FollowError> {
        let Doubt { strange, looked_at, .. } = *self.doubt_lock();
        if strange || looked_at == Some(last) {
            return Ok(strange);
        }
        let before = Serial(last.0.saturating_sub(1).max(0));
        let mut slice = self.upstream.changelog_since(before).await.map_err(|error| self.judge(error))?;
        slice.cut(last);
        if slice.events.is_empty() {
            // Another of its servers, or one that does not tell: that says nothing.
            return Ok(last > Serial(0));
        }
        let common = self.journal.common_with(sorted(slice.events)).await?;
        let mut doubt = self.doubt_lock();
        doubt.strange |= common.differs;
        doubt.looked_at = Some(last);
        Ok(doubt.strange)
    }

    /// The last place in the changelog that upstream, at `last` now and at `lowest` before, has in common with us.
    async fn last_in_common(&self, lowest: Serial, last: Serial) -> Result<Position, FollowError> {
        let known_from = self.journal.known_from().await?;
        let Some(known_from) = known_from.filter(|from| *from < lowest) else {
            return Ok(Position::same(lowest));
        };
        let mut window = WINDOW;
        loop {
            let from = Serial(lowest.0.saturating_sub(window)).max(known_from);
            let mut slice = self.upstream.changelog_since(from).await.map_err(|error| self.judge(error))?;
            slice.cut(last);
            let common = self.journal.common_with(sorted(slice.events)).await?;
            match common.last {
                Some(position) => return Ok(position),
                None if common.differs && from > known_from => window = window.saturating_mul(10),
                None => return Ok(Position::same(if common.differs { from } else { lowest })),
            }
        }
    }

    async fn restored(&self, to: Position, last: Serial, relist: bool) -> Result<(), FollowError> {
        let restored = self.journal.restore(to, relist).await?;
        self.journal.restart_pace(last).await?;
        *self.listed.lock().await = None;
        *self.doubt_lock() = Doubt::default();
        self.settling.store(true, Ordering::Relaxed);
        self.journal.not_caught_up();
        self.status.send_modify(|status| {
            status.upstream_behind = None;
            status.restored = Some(restored);
        });
        metrics::counter!(metric::FOLLOW_RESTORES_TOTAL).increment(1);
        tracing::warn!(
            to = %restored.to, ours = %restored.head,
            "upstream was restored from an older copy: serials after that which it has lost are asked for no more, its next \
             events get our next numbers, and projects with lost events are looked at"
        );
        Ok(())
    }

    /// Notes that upstream, asked then, had nothing beyond our last serial. That fails as long as something is known to
    /// have happened that is not told yet.
    pub(super) async fn caught_up(&self, asked: QuestionStart) -> Result<(), FollowError> {
        if self.settling.load(Ordering::Relaxed) {
            return Err(FollowError::Unsettled);
        }
        self.journal.caught_up(asked).await;
        Ok(())
    }

    /// The same for who settles that next.
    pub(super) async fn caught_up_unless_settling(&self, asked: QuestionStart) {
        // The error says only that it is not noted.
        let _ = self.caught_up(asked).await;
    }

    fn doubt_lock(&self) -> MutexGuard<'_, Doubt> {
        // Plain assignments.
        self.doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Upstream may give rows in any order.
fn sorted(mut rows: Vec<Event>) -> Vec<Event> {
    rows.sort_by_key(|row| row.serial);
    rows
}

//! How far upstream is known: the last serial, how old that knowledge is, and what is believed of a new one.

use tokio::sync::watch;
use tokio::time::Instant;

use super::known::{QuestionStart, Upkeep, young};
use super::pace::Pace;
use super::position::{self, Position};
use super::want::{Want, Wanted};
use super::{Journal, JournalError, facts, known_since};
use crate::model::Serial;

impl Journal {
    /// Where the project table stands; `None` before the first listing. News are asked for from upstream's number.
    pub fn position(&self) -> Option<Position> {
        self.known_ref().position()
    }

    /// The serial up to which upstream was heard, by its own numbers; `None` before the first contact. Without
    /// polling, events up to it may be missing.
    pub fn upstream_serial(&self) -> Option<Serial> {
        match self.position() {
            Some(position) if position.is_ahead() => Some(position.theirs),
            Some(_) | None => self.last_serial(),
        }
    }

    /// Says who keeps the journal current from now on.
    pub fn set_upkeep(&self, upkeep: Upkeep) {
        self.known_ref().update(|inside| inside.upkeep = upkeep);
    }

    /// The last serial that we know of; `None` before the first contact with upstream. It may be old if nobody
    /// polls: see [`Journal::current_last_serial`].
    pub fn last_serial(&self) -> Option<Serial> {
        *self.known_ref().published.borrow()
    }

    /// Follows [`Journal::last_serial`].
    pub fn watch_last_serial(&self) -> watch::Receiver<Option<Serial>> {
        self.known_ref().published.subscribe()
    }

    /// The last serial if it is as young as the upkeep promises; else upstream is asked, and the caller may wait
    /// for that and come again.
    pub fn current_last_serial(&self) -> Result<Serial, Wanted> {
        let head = self.known_ref().current_head().filter(|_| !self.is_untold());
        head.ok_or_else(|| self.want(Want::LastSerial))
    }

    /// Whether [`Journal::projects`] has a list as young as the upkeep promises; else upstream's listing is asked
    /// for, and the caller may wait for that.
    pub fn projects_known(&self) -> Result<(), Wanted> {
        let known = {
            let inside = self.known_ref().lock();
            match inside.upkeep {
                Upkeep::Polled { .. } | Upkeep::Imported => inside.position.is_some(),
                Upkeep::OnDemand { projects, .. } => young(inside.listed_at, projects),
            }
        };
        if known { Ok(()) } else { Err(self.want(Want::Projects)) }
    }

    /// Whether the project table follows upstream's changelog: then a project that is not in it, nor in quarantine, was not
    /// there when upstream was heard last.
    pub fn projects_follow_changelog(&self) -> bool {
        let inside = self.known_ref().lock();
        matches!(inside.upkeep, Upkeep::Polled { .. } | Upkeep::Imported)
            && inside.position.is_some()
            && self.polls().by_changelog()
    }

    /// The serial up to which the project table is right; `None` before a listing filled it.
    pub fn projects_serial(&self) -> Option<Serial> {
        self.known_ref().lock().projects()
    }

    /// Whether upstream said recently that there is nothing beyond our last serial, so that "nothing happened since"
    /// may be said.
    pub fn head_is_current(&self) -> bool {
        self.known_ref().current().is_some_and(|head| head.current)
    }

    /// Notes that upstream, asked then, had nothing beyond our last serial. In memory it never fails; a disk that takes
    /// nothing loses only when that was, over a restart.
    pub async fn caught_up(&self, asked: QuestionStart) {
        let mut as_of = None;
        self.known_ref().update(|inside| {
            // Questions end in any order.
            if !inside.caught_up.is_some_and(|before| before.is_later(asked)) {
                (inside.caught_up, inside.as_of) = (Some(asked), Some(asked.unix()));
                as_of = inside.as_of;
            }
        });
        let Some(as_of) = as_of else { return };
        let noted = self.write(move |connection| facts::set(connection, facts::AS_OF, as_of)).await;
        if let Err(error) = noted {
            tracing::warn!(%error, "when upstream was heard last could not be noted");
        }
    }

    /// When the last question to upstream began, in Unix seconds by our clock, after which all was here that upstream had:
    /// a poll, or a comparison of listings. `None` before the first; it outlives a restart.
    pub fn as_of(&self) -> Option<i64> {
        self.known_ref().lock().as_of
    }

    /// Whether upstream said after `seen`, in Unix seconds, that its last serial is below this one: then that was wrong.
    pub fn disproves(&self, serial: Serial, seen: i64) -> bool {
        let head = self.known_ref().current();
        head.is_some_and(|head| serial > head.serial && head.as_of.is_some_and(|as_of| as_of > seen))
    }

    /// Notes that something happened that is not told yet: "nothing happened" may not be said until upstream is heard
    /// again.
    pub fn not_caught_up(&self) {
        self.known_ref().update(|inside| (inside.caught_up, inside.heard_at) = (None, None));
    }

    /// Whether upstream is asked only what callers need.
    pub(super) fn is_on_demand(&self) -> bool {
        matches!(self.known_ref().lock().upkeep, Upkeep::OnDemand { .. })
    }

    /// Notes that upstream just gave this as its last serial. A lower one than before changes nothing but the age
    /// of what we know; nor does one where our numbers are ahead: which number its event will have here, its rows tell.
    pub async fn heard_last_serial(&self, serial: Serial) -> Result<(), JournalError> {
        let (known, moment) = (self.known(), self.clock().unix_millis());
        self.write_then(
            move |connection| {
                let ours = position::get(connection)?.filter(|at| at.is_ahead()).map(|at| at.ours);
                let heard = facts::raise(connection, facts::HEARD_SERIAL, ours.unwrap_or(serial).0)?;
                known_since::begin(connection, moment, heard)?;
                Ok(Serial(heard))
            },
            move |&heard| {
                known.update(|inside| {
                    inside.heard = Some(heard);
                    inside.heard_at = Some(Instant::now());
                });
            },
        )
        .await?;
        self.note_head().await;
        Ok(())
    }

    /// Notes that our head is known, now that it is committed. It never fails: what is not noted makes answers larger,
    /// and the next head is.
    pub(super) async fn note_head(&self) {
        let Some(head) = self.known_ref().unnoted() else { return };
        let moment = self.clock().unix_millis();
        let known = self.known();
        let noted = self
            .write_then(
                move |connection| known_since::note(connection, moment, head.0),
                move |()| known.noted(head),
            )
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, %head, "when the newest events became known could not be noted");
        }
    }

    /// Notes when upstream made the first listing, whose serial is `serial`, in Unix seconds by its clock: no event up to
    /// that serial is later.
    pub async fn note_first_listing(&self, serial: Serial, taken: i64) -> Result<(), JournalError> {
        self.write(move |connection| known_since::first_listed(connection, serial.0, taken)).await
    }

    /// The highest serial of upstream's that is plausible now. Of an upstream that was never heard everything is that an
    /// XML-RPC client can be told.
    pub fn most_plausible(&self) -> Serial {
        let pace = self.known_ref().pace();
        pace.map_or(Serial::MOST, |pace| pace.most(self.clock().unix(), self.settings()))
    }

    /// Whether a serial is so far beyond another one that it is doubted for that alone.
    pub fn is_far(&self, from: Serial, to: Serial) -> bool {
        i128::from(to.0) - i128::from(from.0) > i128::from(self.settings().leap_floor)
    }

    /// Notes that upstream named this as its last serial, and that it is believed.
    pub async fn note_pace(&self, serial: Serial) -> Result<(), JournalError> {
        let pace = Pace::after(self.known_ref().pace(), serial, self.clock().unix());
        self.put_pace(pace).await
    }

    /// The same of a serial that the pace of before does not lead to: from here on it is counted anew.
    pub async fn restart_pace(&self, serial: Serial) -> Result<(), JournalError> {
        self.put_pace(Pace::anew(serial, self.clock().unix())).await
    }

    async fn put_pace(&self, mut pace: Pace) -> Result<(), JournalError> {
        let keep = pace.is_due();
        self.known_ref().set_pace(pace);
        if keep {
            self.write(move |connection| pace.keep(connection)).await?;
        }
        Ok(())
    }
}

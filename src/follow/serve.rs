//! What callers need and the journal does not have: asked of upstream, one question at a time, the clients in turn.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::FollowError;
use super::follower::Follower;
use crate::journal::{QuestionStart, Want, WantError};
use crate::metric;
use crate::model::Serial;

/// Upstream failed in a way that concerns every question; until then callers hear so without asking it.
struct Outage {
    error: WantError,
    until: Instant,
}

impl Follower {
    /// Answers questions until it is dropped. A caller that leaves does not stop its question.
    pub(super) async fn serve_for_ever(&self) {
        let mut outage: Option<Outage> = None;
        loop {
            let taken = self.journal.next_want().await;
            let left = outage
                .as_ref()
                .map(|outage| (outage, outage.until.saturating_duration_since(Instant::now())));
            if let Some((outage, left)) = left.filter(|(_, left)| !left.is_zero()) {
                taken.finish(Err(WantError { retry: Some(left), ..outage.error.clone() }));
                continue;
            }
            let served = taken.requesters.clone().run(self.serve(taken.want)).await;
            let (kind, outcome) =
                (kind(taken.want), served.as_ref().err().map_or("served", FollowError::outcome));
            metrics::counter!(metric::FOLLOW_WANTS_TOTAL, "want" => kind, "outcome" => outcome).increment(1);
            if let Err(error) = &served {
                tracing::warn!(want = ?taken.want, %error, "upstream did not answer what a caller needs");
            }
            if !self.settings.enabled {
                self.status.send_modify(|status| match &served {
                    Ok(()) => status.succeeded(),
                    Err(error) => status.failed(&error.reason()),
                });
            }
            outage = served.as_ref().err().and_then(Outage::of);
            taken.finish(served.map_err(|error| error.for_callers()));
        }
    }

    /// Asks upstream, unless the journal knows by now: a caller may have looked just before the answer to the same
    /// question came, and asked just after.
    async fn serve(&self, want: Want) -> Result<(), FollowError> {
        match want {
            Want::Since(since) if self.journal.knows_after(since).await? => Ok(()),
            Want::Since(since) => self.fetch(since).await,
            Want::LastSerial if self.journal.current_last_serial().is_ok() => Ok(()),
            Want::LastSerial if self.untold().is_some() => self.untold().map_or(Ok(()), Err),
            Want::Projects if self.journal.projects_known().is_ok() => Ok(()),
            Want::LastSerial | Want::Projects if self.settings.enabled => self.await_listing().await,
            Want::LastSerial => self.hear().await.map(|_| ()),
            Want::Projects => self.list().await.map(|_| ()),
        }
    }

    /// Who asks for the last serial or the projects before the first listing has come waits for the poller.
    async fn await_listing(&self) -> Result<(), FollowError> {
        let mut filled = self.journal.watch_last_serial();
        let mut status = self.status.subscribe();
        tokio::select! {
            // Its sender lives as long as the journal that we hold.
            _ = filled.wait_for(Option::is_some) => Ok(()),
            _ = status.wait_for(|status| status.failures > 0) => Err(FollowError::NoListing),
        }
    }

    /// Without XML-RPC only a comparison of listings brings news, and those are the poller's. One is under way if
    /// the last is older than they may be.
    async fn await_comparison(&self) -> Result<(), FollowError> {
        let mut status = self.status.subscribe();
        while !self.journal.head_is_current() {
            if let Some(error) = self.untold() {
                return Err(error);
            }
            if status.borrow_and_update().failures > 0 {
                return Err(FollowError::NoListing);
            }
            // Its sender is ours.
            let _ = status.changed().await;
        }
        Ok(())
    }

    /// Fetches the events after `since`: one slice, whatever upstream gives.
    async fn fetch(&self, mut since: Serial) -> Result<(), FollowError> {
        // At our head most questions are "anything new?", which a small call answers; so it does for numbers
        // that are no serial of anybody's.
        let mut named = None;
        if let Some(error) = self.untold() {
            return Err(error);
        }
        if Some(since) >= self.journal.last_serial() {
            if self.settings.enabled {
                if self.news_by_listings().await? {
                    return self.await_comparison().await;
                }
            } else if let Some(position) = self.journal.position()
                && self.journal.comparison_owed().await?
            {
                // Nobody polls any more who would compare.
                return self.compare(position).await.map(|_| ());
            }
            let asked = QuestionStart::now(self.journal.clock());
            let last = match self.hear().await {
                // That there is no XML-RPC is only found out now, and the poller finds it out, too.
                Err(FollowError::NoCalls { .. }) if self.settings.enabled => {
                    return self.await_comparison().await;
                }
                heard => heard?,
            };
            // Upstream's number for it, where ours is another. One beyond our head is nobody's.
            if let Some(position) = self.journal.position().filter(|position| position.is_ahead()) {
                since = position.theirs;
            }
            if last <= since {
                return self.heard_of(last, asked).await;
            }
            named = Some((last, asked));
        }
        if let Some(error) = self.no_calls() {
            // A comparison may have told it since the question came.
            return if self.journal.knows_after(since).await? { Ok(()) } else { Err(error) };
        }
        if !self.fetch_rows(since).await? {
            let last = if let Some((last, _)) = named { last } else { self.hear().await? };
            if last <= since {
                return Err(FollowError::Lost { since, last });
            }
            // Something happened between the two questions, or it was one of several servers that lags.
            if !self.fetch_rows(since).await? {
                self.withheld(since, last)?;
                return match named {
                    Some((_, asked)) => self.caught_up(asked).await,
                    None => Ok(()),
                };
            }
        }
        match named {
            Some((last, asked)) => self.heard_of(last, asked).await,
            None => Ok(()),
        }
    }

    /// Tells the journal that upstream, asked then, had nothing beyond our head, if that is so.
    async fn heard_of(&self, last: Serial, asked: QuestionStart) -> Result<(), FollowError> {
        let Some(known) = self.journal.upstream_serial() else { return Ok(()) };
        if last > known {
            return Ok(());
        }
        if last < known {
            self.fell_back(known, last, false).await?;
        }
        self.caught_up(asked).await
    }

    /// Asks for upstream's last serial, and tells the journal if nobody polls. Without XML-RPC its listing tells.
    async fn hear(&self) -> Result<Serial, FollowError> {
        if self.settings.enabled {
            return self.named_last_serial().await;
        }
        let asked = QuestionStart::now(self.journal.clock());
        let named = match self.no_calls() {
            Some(error) => Err(error),
            None => self.named_last_serial().await,
        };
        let last = match named {
            Err(FollowError::NoCalls { .. }) => {
                let listed = self.list().await?;
                if let Some(error) = self.untold() {
                    return Err(error);
                }
                listed
            }
            named => self.hear_all(named?).await?,
        };
        self.journal.heard_last_serial(last).await?;
        self.caught_up(asked).await?;
        Ok(last)
    }

    /// Nobody polls who would follow an upstream that was restored, or whose numbers ours have passed: which numbers its
    /// events have here is known once they are read.
    pub(super) async fn hear_all(&self, last: Serial) -> Result<Serial, FollowError> {
        let known = self.journal.upstream_serial();
        match known {
            Some(known) if last < known => {
                self.fell_back(known, last, true).await?;
            }
            Some(known) => self.not_behind(known, last).await?,
            None => {}
        }
        while let Some(position) = self.journal.position()
            && position.is_ahead()
            && position.theirs < last
        {
            let Some(slice) = self.rows_after(position.theirs, true).await? else { continue };
            if self.keep_news(Ok(slice), position.theirs, Some(last)).await?.is_none() {
                self.withheld(position.theirs, last)?;
                break;
            }
        }
        if self.settling.load(Ordering::Relaxed) {
            self.settle().await?;
        }
        // Its listing is to be compared, which may be later.
        if self.settling.load(Ordering::Relaxed) { Err(FollowError::Unsettled) } else { Ok(last) }
    }

    /// Whether upstream had rows.
    async fn fetch_rows(&self, since: Serial) -> Result<bool, FollowError> {
        let Some(slice) = self.rows_after(since, !self.settings.enabled).await? else {
            return Err(FollowError::Unsettled);
        };
        Ok(self.keep_news(Ok(slice), since, None).await?.is_some())
    }
}

impl Outage {
    /// Failures that the next question would meet as well.
    fn of(error: &FollowError) -> Option<Self> {
        let retry = error.retry_after()?;
        Some(Self { error: error.for_callers(), until: Instant::now() + retry })
    }
}

fn kind(want: Want) -> &'static str {
    match want {
        Want::LastSerial => "last_serial",
        Want::Projects => "projects",
        Want::Since(_) => "since",
    }
}

//! The way to a current page: what is kept, else upstream, else what is kept all the same.

use std::sync::Arc;
use std::time::Duration;

use super::IndexError;
use super::content::Content;
use super::facade::{Absence, Inner};
use super::held::{Held, Standing};
use crate::journal::DocumentKey;
use crate::memo::{FillError, Memo};
use crate::metric;
use crate::model::{Serial, is_younger};
use crate::upstream::{Document, Fetched, UpstreamError};

/// When to come back for what upstream is being asked for.
const LATE_RETRY: Duration = Duration::from_secs(5);

/// How a page or document was come by.
pub(super) fn counter(outcome: &'static str) -> metrics::Counter {
    metrics::counter!(metric::INDEX_REQUESTS_TOTAL, "outcome" => outcome)
}

/// What asking upstream brought.
enum Answer<T> {
    /// A copy at least as new as the one before.
    Current(Held<T>),
    /// A copy older than the one before: a cache on the way is behind.
    Older,
}

impl Inner {
    /// The current content under a key; one upstream fetch however many ask.
    pub(super) async fn current<T: Content>(
        self: &Arc<Self>,
        memo: &Memo<DocumentKey, Arc<Held<T>>, IndexError>,
        key: &DocumentKey,
    ) -> Result<Arc<Held<T>>, IndexError> {
        self.check_absent(key).await?;
        let previous = memo.get(key).await;
        if let Some(held) = &previous
            && self.advertises_right(key.project(), held)
            && self.is_fresh(key, held).await?
        {
            self.hits.increment(1);
            return Ok(held.clone());
        }
        if previous.is_none() {
            self.check_registered(key).await?;
        }
        let renewal = Box::pin(Self::renew(self.clone(), key.clone(), previous.clone()));
        let renewed = tokio::time::timeout(self.settings.patience, memo.fill(key, renewal));
        if let Ok(renewed) = renewed.await {
            counter("renewed").increment(1);
            return Ok(renewed?);
        }
        // Slow. The renewal goes on; what is kept goes out, if it may, else there is nothing but to wait on.
        let kept = match previous {
            Some(held) => Some(held),
            None => self.load(key).await?.map(Arc::new),
        };
        if let Some(held) = kept
            && held.is_usable(self.now(), self.settings.stale_if_error)
        {
            let standing = self.standing(key.project(), held.last_serial).await?;
            if held.may_outlast(standing) && !self.removed_since(key, &held, standing).await? {
                counter("slow").increment(1);
                let settled = Arc::new(held.settled(self.now(), self.settings.failure_pause, standing, true));
                // The next clients need not wait to learn the same; the renewal's end replaces it.
                memo.put(key, settled.clone()).await;
                return Ok(settled);
            }
        }
        let rest = self.settings.deadline.saturating_sub(self.settings.patience);
        let renewal = Box::pin(Self::renew(self.clone(), key.clone(), None));
        let renewed = self.in_time(rest, memo.fill(key, renewal)).await;
        if renewed.is_ok() {
            counter("renewed").increment(1);
        }
        renewed
    }

    /// What comes within `time`; else the fetch goes on, and the client is told to come back.
    pub(super) async fn in_time<T>(
        &self,
        time: Duration,
        fill: impl Future<Output = Result<T, FillError<IndexError>>>,
    ) -> Result<T, IndexError> {
        if let Ok(filled) = tokio::time::timeout(time, fill).await {
            return Ok(filled?);
        }
        counter("late").increment(1);
        Err(IndexError::NotYet { retry: LATE_RETRY })
    }

    async fn renew<T: Content>(
        self: Arc<Self>,
        key: DocumentKey,
        previous: Option<Arc<Held<T>>>,
    ) -> Result<Arc<Held<T>>, IndexError> {
        let mut held = match previous {
            Some(held) if self.advertises_right(key.project(), &held) => Some(held),
            // What could not be kept is as good as it was.
            previous => self.load(&key).await?.map(Arc::new).or(previous),
        };
        if let Some(held) = &held
            && self.is_fresh(&key, held).await?
        {
            return Ok(held.clone());
        }
        // Who was behind last time is not waited for again.
        let patient = !held.as_ref().is_some_and(|held| held.was_settled());
        let mut pauses = self.settings.behind_pauses.iter().filter(|_| patient);
        loop {
            let serial = held.as_ref().and_then(|held| held.last_serial);
            let standing = self.standing(key.project(), serial).await?;
            match self.ask(&key, held.as_deref(), standing).await {
                Ok(Answer::Current(answer)) if self.may_go_out(&key, &answer, standing).await? => {
                    return Ok(Arc::new(match standing {
                        Standing::Unlisted => {
                            answer.settled(self.now(), self.settings.behind_pause, standing, false)
                        }
                        Standing::Unknown | Standing::At(_) | Standing::Gone => answer,
                    }));
                }
                Ok(Answer::Current(answer)) => held = Some(Arc::new(answer)),
                Ok(Answer::Older) => {}
                Err(IndexError::Upstream(UpstreamError::Absent(_))) => {
                    return match T::derived(&self, &key).await {
                        Ok(Some(document)) => self.accept(&key, document, standing).await.map(Arc::new),
                        Ok(None) => self.absent(&key).await,
                        Err(IndexError::Upstream(error)) => self.stale(&key, held, standing, error).await,
                        Err(error) => Err(error),
                    };
                }
                // What servers of files say of what is not there.
                Err(IndexError::Upstream(UpstreamError::Status(401 | 403)))
                    if self.is_unlisted(key.project(), true).await? =>
                {
                    return self.absent(&key).await;
                }
                Err(IndexError::Upstream(error)) => {
                    // An index that has no JSON API, but something else in its place, has its pages all the same.
                    if held.is_none()
                        && is_something_else(&error)
                        && let Ok(Some(document)) = T::derived(&self, &key).await
                    {
                        return self.accept(&key, document, standing).await.map(Arc::new);
                    }
                    return self.stale(&key, held, standing, error).await;
                }
                Err(error) => return Err(error),
            }
            let Some(pause) = pauses.next() else { return self.behind(&key, held, standing).await };
            tokio::time::sleep(*pause).await;
        }
    }

    /// Upstream's copy is not older than what the journal knows. A project that is not in the table, and whose page
    /// nobody had, may have been removed.
    async fn may_go_out<T: Content>(
        &self,
        key: &DocumentKey,
        answer: &Held<T>,
        standing: Standing,
    ) -> Result<bool, IndexError> {
        let unknown = standing == Standing::Unknown && answer.last_serial.is_some();
        let agrees = answer.agrees(standing) || standing == Standing::Unlisted;
        Ok(agrees && !(unknown && self.removed_since(key, answer, standing).await?))
    }

    async fn ask<T: Content>(
        self: &Arc<Self>,
        key: &DocumentKey,
        held: Option<&Held<T>>,
        standing: Standing,
    ) -> Result<Answer<T>, IndexError> {
        if held.is_none() {
            self.may_ask_for(key.project()).await?;
        }
        // What upstream states of its copy, which a 304 need not tell, decides whether that is the one that we lead.
        let numbering = self.journal.numbering(key.project()).await?;
        let validator = held.filter(|_| numbering.lead.is_none()).and_then(|held| held.etag.as_deref());
        let fetched = match key {
            DocumentKey::Page(project) => self.upstream.project_page(project, validator).await,
            DocumentKey::Json(project, version) => {
                self.upstream.json_document(project, version.as_deref(), validator).await
            }
        };
        let document = match (fetched?, held) {
            (Fetched::NotModified, Some(held)) => {
                let confirmed = held.confirmed(self.now());
                self.touch(key, confirmed.checked).await;
                return Ok(Answer::Current(confirmed));
            }
            // The door lets no 304 through that was not asked for.
            (Fetched::NotModified, None) => return Err(IndexError::Lost),
            (Fetched::Fresh(document), _) => document,
        };
        let (serial, header) = (serial_of(standing), document.last_serial);
        let (mut answer, mut document, mut stated) =
            self.receive::<T>(key, document, serial, Some(numbering)).await?;
        if let Some(whole) = self.completed(key, answer.content.json(), header).await? {
            (answer, document, stated) = self.receive::<T>(key, whole, serial, Some(numbering)).await?;
        }
        // Told once of a page's version: the one before may have had the same.
        let skipped = answer.content.skipped();
        if held.is_none_or(|held| held.content.skipped() != skipped) {
            skipped.report("file", key.project().as_str());
        }
        if held.is_some_and(|held| stated && self.is_older(&answer, held)) {
            return Ok(Answer::Older);
        }
        self.keep(key, &answer, &document).await;
        Ok(Answer::Current(answer))
    }

    /// Whether a copy is one from before what is held. That is so as long as a cache of upstream's can have it: what
    /// upstream goes on giving is no older copy, and then the serial of what is held was wrong. So it was if upstream's
    /// last serial turned out to be lower.
    fn is_older<T>(&self, answer: &Held<T>, held: &Held<T>) -> bool {
        let believed = held.last_serial.filter(|&serial| !self.journal.disproves(serial, held.checked));
        believed > answer.last_serial && held.is_young(self.now(), self.settings.older_after)
    }

    /// Takes a document for what upstream would have sent.
    async fn accept<T: Content>(
        &self,
        key: &DocumentKey,
        document: Document,
        standing: Standing,
    ) -> Result<Held<T>, IndexError> {
        let (held, document, _) = self.receive(key, document, serial_of(standing), None).await?;
        self.keep(key, &held, &document).await;
        Ok(held)
    }

    /// Upstream says 404 or 410: that is remembered for a moment, and what was kept is gone.
    async fn absent<T>(&self, key: &DocumentKey) -> Result<T, IndexError> {
        self.forget(key).await;
        let row = self.journal.registered(key.project()).await?;
        let serial = row.and_then(|row| row.serial);
        self.absent.insert(key.clone(), Absence { since: self.now(), serial });
        Err(IndexError::NoSuchProject)
    }

    /// Fails if upstream said 404 a moment ago and the journal has heard nothing since.
    async fn check_absent(&self, key: &DocumentKey) -> Result<(), IndexError> {
        let Some(absence) = self.absent.get(key) else { return Ok(()) };
        if is_younger(absence.since, self.now(), self.settings.absent_max_age) {
            let row = self.registered_by_now(key.project()).await?;
            if row.and_then(|row| row.serial) == absence.serial {
                return Err(IndexError::NoSuchProject);
            }
        }
        self.absent.invalidate(key);
        Ok(())
    }

    /// Upstream's copies stay behind the journal.
    async fn behind<T: Content>(
        &self,
        key: &DocumentKey,
        held: Option<Arc<Held<T>>>,
        standing: Standing,
    ) -> Result<Arc<Held<T>>, IndexError> {
        metrics::counter!(metric::INDEX_BEHIND_TOTAL).increment(1);
        tracing::info!(project = %key.project(), ?standing, "upstream's copy is older than its journal says");
        match (held, standing) {
            (Some(held), Standing::At(_) | Standing::Unknown) => {
                if self.removed_since(key, &held, standing).await? {
                    return Err(IndexError::BeforeRemoval { retry: self.settings.behind_pause });
                }
                Ok(Arc::new(held.settled(self.now(), self.settings.behind_pause, standing, false)))
            }
            (Some(held), Standing::Unlisted) if held.may_outlast(standing) => {
                Ok(Arc::new(held.settled(self.now(), self.settings.behind_pause, standing, false)))
            }
            // The journal has seen it removed: a copy from before must not go out (promise 10).
            (_, Standing::Gone | Standing::Unlisted) => self.absent(key).await,
            // Not reached: what stays behind is held.
            (None, Standing::At(_) | Standing::Unknown) => Err(IndexError::Lost),
        }
    }

    /// Upstream fails: what is kept goes out, if it is not too old and not removed.
    async fn stale<T: Content>(
        &self,
        key: &DocumentKey,
        held: Option<Arc<Held<T>>>,
        standing: Standing,
        error: UpstreamError,
    ) -> Result<Arc<Held<T>>, IndexError> {
        let (now, nothing) = (self.now(), held.is_none());
        let usable = |held: &Arc<Held<T>>| held.is_usable(now, self.settings.stale_if_error);
        match held.filter(|held| held.may_outlast(standing) && usable(held)) {
            Some(held) if !self.removed_since(key, &held, standing).await? => {
                tracing::warn!(project = %key.project(), %error, age = now.saturating_sub(held.checked), "upstream fails: a kept page goes out");
                metrics::counter!(metric::INDEX_STALE_TOTAL).increment(1);
                Ok(Arc::new(held.settled(self.now(), self.settings.failure_pause, standing, true)))
            }
            Some(_) | None if nothing => Err(self.unconfirmed(key.project(), error).await?),
            Some(_) | None => Err(error.into()),
        }
    }
}

/// Upstream answered, but with no document, or would not have the question.
fn is_something_else(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Unexpected(_) => true,
        UpstreamError::Status(status) => matches!(status, 401 | 403 | 405 | 406 | 501),
        UpstreamError::Absent(_)
        | UpstreamError::Limited { .. }
        | UpstreamError::Unreachable(_)
        | UpstreamError::TimedOut
        | UpstreamError::TooLarge(_)
        | UpstreamError::Broken(_)
        | UpstreamError::Fault(_)
        | UpstreamError::Refused(_)
        | UpstreamError::Settings(_) => false,
    }
}

/// What the journal knows, for an upstream that states no serials.
fn serial_of(standing: Standing) -> Option<Serial> {
    match standing {
        Standing::At(serial) => Some(serial),
        Standing::Unknown | Standing::Unlisted | Standing::Gone => None,
    }
}

//! What search knows of a project besides its name: told by each JSON document that is kept, and by documents that are
//! read for nothing else, in the background.
//!
//! A search may hit a hundred projects that nobody asked about before. It waits for the documents of the first ones
//! ([`hits`]), within a budget of its own and with a few of upstream's places. Those for which there is no room are read
//! afterwards, so that the next search knows them, and with `search.crawl` the other projects' as well: one at a time, and
//! only while nothing else is asked of upstream. Nothing of it is kept but what search needs, so a whole index does not push
//! out what clients use.

mod hits;
pub(super) mod queue;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use queue::{FIRST_PAUSE, LONGEST_PAUSE, Unread};

use super::facade::Inner;
use super::learned::learned;
use super::{Index, IndexError, JsonDocument, derived};
use crate::journal::Learned;
use crate::metric;
use crate::model::ProjectName;
use crate::upstream::{Fetched, UpstreamError};

impl Index {
    /// Reads documents for search until it is dropped. One call at a time does.
    pub async fn learn_for_ever(&self) {
        let mut waiting = self.inner.learning.waiting.lock().await;
        let settings = &self.inner.shared.settings.learn;
        let mut ticks = interval(Duration::from_secs_f64(1.0 / settings.documents_per_second));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut crawl = Crawl::default();
        let mut pause = FIRST_PAUSE;
        loop {
            ticks.tick().await;
            let learned = match self.next(&mut waiting, &mut crawl).await {
                Ok(project) => {
                    self.inner.learning.taken(&project);
                    self.inner.clone().read_for_search(project, true).await
                }
                Err(error) => Err(error),
            };
            pause = match learned {
                Ok(()) => FIRST_PAUSE,
                Err(wait) => {
                    tokio::time::sleep(wait.unwrap_or(pause)).await;
                    (pause * 2).min(LONGEST_PAUSE)
                }
            };
        }
    }

    /// The next project: a hit that waits, else the crawl's next.
    async fn next(
        &self,
        waiting: &mut mpsc::Receiver<ProjectName>,
        crawl: &mut Crawl,
    ) -> Result<ProjectName, Unread> {
        if let Ok(project) = waiting.try_recv() {
            return Ok(project);
        }
        if !self.inner.shared.settings.learn.crawl {
            // The sender is ours.
            return waiting.recv().await.ok_or(None);
        }
        loop {
            if let Some(project) = crawl.found.pop() {
                return Ok(project);
            }
            tokio::select! {
                project = waiting.recv() => return project.ok_or(None),
                () = sleep_until(crawl.resume) => {}
            }
            if self.inner.shared.journal.projects_serial().is_none() {
                crawl.resume = Instant::now() + FIRST_PAUSE;
                continue;
            }
            let read = self.inner.shared.journal.untold_after(&crawl.after).await;
            let (mut found, last) = read.map_err(|error| {
                tracing::error!(%error, "what search does not know yet cannot be read");
                None
            })?;
            found.reverse();
            crawl.found = found;
            if let Some(last) = last {
                crawl.after = last;
            } else {
                tracing::debug!("search has read the documents of all projects");
                *crawl = Crawl {
                    resume: Instant::now() + self.inner.shared.settings.learn.crawl_pause,
                    ..Crawl::default()
                };
            }
        }
    }
}

/// Where reading all documents stands. There is nothing to resume after a restart: what is known is passed over.
struct Crawl {
    /// The next projects; the next one is last.
    found: Vec<ProjectName>,
    /// The last name that was looked at.
    after: String,
    /// When to go on.
    resume: Instant,
}

impl Default for Crawl {
    fn default() -> Self {
        Self { found: Vec::new(), after: String::new(), resume: Instant::now() }
    }
}

impl Inner {
    /// Reads a project's document for search alone, `when_idle` once nothing else is asked of upstream. The error is how long
    /// to wait before the next, if that is said.
    async fn read_for_search(self: Arc<Self>, project: ProjectName, when_idle: bool) -> Result<(), Unread> {
        let outcome = |outcome: &'static str| {
            metrics::counter!(metric::SEARCH_DOCUMENTS_TOTAL, "outcome" => outcome).increment(1);
        };
        if when_idle {
            self.shared.upstream.idle().await;
        }
        // Another search may have had it read since this one looked, or it waited here for long.
        let untold = self.shared.journal.has_no_current_document(&project).await.map_err(|error| {
            tracing::error!(%project, %error, "search cannot look up what was told of a project");
            None
        })?;
        if !untold {
            return Ok(());
        }
        let fetched = self.shared.upstream.json_document_once(&project).await;
        let document = match fetched {
            Ok(Fetched::Fresh(document)) => document,
            // Not asked for.
            Ok(Fetched::NotModified) => return Ok(()),
            Err(error) => return self.unread(project, error, outcome).await,
        };
        let (name, settings) = (project.clone(), self.shared.settings.learn.clone());
        let most = self.shared.upstream.document_memory();
        let read = spawn_blocking(move || {
            // Given back before anything else is read.
            let _share = document.share;
            let serial = document.last_serial;
            let document = JsonDocument::parse(&name, &document.body, document.url, most)?;
            let serial = document.last_serial.max(serial);
            Ok::<_, String>(learned(&name, &document, serial, &settings).folded())
        });
        match read.await {
            Ok(Ok(folded)) => match self.shared.journal.learn_stated(folded).await {
                Ok(()) => {
                    outcome("learned");
                    Ok(())
                }
                Err(error) => {
                    tracing::error!(%project, %error, "search cannot learn from a document");
                    outcome("failed");
                    Err(None)
                }
            },
            // One bad document stops no other (promise 5).
            Ok(Err(complaint)) => {
                tracing::debug!(%project, complaint, "search cannot read a document");
                outcome("unreadable");
                self.learn_from_page(project).await
            }
            Err(_) => Ok(()),
        }
    }

    async fn unread(
        self: &Arc<Self>,
        project: ProjectName,
        error: UpstreamError,
        outcome: impl Fn(&'static str),
    ) -> Result<(), Unread> {
        if let UpstreamError::Absent(_) = error {
            outcome("absent");
            return self.learn_from_page(project).await;
        }
        tracing::debug!(%project, %error, "search cannot read a document");
        if is_about_one(&error) {
            outcome("unreadable");
            return self.learn_from_page(project).await;
        }
        outcome("failed");
        Err(error.retry_after())
    }

    /// Learns what a project's page tells, which is its versions, where there is no document that can be read: that is all
    /// there is to know until the next event. A quarantined project's page says so, and from then on it is not found.
    async fn learn_from_page(self: &Arc<Self>, project: ProjectName) -> Result<(), Unread> {
        let page = self.pages.page(&project).await;
        let (version, versions) = match page {
            Ok(page) => derived::versions(page.content.clone()).await.map_err(|_| None)?,
            Err(IndexError::Upstream(error)) if !is_about_one(&error) => return Err(error.retry_after()),
            Err(_) => (None, Vec::new()),
        };
        let learned = Learned {
            project,
            serial: None,
            version: version.unwrap_or_default(),
            versions,
            summary: String::new(),
            texts: Vec::new(),
        };
        self.shared.journal.learn(vec![learned]).await.map_err(|_| None)
    }
}

/// Whether a failure says something of this document alone, and no more later.
fn is_about_one(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Absent(_)
        | UpstreamError::TooLarge(_)
        | UpstreamError::Unexpected(_)
        | UpstreamError::Refused(_) => true,
        UpstreamError::Status(status) => *status < 500,
        UpstreamError::Limited { .. }
        | UpstreamError::Fault(_)
        | UpstreamError::Unreachable(_)
        | UpstreamError::TimedOut
        | UpstreamError::Broken(_)
        | UpstreamError::Bundled
        | UpstreamError::Settings(_) => false,
    }
}

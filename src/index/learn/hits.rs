//! Documents of what a search has found: read while it waits, as far as the budget for that goes, and afterwards.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};

use super::queue::Unread;
use crate::index::Index;
use crate::index::facade::Inner;
use crate::memo::FillError;
use crate::model::ProjectName;

/// A document on its way.
type Reading = BoxFuture<'static, Result<(), FillError<Unread>>>;

impl Index {
    /// Has the documents of these projects read for search, the first ones first, and waits for them, `patience` at most.
    /// Those for which the budget has no room, and all of them while upstream fails, are read afterwards and not waited for.
    /// Tells whether there was anything to wait for.
    pub async fn learn_now(
        &self,
        projects: impl IntoIterator<Item = ProjectName>,
        patience: Duration,
    ) -> bool {
        let readings: Vec<Reading> =
            projects.into_iter().filter_map(|project| self.inner.begin_reading(project)).collect();
        let any = !readings.is_empty();
        // What is late goes on.
        let _ = tokio::time::timeout(patience, join_all(readings)).await;
        any
    }
}

impl Inner {
    /// Begins to read a project's document, or joins who reads it already; `None` if that has to wait.
    fn begin_reading(self: &Arc<Self>, project: ProjectName) -> Option<Reading> {
        let learning = &self.learning;
        if let Some(reading) = learning.reading.join(&project) {
            return Some(reading);
        }
        let may =
            !learning.is_failing() && learning.budget.as_ref().is_none_or(|budget| budget.check().is_ok());
        if !may {
            learning.later(project);
            return None;
        }
        let (inner, wanted) = (self.clone(), project.clone());
        let read = async move {
            // Nobody closes it.
            let _place = inner.learning.places.acquire().await.map_err(|_| None)?;
            if inner.learning.is_failing() {
                inner.learning.later(wanted);
                return Err(None);
            }
            let read = inner.clone().read_for_search(wanted, false).await;
            inner.learning.heed(&read);
            read
        };
        let inner = self.clone();
        Some(async move { inner.learning.reading.fill(&project, read).await }.boxed())
    }
}

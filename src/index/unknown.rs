//! Names that upstream may not have.
//!
//! What is known not to be there is not asked for: each question would cost upstream a request, and tell it the names of
//! private projects. Where its changelog is followed, one small call tells of all new projects. Elsewhere a name is asked
//! for, with a budget. It is never said not to be there because upstream could not be asked: an installer would take the
//! project of that name from its other index.

use super::shared::Shared;
use super::{IndexError, JsonDocument, Side};
use crate::journal::{DocumentKey, Project};
use crate::metric;
use crate::model::{AskedVersions, ProjectName};
use crate::upstream::UpstreamError;

impl Shared {
    /// A project that is in the table or in quarantine, once upstream was polled if it is not: a project that was published a
    /// moment ago is found.
    pub(super) async fn registered_by_now(&self, name: &ProjectName) -> Result<Option<Project>, IndexError> {
        let known = self.journal.registered(name).await?;
        if known.is_some() || !self.journal.projects_follow_changelog() {
            return Ok(known);
        }
        let polled =
            self.journal.polls().recent_within(self.settings.unknown_poll_age, self.settings.unknown_wait);
        tokio::select! {
            biased;
            // No poll comes as long as upstream wants no calls.
            () = self.upstream.silenced() => {}
            () = polled => {}
        }
        Ok(self.journal.registered(name).await?)
    }

    /// Fails if there is no such project: upstream's changelog is followed, upstream was heard lately, and it has not told
    /// of it. Of a project whose page or document is kept only upstream's own word on that counts.
    pub(super) async fn check_registered(&self, key: &DocumentKey) -> Result<(), IndexError> {
        let name = key.project();
        if self.registered_by_now(name).await?.is_some()
            || !self.journal.projects_follow_changelog()
            || !self.journal.head_is_current()
        {
            return Ok(());
        }
        for kept in [key, &DocumentKey::Page(name.clone()), &DocumentKey::Json(name.clone(), None)] {
            if self.journal.document(kept).await?.is_some() {
                return Ok(());
            }
        }
        metrics::counter!(metric::INDEX_UNKNOWN_TOTAL, "outcome" => "denied").increment(1);
        Err(IndexError::NoSuchProject)
    }

    /// Upstream's listing is known, with `current` as young as the journal's upkeep promises, and lacks the project, which
    /// is not in quarantine either.
    pub(super) async fn is_unlisted(&self, name: &ProjectName, current: bool) -> Result<bool, IndexError> {
        let listed = if current {
            self.journal.projects_known().is_ok()
        } else {
            self.journal.projects_serial().is_some()
        };
        Ok(listed && self.journal.registered(name).await?.is_none())
    }

    /// Waits for the budget if upstream's listing lacks the name.
    pub(super) async fn may_ask_for(&self, name: &ProjectName) -> Result<(), IndexError> {
        if self.is_unlisted(name, false).await? {
            self.unknown.turn().await?;
            metrics::counter!(metric::INDEX_UNKNOWN_TOTAL, "outcome" => "asked").increment(1);
        }
        Ok(())
    }

    /// The failure of a question about a project of which nothing is kept. One that nobody has told of may be a name that
    /// upstream does not have, and for that a client must not wait long.
    pub(super) async fn unconfirmed(
        &self,
        name: &ProjectName,
        error: UpstreamError,
    ) -> Result<IndexError, IndexError> {
        let down = matches!(IndexError::Upstream(error.clone()).side(), Side::UpstreamDown(_));
        // Whose page is kept is there, listed or not.
        let page = DocumentKey::Page(name.clone());
        let told = !down
            || self.journal.registered(name).await?.is_some()
            || self.journal.document(&page).await?.is_some();
        Ok(if told { IndexError::Upstream(error) } else { IndexError::Unconfirmed(error) })
    }
}

impl JsonDocument {
    /// Whether a project's document lists a version, in any spelling.
    pub(super) fn lists(&self, version: &str) -> bool {
        let mut listed = self.versions().chain(self.version());
        if listed.clone().any(|listed| listed == version) {
            return true;
        }
        let asked = AskedVersions::new([version]);
        listed.any(|listed| asked.have(listed))
    }
}

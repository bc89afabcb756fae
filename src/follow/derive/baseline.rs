//! What the pages of a small index look like before anything changes.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::super::FollowError;
use super::super::follower::Follower;
use super::look::read_page;
use crate::journal::{Derived, Project};
use crate::model::{ProjectName, Serial};
use crate::upstream::Fetched;

impl Follower {
    /// Looks at each page that was never seen, if the project table is small. A page that cannot be had, or that is
    /// not as new as the table says, is left out: its project's first change is told by upload times.
    pub(super) async fn sight_small_index(&self, since: Serial) -> Result<(), FollowError> {
        let mut projects: Vec<Project> = Vec::new();
        let mut chunks = self.journal.projects();
        while let Some(chunk) = chunks.try_next().await? {
            projects.extend(chunk);
            if projects.len() > self.settings.small_index {
                return Ok(());
            }
        }
        let looks = projects.into_iter().map(|project| self.sight(project));
        let seen: Vec<Option<(ProjectName, Vec<u8>)>> =
            stream::iter(looks).buffered(self.settings.pages_at_once.max(1)).try_collect().await?;
        let sightings: Vec<_> = seen.into_iter().flatten().collect();
        if !sightings.is_empty() {
            self.journal.derive(Derived { since, upto: since, sightings, ..Derived::default() }).await?;
        }
        Ok(())
    }

    async fn sight(&self, project: Project) -> Result<Option<(ProjectName, Vec<u8>)>, FollowError> {
        let Ok(name) = ProjectName::parse(&project.spelling) else { return Ok(None) };
        if self.journal.sighting(&name).await?.is_some() {
            return Ok(None);
        }
        let Ok(Fetched::Fresh(document)) = self.upstream.project_page(&name, None).await else {
            return Ok(None);
        };
        let serial = document.last_serial;
        let sighting = read_page(&name, document, self.upstream.document_memory()).await;
        let sighting =
            sighting.filter(|seen| project.serial.is_some() && serial.max(seen.serial) == project.serial);
        Ok(sighting.and_then(|seen| serde_json::to_vec(&seen).ok()).map(|seen| (name, seen)))
    }
}

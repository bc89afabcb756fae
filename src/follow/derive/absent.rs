//! Projects that the listing lacks: removed, in quarantine, or only missing from a listing that is old or broken.
//!
//! Upstream's listing lacks what was removed and what is in quarantine (docs/wire.md section 8). But it may be half an hour old
//! (a day in HTML), and it can be broken. So a project counts as absent only if the listing is at least as new as the
//! project's last event; then its page is asked, and only what that says is told: 404 is `remove project`, the status
//! `quarantined` is `project quarantined`. A project whose page shows files stays. If more than [`PERCENT`] of all projects
//! are absent at once, and over [`FEW`], that is counted and logged, and the pages are asked once a second listing lacks
//! them too.

use super::super::FollowError;
use super::super::follower::Follower;
use super::super::issue::{Issue, Telling};
use crate::journal::{AbsenceRules, Difference};
use crate::metric;
use crate::model::{ProjectName, Serial};

/// So many absent projects are nothing unusual, however small the index: what an administrator removes at a time.
const FEW: usize = 20;
/// So many per cent of all projects, too. Of PyPI's 886 thousand that is more than it has ever removed in a day.
const PERCENT: usize = 1;
/// A listing that does not change is as good as a second one once upstream has stated it for a day, in seconds: no copy of
/// it is older (docs/wire.md section 8).
const SAME_AGAIN: i64 = 86_400;
/// The most pages of absent projects that one comparison asks for, at two a second some minutes; the others come with the
/// next.
const MOST_ABSENT: usize = 1_000;
/// Projects in quarantine whose pages one comparison asks for. What is quarantined is mostly removed soon, and no
/// listing tells that. Ten in ten minutes go through what PyPI has in quarantine in some hours.
const MOST_QUARANTINED: usize = 10;

impl Follower {
    /// Notes what a new listing lacks. Where serials say nothing, times tell that the listing is new enough.
    pub(super) async fn note_gone(
        &self,
        gone: Vec<(ProjectName, Option<Serial>)>,
        issue: &Issue,
    ) -> Result<(), FollowError> {
        let listed = gone.len();
        let by_serial = issue.telling != Telling::Nothing;
        let absent =
            gone.into_iter().filter(|(_, last)| !by_serial || last.is_none_or(|last| last <= issue.head));
        let absent: Vec<_> = absent.map(|(name, _)| name).collect();
        let newer = listed - absent.len();
        if newer > 0 {
            tracing::debug!(newer, "projects that the listing lacks are newer than it");
        }
        Ok(self.journal.note_absences(absent, issue.taken, issue.validators.etag.clone()).await?)
    }

    /// Absent projects whose pages are to be asked what became of them.
    pub(super) async fn absent(&self, issue: &Issue) -> Result<Vec<Difference>, FollowError> {
        let rules = AbsenceRules { few: FEW, percent: PERCENT, same_again: SAME_AGAIN, most: MOST_ABSENT };
        let absences = self.journal.absences(issue.taken, issue.validators.etag.clone(), rules).await?;
        // Counts stay far below 2⁵³, where a double still counts by one.
        #[allow(clippy::cast_precision_loss)]
        metrics::gauge!(metric::FOLLOW_DOUBTED_ABSENCES).set(absences.doubted as f64);
        if absences.doubted > 0 {
            let doubted = absences.doubted;
            tracing::warn!(
                doubted,
                "the listing lacks many projects; none is taken for removed until a later one lacks them too"
            );
        }
        let mut absent = absences.to_look_at;
        absent.extend(self.journal.quarantined(MOST_QUARANTINED).await?);
        Ok(absent)
    }
}

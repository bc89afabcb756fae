//! When what is kept may be given out without asking upstream.

use super::IndexError;
use super::facade::Inner;
use super::held::{Held, Standing};
use crate::journal::DocumentKey;
use crate::model::{ProjectName, Serial};
use crate::upstream::ProjectPage;

impl Inner {
    /// Unix seconds by the journal's clock.
    pub(super) fn now(&self) -> i64 {
        self.journal.clock().unix()
    }

    /// [`Self::is_fresh`] of a page, as far as that can be said without looking anything up.
    pub(super) fn is_fresh_as_it_was(&self, page: &Held<ProjectPage>, now: i64) -> bool {
        page.is_young(now, self.settings.page_max_age) && page.agreed_at(self.journal.last_serial())
    }

    /// Young enough, and the journal knows of no newer event: that makes a page stale at once (promise 10).
    pub(super) async fn is_fresh<T>(&self, key: &DocumentKey, held: &Held<T>) -> Result<bool, IndexError> {
        let max_age = match key {
            DocumentKey::Page(_) => self.settings.page_max_age,
            DocumentKey::Json(..) => self.settings.json_max_age,
        };
        let now = self.now();
        let young = held.is_young(now, max_age);
        if !young && !held.was_settled() {
            return Ok(false);
        }
        // Read before the project's row: an event that comes between makes us ask once more, never once less.
        let at = self.journal.last_serial();
        if young && held.agreed_at(at) {
            return Ok(true);
        }
        let standing = self.standing(key.project(), held.last_serial).await?;
        // A serial that turned out to be wrong agrees with nothing.
        let wrong = held.last_serial.is_some_and(|serial| self.journal.disproves(serial, held.checked));
        if young && held.agrees(standing) && (!wrong || standing == Standing::Unknown) {
            held.note_agreement(at);
            return Ok(true);
        }
        Ok(held.is_settled(now, standing))
    }

    /// What the journal knows of a project whose page had `serial` when it was seen last.
    pub(super) async fn standing(
        &self,
        project: &ProjectName,
        serial: Option<Serial>,
    ) -> Result<Standing, IndexError> {
        Ok(match self.journal.registered(project).await? {
            Some(row) => row.serial.map_or(Standing::Unknown, Standing::At),
            // It was there at a serial that the table covers, and is not in the table. A project that upstream never
            // listed has a page all the same.
            None if serial.is_some() && self.journal.projects_serial() >= serial => {
                let removed = self.journal.removed_after(project, serial).await?;
                if removed { Standing::Gone } else { Standing::Unlisted }
            }
            None => Standing::Unknown,
        })
    }
}

//! What an index's serials are worth.
//!
//! A static index states none, in HTML or in JSON. Some state one and the same for everything, for ever. Then they tell of
//! no change, and are not used: what upstream states on pages counts as not stated, and changes are found by content (see
//! [`super::content`]), with our own next numbers. Which it is, is kept; it is judged anew by each listing:
//!
//! | the listing's serials | then |
//! |---|---|
//! | at least two different ones | they tell. If they did not before, each project's is noted beside our own number |
//! | none | they say nothing; of an index that stated some before, only if that stays so for `calls_doubt` |
//! | one for all, of a small index | nobody knows yet: pages are compared as well. A page that changes under the same serial shows that it says nothing |
//! | one for all, of a large index | it says nothing: events would have numbers of their own |

use std::sync::PoisonError;

use tokio::time::Instant;

use super::super::FollowError;
use super::super::follower::Follower;
use super::super::issue::Telling;
use crate::upstream::Listing;

impl Follower {
    /// What a listing's serials are worth. `first`: there was no listing before. Fails if an index that states serials left
    /// them out once.
    pub(in super::super) fn judge_serials(
        &self,
        listing: &Listing,
        first: bool,
    ) -> Result<Telling, FollowError> {
        let silent = self.journal.serials_say_nothing();
        let mut stated = listing.projects.iter().filter_map(|project| project.serial);
        let one = stated.next();
        let differ = one.is_some_and(|one| stated.any(|other| other != one));
        self.still_missing(one.is_some());
        Ok(match one {
            Some(_) if differ => Telling::Serials,
            Some(_) if silent || listing.projects.len() > self.settings.small_index => Telling::Nothing,
            Some(_) => Telling::Unproven,
            None if silent || first || self.missing_for_good() => Telling::Nothing,
            None => return Err(FollowError::NoSerials),
        })
    }

    /// Notes that serials say nothing. That they tell again is noted once all of them are beside our own numbers.
    pub(in super::super) async fn say_nothing(&self) -> Result<(), FollowError> {
        if !self.journal.serials_say_nothing() {
            tracing::warn!("upstream's serials say nothing; changes are found by content");
            self.journal.note_serials(true).await?;
        }
        Ok(())
    }

    fn still_missing(&self, stated: bool) {
        let mut missing = self.serials_missing.lock().unwrap_or_else(PoisonError::into_inner);
        if stated {
            *missing = None;
        } else {
            missing.get_or_insert_with(Instant::now);
        }
    }

    fn missing_for_good(&self) -> bool {
        let missing = self.serials_missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.is_some_and(|since| since.elapsed() >= self.settings.calls_doubt)
    }
}

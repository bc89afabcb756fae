//! Keeps the journal current: the first listing, polls, the slices that answers turn out to need, and history.
//!
//! What upstream sends is not always what it should be. The rules, each with its test in `tests/follow/`:
//!
//! | upstream | then |
//! |---|---|
//! | gives rows out of order | they are sorted: serials decide, not places |
//! | repeats rows, within an answer or from an earlier one | they are counted and kept once |
//! | leaves gaps between serials | what lies between two rows of one answer is known to be empty; so is what lies between the last row and the last serial, if upstream names that first and then has no rows. Beyond the last row nothing is assumed |
//! | changes a row that it gave before | the first stays, the change is counted and logged: consumers have read it |
//! | sends a row without a name | it is skipped, counted and logged; the cursor moves past its serial |
//! | sends a row of another shape | it is skipped, counted and logged. A page with not one readable serial is an error, and nothing moves |
//! | sends rows at or before the serial asked for | they are left out: they are neither news nor progress |
//! | sends a row beyond its last serial | it is skipped, counted and logged, and the cursor stays before it; see `heard` |
//! | names a last serial far beyond the pace of before | it is asked again some seconds later, and its listing besides; until both agree the rows up to what is plausible are kept, and the rest is a failure |
//! | names a lower last serial than before | one of several servers lags, or it was restored from an older copy. As long as its last row is not one of ours it is a fault, not "nothing happened"; see `behind` |
//! | was restored from an older copy, and so has lost events and given their numbers to others | our numbers stay, and its rows get the next ones until its own have passed them; each project with a lost event is told as it is now |
//! | asks to wait (rate limit) | nobody asks anything until then; callers get the journal's answer, or ours that says when to come back |
//! | has no XML-RPC (405, 404, 410, 501, or a removal fault) | its listings are compared instead, and a day later XML-RPC is tried again; see `derive` |

mod behind;
mod calls;
mod derive;
mod error;
mod follower;
mod heard;
mod history;
mod imported;
mod issue;
mod list;
mod news;
mod poll;
mod serve;
mod settings;
mod state;
mod status;

use error::FollowError;
pub use follower::run;
pub use settings::{FollowSettings, History, Source};
pub use status::FollowStatus;

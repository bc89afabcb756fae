//! Keeps the journal current: the first listing, polls, and the slices that answers turn out to need.

mod error;
mod follower;
mod poll;
mod serve;
mod settings;
mod status;

use error::FollowError;
pub use follower::run;
pub use settings::FollowSettings;
pub use status::FollowStatus;

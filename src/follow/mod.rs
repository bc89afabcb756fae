//! Keeps the journal current: the first listing, polls, and the slices that answers turn out to need.

mod changelog;
mod error;
mod follower;
mod poll;
mod serve;
mod settings;
mod status;

pub use error::FollowError;
pub use follower::run;
pub use settings::FollowSettings;
pub use status::FollowStatus;

//! What the scale mode is made from.

use std::path::PathBuf;

use super::events;

/// What the scale mode is made from.
#[derive(Debug, Clone)]
pub struct ScaleSettings {
    /// A list of names: a header line, then `name version month rank summary`, tab-separated, gzip or not.
    pub projects: PathBuf,
    /// How many events; at most [`ScaleSettings::MOST_EVENTS`].
    pub events: u64,
}

impl ScaleSettings {
    /// Serials have to stay below 2³¹, and the space between two is three on average.
    pub const MOST_EVENTS: u64 = events::MOST;
}

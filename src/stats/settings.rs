//! The limits of statistics.

use std::time::Duration;

use super::Mirrors;
use crate::model::{Clock, settings};

settings! {
    /// How downloads are counted.
    #[derive(Debug, Clone)]
    pub struct StatsSettings in "stats" {
        /// Whether downloads are counted. If not, their numbers are -1; what was counted before stays.
        enabled: bool = true,
        /// Counts are written to the disk at least so often. A crash loses those of one such time at most.
        ///
        /// One transaction a second costs next to nothing, and a number is seen within a second or two.
        flush: Duration = Duration::from_secs(1),
        /// A day is sealed once the clock has stood past its end for so long.
        ///
        /// A transfer that ends at midnight is written within seconds; a clock that is corrected comes back within minutes.
        seal_after: Duration = Duration::from_mins(10),
        /// Most bytes of a user agent that are kept; what it says of installer, Python and system is read before it is cut.
        ///
        /// As in the access log.
        agent_bytes: usize as Count = 256,
        /// Different user agents that are counted in one day; those that come later count as `other`.
        ///
        /// A large site has some thousand. They bound what a client can write to the disk with agents that it invents.
        agents_a_day: usize as Count = 10_000,
        /// Mirrors whose reports a running relay adds to its own, such as `http://mirror.test/`; several with commas between them.
        collect: Mirrors = Mirrors::default(),
        /// From one look at them to the next.
        ///
        /// A report appears once a day.
        collect_interval: Duration = Duration::from_hours(1),
        /// Most bytes of a mirror's day when unpacked; packed a quarter of that.
        ///
        /// Some three million lines.
        collect_bytes: u64 as Bytes = 256 << 20,
        /// Downloads in several parts that are remembered until their file is covered; past it the oldest are forgotten.
        ///
        /// Some 200 bytes each, 2 KB at most.
        parts: u64 as Count = 10_000,
        /// The parts of a download are forgotten so long after the last one.
        ///
        /// Who takes a broken download up again does so within minutes.
        parts_lifetime: Duration = Duration::from_hours(1),
        /// The clock by which days turn.
        clock: Clock as Internal = Clock::system(),
    }
}

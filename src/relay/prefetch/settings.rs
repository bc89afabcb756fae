//! What is fetched in advance, and how much.

use std::time::Duration;

use super::Rules;
use crate::model::settings;

settings! {
    /// The limits of fetching in advance.
    #[derive(Debug, Clone)]
    pub struct PrefetchSettings in "prefetch" {
        /// Which announced files are fetched in advance: rules with ; between them, each a project's name or pattern, then
        /// newest=N, python=TAG,…, platform=TAG,… or sdist=no to narrow it. Empty: none.
        rules: Rules = Rules::default(),
        /// Most bytes fetched in advance a day (UTC).
        ///
        /// What the cache has room for.
        bytes_a_day: u64 as Bytes = 10 << 30,
        /// The largest file fetched in advance.
        largest: u64 as Bytes = 1 << 30,
        /// Files fetched in advance at once.
        ///
        /// Few: clients come first.
        at_once: usize as Count = 2,
        /// Files that may wait; further ones are left out.
        ///
        /// About what PyPI announces in a day.
        queue: usize as Count = 10_000,
        /// How often a file is tried before it is given up.
        ///
        /// With the delays below, some two hours.
        attempts: u32 as Count = 8,
        /// The delay after a first failure; it doubles.
        shortest_wait: Duration = Duration::from_mins(1),
        /// The longest delay after failures.
        longest_wait: Duration = Duration::from_hours(6),
    }
}

impl PrefetchSettings {
    /// The delay after so many failures.
    pub(super) fn wait(&self, attempts: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        self.shortest_wait.saturating_mul(doubled).min(self.longest_wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let settings = PrefetchSettings::default();
        let minutes: Vec<_> = [1, 2, 5, 9, 10, 99].map(|n| settings.wait(n).as_secs() / 60).into();
        assert_eq!(minutes, [1, 2, 16, 256, 360, 360]);
    }
}

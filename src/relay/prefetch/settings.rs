//! What is fetched in advance, and how much.

use std::time::Duration;

use super::Rules;

/// The limits of fetching in advance.
#[derive(Debug, Clone)]
pub struct PrefetchSettings {
    /// Which files; none by default.
    pub rules: Rules,
    /// The most bytes a day (UTC). 10 GiB by default: what the cache has room for.
    pub bytes_a_day: u64,
    /// The largest file. 1 GiB by default.
    pub largest: u64,
    /// Files at once. 2 by default: clients come first.
    pub at_once: usize,
    /// Files that may wait. 10,000 by default, about what PyPI announces in a day; further ones are left out.
    pub queue: usize,
    /// How often a file is tried. 8 by default, with the delays below in some two hours.
    pub attempts: u32,
    /// The delay after the first failure, 1 minute by default; it doubles.
    pub shortest_wait: Duration,
    /// The longest delay, 6 hours by default.
    pub longest_wait: Duration,
}

impl Default for PrefetchSettings {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            bytes_a_day: 10 << 30,
            largest: 1 << 30,
            at_once: 2,
            queue: 10_000,
            attempts: 8,
            shortest_wait: Duration::from_mins(1),
            longest_wait: Duration::from_hours(6),
        }
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

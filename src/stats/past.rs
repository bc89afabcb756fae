//! Which days are over for certain: the clock has stood past their end for a while, by a second clock that cannot jump.

use std::time::Duration;

use tokio::time::Instant;

use super::Day;

/// What the clock said lately.
#[derive(Debug)]
pub(super) struct Past {
    least: Duration,
    /// Days that the clock has reached and not left again for an earlier one since then; both rise.
    reached: Vec<(Day, Instant)>,
}

impl Past {
    /// `least`: for so long.
    pub(super) fn new(least: Duration) -> Self {
        Self { least, reached: Vec::new() }
    }

    /// Takes note that it is this day. To be called often: what the clock says between two calls is not seen.
    pub(super) fn is(&mut self, today: Day, now: Instant) {
        while self.reached.last().is_some_and(|(day, _)| *day > today) {
            self.reached.pop();
        }
        if self.reached.last().is_none_or(|(day, _)| *day < today) {
            self.reached.push((today, now));
        }
        // Of those that are old enough the last says it all.
        let old = self.reached.iter().take_while(|(_, since)| self.is_long_ago(*since, now)).count();
        self.reached.drain(..old.saturating_sub(1));
    }

    /// The clock has stood past the end of this day for long enough.
    pub(super) fn has(&self, day: Day, now: Instant) -> bool {
        self.reached.iter().any(|(reached, since)| *reached > day && self.is_long_ago(*since, now))
    }

    fn is_long_ago(&self, since: Instant, now: Instant) -> bool {
        now.saturating_duration_since(since) >= self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_mins(10);

    #[test]
    fn a_day_is_past_after_the_clock_has_stood_beyond_it_for_long_enough() {
        let (mut past, begun, day) = (Past::new(TEN), Instant::now(), Day::of(100));
        past.is(day, begun);
        past.is(day, begun + 5 * TEN);
        assert!(!past.has(day, begun + 5 * TEN));
        assert!(past.has(day.before(1), begun + 5 * TEN));
        let midnight = begun + 6 * TEN;
        past.is(day.next(), midnight);
        assert!(!past.has(day, midnight + TEN - Duration::from_secs(1)));
        past.is(day.next(), midnight + TEN);
        assert!(past.has(day, midnight + TEN) && !past.has(day.next(), midnight + TEN));
    }

    #[test]
    fn a_clock_that_jumps_a_year_ahead_and_back_in_time_leaves_every_day_open() {
        let (mut past, begun, day) = (Past::new(TEN), Instant::now(), Day::of(100));
        past.is(day, begun);
        past.is(Day::of(465), begun + TEN);
        past.is(Day::of(466), begun + TEN + TEN / 2);
        past.is(day, begun + 2 * TEN - Duration::from_secs(1));
        past.is(day, begun + 5 * TEN);
        assert!(!past.has(day, begun + 5 * TEN));
        // Had it stood there for long, it would be believed.
        past.is(Day::of(465), begun + 6 * TEN);
        past.is(Day::of(466), begun + 7 * TEN - Duration::from_secs(1));
        past.is(Day::of(466), begun + 7 * TEN);
        assert!(past.has(day, begun + 7 * TEN) && past.has(Day::of(464), begun + 7 * TEN));
        assert!(!past.has(Day::of(465), begun + 7 * TEN));
    }

    #[test]
    fn a_clock_that_goes_back_over_midnight_again_and_again_leaves_the_day_open() {
        let (mut past, begun, day) = (Past::new(TEN), Instant::now(), Day::of(100));
        for n in 0..100 {
            let now = begun + n * TEN / 2;
            past.is(if n % 2 == 0 { day } else { day.next() }, now);
            assert!(!past.has(day, now), "{n}");
            assert!(past.reached.len() < 4);
        }
    }
}

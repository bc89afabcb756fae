//! An upstream that fails, is slow, or wants silence.

use super::*;

const FAILS: Then = Then::Fails(0);

#[tokio::test(start_paused = true)]
async fn while_upstream_fails_what_is_kept_goes_out_and_upstream_is_asked_once_in_a_pause() {
    let world = World::new();
    world.holds("one", 1).await;
    pass(1_000).await;
    assert_eq!(world.asked(&[FAILS]).await, (Stale("one"), 1));
    pass(9).await;
    assert_eq!(world.asked(&[]).await, (Stale("one"), 0));
    pass(1).await;
    // Upstream may want a longer pause, and has no shorter one.
    assert_eq!(world.asked(&[Then::Fails(20)]).await, (Stale("one"), 1));
    pass(19).await;
    assert_eq!(world.asked(&[]).await, (Stale("one"), 0));
    pass(1).await;
    assert_eq!(world.asked(&[Then::Same]).await, (Fresh("one"), 1));
    let expected = ["Renewed", "Stale(\"upstream failed\", 1000)", "Renewed", "Hit"];
    assert_eq!(world.script().told()[..4], expected);
}

#[tokio::test(start_paused = true)]
async fn a_pause_ends_when_the_clock_is_set_back_before_it() {
    let world = World::new();
    world.holds("one", 1).await;
    pass(1_005).await;
    assert_eq!(world.asked(&[FAILS]).await, (Stale("one"), 1));
    world.script().correct_clock(-1);
    assert_eq!(world.asked(&[FAILS]).await, (Stale("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_does_not_go_out_and_no_pause_outlasts_that() {
    let world = World::new();
    world.holds("one", 1).await;
    pass(4_999).await;
    assert_eq!(world.asked(&[Then::Fails(1_000)]).await, (Stale("one"), 1));
    pass(1).await;
    assert_eq!(world.asked(&[FAILS]).await, (Nothing(Unanswered::Failed("upstream failed")), 1));
    // Nor while it is slow.
    let slow = Then::After(100, &FAILS);
    assert_eq!(world.asked(&[slow]).await, (Nothing(Unanswered::Late), 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_with_nothing_kept_is_told_as_such() {
    let world = World::new();
    let failed = Nothing(Unanswered::Failed("upstream failed, and nothing is kept"));
    assert_eq!(world.asked(&[FAILS]).await, (failed, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_kept_goes_out_in_place_of_a_final_answer() {
    let world = World::new();
    world.holds("one", 1).await;
    pass(1_000).await;
    assert_eq!(world.asked(&[Then::Refuses]).await, (Nothing(Unanswered::Failed("upstream refused")), 1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_upstream_is_waited_for_by_one_caller_and_what_it_says_at_last_takes_the_place_of_what_went_out()
 {
    for restarted in [false, true] {
        let world = World::new();
        world.holds("one", 1).await;
        let world = if restarted { world.restarted() } else { world };
        pass(1_000).await;
        world.script().told();
        let begun = Instant::now();
        assert_eq!(world.asked(&[Then::After(8, &Then::Text("two", 2))]).await, (Stale("one"), 1));
        assert_eq!(world.asked(&[]).await, (Stale("one"), 0));
        assert_eq!(begun.elapsed(), 4 * SECOND, "the next one waits again");
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(world.asked(&[]).await, (Fresh("two"), 0));
        assert_eq!(world.script().told(), ["Slow", "Hit", "Hit"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_upstream_with_nothing_kept_is_waited_for_until_the_deadline_and_goes_on() {
    let world = World::new();
    let begun = Instant::now();
    let slow = Then::After(10, &Then::Text("one", 1));
    assert_eq!(world.asked(&[slow]).await, (Nothing(Unanswered::Late), 1));
    assert_eq!(begun.elapsed(), 9 * SECOND);
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0));
    assert_eq!(world.script().told(), ["Late", "Renewed"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_an_end_to_its_patience_waits_for_ever() {
    let world = World::new();
    world.script().say(&[Then::After(1_000_000, &Then::Text("one", 1))]);
    assert_eq!(world.get_within(Duration::MAX, Duration::MAX).await, Fresh("one"));
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_outlasts_the_caller_is_told_at_once_and_a_shorter_one_is_waited_for() {
    let world = World::new();
    let begun = Instant::now();
    world.script().silent_for(90 * SECOND);
    assert_eq!(world.asked(&[]).await, (Nothing(Unanswered::Silent(90 * SECOND)), 0));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Past the time at which something kept would go out, but not past the deadline.
    world.script().silent_for(8 * SECOND);
    assert_eq!(world.asked(&[Then::After(8, &Then::Text("one", 1))]).await, (Fresh("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn during_a_silence_what_is_kept_goes_out_until_its_end() {
    let world = World::new();
    world.holds("one", 1).await;
    let world = world.restarted();
    world.script().silent_for(90 * SECOND);
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0), "it is fresh");
    pass(1_000).await;
    let begun = Instant::now();
    world.script().silent_for(90 * SECOND);
    assert_eq!(world.asked(&[]).await, (Stale("one"), 0));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    pass(89).await;
    assert_eq!(world.asked(&[]).await, (Stale("one"), 0));
    pass(1).await;
    assert_eq!(world.asked(&[Then::Same]).await, (Fresh("one"), 1));
}

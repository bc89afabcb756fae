//! What is known from elsewhere: newer events, removals, serials that were wrong.

use super::*;

const AT_ONE: Standing = Standing::At(Serial(1));
const AT_TWO: Standing = Standing::At(Serial(2));
/// Longer than all pauses.
const PATIENT: Duration = Duration::from_secs(100);
const FAILS: Then = Then::Fails(0);
const FAILED: Got = Nothing(Unanswered::Failed("upstream failed"));
const BEFORE_REMOVAL: Got = Nothing(Unanswered::BeforeRemoval(Duration::from_mins(1)));
const ABSENT: Got = Nothing(Unanswered::Absent);

/// Something is known, and kept.
async fn known() -> World {
    let world = World::new();
    world.script().stands(AT_ONE);
    assert_eq!(world.asked(&[Then::Text("one", 1)]).await, (Fresh("one"), 1));
    world
}

#[tokio::test(start_paused = true)]
async fn a_newer_event_makes_an_entry_old_at_once_and_another_things_event_does_not() {
    let world = known().await;
    world.script().stands(AT_ONE);
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0));
    world.script().stands(AT_TWO);
    assert_eq!(world.asked(&[Then::Text("two", 2)]).await, (Fresh("two"), 1));
}

#[tokio::test(start_paused = true)]
async fn what_went_out_stale_is_asked_for_again_though_what_contradicted_it_is_known_no_more() {
    let world = known().await;
    world.script().stands(AT_TWO);
    assert_eq!(world.asked(&[FAILS]).await, (Stale("one"), 1));
    world.script().stands(AT_ONE);
    assert_eq!(world.asked(&[Then::Same]).await, (Fresh("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_agreed_is_fresh_without_a_look_until_anything_happens_or_it_is_too_old() {
    let world = known().await;
    let entry = world.engine.in_memory(&"key").unwrap();
    let now = || world.script().now();
    assert!(!world.engine.is_fresh_as_it_was(&entry, now()), "nobody has looked yet");
    assert_eq!(world.get().await, Fresh("one"));
    assert!(world.engine.is_fresh_as_it_was(&entry, now()));
    assert!(!world.engine.is_fresh_as_it_was(&entry, now() + 1_000));
    world.script().stands(AT_ONE);
    assert!(!world.engine.is_fresh_as_it_was(&entry, now()));
}

#[tokio::test(start_paused = true)]
async fn a_copy_behind_what_is_known_is_asked_for_again_after_pauses() {
    let world = known().await;
    world.script().stands(AT_TWO);
    let begun = Instant::now();
    let says = [Then::Same, Then::Text("one", 1), Then::Text("two", 2)];
    world.script().say(&says);
    assert_eq!(world.get_within(PATIENT, PATIENT).await, Fresh("two"));
    assert_eq!(begun.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_stays_behind_goes_out_for_a_pause_and_is_not_waited_for_again() {
    let world = known().await;
    world.script().stands(AT_TWO);
    world.script().say(&[Then::Same; 3]);
    assert_eq!(world.get_within(PATIENT, PATIENT).await, Fresh("one"));
    assert_eq!(world.script().asked(), 4);
    pass(59).await;
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0));
    pass(1).await;
    assert_eq!(world.asked(&[Then::Same]).await, (Fresh("one"), 1));
    // Until more is known.
    world.script().stands(Standing::At(Serial(3)));
    assert_eq!(world.asked(&[Then::Text("three", 3)]).await, (Fresh("three"), 1));
}

#[tokio::test(start_paused = true)]
async fn a_copy_from_before_a_removal_does_not_go_out_whether_upstream_is_behind_fails_or_is_slow() {
    let (says, slow) = ([Then::Same; 3], Then::After(100, &FAILS));
    for (says, expected) in
        [(&says[..], BEFORE_REMOVAL), (&[FAILS], FAILED), (&[slow], Nothing(Unanswered::Late))]
    {
        let world = known().await;
        world.script().stands(AT_TWO);
        world.script().removed(2);
        world.script().say(says);
        let got = world.get_within(20 * SECOND, 40 * SECOND).await;
        assert_eq!(got, expected, "{says:?}");
    }
    // As new as the last known event: the removal's number is one of ours.
    let world = known().await;
    world.script().removed(2);
    pass(1_000).await;
    assert_eq!(world.asked(&[FAILS]).await, (Stale("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_had_and_nothing_lists_does_not_go_out_from_before_a_removal() {
    let world = World::new();
    world.script().removed(2);
    world.script().say(&[Then::Text("one", 1), Then::Text("one", 1), Then::Text("one", 1)]);
    let got = world.get_within(PATIENT, PATIENT).await;
    assert_eq!(got, BEFORE_REMOVAL);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_does_not_go_out_and_a_copy_that_upstream_still_has_is_none() {
    for slow in [FAILS, Then::After(100, &FAILS)] {
        let world = known().await;
        world.script().stands(Standing::Gone);
        assert!(matches!(world.asked(&[slow]).await.0, Nothing(_)));
    }
    let world = known().await;
    world.script().stands(Standing::Gone);
    world.script().say(&[Then::Same; 3]);
    let got = world.get_within(PATIENT, PATIENT).await;
    assert_eq!((got, world.script().stored()), (ABSENT, None));
}

#[tokio::test(start_paused = true)]
async fn of_what_is_not_listed_only_upstreams_word_counts_and_that_for_a_pause() {
    let world = known().await;
    world.script().stands(Standing::Unlisted);
    assert_eq!(world.asked(&[FAILS]).await, (FAILED, 1));
    assert_eq!(world.asked(&[Then::Same]).await, (Fresh("one"), 1));
    pass(59).await;
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0));
    pass(1).await;
    // Upstream had it all the same.
    assert_eq!(world.asked(&[FAILS]).await, (Stale("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn an_older_copy_never_replaces_a_newer_one_unless_upstream_goes_on_giving_it() {
    // The pauses between three questions take 5 s.
    for (age, expected) in [(1_994, "two"), (2_000, "one")] {
        let world = World::new();
        world.holds("two", 2).await;
        pass(age).await;
        world.script().say(&[Then::Text("one", 1); 3]);
        assert_eq!(world.get_within(PATIENT, PATIENT).await, Fresh(expected), "{age}");
        assert_eq!(world.script().stored().unwrap().0, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_without_a_serial_of_its_own_and_one_beside_a_wrong_serial_are_not_older() {
    for (wrong, says) in [(false, Then::Plain("one")), (true, Then::Text("one", 1))] {
        let world = World::new();
        world.holds("two", 2).await;
        pass(1_000).await;
        if wrong {
            world.script().disprove(2);
        }
        assert_eq!(world.asked(&[says]).await, (Fresh("one"), 1), "{says:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_serial_that_was_wrong_agrees_with_nothing() {
    let world = World::new();
    world.script().stands(AT_ONE);
    world.holds("two", 2).await;
    assert_eq!(world.asked(&[]).await, (Fresh("two"), 0));
    let entry = world.engine.in_memory(&"key").unwrap();
    assert!(world.engine.is_fresh_as_it_was(&entry, world.script().now()));
    // Without another event.
    world.script().disprove(2);
    assert!(!world.engine.is_fresh_as_it_was(&entry, world.script().now()));
    assert_eq!(world.asked(&[Then::Text("one", 1)]).await, (Fresh("one"), 1));
}

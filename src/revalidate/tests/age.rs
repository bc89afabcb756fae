//! What is fresh, and what is asked for again.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_is_fresh_for_its_age_and_a_confirmation_begins_that_anew() {
    let world = World::new();
    assert_eq!(world.asked(&[Then::Text("one", 1)]).await, (Fresh("one"), 1));
    pass(999).await;
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0));
    pass(1).await;
    assert_eq!(world.asked(&[Then::Same]).await, (Fresh("one"), 1));
    assert_eq!(world.script().stored(), Some(("one", 1_000)));
    pass(999).await;
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0));
    pass(1).await;
    assert_eq!(world.asked(&[Then::Text("two", 2)]).await, (Fresh("two"), 1));
    assert_eq!(world.script().told(), ["Renewed", "Hit", "Renewed", "Hit", "Renewed"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_checked_in_the_future_is_asked_for_again() {
    let world = World::new();
    world.holds("one", 1).await;
    world.script().correct_clock(-1);
    assert_eq!(world.asked(&[Then::Same]).await, (Fresh("one"), 1));
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_answers_after_a_restart_as_long_as_it_is_fresh() {
    let world = World::new();
    world.holds("one", 1).await;
    let world = world.restarted();
    assert_eq!(world.asked(&[]).await, (Fresh("one"), 0));
    pass(1_000).await;
    assert_eq!(world.restarted().asked(&[Then::Same]).await, (Fresh("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn many_callers_make_one_question_which_goes_on_when_they_leave() {
    let world = World::new();
    world.script().say(&[Then::After(3, &Then::Text("one", 1))]);
    let mut callers = Box::pin(futures_util::future::join_all((0..50).map(|_| world.get())));
    assert!(futures_util::poll!(callers.as_mut()).is_pending());
    drop(callers);
    let found = futures_util::future::join_all((0..50).map(|_| world.get())).await;
    assert!(found.into_iter().all(|found| found == Fresh("one")));
    assert_eq!(world.script().asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_slow_to_look_finds_what_anothers_question_has_brought_meanwhile() {
    let world = World::new();
    world.script().admit_after(SECOND);
    let mut slow = Box::pin(world.get());
    assert!(futures_util::poll!(slow.as_mut()).is_pending());
    world.holds("one", 1).await;
    // It is in memory alone.
    world.script().lose_store();
    assert_eq!(slow.await, Fresh("one"));
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_task_dies_is_told_and_asked_anew() {
    let world = World::new();
    assert_eq!(world.asked(&[Then::Dies]).await, (Nothing(Unanswered::Lost), 1));
    assert_eq!(world.asked(&[Then::Text("one", 1)]).await, (Fresh("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn what_reading_it_anew_would_make_otherwise_is_read_anew_and_not_asked_for() {
    let world = World::new();
    world.holds("one", 1).await;
    world.script().reads("one, but for a line");
    assert_eq!(world.asked(&[]).await, (Fresh("one, but for a line"), 0));
    // It could not be kept: then it is as good as it was.
    world.script().reads("one again");
    world.script().lose_store();
    assert_eq!(world.asked(&[]).await, (Fresh("one, but for a line"), 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_not_to_exist_is_not_asked_for_unless_it_is_in_memory() {
    let world = World::new();
    world.script().deny();
    assert_eq!(world.asked(&[]).await, (Nothing(Unanswered::Failed("known not to exist")), 0));
    let world = World::new();
    world.holds("one", 1).await;
    world.script().deny();
    pass(1_000).await;
    assert_eq!(world.asked(&[Then::Same]).await, (Fresh("one"), 1));
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_remembered_for_a_while_or_until_more_is_known() {
    let world = World::new();
    world.holds("one", 1).await;
    pass(1_000).await;
    assert_eq!(world.asked(&[Then::Absent]).await, (Nothing(Unanswered::Absent), 1));
    assert_eq!(world.script().stored(), None, "what was kept is gone");
    pass(99).await;
    assert_eq!(world.asked(&[]).await, (Nothing(Unanswered::Absent), 0));
    pass(1).await;
    assert_eq!(world.asked(&[Then::Absent]).await, (Nothing(Unanswered::Absent), 1));
    world.script().stands(Standing::At(Serial(2)));
    // What was kept does not come back.
    let failed = Nothing(Unanswered::Failed("upstream failed, and nothing is kept"));
    assert_eq!(world.asked(&[Then::Fails(0)]).await, (failed, 1));
    assert_eq!(world.asked(&[Then::Text("two", 2)]).await, (Fresh("two"), 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_made_from_elsewhere_is_kept_and_compared_with_nothing() {
    let world = World::new();
    world.script().stands(Standing::At(Serial(5)));
    assert_eq!(world.asked(&[Then::Instead("made")]).await, (Fresh("made"), 1));
    assert_eq!(world.script().stored(), Some(("made", 0)));
}

//! An upstream that is restored from a backup: it has lost events, and gives their numbers to others.

mod overtaken;

use std::collections::BTreeMap;
use std::time::Duration;

use cheesewire::follow::{FollowSettings, FollowStatus};
use cheesewire::journal::{JournalSettings, Project, Want};
use cheesewire::model::{Clock, Event, Serial};
use cheesewire::sandbox::{Change, Fault, Publication, Route, Sandbox, SandboxSettings, XmlRpc};
use cheesewire::xmlrpc::Value;
use futures_util::TryStreamExt as _;
use tempfile::TempDir;

use super::{Following, answers, on_demand, polling, row_of, within};
use crate::support::{Switch, sandbox};

const CHANGELOG: &str = "changelog_since_serial";
const LAST_SERIAL: &str = "changelog_last_serial";

/// Two lives of one index, the second from a backup of before the first one's last events, behind one address; and who
/// follows it, with a clock that stands until a test sets it.
struct Lives {
    first: Sandbox,
    second: Sandbox,
    switch: Switch,
    clock: Clock,
    folder: TempDir,
    settings: FollowSettings,
}

const NOON: i64 = 1_800_000_000;

/// Before and after any time that a listing states.
const YEARS_AGO: i64 = 1_500_000_000;
const YEARS_AHEAD: i64 = 9_000_000_000;

fn release(name: &str, version: &str) -> Change {
    Change::Publish(Publication::new(name, version).into())
}

impl Lives {
    /// Both lives have the fixtures; then the first has these changes, which the backup has not.
    async fn new(settings: FollowSettings, lost: Vec<Change>) -> Self {
        Self::of([sandbox().await, sandbox().await], settings, lost).await
    }

    /// The same of an index whose listing states no serials.
    async fn in_html(settings: FollowSettings, lost: Vec<Change>) -> Self {
        let start = async || {
            let settings = SandboxSettings { simple_json: false, ..SandboxSettings::default() };
            Sandbox::start(settings).await.unwrap()
        };
        Self::of([start().await, start().await], settings, lost).await
    }

    async fn of([first, second]: [Sandbox; 2], settings: FollowSettings, lost: Vec<Change>) -> Self {
        for change in lost {
            first.change(change).await.unwrap();
        }
        let switch = Switch::to(first.address()).await;
        let (clock, folder) = (Clock::standing_at(NOON), tempfile::tempdir().unwrap());
        let settings = FollowSettings { calls_doubt: Duration::from_mins(10), small_index: 0, ..settings };
        Self { first, second, switch, clock, folder, settings }
    }

    /// What the backup has not happens after the first listing.
    async fn lose(&self, following: &Following) -> (Serial, Serial) {
        let backup = self.first.last_serial();
        following.reaches(backup).await;
        for change in lost() {
            self.first.change(change).await.unwrap();
        }
        let head = self.first.last_serial();
        following.reaches(head).await;
        (backup, head)
    }

    async fn follow(&self) -> Following {
        let journal = JournalSettings { clock: self.clock.clone(), ..JournalSettings::default() };
        Following::start_at(self.folder.path(), &self.switch.url(), self.settings.clone(), journal).await
    }

    /// The backup is there, and this happens.
    async fn restore(&self, new: Vec<Change>) {
        for change in new {
            self.second.change(change).await.unwrap();
        }
        self.switch.set(self.second.address());
    }

    /// Each answer was lower for long enough.
    async fn time_passes(&self, following: &mut Following) {
        following.status(|status| status.upstream_behind.is_some()).await;
        self.clock.set(self.clock.unix() + 601);
    }
}

/// All but the numbers.
fn told(events: &[Event]) -> Vec<(String, Option<String>, i64, String)> {
    let row = |event: &Event| (event.name.clone(), event.version.clone(), event.time, event.action.clone());
    events.iter().map(row).collect()
}

/// Loops on the last serial until it has `enough`.
async fn looped(following: &Following, since: Serial, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let looping = async {
        while !enough(&events) {
            let last = events.last().map_or(since, |event| event.serial);
            // Faults are waited for; an early "nothing happened" leaves the loop as it is.
            if let Ok(cheesewire::journal::Since::Events(chunks)) =
                following.journal.since_serial(last, 3).await
            {
                events.extend(chunks.try_concat().await.unwrap());
            }
            tokio::task::yield_now().await;
        }
    };
    within(looping).await;
    assert!(events.windows(2).all(|pair| pair[0].serial < pair[1].serial));
    events
}

/// The project table.
async fn table(following: &Following) -> BTreeMap<String, Option<Serial>> {
    let rows: Vec<Project> = following.journal.projects().try_concat().await.unwrap();
    rows.into_iter().map(|row| (row.spelling, row.serial)).collect()
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let mut names: Vec<_> = sandbox.listed().iter().map(|project| project.name.clone()).collect();
    names.sort();
    names
}

/// What upstream lost in most tests: a release of a project that stays, a whole project, and one that was removed.
fn lost() -> Vec<Change> {
    vec![
        release("wire-top", "77.0"),
        release("only-before", "1.0"),
        Change::RemoveProject { name: "chain-d".to_owned() },
    ]
}

#[tokio::test]
async fn whoever_loops_on_serials_sees_all_that_happened_since_the_backup_and_the_numbers_meet_again() {
    let lives = Lives::new(polling(), vec![]).await;
    let mut following = lives.follow().await;
    let (backup, head) = lives.lose(&following).await;
    let before = following.since(backup).await;
    lives.restore(vec![release("only-after", "1.0"), release("wire-core", "88.0")]).await;
    let rows = lives.second.events_after(backup, 100);
    assert!(lives.second.last_serial() < head, "the numbers are given out a second time");
    lives.time_passes(&mut following).await;
    let settled = |events: &[Event]| {
        events.len() > rows.len() && events[rows.len()..].iter().any(|event| event.name == "wire-top")
    };
    let events = looped(&following, head, settled).await;
    // Upstream's rows come word for word with our next numbers.
    assert_eq!(told(&events[..rows.len()]), told(&rows));
    let numbers: Vec<Serial> = events[..rows.len()].iter().map(|event| event.serial).collect();
    assert_eq!(numbers, (head.0 + 1..).map(Serial).take(rows.len()).collect::<Vec<_>>());
    let restored = following.status(|status| status.restored.is_some()).await.restored.unwrap();
    assert_eq!((restored.to, restored.head, restored.at), (backup, head, NOON));
    // Then what was lost: a project that is no more, one that is there again, and one with something to look at.
    let actions = |name: &str| {
        let its = events[rows.len()..].iter().filter(|event| event.name == name);
        its.map(|event| event.action.clone()).collect::<Vec<_>>()
    };
    assert_eq!(actions("only-before"), ["remove project"]);
    assert_eq!(actions("wire-top"), ["docupdate"]);
    assert_eq!(actions("chain-d")[..2], ["create", "new release"]);
    within(async {
        while table(&following).await.keys().ne(&names(&lives.second)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // What clients have read stays as it is.
    assert_eq!(following.since(backup).await[..before.len()], before[..]);
    // Upstream counts by two, our next numbers by one.
    let ours = following.since(head).await.last().unwrap().serial;
    let mut last = lives.second.last_serial();
    while last <= Serial(ours.0 + 50) {
        last = lives.second.change(release("many", &format!("{last}"))).await.unwrap();
    }
    following.reaches(last).await;
    let rest =
        looped(&following, ours, |events| events.last().is_some_and(|event| event.serial >= last)).await;
    let rows =
        lives.second.events_after(lives.second.events_after(backup, rows.len()).last().unwrap().serial, 1000);
    assert_eq!(told(&rest), told(&rows));
    let same = rest.iter().zip(&rows).filter(|(ours, theirs)| ours.serial == theirs.serial).count();
    assert!(same > 5 && same < rows.len(), "{same} of {}", rows.len());
    assert_eq!(table(&following).await["many"], Some(last));
    // Nothing is owed: nothing happened.
    assert!(following.since(last).await.is_empty());
}

#[tokio::test]
async fn as_long_as_it_is_doubted_a_question_at_the_head_is_a_fault_also_after_a_restart() {
    let lives = Lives::new(polling(), vec![]).await;
    let mut following = lives.follow().await;
    let (_, head) = lives.lose(&following).await;
    assert!(following.since(head).await.is_empty());
    lives.restore(vec![release("only-after", "1.0")]).await;
    let doubted =
        |status: &cheesewire::follow::FollowStatus| status.upstream_behind.is_some() && status.failures > 3;
    following.status(doubted).await;
    let hidden = async |following: &Following| {
        following.journal.want(Want::Since(head)).done().await.unwrap_err().reason
    };
    assert!(hidden(&following).await.contains("went back"), "{}", hidden(&following).await);
    assert!(!following.journal.head_is_current());
    following.stop().await;
    lives.clock.set(NOON + 590);
    let mut following = lives.follow().await;
    following.status(doubted).await;
    assert!(hidden(&following).await.contains("went back"));
    assert_eq!(following.status(|_| true).await.restored, None, "ten minutes are not over");
    // Nine minutes and fifty seconds were before.
    lives.clock.set(NOON + 601);
    let events = looped(&following, head, |events| !events.is_empty()).await;
    assert_eq!(events[0].name, "only-after");
    following.status(|status| status.current && status.failures == 0).await;
    following.stop().await;
    // And what was found outlives a restart.
    let mut following = lives.follow().await;
    let again = following.status(|status| status.restored.is_some() && status.current).await;
    assert_eq!(again.restored.unwrap().head, head);
    let count = following.since(head).await.len();
    let serial = lives.second.change(release("later", "1.0")).await.unwrap();
    let rows = lives.second.events_after(Serial(serial.0 - 8), 100);
    let events = looped(&following, head, |events| events.len() >= count + rows.len()).await;
    assert_eq!(told(&events[count..]), told(&rows));
}

#[tokio::test]
async fn of_two_servers_behind_one_name_of_which_one_lags_nothing_comes() {
    let lives = Lives::new(polling(), vec![]).await;
    let mut following = lives.follow().await;
    let (_, head) = lives.lose(&following).await;
    // It lags by a row that it has not yet: all that it has is ours.
    let behind = Serial(head.0 - 2);
    lives.first.faults().add(answers(LAST_SERIAL, &behind.0.into())).unwrap();
    following.status(|status| status.upstream_behind == Some(behind)).await;
    lives.clock.set(NOON + 300);
    assert!(following.since(head).await.is_empty(), "nothing can hide below");
    lives.first.faults().clear();
    following.status(|status| status.upstream_behind.is_none()).await;
    // It lags again, and every answer is lower for five minutes more: that is no ten minutes in a row.
    lives.first.faults().add(answers(LAST_SERIAL, &behind.0.into())).unwrap();
    following.status(|status| status.upstream_behind.is_some()).await;
    lives.clock.set(NOON + 700);
    assert!(following.since(head).await.is_empty());
    // And not even ten minutes make it a restored one as long as its listing knows more.
    lives.clock.set(NOON + 10_000);
    let polls = lives.first.requests().method(LAST_SERIAL) + 10;
    within(async {
        while lives.first.requests().method(LAST_SERIAL) < polls {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(following.status(|_| true).await.restored, None);
    lives.first.faults().clear();
    let serial = lives.first.publish(Publication::new("news", "1.0")).await.unwrap();
    following.reaches(serial).await;
    assert_eq!(following.since(head).await, lives.first.events_after(head, 100));
}

#[tokio::test]
async fn a_backup_from_before_the_first_listing_is_settled_by_comparing_a_listing() {
    let comparing = FollowSettings { listing_interval: Duration::from_millis(5), ..polling() };
    let lives = Lives::new(comparing, lost()).await;
    let mut following = lives.follow().await;
    // What it lost is from before this one's time: nobody asked for it.
    let head = lives.first.last_serial();
    following.reaches(head).await;
    lives.restore(vec![release("only-after", "1.0")]).await;
    lives.time_passes(&mut following).await;
    within(async {
        while table(&following).await.keys().ne(&names(&lives.second)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    following.status(|status| status.current && status.failures == 0).await;
    let events = following.since(head).await;
    let of = |name: &str| events.iter().filter(|event| event.name == name).count();
    assert!(of("chain-d") > 0 && of("only-before") > 0 && of("wire-top") > 0 && of("only-after") > 0);
    // The numbers in between are nobody's any more: whoever asks for all of history comes to an end.
    let all = following.since(Serial(0)).await;
    let kept = lives.second.events_after(Serial(0), 10_000);
    assert_eq!(told(&all[..100]), told(&kept[..100]));
    let mut last = Serial(0);
    loop {
        let events = following.since(last).await;
        let Some(event) = events.last() else { break };
        last = event.serial;
    }
    assert_eq!(Some(last), following.journal.last_serial());
}

/// An index without serials in its listing, whose backup is from before the first listing, at that time by our clock.
async fn restored_in_html(now: i64) -> (Lives, Following, Serial) {
    let settings = FollowSettings { listing_interval: Duration::from_millis(5), ..polling() };
    let lives = Lives::in_html(settings, lost()).await;
    lives.clock.set(now);
    let mut following = lives.follow().await;
    let head = lives.first.last_serial();
    following.reaches(head).await;
    lives.restore(vec![release("only-after", "1.0")]).await;
    lives.time_passes(&mut following).await;
    (lives, following, head)
}

#[tokio::test]
async fn where_listings_state_no_serials_their_names_settle_it() {
    let (lives, mut following, head) = restored_in_html(YEARS_AGO).await;
    within(async {
        while table(&following).await.keys().ne(&names(&lives.second)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let status = following.status(|status| status.current && status.failures == 0).await;
    assert!(status.untold.is_none() && !following.journal.serials_say_nothing());
    let events = following.since(head).await;
    let of = |name: &str| events.iter().filter(|event| event.name == name).count();
    assert!(of("chain-d") > 0 && of("only-before") > 0 && of("only-after") > 0, "{events:?}");
    // And its changelog goes on.
    let ours = following.journal.last_serial().unwrap();
    lives.second.change(release("wire-core", "90.0")).await.unwrap();
    let events = looped(&following, ours, |events| !events.is_empty()).await;
    assert!(events.iter().all(|event| event.name == "wire-core"));
}

#[tokio::test]
async fn a_listing_without_serials_from_before_upstream_was_restored_settles_nothing() {
    let (_lives, mut following, _) = restored_in_html(YEARS_AHEAD).await;
    let of_before = |status: &FollowStatus| {
        status.last_error.as_ref().is_some_and(|error| error.contains("is not from after"))
    };
    following.status(of_before).await;
    assert!(table(&following).await.contains_key("only-before"));
}

#[tokio::test]
async fn history_does_not_ask_for_numbers_that_upstream_has_lost() {
    let all = cheesewire::follow::History::All;
    let settings = FollowSettings { history: all, listing_interval: Duration::from_millis(5), ..polling() };
    let lives = Lives::new(settings, lost()).await;
    lives
        .first
        .faults()
        .add(
            cheesewire::sandbox::Fault::on(Route::Rpc, cheesewire::sandbox::Effect::Status { code: 503 })
                .path(CHANGELOG),
        )
        .unwrap();
    let mut following = lives.follow().await;
    let head = lives.first.last_serial();
    following.reaches(head).await;
    lives.restore(vec![release("only-after", "1.0")]).await;
    lives.time_passes(&mut following).await;
    following.status(|status| status.history_missing == Some(0) && status.restored.is_some()).await;
    let events = following.since(Serial(0)).await;
    let kept: Vec<Event> = lives
        .second
        .events_after(Serial(0), 10_000)
        .into_iter()
        .filter(|event| event.name != "only-after")
        .collect();
    assert_eq!(told(&events[..kept.len()]), told(&kept));
}

#[tokio::test]
async fn unfollowed_a_restored_upstream_is_found_by_questions() {
    let settings = FollowSettings { interval: Duration::from_millis(1), ..on_demand() };
    let lives = Lives::new(settings, lost()).await;
    let following = lives.follow().await;
    let head = lives.first.last_serial();
    following.journal.want(Want::LastSerial).done().await.unwrap();
    assert_eq!(following.since(Serial(head.0 - 4)).await.last().unwrap().serial, head);
    lives.restore(vec![release("only-after", "1.0")]).await;
    let mut faults = 0;
    while faults < 3 {
        let error = following.journal.want(Want::Since(head)).done().await.unwrap_err();
        // A connection of before the switch is closed.
        if !error.reason.contains("cannot be reached") {
            assert!(error.reason.contains("went back"), "{error}");
            faults += 1;
            lives.clock.set(lives.clock.unix() + 200);
        }
    }
    lives.clock.set(lives.clock.unix() + 600);
    let rows = lives.second.events_after(Serial(head.0 - 1000), 100);
    let events = within(async {
        loop {
            if following.journal.want(Want::Since(head)).done().await.is_ok() {
                break following.since(head).await;
            }
        }
    })
    .await;
    let after: Vec<Event> = rows.into_iter().filter(|event| event.name == "only-after").collect();
    assert_eq!(told(&events[..after.len()]), told(&after));
    assert!(events[after.len()..].iter().any(|event| event.name == "wire-top"));
    assert_eq!(following.journal.last_serial(), events.last().map(|event| event.serial));
}

#[tokio::test]
async fn where_listings_are_compared_a_restored_upstream_is_told_by_what_they_show() {
    let settings = FollowSettings { listing_interval: Duration::from_millis(5), ..polling() };
    let lives = Lives::new(settings, vec![]).await;
    for sandbox in [&lives.first, &lives.second] {
        sandbox.set_xmlrpc(XmlRpc::Status(405));
    }
    let mut following = lives.follow().await;
    let (_, head) = lives.lose(&following).await;
    lives.restore(vec![release("only-after", "1.0"), release("wire-top", "78.0")]).await;
    lives.time_passes(&mut following).await;
    within(async {
        while table(&following).await.keys().ne(&names(&lives.second)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    following.status(|status| status.current && status.failures == 0).await;
    let events = following.since(head).await;
    let top: Vec<_> =
        events.iter().filter(|event| event.name == "wire-top").map(|event| event.action.as_str()).collect();
    assert_eq!(top[..2], ["remove release", "new release"], "{top:?}");
    // And it goes on from there.
    let ours = following.journal.last_serial().unwrap();
    lives.second.change(release("wire-core", "90.0")).await.unwrap();
    let events = looped(&following, ours, |events| !events.is_empty()).await;
    assert!(events.iter().all(|event| event.name == "wire-core"));
}

//! The feed: who is told what, what is never skipped, and who is cut.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cheesewire::journal::{Journal, JournalSettings, QuestionStart, Upkeep};
use cheesewire::model::{Event, Serial};
use cheesewire::rpc::{Feed, FeedCut, FeedError, FeedSettings, Manner, Piece, Told};
use cheesewire::sandbox::{Effect, Fault, Publication, Route, Sandbox, SandboxSettings};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, Relay, client, get, get_with, sandbox, until, within};

const SSE: (&str, &str) = ("accept", "text/event-stream");

async fn pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), settings).await;
    (sandbox, relay)
}

fn url(relay: &Relay, query: &str) -> String {
    format!("{}journal/events?{query}", relay.url)
}

fn as_json(event: &Event) -> Value {
    let Event { serial, name, version, time, action } = event;
    json!({"serial": serial, "name": name, "version": version, "time": time, "action": action})
}

/// The sandbox's events after a serial.
fn truth(sandbox: &Sandbox, after: Serial) -> Vec<Value> {
    sandbox.events_after(after, usize::MAX).iter().map(as_json).collect()
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A live answer, read as it comes.
struct Live {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    text: String,
}

impl Live {
    async fn open(url: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = client().get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.bytes_stream().boxed(), text: String::new() }
    }

    /// Reads until what came holds `text`.
    async fn until(&mut self, text: &str) {
        let read = async {
            while !self.text.contains(text) {
                let piece = self.body.next().await.expect("it ended").unwrap();
                self.text.push_str(std::str::from_utf8(&piece).unwrap());
            }
        };
        within("it never came", read).await;
    }

    /// Reads to the end.
    async fn rest(mut self) -> String {
        while let Some(piece) = self.body.next().await {
            self.text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
        self.text
    }

    /// The events so far, each with an `id` that is its serial.
    fn events(&self) -> Vec<Value> {
        let blocks = self.text.split("\n\n").filter(|block| block.starts_with("id: "));
        let event = |block: &str| {
            let (id, data) = block.split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(id, format!("id: {}", data["serial"]));
            data
        };
        blocks.map(event).collect()
    }
}

#[tokio::test]
async fn lines_tell_all_of_history_and_end_at_the_head() {
    // Upstream's slices are small: the answer runs into what is not known a dozen times, and waits there.
    let sandbox = Sandbox::start(SandboxSettings { changelog_rows: 400, ..SandboxSettings::default() });
    let sandbox = sandbox.await.unwrap();
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let answer = get(&url(&relay, "since=0")).await;
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(answer.header("x-pypi-last-serial"), sandbox.last_serial().to_string());
    let told = lines(answer.text());
    assert!(told.len() > 5000 && told == truth(&sandbox, Serial(0)));
    // Known by now, and upstream is not asked again.
    sandbox.pause().await.unwrap();
    assert_eq!(lines(get(&url(&relay, "since=0")).await.text()), told);
    let middle = told[3000]["serial"].as_i64().unwrap();
    assert_eq!(lines(get(&url(&relay, &format!("since={middle}"))).await.text()), told[3001..]);
    // Who names no serial wants what comes from now on, and nothing does.
    assert_eq!(get(&url(&relay, "")).await.text(), "");
}

#[tokio::test]
async fn server_sent_events_go_on_live_and_resume_after_the_last_id() {
    let (sandbox, relay) = pair(&["follow.interval=10ms"]).await;
    let start = sandbox.last_serial();
    let mut live = Live::open(&url(&relay, &format!("since={start}")), &[SSE]).await;
    let first = sandbox.publish(Publication::new("told-one", "1.0")).await.unwrap();
    live.until(&format!("id: {first}\n")).await;
    live.until("\n\n").await;
    assert_eq!(live.events(), truth(&sandbox, start));
    drop(live);
    let missed = sandbox.publish(Publication::new("told-two", "1.0")).await.unwrap();
    // The address is still the first one, as an `EventSource` has it: the header outweighs it.
    let resumed = [SSE, ("last-event-id", &first.to_string())];
    let mut live = Live::open(&url(&relay, &format!("since={start}")), &resumed).await;
    live.until(&format!("id: {missed}\n")).await;
    let last = sandbox.publish(Publication::new("told-three", "1.0")).await.unwrap();
    live.until(&format!("id: {last}\n")).await;
    assert_eq!(live.events(), truth(&sandbox, first));
}

#[tokio::test]
async fn without_a_serial_lines_follow_from_the_head_on() {
    let (sandbox, relay) = pair(&["follow.interval=10ms"]).await;
    let start = sandbox.last_serial();
    let mut live = Live::open(&url(&relay, "follow=true"), &[]).await;
    let last = sandbox.publish(Publication::new("told", "1.0")).await.unwrap();
    live.until(&format!("\"serial\":{last},")).await;
    live.until("\n").await;
    assert_eq!(lines(&live.text), truth(&sandbox, start));
}

#[tokio::test]
async fn what_is_not_known_yet_is_a_503_that_says_when_to_come_back() {
    let (sandbox, relay) = pair(&["feed.first_wait=20ms"]).await;
    let slow = Fault::on(Route::Rpc, Effect::Delay { millis: 1000 }).path("changelog_since_serial");
    // The first listing is there once this is answered.
    get(&format!("{}simple/", relay.url)).await;
    sandbox.faults().add(slow).unwrap();
    let refused = loop {
        let answer = get(&url(&relay, "since=0")).await;
        if answer.text().contains("after serial 0") {
            break answer;
        }
        assert!(answer.text().contains("last serial is not known"), "{answer:?}");
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    let told = loop {
        let answer = get(&url(&relay, "since=0")).await;
        if answer.status == 200 {
            break answer;
        }
        assert_eq!(answer.status, 503);
    };
    assert_eq!(lines(told.text()), truth(&sandbox, Serial(0)));
}

#[tokio::test]
async fn an_upstream_that_fails_on_the_way_breaks_the_answer_with_its_reason() {
    let settings = SandboxSettings { changelog_rows: 1000, ..SandboxSettings::default() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let broken = Fault::on(Route::Rpc, Effect::Status { code: 500 }).path("changelog_since_serial").after(2);
    sandbox.faults().add(broken).unwrap();
    let settings = ["follow.enabled=false", "upstream.retries=0", "follow.interval=1h"];
    let relay = Relay::start(&sandbox.url(), &settings).await;
    let mut live = Live::open(&url(&relay, "since=0"), &[]).await;
    live.until("cut").await;
    live.until("\n").await;
    let broken = live.body.next().await.expect("a clean end, as if that were all");
    broken.expect_err("more came after the cut");
    let (cut, told) = live.text.trim_end().rsplit_once('\n').unwrap();
    let (told, cut) = (lines(cut), told);
    assert_eq!(told, truth(&sandbox, Serial(0))[..2000]);
    assert!(cut.starts_with("{\"cut\":\"what comes next is not known: "), "{cut}");
    // The same for who is told live; it may end in order, since no end of its is one.
    let since = format!("since={}", told[999]["serial"]);
    let text = Live::open(&url(&relay, &since), &[SSE]).await.rest().await;
    assert!(text.contains("event: cut\ndata: {\"cut\":\"what comes next"), "{text}");
    assert!(text.contains("\nretry: "), "{text}");
}

#[tokio::test]
async fn a_silent_feed_shows_that_it_lives() {
    let (_sandbox, relay) = pair(&["feed.keep_alive=10ms"]).await;
    let mut events = Live::open(&url(&relay, ""), &[SSE]).await;
    events.until(":\n\n:\n\n").await;
    let mut lines = Live::open(&url(&relay, "follow=true"), &[]).await;
    lines.until("\n\n").await;
    assert_eq!((events.text.trim_matches(&[':', '\n'][..]), lines.text.trim()), ("", ""));
}

#[tokio::test]
async fn one_subscriber_too_many_is_told_so_and_gets_the_next_free_place() {
    let (_sandbox, relay) = pair(&["feed.subscribers=1", "feed.keep_alive=10ms"]).await;
    let first = Live::open(&url(&relay, ""), &[SSE]).await;
    let refused = get(&url(&relay, "since=0")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "30"));
    assert!(refused.text().contains("all 1 places"), "{refused:?}");
    drop(first);
    until("its place stays taken", async || get(&url(&relay, "")).await.status == 200).await;
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let (_sandbox, relay) = pair(&[]).await;
    let refused = |answer: Answer| assert_eq!(answer.status, 400, "{answer:?}");
    for query in ["since=yesterday", "since=", "since=1.5", "since=99999999999999999999", "follow=perhaps"] {
        refused(get(&url(&relay, query)).await);
    }
    refused(get_with(Method::GET, &url(&relay, "since=0"), &[("last-event-id", "x")]).await.unwrap());
    // Nothing precedes the first event, and nothing has come after this one.
    assert!(lines(get(&url(&relay, "since=-5")).await.text()).len() > 5000);
    assert_eq!(get(&url(&relay, "since=4000000000")).await.text(), "");
}

#[tokio::test]
async fn a_relay_that_stops_ends_its_feeds_with_a_word() {
    let (_sandbox, relay) = pair(&["http.drain=1h"]).await;
    let live = Live::open(&url(&relay, ""), &[SSE]).await;
    let ended = async { tokio::join!(relay.stop(), live.rest()) };
    let (_, text) = within("a subscriber keeps it from its end", ended).await;
    assert!(text.contains("event: cut\ndata: {\"cut\":\"the relay stops"), "{text}");
}

/// A journal that knows this many events from serial 1 on.
async fn journal(folder: &tempfile::TempDir, events: i64) -> Journal {
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    journal.set_upkeep(Upkeep::Polled { head: std::time::Duration::from_mins(1) });
    journal.seed(vec![("a".to_owned(), Some(Serial(0)))], Serial(0)).await.unwrap();
    append(&journal, 0, events).await;
    journal
}

/// Appends the events after a serial up to another.
async fn append(journal: &Journal, after: i64, upto: i64) {
    let event = |serial| Event {
        serial: Serial(serial),
        name: "a".to_owned(),
        version: None,
        time: serial,
        action: "create".to_owned(),
    };
    journal.append((after + 1..=upto).map(event).collect(), Serial(after), Serial(upto)).await.unwrap();
    journal.caught_up(QuestionStart::now(journal.clock())).await;
}

fn piece(told: Option<Told>) -> Arc<Piece> {
    let Some(Told::Events(piece)) = told else { panic!("{told:?}") };
    piece
}

fn serials(told: Option<Told>) -> Vec<i64> {
    piece(told).events().iter().map(|event| event.serial.0).collect()
}

async fn pieces(feed: &Feed, since: i64) -> std::pin::Pin<Box<impl Stream<Item = Told> + use<>>> {
    Box::pin(feed.subscribe(Some(Serial(since)), true).await.unwrap().pieces())
}

#[tokio::test]
async fn who_reads_too_slowly_is_cut_and_resumes_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, 10).await;
    // About 125 bytes each: three fit.
    let settings = FeedSettings { buffer: 400, subscribers: 1, ..FeedSettings::default() };
    let feed = Feed::new(journal, settings, CancellationToken::new());
    let mut told = pieces(&feed, 0).await;
    assert!(matches!(feed.subscribe(None, true).await, Err(FeedError::Full(1))));
    assert_eq!(serials(told.next().await), [1, 2, 3]);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(serials(told.next().await), [4, 5, 6]);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(matches!(told.next().await, Some(Told::Cut(FeedCut::Slow))));
    // The place is free although the ended feed is still held.
    tokio::time::resume();
    let mut resumed = pieces(&feed, 6).await;
    assert_eq!(serials(resumed.next().await), [7, 8, 9]);
    assert!(told.next().await.is_none());
}

#[tokio::test]
async fn an_event_above_the_buffer_goes_out_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = FeedSettings { buffer: 1, ..FeedSettings::default() };
    let feed = Feed::new(journal(&folder, 3).await, settings, CancellationToken::new());
    let mut told = pieces(&feed, 0).await;
    assert_eq!(serials(told.next().await), [1]);
    assert_eq!(serials(told.next().await), [2]);
}

#[tokio::test]
async fn all_who_have_everything_are_told_by_one_read() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, 3).await;
    let settings = FeedSettings { buffer: 400, ..FeedSettings::default() };
    let feed = Feed::new(journal.clone(), settings, CancellationToken::new());
    let mut all = Vec::new();
    for since in [3, 3, 0, 0] {
        all.push(pieces(&feed, since).await.boxed());
    }
    // These two have to read what the others have, and then wait as they do.
    for late in &mut all[2..] {
        assert_eq!(serials(late.next().await), [1, 2, 3]);
    }
    let others = async |all: &mut [BoxStream<'static, Told>]| {
        let mut first = None;
        for told in all {
            let piece = piece(told.next().await);
            let first = first.get_or_insert_with(|| piece.clone());
            assert!(Arc::ptr_eq(&piece, first), "read twice: {piece:?}");
        }
        first.unwrap().events().iter().map(|event| event.serial.0).collect::<Vec<_>>()
    };
    append(&journal, 3, 4).await;
    assert_eq!(others(&mut all).await, [4]);
    // More than one buffer holds.
    append(&journal, 4, 9).await;
    assert_eq!(others(&mut all).await, [5, 6, 7]);
    assert_eq!(others(&mut all).await, [8, 9]);
    // Written once, too.
    append(&journal, 9, 10).await;
    let piece = piece(all[0].next().await);
    assert_eq!(piece.written(Manner::Lines, |events| format!("{} line", events.len())), "1 line");
    assert_eq!(piece.written(Manner::Lines, |_| panic!("written twice")), "1 line");
    assert_eq!(piece.written(Manner::ServerSent, |_| "another".to_owned()), "another");
}

#[tokio::test]
async fn who_is_behind_waits_until_the_bytes_of_the_one_before_have_left() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, 6).await;
    let patience = Duration::from_hours(1);
    let settings = FeedSettings { buffer: 400, catching_up: 1, patience, ..FeedSettings::default() };
    let feed = Feed::new(journal.clone(), settings, CancellationToken::new());
    let (mut first, mut second, mut level) =
        (pieces(&feed, 0).await, pieces(&feed, 0).await, pieces(&feed, 6).await);
    let held = piece(first.next().await);
    let bytes = held.written(Manner::Lines, |events| format!("{}", events.len()));
    drop(held);
    tokio::time::pause();
    // It shows meanwhile that it lives, and so does who has nothing to be told.
    for told in [&mut second, &mut level] {
        assert!(matches!(told.next().await, Some(Told::Nothing)));
    }
    assert!(matches!(second.next().await, Some(Told::Nothing)));
    tokio::time::resume();
    // Who has everything waits for nobody.
    append(&journal, 6, 7).await;
    assert_eq!(serials(level.next().await), [7]);
    drop(bytes);
    assert_eq!(serials(second.next().await), [1, 2, 3]);
    assert_eq!(serials(first.next().await), [4, 5, 6]);
}

#[tokio::test]
async fn who_has_everything_and_falls_behind_reads_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(&folder, 3).await;
    let settings = FeedSettings { buffer: 400, catching_up: 1, ..FeedSettings::default() };
    let feed = Feed::new(journal.clone(), settings, CancellationToken::new());
    let (mut slow, mut level) = (pieces(&feed, 3).await, pieces(&feed, 3).await);
    for at in 3..6 {
        append(&journal, at, at + 1).await;
        assert_eq!(serials(level.next().await), [at + 1]);
    }
    let turn = piece(pieces(&feed, 0).await.next().await);
    tokio::time::pause();
    assert!(matches!(slow.next().await, Some(Told::Nothing)));
    tokio::time::resume();
    drop(turn);
    assert_eq!(serials(slow.next().await), [4, 5, 6]);
    // And is with the others again.
    append(&journal, 6, 7).await;
    assert!(Arc::ptr_eq(&piece(slow.next().await), &piece(level.next().await)));
}

//! An index that counts several changes as one: our events' numbers go above the serials that it states.

use cheesewire::journal::{Derived, Journal, JournalSettings, Lead, Learned, SerialRule};
use cheesewire::model::{Event, ProjectName, Serial};
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox, XmlRpc};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use serde_json::json;

use super::listings::show_project;
use super::within;
use crate::support::{Answer, Relay, call, get, get_with, sandbox};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// The index has one more project, with so many files, all counted as one serial of long ago.
async fn count_as_one(sandbox: &Sandbox, serial: i64, files: usize) {
    let versions: Vec<_> = (0..files).map(|n| format!("1.{n}")).collect();
    let file = |version| {
        let filename = format!("late-{version}.tar.gz");
        json!({"filename": filename, "url": format!("/packages/{filename}"), "hashes": {}})
    };
    let files: Vec<_> = versions.iter().map(file).collect();
    let page = json!({"meta": {"api-version": "1.4", "_last-serial": serial}, "name": "late",
        "versions": versions, "files": files});
    show_project(sandbox, sandbox.last_serial().0, "late", serial, &page).await;
    let document = json!({"info": {"name": "late", "version": versions.last(), "summary": ""}, "urls": [],
        "last_serial": serial});
    let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
    let answer = Effect::Answer { status: 200, headers, body: document.to_string() };
    sandbox.faults().add(Fault::on(Route::Json, answer).path("/pypi/late/json")).unwrap();
}

/// The serial of the last event after `since`, and how many there are.
async fn told(relay: &Relay, since: i64) -> Option<(i64, usize)> {
    let rows = call(&relay.url, "changelog_since_serial", &[Value::Int(since)]).await.ok()?;
    let rows = rows.as_array().unwrap();
    Some((rows.last()?.as_array().unwrap()[4].as_int().unwrap(), rows.len()))
}

async fn news(relay: &Relay, since: i64) -> (i64, usize) {
    within(async {
        loop {
            if let Some(told) = told(relay, since).await {
                return told;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// The serials that a mirror looks at: of the page and of the JSON document, in their heads and bodies, and of the list.
async fn stated(relay: &Relay) -> [i64; 5] {
    let page =
        get_with(Method::GET, &format!("{}simple/late/", relay.url), &[("accept", JSON)]).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(page.bytes()).unwrap();
    let listed = call(&relay.url, "list_packages_with_serial", &[]).await.unwrap();
    let json = get(&format!("{}pypi/late/json", relay.url)).await;
    let head = |answer: &Answer| answer.header("x-pypi-last-serial").parse().unwrap();
    [
        head(&page),
        body["meta"]["_last-serial"].as_i64().unwrap(),
        head(&json),
        json.json()["last_serial"].as_i64().unwrap(),
        listed.get("late").unwrap().as_int().unwrap(),
    ]
}

#[tokio::test]
async fn no_page_is_older_than_the_event_that_led_to_it() {
    let sandbox = sandbox().await;
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let relay = Relay::start(&sandbox.url(), &["follow.listing_interval=20ms", "follow.interval=20ms"]).await;
    let before = sandbox.last_serial().0;
    within(async { while call(&relay.url, "changelog_last_serial", &[]).await != Ok(Value::Int(before)) {} })
        .await;
    count_as_one(&sandbox, 5, 2).await;
    let (first, rows) = news(&relay, before).await;
    // It was created, has two releases and two files.
    assert_eq!(rows, 5);
    assert_eq!(stated(&relay).await, [first; 5]);
    // Nothing more happens because upstream states less.
    let compared = sandbox.requests().route(Route::Listing) + 5;
    within(async {
        while sandbox.requests().route(Route::Listing) < compared {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(told(&relay, first).await, None);
    // What it counts up by one is heard of.
    count_as_one(&sandbox, 6, 3).await;
    let (second, rows) = news(&relay, first).await;
    assert_eq!(rows, 2);
    assert_eq!(stated(&relay).await, [second; 5]);
}

#[tokio::test]
async fn a_lead_outlives_a_new_listing_and_ends_with_upstreams_own_event() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let name = ProjectName::parse("a").unwrap();
    let listing = |serial| vec![("A".to_owned(), Some(Serial(serial)))];
    journal.seed(listing(4), Serial(9)).await.unwrap();
    let event = |serial| Event {
        serial: Serial(serial),
        name: "A".to_owned(),
        version: None,
        time: 1,
        action: "docupdate".to_owned(),
    };
    let derived = Derived {
        since: Serial(9),
        upto: Serial(12),
        events: vec![event(11), event(12)],
        listed: vec![(name.clone(), "A".to_owned(), Some(Serial(5)))],
        head: Serial(9),
        taken: Some(1),
        ..Derived::default()
    };
    assert!(journal.derive(derived).await.unwrap());
    let lead = Lead { stated: Serial(5), told: Serial(12) };
    let serial = async || journal.project(&name).await.unwrap().unwrap().serial.unwrap().0;
    let changed =
        async |serial| journal.compare(listing(serial), SerialRule::Higher, 0).await.unwrap().changed.len();
    assert_eq!((journal.lead(&name).await.unwrap(), serial().await), (Some(lead), 12));
    assert_eq!((changed(5).await, changed(6).await), (0, 1));
    assert_eq!([4, 5, 12, 13].map(|stated| lead.of_copy(Serial(stated)).0), [4, 12, 12, 13]);
    // A document of which upstream states as much is as new as the last event; the one before is not, and none is where
    // serials say nothing, so that the lead is not used.
    for (say_nothing, stated, current) in [(true, 5, false), (false, 4, false), (false, 5, true)] {
        journal.note_serials(say_nothing).await.unwrap();
        let learned = Learned {
            project: name.clone(),
            serial: Some(Serial(stated)),
            version: "1".to_owned(),
            versions: vec!["1".to_owned()],
            summary: String::new(),
            texts: Vec::new(),
        };
        journal.learn_stated(learned.folded()).await.unwrap();
        assert_eq!(journal.has_no_current_document(&name).await.unwrap(), !current, "{stated}");
    }
    journal.seed(listing(5), Serial(12)).await.unwrap();
    assert_eq!((journal.lead(&name).await.unwrap(), serial().await), (Some(lead), 12));
    // Upstream's own numbers have passed ours, and its changelog is followed again.
    let passed = Derived {
        since: Serial(12),
        upto: Serial(12),
        head: Serial(12),
        taken: Some(2),
        ..Derived::default()
    };
    assert!(journal.derive(passed).await.unwrap());
    journal.append(vec![event(13)], Serial(12), Serial(13)).await.unwrap();
    assert_eq!((journal.lead(&name).await.unwrap(), serial().await), (None, 13));
}

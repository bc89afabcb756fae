//! Numbers of the relay's own after a restore: clients have read further than the backup knows.

use super::*;
use crate::support::plain::Plain;
use cheesewire::sandbox::XmlRpc;

/// Comparisons follow each other.
const COMPARED: [&str; 4] = [
    "follow.listing_interval=20ms",
    "follow.shortest_wait=5ms",
    "follow.longest_wait=20ms",
    "follow.calls_doubt=10ms",
];

/// What a client that has read up to `since` is told, once there is something.
async fn told(relay: &str, since: i64) -> Vec<(String, i64)> {
    let mut rows = Vec::new();
    until("nothing is told", async || {
        let answer = call(relay, "changelog_since_serial", &[Value::Int(since)]).await;
        rows = answer.map(|answer| answer.as_array().unwrap().to_vec()).unwrap_or_default();
        !rows.is_empty()
    })
    .await;
    let row = |row: &Value| {
        let row = row.as_array().unwrap();
        (row[0].as_str().unwrap().to_owned(), row[4].as_int().unwrap())
    };
    rows.iter().map(row).collect()
}

async fn some_last_serial(relay: &str) -> i64 {
    let mut last = 0;
    until("no last serial is told", async || {
        let answer = call(relay, "changelog_last_serial", &[]).await;
        last = answer.ok().and_then(|answer| answer.as_int()).unwrap_or(0);
        last > 0
    })
    .await;
    last
}

/// An index without serials: every number is the relay's own. What was told after the backup is told to nobody a second time with
/// another meaning, and the head does not go back.
#[tokio::test(flavor = "multi_thread")]
async fn own_numbers_go_on_above_all_that_were_told_after_the_backup() {
    let index = Plain::start(true).await;
    index.list(&[("a", None), ("b", None)]);
    index.page("a", None, &["a-1.zip"]);
    index.page("b", None, &["b-1.zip"]);
    let place = tempfile::tempdir().unwrap();
    let (lost, to, data) =
        (place.path().join("lost"), place.path().join("backup"), place.path().join("data"));
    let relay = Process::start(&lost, &index.url, &COMPARED).await;
    let start = some_last_serial(&relay.url).await;
    looked_at(&index).await;
    index.page("a", None, &["a-1.zip", "a-2.zip"]);
    let known = told(&relay.url, start).await.last().unwrap().1;
    done(&backup(&lost, &to, &[]).await);
    // The client reads on, and has the last number when the machine is lost.
    index.page("b", None, &["b-1.zip", "b-2.zip", "b-3.zip"]);
    let client = told(&relay.url, known).await.last().unwrap().1;
    assert!(client > known);
    relay.kill().await;

    let said = restore(&to, &data, &[]).await;
    assert!(done(&said).contains("the last serial is"));
    index.page("a", None, &["a-1.zip", "a-2.zip", "a-3.zip"]);
    let relay = Process::start(&data, &index.url, &COMPARED).await;
    let head = some_last_serial(&relay.url).await;
    assert!(head >= client, "the last serial went back from {client} to {head}");
    // b is told again, since the restored journal does not know that it was told; a is news.
    let mut names = Vec::new();
    until("the news is not told", async || {
        names = told(&relay.url, client).await;
        names.iter().any(|(name, _)| name == "a")
    })
    .await;
    assert!(names.iter().all(|(_, serial)| *serial > client), "{names:?}");
}

/// An index with one serial for everything is found to say nothing only after the backup: the relay's own numbers began far above
/// that serial, and the backup knows of none of them.
#[tokio::test(flavor = "multi_thread")]
async fn own_numbers_that_began_after_the_backup_are_not_given_again() {
    let index = Plain::start(true).await;
    index.list(&[("a", Some(5)), ("b", Some(5))]);
    index.page("a", Some(5), &["a-1.zip"]);
    index.page("b", Some(5), &["b-1.zip"]);
    let place = tempfile::tempdir().unwrap();
    let (lost, to, data) =
        (place.path().join("lost"), place.path().join("backup"), place.path().join("data"));
    let relay = Process::start(&lost, &index.url, &COMPARED).await;
    let start = some_last_serial(&relay.url).await;
    looked_at(&index).await;
    done(&backup(&lost, &to, &[]).await);
    index.page("a", Some(5), &["a-1.zip", "a-2.zip"]);
    let client = told(&relay.url, start).await.last().unwrap().1;
    assert!(client > 20_000_000, "{client} is no number of the relay's own");
    relay.kill().await;

    done(&restore(&to, &data, &[]).await);
    let relay = Process::start(&data, &index.url, &COMPARED).await;
    index.page("b", Some(5), &["b-1.zip", "b-2.zip"]);
    let mut names = Vec::new();
    until("the news is not told", async || {
        let answer = call(&relay.url, "changelog_since_serial", &[Value::Int(client)]).await;
        names = answer.map(|rows| rows.as_array().unwrap().to_vec()).unwrap_or_default();
        names.iter().any(|row| row.as_array().unwrap()[0].as_str() == Some("b"))
    })
    .await;
}

/// How the pages look has been noted, so that a change of them is one.
async fn looked_at(index: &Plain) {
    until("the pages are not looked at", async || {
        ["/simple/a/", "/simple/b/"].iter().all(|page| index.asked(page, 200) > 0)
    })
    .await;
    let listings = || index.asked("/simple/", 200) + index.asked("/simple/", 304);
    let upto = listings() + 2;
    until("no listing is asked for", async || listings() >= upto).await;
}

/// As long as upstream numbers the events nothing changes; when it stops doing so the relay's own go on above what was told.
#[tokio::test(flavor = "multi_thread")]
async fn upstreams_numbers_stay_until_own_ones_are_needed() {
    let filled = Filled::new().await;
    let place = tempfile::tempdir().unwrap();
    let (to, data) = (place.path().join("backup"), place.path().join("data"));
    done(&backup(filled.folder.path(), &to, &[]).await);
    let before = filled.sandbox.last_serial().0;
    let output = restore(&to, &data, &["--told", &(before + 5000).to_string()]).await;
    let said = done(&output);
    assert!(said.contains(&before.to_string()) && said.contains(&(before + 5000).to_string()), "{said}");
    let settings: Vec<&str> = QUICK.into_iter().chain(COMPARED).collect();
    let relay = Process::start(&data, &filled.sandbox.url(), &settings).await;
    let published = filled.sandbox.publish(Publication::new("wire-top", "90.0")).await.unwrap().0;
    until("it is not told", async || last_serial(&relay.url).await == published).await;
    // XML-RPC goes away, and listings are compared from here on.
    filled.sandbox.set_xmlrpc(XmlRpc::Status(405));
    filled.sandbox.publish(Publication::new("wire-top", "91.0")).await.unwrap();
    until("it is not told", async || {
        call(&relay.url, "changelog_last_serial", &[])
            .await
            .is_ok_and(|last| last.as_int() > Some(before + 5000))
    })
    .await;
}

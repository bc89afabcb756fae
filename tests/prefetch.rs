//! Files fetched in advance, as the journal announces them.

use std::path::Path;

use cheesewire::sandbox::{Change, Effect, Fault, Publication, Route, Sandbox};

use crate::support::{Relay, get, sandbox, until};

const QUICK: [&str; 3] = ["follow.interval=20ms", "prefetch.shortest_wait=1s", "index.absent_max_age=1s"];

async fn relay(sandbox: &Sandbox, settings: &[&str]) -> Relay {
    let relay = Relay::start(&sandbox.url(), &[&QUICK, settings].concat()).await;
    // It knows where it begins.
    until("it never polls", || async { get(&format!("{}simple/", relay.url)).await.status == 200 }).await;
    until("no metrics", || async { looked_through(relay.folder(), sandbox) }).await;
    relay
}

fn journal(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("journal.sqlite3")).unwrap()
}

/// What was announced up to now is history, or in the queue.
fn looked_through(folder: &Path, sandbox: &Sandbox) -> bool {
    let sql = "SELECT value FROM facts WHERE name = 'prefetched_serial'";
    journal(folder)
        .query_row(sql, [], |row| row.get::<_, i64>(0))
        .is_ok_and(|at| at >= sandbox.last_serial().0)
}

fn queued(folder: &Path) -> Vec<(String, u32)> {
    let journal = journal(folder);
    let mut rows = journal.prepare("SELECT filename, attempts FROM prefetch ORDER BY filename").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn kept(folder: &Path, sandbox: &Sandbox, name: &str, version: &str) -> Vec<String> {
    let project = sandbox.project(name).unwrap();
    let files = project.files().filter(|(release, _)| release.version == version);
    let path = |sha256: String| folder.join("files/sha256").join(&sha256[..2]).join(&sha256);
    let here = files.filter(|(_, upload)| path(upload.file.digests.sha256.to_string()).exists());
    here.map(|(_, upload)| upload.file.filename.clone()).collect()
}

async fn publish(sandbox: &Sandbox, name: &str, version: &str) {
    sandbox.publish(Publication::new(name, version)).await.unwrap();
}

#[tokio::test]
async fn what_is_announced_and_wanted_comes_by_itself_and_nothing_else_does() {
    let sandbox = sandbox().await;
    let relay = relay(&sandbox, &["prefetch.rules=wire-* python=py3; new-thing sdist=no"]).await;
    sandbox.forget_requests();
    publish(&sandbox, "wire-top", "9.0").await;
    publish(&sandbox, "many-tags", "9.0").await;
    publish(&sandbox, "New.Thing", "1.0").await;
    until("not all comes", || async {
        kept(relay.folder(), &sandbox, "wire-top", "9.0").len() == 2
            && kept(relay.folder(), &sandbox, "new-thing", "1.0").len() == 1
    })
    .await;
    until("not all is looked through", || async { looked_through(relay.folder(), &sandbox) }).await;
    until("the queue is not worked off", || async { queued(relay.folder()).is_empty() }).await;
    assert!(kept(relay.folder(), &sandbox, "many-tags", "9.0").is_empty());
    assert!(kept(relay.folder(), &sandbox, "new-thing", "1.0")[0].ends_with(".whl"));
    assert!(kept(relay.folder(), &sandbox, "wire-top", "2.0").is_empty(), "history was fetched");
    assert_eq!(sandbox.requests().route(Route::File), 3);
}

#[tokio::test]
async fn old_releases_and_what_is_past_the_budget_stay_away() {
    let sandbox = sandbox().await;
    let rules = ["prefetch.rules=wire-top newest=1; many-tags", "prefetch.bytes_a_day=1"];
    let relay = relay(&sandbox, &rules).await;
    publish(&sandbox, "wire-top", "0.0.1").await;
    publish(&sandbox, "many-tags", "9.0").await;
    until("not all is looked through", || async { looked_through(relay.folder(), &sandbox) }).await;
    until("the queue is not worked off", || async { queued(relay.folder()).is_empty() }).await;
    assert_eq!(sandbox.requests().route(Route::File), 0);
}

#[tokio::test]
async fn a_page_older_than_the_announcement_is_asked_for_again() {
    let sandbox = sandbox().await;
    let settings = ["prefetch.rules=wire-top", "index.behind_pause=500ms"];
    let relay = relay(&sandbox, &settings).await;
    for route in [Route::Page, Route::Json] {
        sandbox.faults().add(Fault::on(route, Effect::Stale { behind: 6 }).times(5)).unwrap();
    }
    publish(&sandbox, "wire-top", "9.0").await;
    until("it is not tried again", || async { kept(relay.folder(), &sandbox, "wire-top", "9.0").len() == 2 })
        .await;
}

#[tokio::test]
async fn one_missing_file_stops_no_other_and_is_given_up_in_the_end() {
    let sandbox = sandbox().await;
    let relay = relay(&sandbox, &["prefetch.rules=wire-*", "prefetch.attempts=2"]).await;
    let missing = Fault::on(Route::File, Effect::Status { code: 404 }).path("wire_top-9.0-py3");
    sandbox.faults().add(missing).unwrap();
    publish(&sandbox, "wire-top", "9.0").await;
    publish(&sandbox, "wire-core", "9.0").await;
    until("the others wait for the missing one", || async {
        kept(relay.folder(), &sandbox, "wire-core", "9.0").len() == 2
    })
    .await;
    until("it is never given up", || async { queued(relay.folder()).is_empty() }).await;
    assert_eq!(kept(relay.folder(), &sandbox, "wire-top", "9.0").len(), 1);
    let project = sandbox.project("wire-top").unwrap();
    let (_, wheel) =
        project.files().find(|(_, upload)| upload.file.filename.starts_with("wire_top-9.0-py3")).unwrap();
    let path = format!("packages/{}", wheel.file.path);
    assert_eq!(sandbox.requests().path(&format!("/{path}")), 2);
    let answer = get(&format!("{}{path}", relay.url)).await;
    assert_eq!((answer.status, answer.header("x-cache")), (404, "tombstone"), "{}", answer.text());
    assert!(answer.text().contains("in 2 attempts"), "{}", answer.text());
}

#[tokio::test]
async fn the_queue_survives_a_restart_and_what_is_removed_leaves_it() {
    let sandbox = sandbox().await;
    let settings = ["prefetch.rules=wire-*"];
    let relay = relay(&sandbox, &settings).await;
    sandbox.faults().add(Fault::on(Route::File, Effect::Status { code: 503 })).unwrap();
    publish(&sandbox, "wire-top", "9.0").await;
    publish(&sandbox, "wire-core", "9.0").await;
    until("nothing is put off", || async {
        let waiting = queued(relay.folder());
        waiting.len() == 4 && waiting.iter().all(|(_, attempts)| *attempts > 0)
    })
    .await;
    let folder = relay.stop().await;
    let removal = Change::RemoveRelease { name: "wire-core".into(), version: "9.0".into() };
    sandbox.change(removal).await.unwrap();
    sandbox.faults().clear();
    let relay = Relay::start_in(folder, &sandbox.url(), &[&QUICK, &settings[..]].concat()).await;
    until("the queue is forgotten", || async {
        kept(relay.folder(), &sandbox, "wire-top", "9.0").len() == 2 && queued(relay.folder()).is_empty()
    })
    .await;
}

//! Promise 10: what the journal removes is gone at once, from pages, from memory and from the disk.

use std::path::{Path, PathBuf};

use cheesewire::model::Serial;
use cheesewire::sandbox::{Change, Effect, Fault, Publication, Route, Sandbox};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use sha2::Digest as _;

use crate::support::{Answer, Relay, call, get, get_with, sandbox, until};

/// Polls often, so that a test's wait for one is short.
const POLLS: &str = "follow.interval=20ms";

/// A file of the sandbox: its path, its bytes, where the relay keeps them.
struct Upload {
    name: String,
    version: String,
    filename: String,
    path: String,
    bytes: Vec<u8>,
    sha256: String,
}

fn uploads(sandbox: &Sandbox, name: &str) -> Vec<Upload> {
    let project = sandbox.project(name).unwrap();
    let upload = |(release, upload): (&cheesewire::sandbox::Release, &cheesewire::sandbox::Upload)| Upload {
        name: name.to_owned(),
        version: release.version.clone(),
        filename: upload.file.filename.clone(),
        path: format!("packages/{}", upload.file.path),
        bytes: upload.file.content.to_vec(),
        sha256: upload.file.digests.sha256.to_string(),
    };
    project.files().map(upload).collect()
}

impl Upload {
    async fn get(&self, relay: &Relay) -> Answer {
        get(&format!("{}{}", relay.url, self.path)).await
    }

    async fn is_served(&self, relay: &Relay) {
        let answer = self.get(relay).await;
        assert_eq!((answer.status, answer.bytes()), (200, &self.bytes[..]), "{}", self.path);
    }

    async fn is_gone(&self, relay: &Relay, reason: &str) {
        let answer = self.get(relay).await;
        assert_eq!((answer.status, answer.header("x-cache")), (410, "tombstone"), "{}", answer.text());
        assert!(answer.text().contains(reason), "{}", answer.text());
        assert_eq!(answer.header("connection"), "close");
    }

    fn kept(&self, folder: &Path) -> PathBuf {
        folder.join("files/sha256").join(&self.sha256[..2]).join(&self.sha256)
    }

    /// The sweep comes right behind the poll.
    async fn is_off_the_disk(&self, folder: &Path) {
        let path = self.kept(folder);
        until("the kept bytes stay", || async { !path.exists() }).await;
    }
}

/// The relay has polled so far.
/// Also at first: an event from before the first listing is history, and removes nothing.
async fn polled(relay: &Relay, serial: Serial) {
    until("no poll brings the event", || async {
        call(&relay.url, "changelog_last_serial", &[]).await == Ok(Value::Int(serial.0))
    })
    .await;
}

/// Pages first: without them no file is known.
async fn read_page(relay: &Relay, name: &str) {
    assert_eq!(get(&format!("{}simple/{name}/", relay.url)).await.status, 200);
}

#[tokio::test]
async fn a_removed_file_release_or_quarantined_project_is_gone_within_one_poll_and_after_a_restart() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[POLLS]).await;
    polled(&relay, sandbox.last_serial()).await;
    let (tags, sdists, top) =
        (uploads(&sandbox, "many-tags"), uploads(&sandbox, "sdist-only"), uploads(&sandbox, "wire-top"));
    for name in ["many-tags", "sdist-only", "wire-top"] {
        read_page(&relay, name).await;
    }
    for upload in tags.iter().chain(&sdists).chain(&top) {
        upload.is_served(&relay).await;
    }
    until("not all is kept", || async { sdists.iter().all(|upload| upload.kept(relay.folder()).exists()) })
        .await;
    let (file, filename) = (&tags[0], tags[0].filename.clone());
    let (old, new): (Vec<_>, Vec<_>) = sdists.iter().partition(|upload| upload.version == "1.0");
    assert!(!old.is_empty() && !new.is_empty());

    sandbox
        .change(Change::RemoveFile { name: "many-tags".into(), filename: filename.clone() })
        .await
        .unwrap();
    sandbox.change(Change::RemoveRelease { name: "sdist-only".into(), version: "1.0".into() }).await.unwrap();
    let quarantine = Change::Quarantine { name: "wire-top".into(), version: None, cleared: false };
    let last = sandbox.change(quarantine).await.unwrap();
    polled(&relay, last).await;
    sandbox.forget_requests();
    file.is_gone(&relay, &format!("many-tags 1.0: remove file {filename}")).await;
    for upload in &old {
        upload.is_gone(&relay, "sdist-only 1.0: remove release").await;
    }
    for upload in &top {
        upload.is_gone(&relay, "wire-top: project quarantined").await;
    }
    for route in [Route::File, Route::Page, Route::Json] {
        assert_eq!(sandbox.requests().route(route), 0, "upstream was asked");
    }
    // By the address of before there were digests in it, too: its page names it no more.
    let old_address = get(&format!("{}packages/source/m/many-tags/{filename}", relay.url)).await;
    let reason = format!("many-tags 1.0: remove file {filename}");
    assert!(old_address.status >= 400 && old_address.text().contains(&reason), "{}", old_address.text());
    // What was not removed is still there.
    for upload in tags[1..].iter().chain(new) {
        upload.is_served(&relay).await;
    }
    for upload in [file].into_iter().chain(old.iter().copied()).chain(&top) {
        upload.is_off_the_disk(relay.folder()).await;
    }
    for (name, absent) in [("many-tags", &file.filename), ("wire-top", &top[0].filename)] {
        let page = get(&format!("{}simple/{name}/", relay.url)).await;
        assert!(page.status == 200 && !page.text().contains(absent), "{}", page.text());
    }

    let folder = relay.stop().await;
    sandbox.pause().await.unwrap();
    let relay = Relay::start_in(folder, &sandbox.url(), &[POLLS]).await;
    file.is_gone(&relay, "remove file").await;
    top[0].is_gone(&relay, "quarantined").await;
}

#[tokio::test]
async fn the_metadata_of_a_removed_file_is_gone_with_it() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[POLLS]).await;
    polled(&relay, sandbox.last_serial()).await;
    read_page(&relay, "wire-top").await;
    let top = uploads(&sandbox, "wire-top");
    let wheel = top.iter().find(|upload| upload.filename.ends_with(".whl")).unwrap();
    let served = get(&format!("{}{}.metadata", relay.url, wheel.path)).await;
    assert!(served.status == 200 && served.text().contains("Name: wire-top"), "{}", served.text());
    let metadata = Upload {
        name: wheel.name.clone(),
        version: wheel.version.clone(),
        filename: format!("{}.metadata", wheel.filename),
        path: format!("{}.metadata", wheel.path),
        bytes: served.bytes().to_vec(),
        sha256: hex::encode(sha2::Sha256::digest(served.bytes())),
    };
    until("it is not kept", || async { metadata.kept(relay.folder()).exists() }).await;
    metadata.is_served(&relay).await;
    let removal = Change::RemoveFile { name: "wire-top".into(), filename: wheel.filename.clone() };
    polled(&relay, sandbox.change(removal).await.unwrap()).await;
    sandbox.forget_requests();
    metadata.is_gone(&relay, "remove file").await;
    assert_eq!(sandbox.requests().route(Route::Metadata), 0, "upstream was asked");
    metadata.is_off_the_disk(relay.folder()).await;
}

#[tokio::test]
async fn a_file_that_is_answered_again_and_again_from_memory_is_gone_with_the_poll_too() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[POLLS]).await;
    polled(&relay, sandbox.last_serial()).await;
    read_page(&relay, "wire-top").await;
    let top = uploads(&sandbox, "wire-top");
    let (removed, other) = (&top[0], &top[1]);
    for upload in [removed, other] {
        upload.is_served(&relay).await;
        // One that is just being kept has no age yet.
        until("it is not kept", || async { !upload.get(&relay).await.header("age").is_empty() }).await;
    }
    let first = removed.get(&relay).await;
    for _ in 0..20 {
        let again = removed.get(&relay).await;
        assert_eq!((again.status, again.bytes()), (200, &removed.bytes[..]));
        for name in ["etag", "x-cache", "cache-control", "accept-ranges", "content-type", "content-length"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        assert!(again.header("age").parse::<u64>().is_ok(), "{}", again.header("age"));
    }
    // What asks for less than all of it gets that.
    let url = format!("{}{}", relay.url, removed.path);
    let asked = async |method, field: (&str, &str)| get_with(method, &url, &[field]).await.unwrap();
    let part = asked(Method::GET, ("range", "bytes=1-3")).await;
    assert_eq!((part.status, part.bytes()), (206, &removed.bytes[1..4]));
    assert_eq!(asked(Method::GET, ("if-none-match", first.header("etag"))).await.status, 304);
    assert!(asked(Method::HEAD, ("accept", "*/*")).await.bytes().is_empty());

    let removal = Change::RemoveFile { name: "wire-top".into(), filename: removed.filename.clone() };
    polled(&relay, sandbox.change(removal).await.unwrap()).await;
    removed.is_gone(&relay, "remove file").await;
    removed.is_off_the_disk(relay.folder()).await;
    other.is_served(&relay).await;
    // Never lower than what was given out before, whatever the file's head was remembered with.
    assert_eq!(other.get(&relay).await.header("x-pypi-last-serial"), sandbox.last_serial().to_string());
}

#[tokio::test]
async fn a_cleared_quarantine_or_a_new_upload_brings_files_back() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[POLLS]).await;
    polled(&relay, sandbox.last_serial()).await;
    let top = uploads(&sandbox, "wire-top");
    let (wheel, sdist) = (&top[0], &top[1]);
    read_page(&relay, "wire-top").await;
    wheel.is_served(&relay).await;
    let quarantine = |cleared| Change::Quarantine {
        name: "wire-top".into(),
        version: Some(wheel.version.clone()),
        cleared,
    };
    polled(&relay, sandbox.change(quarantine(false)).await.unwrap()).await;
    wheel.is_gone(&relay, "release quarantined").await;
    polled(&relay, sandbox.change(quarantine(true)).await.unwrap()).await;
    wheel.is_served(&relay).await;

    let removal = Change::RemoveFile { name: sdist.name.clone(), filename: sdist.filename.clone() };
    polled(&relay, sandbox.change(removal).await.unwrap()).await;
    sdist.is_gone(&relay, "remove file").await;
    let form = if sdist.filename.ends_with(".whl") { "py3-none-any" } else { "sdist" };
    let again = Publication {
        files: vec![form.to_owned()],
        ..Publication::new(sdist.name.clone(), sdist.version.clone())
    };
    polled(&relay, sandbox.publish(again).await.unwrap()).await;
    let project = sandbox.project("wire-top").unwrap();
    let (_, upload) = project.files().find(|(_, upload)| upload.file.filename == sdist.filename).unwrap();
    let answer = get(&format!("{}packages/{}", relay.url, upload.file.path)).await;
    assert_eq!((answer.status, answer.bytes()), (200, &upload.file.content.to_vec()[..]));
}

#[tokio::test]
async fn a_page_from_before_a_removal_never_goes_out_even_if_upstream_fails_or_is_behind() {
    for effect in [Effect::Status { code: 503 }, Effect::Stale { behind: 2 }] {
        let sandbox = sandbox().await;
        let relay = Relay::start(&sandbox.url(), &[POLLS, "upstream.retries=0"]).await;
        polled(&relay, sandbox.last_serial()).await;
        let top = uploads(&sandbox, "wire-top");
        let pages = [format!("{}simple/wire-top/", relay.url), format!("{}pypi/wire-top/json", relay.url)];
        for page in &pages {
            assert_eq!(get(page).await.status, 200);
        }
        for route in [Route::Page, Route::Json] {
            sandbox.faults().add(Fault::on(route, effect.clone()).path("wire-top")).unwrap();
        }
        let filename = top[0].filename.clone();
        let removal = Change::RemoveFile { name: "wire-top".into(), filename: filename.clone() };
        polled(&relay, sandbox.change(removal).await.unwrap()).await;
        for page in &pages {
            let answer = get(page).await;
            assert!(!answer.text().contains(&filename), "{effect:?}: {}", answer.text());
            assert_eq!((answer.status, answer.header("retry-after").is_empty()), (503, false), "{effect:?}");
        }
        top[0].is_gone(&relay, "remove file").await;
        sandbox.faults().clear();
        until("the page does not come back", || async { get(&pages[0]).await.status == 200 }).await;
    }
}

#[tokio::test]
async fn a_page_from_before_a_removal_does_not_go_out_if_nobody_had_asked_for_it_either() {
    for which in ["file", "release", "quarantine"] {
        let sandbox = sandbox().await;
        let relay = Relay::start(&sandbox.url(), &[POLLS]).await;
        polled(&relay, sandbox.last_serial()).await;
        let file = uploads(&sandbox, "wire-top").swap_remove(0);
        polled(&relay, sandbox.last_serial()).await;
        for route in [Route::Page, Route::Json] {
            let stale = Effect::Stale { behind: 1 };
            sandbox.faults().add(Fault::on(route, stale).path("wire-top")).unwrap();
        }
        let name = "wire-top".to_owned();
        let removal = match which {
            "file" => Change::RemoveFile { name, filename: file.filename.clone() },
            "release" => Change::RemoveRelease { name, version: file.version.clone() },
            _ => Change::Quarantine { name, version: None, cleared: false },
        };
        polled(&relay, sandbox.change(removal).await.unwrap()).await;
        let pages = [format!("{}simple/wire-top/", relay.url), format!("{}pypi/wire-top/json", relay.url)];
        for page in &pages {
            let answer = get(page).await;
            assert!(!answer.text().contains(&file.filename), "{which}: {}", answer.text());
            assert_eq!((answer.status, answer.header("retry-after").is_empty()), (503, false), "{which}");
        }
        sandbox.faults().clear();
        until("the page does not come", || async { get(&pages[0]).await.status == 200 }).await;
    }
}

#[tokio::test]
async fn what_upstream_lacks_is_remembered_for_a_while() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["relay.absent_max_age=2s"]).await;
    let top = uploads(&sandbox, "wire-top");
    read_page(&relay, "wire-top").await;
    for (upload, code) in [(&top[0], 404), (&top[1], 410)] {
        let fault = Fault::on(Route::File, Effect::Status { code }).path(upload.filename.clone());
        sandbox.faults().add(fault.times(1)).unwrap();
        assert_eq!(upload.get(&relay).await.status, 404);
        let again = upload.get(&relay).await;
        assert_eq!((again.status, again.header("x-cache")), (404, "tombstone"), "{}", again.text());
        assert!(again.text().contains(&format!("upstream answered {code}")), "{}", again.text());
        assert_eq!(sandbox.requests().path(&format!("/{}", upload.path)), 1, "upstream was asked again");
    }
    until("a 404 is remembered for ever", || async { top[0].get(&relay).await.status == 200 }).await;
    assert_eq!(top[1].get(&relay).await.status, 404, "a 410 is for good");
}

#[tokio::test]
async fn a_file_that_is_removed_while_it_arrives_is_not_kept() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[POLLS]).await;
    polled(&relay, sandbox.last_serial()).await;
    let top = uploads(&sandbox, "wire-top");
    read_page(&relay, "wire-top").await;
    let drip = Effect::Drip { bytes: top[0].bytes.len().div_ceil(20), every_millis: 50 };
    sandbox.faults().add(Fault::on(Route::File, drip)).unwrap();
    let url = format!("{}{}", relay.url, top[0].path);
    let client = tokio::spawn(async move { get(&url).await });
    until("no fetch starts", || async { sandbox.requests().route(Route::File) > 0 }).await;
    let removal = Change::RemoveFile { name: "wire-top".into(), filename: top[0].filename.clone() };
    polled(&relay, sandbox.change(removal).await.unwrap()).await;
    top[0].is_gone(&relay, "remove file").await;
    // Who had begun gets it whole.
    assert_eq!(client.await.unwrap().bytes(), &top[0].bytes[..]);
    until("the queue stays", || async {
        let journal = rusqlite::Connection::open(relay.folder().join("journal.sqlite3")).unwrap();
        let left = journal.query_row("SELECT count(*) FROM doomed", [], |row| row.get::<_, i64>(0));
        left.unwrap() == 0
    })
    .await;
    assert!(!top[0].kept(relay.folder()).exists());
}

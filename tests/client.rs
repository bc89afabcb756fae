//! `cheesewire::client` against a relay over the sandbox, and against servers that are none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cheesewire::client::{Client, ClientError, ClientSettings, Reason, Value};
use cheesewire::model::{Event, FileKind, Serial, newest_first};
use cheesewire::sandbox::{Project, Sandbox};

use crate::support::{Relay, sandbox, within};

mod failures;
mod pages;

async fn trio(settings: &[&str]) -> (Sandbox, Relay, Client) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), settings).await;
    let client = Client::with(&relay.url, quick()).unwrap();
    (sandbox, relay, client)
}

/// Settings by which a machine that is ten times slower is fast enough, and nobody waits for a pause.
fn quick() -> ClientSettings {
    ClientSettings {
        connect_timeout: Duration::from_mins(5),
        read_timeout: Duration::from_mins(5),
        pause: Duration::from_millis(10),
        ..ClientSettings::default()
    }
}

#[tokio::test]
async fn lists_and_releases_are_those_of_the_index() {
    let (sandbox, relay, client) = trio(&[]).await;
    assert_eq!(client.changelog_last_serial().await.unwrap(), sandbox.last_serial());
    let listed: BTreeMap<String, Serial> =
        sandbox.listed().iter().map(|project| (project.name.clone(), project.last_serial)).collect();
    assert_eq!(client.list_packages_with_serial().await.unwrap(), listed);
    let mut names = client.list_packages().await.unwrap();
    names.sort();
    assert_eq!(names, listed.into_keys().collect::<Vec<_>>());
    // With several releases, and a latest one that is not yanked.
    let plain = |project: &&Arc<Project>| project.latest().is_some_and(|latest| latest.yanked.is_none());
    let projects = sandbox.listed();
    let project = projects.iter().filter(plain).max_by_key(|project| project.shown().count()).unwrap();
    let mut versions: Vec<String> = project.shown().map(|release| release.version.clone()).collect();
    newest_first(&mut versions, |version| version);
    assert!(versions.len() > 1);
    assert_eq!(client.package_releases(&project.name, true).await.unwrap(), versions);
    let latest = [project.latest().unwrap().version.as_str()];
    assert_eq!(client.package_releases(&project.name, false).await.unwrap(), latest);
    assert_eq!(client.package_releases("no-such-project", true).await.unwrap(), [""; 0]);
    // The addresses that old configurations name.
    for below in ["pypi", "pypi/", "RPC2", "simple/"] {
        let client = Client::with(&format!("{}{below}", relay.url), quick()).unwrap();
        assert_eq!(client.changelog_last_serial().await.unwrap(), sandbox.last_serial(), "{below}");
    }
}

#[tokio::test]
async fn a_release_and_its_files_are_those_of_the_index() {
    let (sandbox, relay, client) = trio(&[]).await;
    let mut seen = 0;
    for project in sandbox.listed() {
        for release in project.shown() {
            let data = client.release_data(&project.name, &release.version).await.unwrap().unwrap();
            assert_eq!((&data.name, &data.version), (&project.name, &release.version));
            let mut files = client.release_urls(&project.name, &release.version).await.unwrap();
            let mut uploads: Vec<_> = release.files.iter().map(|upload| &upload.file).collect();
            files.sort_by_key(|file| file.filename.clone());
            uploads.sort_by_key(|file| file.filename.clone());
            assert_eq!(files.len(), uploads.len());
            for (file, upload) in files.iter().zip(uploads) {
                assert_eq!(file.filename, upload.filename);
                assert_eq!(file.size.0, i64::try_from(upload.content.size()).unwrap());
                assert_eq!(file.digests.sha256, file.sha256_digest);
                assert!(file.url.starts_with(&format!("{}packages/", relay.url)), "{}", file.url);
                let sdist = file.packagetype == "sdist";
                assert_eq!(sdist, upload.kind == FileKind::Sdist, "{}", file.filename);
                assert!(!sdist || file.python_version == "source");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
    let summary = client.release_data("wire-top", "2.0").await.unwrap().unwrap().summary;
    assert_eq!(summary, "The top of the diamond");
    assert_eq!(client.release_data("wire-top", "99").await.unwrap(), None);
    assert_eq!(client.release_urls("wire-top", "99").await.unwrap(), []);
}

#[tokio::test]
async fn any_method_can_be_called_with_any_values() {
    let (_sandbox, _relay, client) = trio(&[]).await;
    let methods: Vec<String> = client.call("system.listMethods", ()).await.unwrap();
    assert!(methods.iter().any(|method| method == "changelog_page"), "{methods:?}");
    let spec = Value::Struct(BTreeMap::from([("name".to_owned(), Value::String("wire-top".to_owned()))]));
    let hits: Vec<BTreeMap<String, Value>> = client.call("search", vec![spec]).await.unwrap();
    assert_eq!(hits[0]["name"], Value::String("wire-top".to_owned()));
    // Characters that are XML's own, and others.
    let odd = "<a & \"b\"> ü 🧀";
    assert_eq!(client.package_releases(odd, true).await.unwrap(), [""; 0]);
    let unknown: Result<Value, ClientError> = client.call(odd, ()).await;
    assert!(matches!(unknown.unwrap_err().reason, Reason::Fault { code: -32601, .. }));
}

/// All events behind a serial.
async fn followed(client: &Client, after: Serial, until: Serial) -> Vec<Event> {
    let (mut changes, mut events) = (client.changelog(after), Vec::new());
    while changes.last_serial() < until {
        let event = within("the changelog ends early", changes.next()).await.unwrap();
        assert_eq!(changes.last_serial(), event.serial);
        events.push(event);
    }
    events
}

#[tokio::test]
async fn a_changelog_that_is_cut_comes_whole_and_in_order() {
    let (sandbox, relay, client) = trio(&["rpc.changelog_rows=700"]).await;
    let all = sandbox.events_after(Serial(0), usize::MAX);
    assert!(all.len() > 5000);
    assert_eq!(client.changelog_since_serial(Serial(0), None).await.unwrap(), all[..700]);
    assert_eq!(client.changelog_since_serial(Serial(0), Some(3)).await.unwrap(), all[..3]);
    assert_eq!(followed(&client, Serial(0), sandbox.last_serial()).await, all);
    // From the middle, a few at once.
    let after = all[all.len() - 10].serial;
    let few = Client::with(&relay.url, ClientSettings { events_at_once: Some(4), ..quick() }).unwrap();
    assert_eq!(followed(&few, after, sandbox.last_serial()).await, all[all.len() - 9..]);
    assert_eq!(client.changelog_since_serial(sandbox.last_serial(), None).await.unwrap(), []);
}

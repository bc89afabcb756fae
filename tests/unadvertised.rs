//! Metadata that upstream advertises and does not have: an installer that asks for it gets a 404, and is not sent there again.

use std::time::Duration;

use cheesewire::model::Clock;
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};
use reqwest::Method;

use crate::support::{Relay, get, get_with, sandbox};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const NOW: i64 = 1_700_000_000;

/// The file of a release of wire-core that has metadata: its name and its path.
fn wheel(sandbox: &Sandbox, version: &str) -> (String, String) {
    let project = sandbox.project("wire-core").unwrap();
    let named = |file: &str| file.ends_with(".whl") && file.contains(version);
    let (_, upload) = project.files().find(|(_, upload)| named(&upload.file.filename)).unwrap();
    assert!(upload.file.metadata.is_some());
    (upload.file.filename.clone(), upload.file.path.to_string())
}

/// What a page in HTML and in JSON, the project's document and the release's say of a file's metadata: whether it is there.
/// All must say the same.
async fn is_advertised(relay: &Relay, version: &str, filename: &str) -> bool {
    let url = |path: &str| format!("{}{path}", relay.url);
    let mut said = Vec::new();
    let page = get_with(Method::GET, &url("simple/wire-core/"), &[("accept", JSON)]).await.unwrap().json();
    let file = page["files"].as_array().unwrap().iter().find(|file| file["filename"] == filename).unwrap();
    said.extend(["core-metadata", "data-dist-info-metadata"].map(|name| file[name]["sha256"].is_string()));
    let html = get(&url("simple/wire-core/")).await;
    let line = html.text().lines().find(|line| line.contains(&format!(">{filename}<"))).unwrap().to_owned();
    said.extend(["data-core-metadata=", "data-dist-info-metadata="].map(|name| line.contains(name)));
    for path in ["pypi/wire-core/json".to_owned(), format!("pypi/wire-core/{version}/json")] {
        let document = get(&url(&path)).await.json();
        let listed = document["releases"][version].as_array().into_iter().flatten();
        let files = listed.chain(document["urls"].as_array().unwrap());
        let found: Vec<_> = files.filter(|file| file["filename"] == filename).collect();
        assert!(!found.is_empty(), "{path}");
        said.extend(found.iter().map(|file| file["core-metadata"]["sha256"].is_string()));
    }
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    said[0]
}

#[tokio::test]
async fn metadata_that_is_not_there_is_advertised_once_and_again_when_it_may_be_there() {
    let (sandbox, clock) = (sandbox().await, Clock::standing_at(NOW));
    let settings = ["follow.enabled=false"];
    let mut relay = Relay::start_at(&sandbox.url(), &settings, &clock).await;
    let ((gone, path), (other, _)) = (wheel(&sandbox, "1.1"), wheel(&sandbox, "1.0"));
    let metadata = format!("packages/{path}.metadata");
    let absent = Fault::on(Route::Metadata, Effect::Status { code: 404 }).path(&gone);
    sandbox.faults().add(absent).unwrap();
    assert!(is_advertised(&relay, "1.1", &gone).await);
    for restarted in [false, true] {
        if restarted {
            relay = Relay::start_in_at(relay.stop().await, &sandbox.url(), &settings, &clock).await;
        }
        for _ in 0..2 {
            assert_eq!(get(&format!("{}{metadata}", relay.url)).await.status, 404);
            assert!(!is_advertised(&relay, "1.1", &gone).await, "restarted: {restarted}");
            assert!(is_advertised(&relay, "1.0", &other).await, "another file's is there");
        }
        assert_eq!(sandbox.requests().route(Route::Metadata), 1, "upstream has said it");
    }
    sandbox.faults().clear();
    clock.set(NOW + 59 * 60);
    assert!(!is_advertised(&relay, "1.1", &gone).await);
    clock.set(NOW + 60 * 60);
    assert!(is_advertised(&relay, "1.1", &gone).await);
    assert_eq!(get(&format!("{}{metadata}", relay.url)).await.status, 200);
    assert!(is_advertised(&relay, "1.1", &gone).await);
    assert_eq!(sandbox.requests().route(Route::Metadata), 2);
}

#[tokio::test]
async fn a_page_that_does_not_advertise_what_is_not_there_is_not_fetched_again_for_it() {
    let (sandbox, clock) = (sandbox().await, Clock::standing_at(NOW));
    let relay = Relay::start_at(&sandbox.url(), &["follow.enabled=false"], &clock).await;
    let (gone, path) = wheel(&sandbox, "1.1");
    sandbox.faults().add(Fault::on(Route::Metadata, Effect::Status { code: 410 })).unwrap();
    assert!(is_advertised(&relay, "1.1", &gone).await);
    let pages = sandbox.requests().route(Route::Page) + sandbox.requests().route(Route::Json);
    assert_eq!(get(&format!("{}packages/{path}.metadata", relay.url)).await.status, 404);
    assert!(!is_advertised(&relay, "1.1", &gone).await);
    assert_eq!(sandbox.requests().route(Route::Page) + sandbox.requests().route(Route::Json), pages);
    // The file itself is there all the same.
    assert_eq!(get(&format!("{}packages/{path}", relay.url)).await.status, 200);
    // Upstream's word that it is gone for good holds for a day.
    clock.set(NOW + i64::try_from(Duration::from_hours(23).as_secs()).unwrap());
    assert!(!is_advertised(&relay, "1.1", &gone).await);
}

//! bandersnatch mirrors the sandbox through the relay, unchanged.

mod disturbed;

use cheesewire::model::ProjectName;
use cheesewire::sandbox::{Change, Publication, Route, Sandbox, XmlRpc};
use cheesewire::xmlrpc::Value;

use crate::support::bandersnatch::{Bandersnatch, LARGE, Mirror, files_of};
use crate::support::{Relay, call, sandbox, until};

/// Waits until the relay has heard of everything.
async fn current(relay: &Relay, sandbox: &Sandbox) {
    let last = Value::Int(sandbox.last_serial().0);
    let heard = async || call(&relay.url, "changelog_last_serial", &[]).await == Ok(last.clone());
    until("the relay does not hear of it", heard).await;
}

/// Mirrors everything, then what has changed, then nothing.
async fn mirrors_all_and_then_what_changed(bandersnatch: Bandersnatch, sandbox: &Sandbox, settings: &[&str]) {
    let relay = Relay::start(&sandbox.url(), settings).await;
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::new(bandersnatch, folder.path(), &relay).await;
    let run = async || {
        mirror.run(sandbox).await;
        assert_eq!(mirror.status(), sandbox.last_serial().0);
        assert_eq!(mirror.files(), files_of(sandbox));
    };
    run().await;
    assert!(mirror.files().len() > 60, "{}", mirror.files().len());
    let names = sandbox.projects().into_iter().filter(|project| project.files().next().is_some());
    let pages = names.map(|project| ProjectName::parse(&project.name).unwrap());
    for name in pages.filter(|name| name.as_str() != LARGE) {
        assert!(mirror.page(name.as_str()).contains("../../packages/"), "{name}");
    }
    // A release more, a project more, and a release of another spelling.
    for (name, version) in [("wire-top", "3.0"), ("brand-new", "0.1"), ("Registered.Spelling_x", "9.0")] {
        sandbox.publish(Publication::new(name, version)).await.unwrap();
    }
    current(&relay, sandbox).await;
    run().await;
    assert!(mirror.pages()["wire-top"].keys().any(|name| name.contains("-3.0")));
    // A yank has no file of its own, only a serial and a mark on the page.
    let yank = Change::Yank {
        name: "wire-top".to_owned(),
        version: "3.0".to_owned(),
        reason: Some("bad".to_owned()),
    };
    sandbox.change(yank).await.unwrap();
    current(&relay, sandbox).await;
    run().await;
    assert!(mirror.page("wire-top").contains("data-yanked"));
    run().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn bandersnatch_mirrors_all_and_then_what_changed() {
    let sandbox = sandbox().await;
    mirrors_all_and_then_what_changed(Bandersnatch::Calls, &sandbox, &["follow.interval=20ms"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn bandersnatch_mirrors_the_same_from_an_upstream_without_xml_rpc() {
    let sandbox = sandbox().await;
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    let settings = ["follow.listing_interval=20ms"];
    mirrors_all_and_then_what_changed(Bandersnatch::Calls, &sandbox, &settings).await;
    assert_eq!(sandbox.requests().route(Route::Rpc), 1, "only to find out that there is none");
}

//! What a relay knew, the next one over the same folder knows.

use cheesewire::model::Serial;
use cheesewire::xmlrpc::Value;

use crate::support::{Relay, call, get, sandbox, within};

#[tokio::test]
async fn after_a_restart_everything_kept_is_served_without_upstream() {
    let sandbox = sandbox().await;
    // Or `release_data` tells of the download before.
    let uncounted = ["stats.enabled=false"];
    let relay = Relay::start(&sandbox.url(), &uncounted).await;
    let project = sandbox.project("wire-top").unwrap();
    let (_, upload) = project.files().next().unwrap();
    let asked = |relay: &str| {
        let file = format!("{relay}packages/{}", upload.file.path);
        let page = format!("{relay}simple/wire-top/");
        let relay = relay.to_owned();
        async move {
            let since = [Value::Int(0), Value::Int(500)];
            let release = [Value::from("wire-top"), Value::from("2.0")];
            (
                get(&page).await.text().to_owned(),
                get(&file).await.bytes().to_vec(),
                call(&relay, "changelog_last_serial", &[]).await,
                call(&relay, "changelog_since_serial", &since).await,
                call(&relay, "list_packages_with_serial", &[]).await,
                call(&relay, "release_data", &release).await,
            )
        }
    };
    let before = asked(&relay.url).await;
    assert_eq!(before.1, upload.file.content.to_vec());
    assert_eq!(before.2, Ok(Value::Int(sandbox.last_serial().0)));
    let folder = relay.stop().await;
    sandbox.pause().await.unwrap();
    sandbox.forget_requests();
    let relay = Relay::start_in(folder, &sandbox.url(), &uncounted).await;
    assert_eq!(asked(&relay.url).await, before);
    assert_eq!(sandbox.requests().total(), 0);
}

#[tokio::test]
async fn after_a_restart_following_goes_on_where_it_was() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let Ok(Value::Int(known)) = call(&relay.url, "changelog_last_serial", &[]).await else {
        panic!("no head")
    };
    let folder = relay.stop().await;
    let last = sandbox.publish(cheesewire::sandbox::Publication::new("wire-top", "3.0")).await.unwrap();
    sandbox.forget_requests();
    let relay = Relay::start_in(folder, &sandbox.url(), &["follow.interval=50ms"]).await;
    let mut rows = Vec::new();
    let all = async {
        while rows.is_empty() {
            let answer = call(&relay.url, "changelog_since_serial", &[Value::Int(known)]).await.unwrap();
            rows = answer.as_array().unwrap().to_vec();
        }
    };
    within("the new events never come", all).await;
    assert_eq!(rows.len(), sandbox.events_after(Serial(known), usize::MAX).len());
    assert_eq!(rows.last().unwrap().as_array().unwrap()[4], Value::Int(last.0));
    assert_eq!(sandbox.requests().path("/simple/"), 0, "the listing was asked for again");
    let latest = call(&relay.url, "package_releases", &[Value::from("wire-top")]).await;
    assert_eq!(latest, Ok(Value::from_iter(["3.0"])));
}

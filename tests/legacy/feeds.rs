//! RSS feeds.

use cheesewire::sandbox::{Change, Info, Publication, Sandbox};
use reqwest::Method;

use super::doap::texts;
use super::{POLLS, pair};
use crate::support::{Answer, Relay, get, get_with, until};

/// The texts of all items' elements of a name.
fn each(feed: &Answer, element: &str) -> Vec<String> {
    let path = format!("rss/channel/item/{element}");
    let texts = texts(feed.text()).into_iter();
    texts.filter(|(at, _)| *at == path).map(|(_, text)| text.trim_end().to_owned()).collect()
}

async fn feed(relay: &Relay, path: &str) -> Answer {
    let feed = get(&format!("{}{path}", relay.url)).await;
    assert_eq!((feed.status, feed.header("content-type")), (200, "text/xml; charset=utf-8"), "{path}");
    assert!(!feed.text().contains("DOCTYPE"), "{path}");
    feed
}

async fn publish(sandbox: &Sandbox, name: &str, version: &str) {
    let summary = Some(format!("{name} ends ]]> \u{8} here"));
    let info = Info { summary, ..Info::default() };
    sandbox.publish(Publication { info, ..Publication::new(name, version) }).await.unwrap();
}

/// Waits until the relay knows what the sandbox does.
async fn told(sandbox: &Sandbox, relay: &Relay) {
    let last = sandbox.last_serial().to_string();
    until("it is not told", async || get(&format!("{}serial", relay.url)).await.text() == last).await;
}

#[tokio::test]
async fn updates_are_the_newest_releases_once_each_without_what_was_removed() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    until("no poll", async || get(&format!("{}last-modified", relay.url)).await.status == 200).await;
    for (name, version) in [
        ("First.One", "1.0"),
        ("gone-release", "1"),
        ("gone-release", "2"),
        ("gone-project", "1"),
        ("first-one", "2.0+x.1"),
    ] {
        publish(&sandbox, name, version).await;
    }
    let further =
        Publication { files: vec!["py2-none-any".to_owned()], ..Publication::new("First.One", "1.0") };
    sandbox.publish(further).await.unwrap();
    sandbox
        .change(Change::RemoveRelease { name: "gone-release".to_owned(), version: "1".to_owned() })
        .await
        .unwrap();
    sandbox.change(Change::RemoveProject { name: "gone-project".to_owned() }).await.unwrap();
    told(&sandbox, &relay).await;
    for path in ["rss/updates.xml", "pypi?:action=rss"] {
        let feed = feed(&relay, path).await;
        assert_eq!(
            each(&feed, "title"),
            ["First.One 2.0+x.1", "gone-release 2", "First.One 1.0"],
            "{}",
            feed.text()
        );
        let links = each(&feed, "link");
        assert_eq!(links[0], format!("{}pypi/First.One/2.0+x.1", relay.url));
        assert_eq!(links, each(&feed, "guid"));
        for link in links {
            let page = get(&link).await;
            assert_eq!(
                (page.status, page.header("content-type")),
                (200, "text/html; charset=utf-8"),
                "{link}"
            );
        }
        let times = each(&feed, "pubDate");
        assert!(
            times.iter().all(|time| time.ends_with(" GMT") && httpdate::parse_http_date(time).is_ok()),
            "{times:?}"
        );
    }
}

#[tokio::test]
async fn packages_are_the_newest_projects_without_what_was_removed() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    until("no poll", async || get(&format!("{}last-modified", relay.url)).await.status == 200).await;
    for name in ["New.One", "gone", "new-two"] {
        publish(&sandbox, name, "1").await;
    }
    sandbox.change(Change::RemoveProject { name: "gone".to_owned() }).await.unwrap();
    told(&sandbox, &relay).await;
    for path in ["rss/packages.xml", "pypi?:action=packages_rss"] {
        let feed = feed(&relay, path).await;
        assert_eq!(
            each(&feed, "title"),
            ["new-two added to PyPI", "New.One added to PyPI"],
            "{}",
            feed.text()
        );
        assert_eq!(each(&feed, "link")[1], format!("{}pypi/New.One", relay.url));
    }
}

/// Descriptions come from documents: once one is known here.
#[tokio::test]
async fn a_summary_is_told_where_it_is_known_without_what_xml_forbids() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    publish(&sandbox, "described", "1").await;
    told(&sandbox, &relay).await;
    let url = format!("{}pypi/described/json", relay.url);
    until("no document", async || get(&url).await.status == 200).await;
    let feed = feed(&relay, "rss/project/described/releases.xml").await;
    assert_eq!(each(&feed, "title"), ["1"]);
    assert_eq!(each(&feed, "description"), ["described ends ]]>  here"]);
}

#[tokio::test]
async fn a_projects_releases_are_a_feed_of_versions() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    let project = sandbox.project("wire-core").unwrap();
    let feed = feed(&relay, "rss/project/Wire.Core/releases.xml").await;
    let mut versions = each(&feed, "title");
    versions.sort();
    let mut expected: Vec<_> = project
        .releases
        .iter()
        .filter(|release| !release.files.is_empty())
        .map(|release| release.version.clone())
        .collect();
    expected.sort();
    assert_eq!(versions, expected, "{}", feed.text());
    assert_eq!(get(&format!("{}rss/project/no-such-project/releases.xml", relay.url)).await.status, 404);
    assert_eq!(get(&format!("{}rss/project/a%2fb/releases.xml", relay.url)).await.status, 404);
    assert_eq!(get(&format!("{}rss/project//releases.xml", relay.url)).await.status, 404);
}

#[tokio::test]
async fn a_feed_has_a_validator_that_changes_with_it() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    until("no poll", async || get(&format!("{}last-modified", relay.url)).await.status == 200).await;
    publish(&sandbox, "one", "1").await;
    told(&sandbox, &relay).await;
    let url = format!("{}rss/updates.xml", relay.url);
    let etag = get(&url).await.header("etag").to_owned();
    let again = async || get_with(Method::GET, &url, &[("if-none-match", &*etag)]).await.unwrap();
    let known = again().await;
    assert_eq!((known.status, known.bytes(), known.header("etag")), (304, &b""[..], &*etag));
    publish(&sandbox, "one", "2").await;
    told(&sandbox, &relay).await;
    assert_eq!(again().await.status, 200);
}

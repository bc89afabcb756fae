//! Feeds and records of releases that say odd things of themselves, as programs in Python read them.

use cheesewire::sandbox::{Info, Publication};
use serde_json::json;

use super::old_mirrors::{signing, told};
use crate::support::plain::Plain;
use crate::support::programs::{client_program, environment, run};
use crate::support::{Relay, get, until};

/// Reads each feed that it is told of, and each record; prints titles and descriptions as JSON. What it makes of markup in them is
/// switched off.
const SCRIPT: &str = r#"
import json, sys, urllib.request, feedparser
from xml.etree import ElementTree
said = {}
for path in sys.argv[2:]:
    if path.endswith("doap"):
        root = ElementTree.fromstring(urllib.request.urlopen(sys.argv[1] + path).read())
        said[path] = [[element.tag.split("}")[1], element.text or ""] for element in root.iter()]
        continue
    feed = feedparser.parse(sys.argv[1] + path, sanitize_html=False, resolve_relative_uris=False)
    assert not feed.bozo, (path, feed.bozo_exception)
    assert feed.version == "rss20" and feed.entries, (path, feed)
    assert all(entry.title and entry.link and entry.id == entry.link for entry in feed.entries), path
    assert all(entry.published_parsed for entry in feed.entries), path
    said[path] = [[entry.title, entry.get("description", "")] for entry in feed.entries]
print(json.dumps(said))
"#;

async fn read(relay: &Relay, paths: &[&str]) -> serde_json::Value {
    let python = environment(&["feedparser==6.0.12"]).await.join("python");
    let said = run(client_program(python).args(["-c", SCRIPT, &relay.url]).args(paths)).await;
    serde_json::from_str(&said).unwrap()
}

/// What odd texts are, and what is left of them: all but what XML 1.0 forbids.
fn odd() -> Vec<(String, String)> {
    let same = |text: &str| (text.to_owned(), text.to_owned());
    let control: String = ('\u{0}'..'\u{20}').filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    vec![
        ("odd ]]> \u{1}\u{b} <b> & é \u{1f600}".to_owned(), "odd ]]>  <b> & é \u{1f600}".to_owned()),
        same(
            "<![CDATA[ x ]]> &amp; &#1; &nbsp; <!-- -- --> <?xml version=\"9\"?> <!DOCTYPE a [<!ENTITY b 'c'>]> &b;",
        ),
        same("</description></item></channel></rss>"),
        (format!("a{control}b\u{fffe}\u{ffff}c"), "abc".to_owned()),
        same("bidi \u{202e}txt.exe\u{202c} \u{2066}x\u{2069} \u{200f}\u{feff}\u{2028}\u{2029}\u{7f} end"),
        same(&format!("{}]]>{}", "<&\u{1f600}".repeat(12_000), "x".repeat(40_000))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches feedparser"]
async fn feedparser_reads_the_feeds_without_a_complaint_whatever_a_summary_is() {
    let (sandbox, relay) = signing(&[]).await;
    for (at, (text, _)) in odd().into_iter().enumerate() {
        let info = Info { summary: Some(text.clone()), description: Some(text), ..Info::default() };
        let name = format!("Odd.Feed{at}");
        sandbox.publish(Publication { info, ..Publication::new(&name, "1.0+x.1") }).await.unwrap();
    }
    told(&sandbox, &relay).await;
    for (at, (_, left)) in odd().into_iter().enumerate() {
        let url = format!("{}pypi/odd-feed{at}/json", relay.url);
        until("no document", async || get(&url).await.status == 200).await;
        let paths = [format!("rss/project/odd-feed{at}/releases.xml"), format!("pypi/odd-feed{at}/doap")];
        let said = read(&relay, &[&paths[0], &paths[1]]).await;
        assert_eq!(said[&paths[0]], json!([["1.0+x.1", left]]));
        assert!(said[&paths[1]].as_array().unwrap().contains(&json!(["description", left])), "{said}");
    }
    let said = read(&relay, &["rss/updates.xml", "rss/packages.xml", "pypi?:action=rss"]).await;
    assert_eq!(said["rss/updates.xml"], said["pypi?:action=rss"]);
    for (path, title) in
        [("rss/updates.xml", "Odd.Feed0 1.0+x.1"), ("rss/packages.xml", "Odd.Feed0 added to PyPI")]
    {
        let titles: Vec<_> = said[path].as_array().unwrap().iter().map(|entry| entry[0].clone()).collect();
        assert!(titles.contains(&json!(title)), "{titles:?}");
    }
}

/// An index may say anything of a name and of versions in its documents.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches feedparser"]
async fn feedparser_reads_the_feed_of_a_project_whatever_its_name_and_versions_are() {
    for (text, left) in odd() {
        let plain = Plain::start(true).await;
        plain.list(&[("a", Some(1))]);
        plain.page("a", Some(1), &["a-1.zip"]);
        let file = json!({"filename": "a-1.zip", "url": format!("{}packages/a-1.zip", plain.url), "digests": {},
            "upload_time": "2026-01-31T23:59:59", "size": 1});
        let info = json!({"name": text, "version": text, "summary": text, "author": text, "author_email": text,
            "home_page": text, "download_url": text});
        let document = json!({"info": info, "urls": [file], "releases": {&text: [file]}, "last_serial": 1});
        plain.put("/pypi/a/json", 200, "application/json", document.to_string());
        let relay = Relay::start(&plain.url, &[]).await;
        let said = read(&relay, &["rss/project/a/releases.xml", "pypi/a/doap"]).await;
        assert_eq!(said["rss/project/a/releases.xml"], json!([[left, left]]));
        let record = said["pypi/a/doap"].as_array().unwrap();
        for tag in ["name", "shortdesc", "download-page", "revision"] {
            assert!(record.contains(&json!([tag, left])), "{tag} {said}");
        }
    }
}

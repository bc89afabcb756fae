//! `#md5=` for mirrors that know no other digest.

use cheesewire::sandbox::{Effect, Fault, Route};
use md5::{Digest as _, Md5};
use reqwest::Method;

use super::{get_as, pair};
use crate::support::plain::{Plain, file_of};
use crate::support::{Relay, get, get_with, until};

const MIRRORS: [&str; 2] = ["pep381client/1.5", "z3c.pypimirror/1.0.16.4"];

/// The links of a page: address and digest.
fn links(page: &str) -> Vec<(&str, &str)> {
    let hrefs = page.split("<a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    hrefs.map(|href| href.split_once('#').unwrap_or((href, ""))).collect()
}

/// A page without the fragments of its links.
fn without_digests(page: &str) -> String {
    let mut parts = page.split("<a href=\"");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (href, rest) = part.split_once('"').unwrap();
        out += href.split('#').next().unwrap();
        out += rest;
    }
    out
}

#[tokio::test]
async fn md5_agents_get_md5_links_and_otherwise_the_same_page() {
    let (sandbox, relay) = pair(&[]).await;
    for project in sandbox.listed().iter().take(12) {
        let path = format!("simple/{}/", project.name);
        let plain = get_as(&relay, &path, "pip/25").await;
        for agent in MIRRORS {
            let page = get_as(&relay, &path, agent).await;
            let expected: Vec<_> = project
                .files()
                .map(|(_, upload)| {
                    let md5 = hex::encode(Md5::digest(upload.file.content.to_vec()));
                    (format!("../../packages/{}", upload.file.path), format!("md5={md5}"))
                })
                .collect();
            let found: Vec<_> =
                links(page.text()).into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
            assert_eq!(found.len(), expected.len(), "{path}");
            assert!(found.iter().all(|link| expected.contains(link)), "{path}: {found:?} {expected:?}");
            assert_eq!(without_digests(page.text()), without_digests(plain.text()), "{path}");
            assert_ne!(page.header("etag"), plain.header("etag"), "{path}");
            for field in ["x-pypi-last-serial", "content-type", "vary", "cache-control"] {
                assert_eq!(page.header(field), plain.header(field), "{path}");
            }
        }
        assert_eq!(plain.header("vary"), "Accept, Accept-Encoding, User-Agent");
    }
}

#[tokio::test]
async fn each_form_of_a_page_has_a_validator_of_its_own() {
    let (_sandbox, relay) = pair(&[]).await;
    let url = format!("{}simple/wire-top/", relay.url);
    let md5 = get_as(&relay, "simple/wire-top/", MIRRORS[0]).await;
    for (agent, status) in [(MIRRORS[0], 304), (MIRRORS[1], 304), ("pip/25", 200)] {
        let fields = [("user-agent", agent), ("if-none-match", md5.header("etag"))];
        let answer = get_with(Method::GET, &url, &fields).await.unwrap();
        assert_eq!(answer.status, status, "{agent}");
        assert_eq!(answer.header("vary"), "Accept, Accept-Encoding, User-Agent");
    }
}

#[tokio::test]
async fn json_pages_and_the_list_of_projects_are_the_same_for_all() {
    let (_sandbox, relay) = pair(&[]).await;
    for (path, accept) in
        [("simple/wire-top/", "application/vnd.pypi.simple.v1+json"), ("simple/", "text/html")]
    {
        let url = format!("{}{path}", relay.url);
        let get = async |agent| {
            get_with(Method::GET, &url, &[("user-agent", agent), ("accept", accept)]).await.unwrap()
        };
        let (one, other) = (get("pip/25").await, get(MIRRORS[0]).await);
        assert_eq!((one.bytes(), one.header("etag")), (other.bytes(), other.header("etag")), "{path}");
        assert!(!one.header("vary").contains("User-Agent"), "{path}: {}", one.header("vary"));
    }
}

#[tokio::test]
async fn the_setting_says_which_programs_get_them() {
    let (_sandbox, relay) = pair(&["index.md5_agents=mine"]).await;
    for (agent, algorithm) in [("mine/2", "md5="), ("pep381client/1.5", "sha256="), ("x mine/2", "sha256=")] {
        let page = get_as(&relay, "simple/wire-top/", agent).await;
        assert!(links(page.text()).iter().all(|(_, digest)| digest.starts_with(algorithm)), "{agent}");
    }
}

/// Else the same page would have other links, and another signature, a moment later.
#[tokio::test]
async fn while_the_json_api_cannot_be_asked_there_is_no_such_page_and_no_signature() {
    let (sandbox, relay) = super::signing_pair(&[]).await;
    until("no key", async || get(&format!("{}serverkey", relay.url)).await.status == 200).await;
    sandbox.faults().add(Fault::on(Route::Json, Effect::Status { code: 503 })).unwrap();
    for path in ["simple/wire-top/", "serversig/wire-top/"] {
        assert_eq!(get_as(&relay, path, MIRRORS[0]).await.status, 503, "{path}");
        assert_eq!(get_as(&relay, path, "pip/25").await.status, 200, "{path}");
    }
}

/// An index without the JSON API, whose pages state SHA-256 alone.
#[tokio::test]
async fn without_a_stated_md5_that_of_a_kept_file_is_computed_and_remembered() {
    let plain = Plain::start(true).await;
    plain.list(&[("a", Some(1))]);
    plain.page_of(
        "a",
        Some(1),
        &[file_of("a-1.zip", "one"), file_of("a-2.zip", "two")],
        &serde_json::Value::Null,
    );
    plain.put("/packages/a-1.zip", 200, "application/zip", "one".to_owned());
    let relay = Relay::start(&plain.url, &[]).await;
    let found = async |relay: &Relay| -> Vec<String> {
        let page = get_as(relay, "simple/a/", MIRRORS[0]).await;
        links(page.text())
            .into_iter()
            .map(|(_, digest)| digest.split('=').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(found(&relay).await, ["sha256", "sha256"]);
    let page = get_as(&relay, "simple/a/", "pip/25").await;
    let file = links(page.text())[0].0.trim_start_matches("../../").to_owned();
    assert_eq!(get(&format!("{}{file}", relay.url)).await.text(), "one");
    until("the file is not kept", async || found(&relay).await == ["md5", "sha256"]).await;
    let page = get_as(&relay, "simple/a/", MIRRORS[0]).await;
    assert_eq!(links(page.text())[0].1, format!("md5={}", hex::encode(Md5::digest("one"))));
    let folder = relay.stop().await;
    std::fs::remove_dir_all(folder.path().join("files")).unwrap();
    let relay = Relay::start_in(folder, &plain.url, &[]).await;
    assert_eq!(found(&relay).await, ["md5", "sha256"]);
}

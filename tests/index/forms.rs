//! The forms of pages and documents, and how clients choose them.

use std::time::Duration;

use cheesewire::journal::Upkeep;
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox, SandboxSettings};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::quick;
use crate::support::{Answer, IndexRelay, get, get_with, sandbox};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

async fn get_json(url: &str) -> Answer {
    get_with(Method::GET, url, &[("accept", JSON)]).await.unwrap()
}

/// Upstream's answer as the relay must give it: with the relay's address.
fn moved(text: &str, sandbox: &Sandbox, relay: &IndexRelay) -> Value {
    let files = sandbox.url();
    let text = text.replace(&format!("{files}packages/"), &relay.url("/packages/"));
    serde_json::from_str(&text.replace(&format!("{files}integrity/"), &relay.url("/integrity/"))).unwrap()
}

#[tokio::test]
async fn every_page_says_in_json_what_upstream_says() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    for project in sandbox.projects() {
        let path = format!("simple/{}/", super::name(&project.name));
        let theirs = get_json(&format!("{}{path}", sandbox.url())).await;
        let ours = get_json(&relay.url(&format!("/{path}"))).await;
        assert_eq!(ours.status, 200, "{path}");
        assert_eq!(ours.header("content-type"), JSON);
        assert_eq!(ours.header("x-pypi-last-serial"), project.last_serial.to_string());
        assert_eq!(ours.json(), moved(theirs.text(), &sandbox, &relay), "{path}");
    }
}

#[tokio::test]
async fn every_page_is_xml_with_relative_links_and_says_in_html_what_upstream_says() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    for project in sandbox.projects() {
        let path = format!("/simple/{}/", project.name);
        let ours = get(&relay.url(&path)).await;
        assert_eq!((ours.status, ours.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        let mut reader = quick_xml::Reader::from_str(ours.text());
        let mut links = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Start(tag) if tag.name().as_ref() == "a" => {
                    links.push(tag.try_get_attribute("href").unwrap().unwrap().value.to_string());
                }
                quick_xml::events::Event::Eof => break,
                _ => {}
            }
        }
        let page = relay.index.page(&super::name(&project.name)).await.unwrap();
        let expected: Vec<_> = page
            .files
            .iter()
            .map(|file| format!("../../packages/{}#sha256={}", file.path, file.hashes["sha256"]))
            .collect();
        assert_eq!(links, expected, "{path}");
    }
}

#[tokio::test]
async fn every_json_document_passes_with_its_files_at_our_address() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    for project in sandbox.projects() {
        let name = super::name(&project.name);
        let version = project.latest().map(|release| format!("pypi/{name}/{}/json", release.version));
        for path in std::iter::once(format!("pypi/{name}/json")).chain(version) {
            let theirs = get(&format!("{}{path}", sandbox.url())).await;
            let ours = get(&relay.url(&format!("/{path}"))).await;
            assert_eq!(ours.status, theirs.status, "{path}");
            if theirs.status == 200 {
                assert_eq!(ours.header("content-type"), "application/json");
                let expected = moved(theirs.text(), &sandbox, &relay);
                // As text: the order of keys is part of what passes.
                assert_eq!(ours.text(), expected.to_string(), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn any_spelling_answers_and_a_missing_slash_is_added() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    for spelling in ["Registered.Spelling_x", "registered-spelling-x", "REGISTERED__spelling.X"] {
        assert_eq!(get(&relay.url(&format!("/simple/{spelling}/"))).await.status, 200);
        assert_eq!(get(&relay.url(&format!("/pypi/{spelling}/json"))).await.status, 200);
        let bare = get(&relay.url(&format!("/simple/{spelling}"))).await;
        assert_eq!((bare.status, bare.header("location")), (301, &*format!("/simple/{spelling}/")));
    }
    assert_eq!(sandbox.requests().path("/simple/registered-spelling-x/"), 1);
    for bad in ["/simple/-a/", "/simple/a%20b/", "/simple/..%2f..%2fetc/", "/pypi/na%C3%AFve/json"] {
        let answer = get(&relay.url(bad)).await;
        assert_eq!(answer.status, 404, "{bad}");
        assert!(answer.text().contains("no such project"), "{bad}");
    }
    assert_eq!(sandbox.requests().total(), 2);
}

#[tokio::test]
async fn every_answer_names_what_it_was_chosen_by_for_caches_on_the_way() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    // Nobody follows here: without this each question for the list would wait for one.
    relay.journal.set_upkeep(Upkeep::Polled { head: Duration::from_hours(1) });
    let version = &sandbox.project("wire-core").unwrap().latest().unwrap().version.clone();
    for (path, vary) in [
        // A list is not compressed: there are no two codings of it.
        ("/simple/", "Accept"),
        ("/simple/wire-core/", "Accept, Accept-Encoding, User-Agent"),
        // JSON whatever is accepted.
        ("/pypi/wire-core/json", "Accept-Encoding"),
        (&format!("/pypi/wire-core/{version}/json"), "Accept-Encoding"),
    ] {
        let answer = get(&relay.url(path)).await;
        assert_eq!((answer.status, answer.header("vary")), (200, vary), "{path}");
        let known = [("if-none-match", answer.header("etag"))];
        let same = get_with(Method::GET, &relay.url(path), &known).await.unwrap();
        assert_eq!((same.status, same.header("vary")), (304, vary), "{path}");
    }
}

#[tokio::test]
async fn validators_compression_and_head_agree() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let url = relay.url("/simple/many-versions/");
    let plain = get(&url).await;
    assert_eq!(plain.header("vary"), "Accept, Accept-Encoding, User-Agent");
    assert_eq!(plain.header("cache-control"), "max-age=600");
    let gzip = get_with(Method::GET, &url, &[("accept-encoding", "gzip")]).await.unwrap();
    assert_eq!(gzip.header("content-encoding"), "gzip");
    assert_ne!(gzip.header("etag"), plain.header("etag"));
    let mut decoded = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(gzip.bytes()), &mut decoded).unwrap();
    assert_eq!(decoded, plain.text());
    for (coding, answer) in [("identity", &plain), ("gzip", &gzip)] {
        let headers = [("accept-encoding", coding), ("if-none-match", answer.header("etag"))];
        let again = get_with(Method::GET, &url, &headers).await.unwrap();
        assert_eq!((again.status, again.bytes().len()), (304, 0));
        assert_eq!(again.header("x-pypi-last-serial"), plain.header("x-pypi-last-serial"));
    }
    let other = [("accept", JSON), ("if-none-match", plain.header("etag"))];
    assert_eq!(get_with(Method::GET, &url, &other).await.unwrap().status, 200);
    let head = get_with(Method::HEAD, &url, &[]).await.unwrap();
    assert_eq!((head.status, head.header("etag")), (200, plain.header("etag")));
    assert_eq!(head.header("content-length"), plain.bytes().len().to_string());
}

#[tokio::test]
async fn links_are_absolute_on_the_address_that_the_client_used() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    for host in ["one.test", "two.test:81"] {
        let headers = [("accept", JSON), ("host", host)];
        let answer = get_with(Method::GET, &relay.url("/simple/wire-core/"), &headers).await.unwrap();
        let url = answer.json()["files"][0]["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&format!("http://{host}/packages/")), "{url}");
    }
    assert_eq!(sandbox.requests().total(), 1);
}

#[tokio::test]
async fn what_html_cannot_say_is_not_claimed() {
    let settings = SandboxSettings { simple_json: false, ..SandboxSettings::default() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let answer = get_json(&relay.url("/simple/yanked-one/")).await.json();
    assert_eq!(answer["meta"]["api-version"], json!("1.0"));
    assert!(answer.get("versions").is_none());
    let truth = sandbox.project("yanked-one").unwrap();
    let files = answer["files"].as_array().unwrap();
    assert_eq!(files.len(), truth.files().count());
    for (release, upload) in truth.files() {
        let found = files.iter().find(|file| file["filename"] == json!(upload.file.filename)).unwrap();
        assert_eq!(found["hashes"]["sha256"], json!(upload.file.digests.sha256));
        assert_eq!(found["yanked"] == json!(false), release.yanked.is_none());
        assert!(found.get("size").is_none() && found.get("provenance").is_none());
    }
}

#[tokio::test]
async fn a_projects_address_without_a_form_leads_to_its_pages() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    for path in ["/pypi/Wire_Core/", "/pypi/wire-core"] {
        let page = get(&relay.url(path)).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert!(page.text().contains("href=\"/simple/wire-core/\""), "{}", page.text());
    }
    for path in ["/pypi/nobody/", "/pypi/..%2f/", "/pypi/%3Cb%3E"] {
        assert_eq!(get(&relay.url(path)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_provenance_is_relayed_from_where_its_page_names_it() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let page = get_json(&relay.url("/simple/proven/")).await.json();
    let mut urls = page["files"].as_array().unwrap().iter().filter_map(|file| file["provenance"].as_str());
    let ours = urls.next().unwrap();
    let theirs = ours.replace(&relay.origin, sandbox.url().trim_end_matches('/'));
    let theirs = get(&theirs).await;
    let before = sandbox.requests().route(Route::Provenance);
    sandbox.faults().add(Fault::on(Route::Provenance, Effect::Delay { millis: 300 })).unwrap();
    for ours in join_all((0..10).map(|_| get(ours))).await {
        assert_eq!((ours.status, ours.bytes()), (200, theirs.bytes()));
    }
    assert_eq!(sandbox.requests().route(Route::Provenance) - before, 1);
    assert_eq!(get(&relay.url("/integrity/proven/1.0/other.whl/provenance")).await.status, 404);
}

#[tokio::test]
async fn a_document_is_found_with_a_slash_at_its_end_too() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    for path in ["/pypi/wire-core/json", "/pypi/Wire.Core/json", "/pypi/yanked-one/1.0/json"] {
        let (without, with) = (get(&relay.url(path)).await, get(&relay.url(&format!("{path}/"))).await);
        assert_eq!((with.status, with.header("etag")), (without.status, without.header("etag")), "{path}");
        assert_eq!(
            (with.json(), with.header("content-type")),
            (without.json(), "application/json"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_the_json_api_does_not_have_is_said_in_json() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    for path in ["/pypi/nobody/json", "/pypi/wire-core/99/json", "/pypi/-/json", "/pypi/nobody/json/"] {
        let answer = get(&relay.url(path)).await;
        assert_eq!((answer.status, answer.header("content-type")), (404, "application/json"), "{path}");
        assert!(answer.json()["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}");
    }
    assert_eq!(get(&relay.url("/simple/nobody/")).await.header("content-type"), "text/plain; charset=utf-8");
}

//! What servers of files say of their types, and what is odd on a page.

use reqwest::Method;
use serde_json::json;

use super::{HTML, JSON, Site, ZIP, name, quick};
use crate::support::scripted::upstream;
use crate::support::{IndexRelay, Relay, get, get_with};

#[tokio::test]
async fn the_text_decides_where_the_type_does_not() {
    let listing = json!({"meta": {"api-version": "1.1"}, "projects": [{"name": "a"}]}).to_string();
    let page = json!({"meta": {"api-version": "1.1"}, "files": [{"url": "a-1.zip"}]}).to_string();
    let html = ("<a href='a/'>a</a>".to_owned(), "<a href='a-1.zip'>a-1.zip</a>".to_owned());
    for (listing, page) in [(listing, page), html] {
        for media_type in
            ["", "application/octet-stream", "text/plain", "application/json", "binary/octet-stream"]
        {
            for mark in ["", "\u{feff}", "\n  "] {
                let site = Site::default();
                site.put("/simple/", media_type, format!("{mark}{listing}"));
                site.put("/simple/a/", media_type, format!("{mark}{page}"));
                let base = site.serve().await;
                let listed = upstream(base.clone()).listing().await.unwrap().projects;
                let names: Vec<_> = listed.iter().map(|project| project.name.as_str()).collect();
                assert_eq!(names, ["a"], "{media_type} {mark:?} {listing}");
                let relay = IndexRelay::start(base.as_str(), quick()).await;
                let page = get(&relay.url("/simple/a/")).await;
                assert!(page.status == 200 && page.text().contains("a-1.zip"), "{media_type} {mark:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_in_another_charset_leads_to_its_files() {
    let site = Site::default();
    site.put("/simple/a/", "text/html; charset=ISO-8859-1", &b"<a href='/f/\xe9/a-1.zip'>a-1.zip</a>"[..]);
    site.put("/simple/b/", HTML, &b"<meta charset='latin1'><a href='/f/\xe9/b-1.zip'>b-1.zip</a>"[..]);
    let wide: Vec<u8> =
        r#"{"files":[{"url":"/f/é/c-1.zip"}]}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    site.put("/simple/c/", JSON, wide);
    let relay = IndexRelay::start(site.serve().await.as_str(), quick()).await;
    for project in ["a", "b", "c"] {
        let page = relay.index.page(&name(project)).await.unwrap();
        assert_eq!(page.files[0].url.path(), format!("/f/%C3%A9/{project}-1.zip"));
    }
}

#[tokio::test]
async fn a_file_is_fetched_with_its_query_and_keeps_what_tells_its_release() {
    let html = "<base href='/one/'><base href='/two/'><a href='master.zip?sig=a%2Fb&amp;x=1#egg=a-1'>a</a>";
    let site = Site::new([("/simple/a/", HTML, html), ("/one/master.zip", ZIP, "bytes")]);
    let relay = Relay::start(site.serve().await.as_str(), &["follow.enabled=false"]).await;
    let page = get(&format!("{}simple/a/", relay.url)).await;
    let (_, rest) = page.text().split_once("href=\"../../").unwrap();
    let (href, _) = rest.split_once('"').unwrap();
    assert!(href.ends_with("/master.zip#egg=a-1"), "{href}");
    assert_eq!(get(&format!("{}{href}", relay.url)).await.text(), "bytes");
    let accept = [("accept", JSON)];
    let page = get_with(Method::GET, &format!("{}simple/a/", relay.url), &accept).await.unwrap();
    assert_eq!(page.json()["files"][0]["url"], json!(format!("{}{href}", relay.url)));
}

#[tokio::test]
async fn what_is_odd_costs_itself_and_is_passed_on_where_it_is_unknown() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let page = format!(
        r#"{{"meta":{{"api-version":"1.1","m":1e400}},"files":[null,{{"filename":"a-1.zip","url":"a-1.zip","hashes":null,"size":"5",
        "x":{deep},"yanked":""}},{{"url":"a-2.zip","size":NaN,"yanked":"\ud800"}}],"y":[Infinity]}}"#
    );
    let site = Site::new([("/simple/a/", JSON, &page)]);
    let relay = IndexRelay::start(site.serve().await.as_str(), quick()).await;
    let ours = get_with(Method::GET, &relay.url("/simple/a/"), &[("accept", JSON)]).await.unwrap();
    assert!(
        ours.text().contains(&format!("\"x\":{deep}")) && ours.text().contains("\"m\":1e400"),
        "{}",
        ours.text()
    );
    let text = ours.text().replace(&deep, "0").replace("1e400", "0");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let file = |at: usize, key: &str| value["files"][at][key].clone();
    assert_eq!((file(0, "filename"), file(1, "filename")), (json!("a-1.zip"), json!("a-2.zip")));
    assert_eq!((file(0, "size"), file(1, "size")), (json!(5), json!(null)));
    assert_eq!((file(0, "yanked"), file(1, "yanked")), (json!(""), json!("\u{fffd}")));
    assert_eq!((file(0, "hashes"), &value["y"]), (json!({}), &json!([null])));
}

#[tokio::test]
async fn a_file_whose_stated_digest_cannot_be_one_is_never_delivered() {
    let page = json!({"files": [{"url": "a-1.zip", "hashes": {"sha256": "0123"}}]}).to_string();
    let site = Site::new([("/simple/a/", JSON, &page), ("/simple/a/a-1.zip", ZIP, "bytes")]);
    let relay = Relay::start(site.serve().await.as_str(), &["follow.enabled=false"]).await;
    let accept = [("accept", JSON)];
    let page = get_with(Method::GET, &format!("{}simple/a/", relay.url), &accept).await.unwrap();
    let url = page.json()["files"][0]["url"].as_str().unwrap().to_owned();
    let file = get_with(Method::GET, &url, &[]).await.unwrap();
    assert!(file.status != 200 || file.body.is_err(), "{file:?}");
}

//! A relay behind a proxy that ends TLS or serves it below a path: where redirects and links lead.

use cheesewire::sandbox::Sandbox;
use cheesewire::xmlrpc::{Value, encode_call};
use reqwest::Method;

use crate::support::{Answer, Relay, get_with, post_with, sandbox};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const PUBLIC: &str = "https://public.test/pypi-cache";

async fn asked(relay: &Relay, path: &str, fields: &[(&str, &str)]) -> Answer {
    get_with(Method::GET, &format!("{}{path}", relay.url), fields).await.unwrap()
}

/// Every text in a JSON value that leads to a file, a provenance or a page of a relay.
fn addresses(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, member) in members {
                match member.as_str() {
                    Some(text) if matches!(key.as_str(), "url" | "provenance") => found.push(text.to_owned()),
                    Some(_) | None => addresses(member, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| addresses(item, found)),
        _ => {}
    }
}

/// The addresses of files in all answers that have some.
async fn all_addresses(relay: &Relay, fields: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    let page = [fields, &[("accept", JSON)]].concat();
    for (path, fields) in [
        ("simple/wire-core/", &page[..]),
        ("pypi/wire-core/json", fields),
        ("pypi/wire-core/1.1/json", fields),
    ] {
        let before = found.len();
        addresses(&asked(relay, path, fields).await.json(), &mut found);
        assert!(found.len() > before, "{path}");
    }
    let call = encode_call("release_urls", &[Value::from("wire-core"), Value::from("1.1")]).unwrap();
    let answer = post_with(&format!("{}pypi", relay.url), fields, call).await;
    let text = answer.text();
    let urls = text.split("<name>url</name><value><string>").skip(1);
    let before = found.len();
    found.extend(urls.map(|rest| rest.split('<').next().unwrap().to_owned()));
    assert!(found.len() > before, "{text}");
    found
}

fn lead_to(origin: &str, found: &[String]) {
    for address in found {
        let rest = address.strip_prefix(origin).unwrap_or_else(|| panic!("{address} is not at {origin}"));
        assert!(rest.starts_with("/packages/") || rest.starts_with("/integrity/"), "{address}");
    }
}

async fn pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), settings).await;
    (sandbox, relay)
}

#[tokio::test]
async fn redirects_and_links_keep_the_path_of_the_public_address() {
    let (_sandbox, relay) = pair(&["http.public_url=https://public.test/pypi-cache/"]).await;
    for (path, to) in [
        ("simple", "/simple/"),
        ("simple/Wire.Core", "/simple/Wire.Core/"),
        ("serversig/Wire.Core", "/serversig/Wire.Core/"),
    ] {
        let answer = asked(&relay, path, &[]).await;
        assert_eq!((answer.status, answer.header("location")), (301, &*format!("{PUBLIC}{to}")), "{path}");
    }
    for (path, link) in [
        ("", "\"https://public.test/pypi-cache/simple/\""),
        ("pypi/", "\"https://public.test/pypi-cache/simple/\""),
        ("pypi?:action=none", " https://public.test/pypi-cache/simple/\n"),
        ("elsewhere", " https://public.test/pypi-cache/simple/\n"),
        ("pypi/wire-core", "\"https://public.test/pypi-cache/simple/wire-core/\""),
        ("pypi/wire-core/", "\"https://public.test/pypi-cache/pypi/wire-core/json\""),
        ("mirrors", "\"https://public.test/pypi-cache/last-modified\""),
        ("rss/project/wire-core/releases.xml", "<link>https://public.test/pypi-cache/pypi/wire-core</link>"),
    ] {
        let answer = asked(&relay, path, &[]).await;
        assert!(answer.text().contains(link), "{path}: {}", answer.text());
    }
    lead_to(PUBLIC, &all_addresses(&relay, &[]).await);
    // These lead to the right place below any path.
    let page = asked(&relay, "simple/wire-core/", &[]).await;
    assert!(
        page.text().contains("href=\"../../packages/") && !page.text().contains("href=\"/"),
        "{}",
        page.text()
    );
    let list = asked(&relay, "simple/", &[]).await;
    assert!(list.text().contains("href=\"") && !list.text().contains("href=\"/"));
}

#[tokio::test]
async fn the_pages_for_people_escape_the_path_of_the_public_address() {
    let (_sandbox, relay) = pair(&["http.public_url=https://public.test/a&lt;b/\"><b>"]).await;
    for (path, link) in [
        ("", "https://public.test/a&amp;lt;b/%22%3E%3Cb%3E/simple/"),
        ("pypi/wire-core", "https://public.test/a&amp;lt;b/%22%3E%3Cb%3E/simple/wire-core/"),
        ("pypi/wire-core", "https://public.test/a&amp;lt;b/%22%3E%3Cb%3E/pypi/wire-core/json"),
    ] {
        let page = asked(&relay, path, &[]).await;
        assert!(page.text().contains(&format!("<a href=\"{link}\">")), "{path}: {}", page.text());
        assert!(!page.text().contains("&lt;") && !page.text().contains("<b>"), "{path}: {}", page.text());
    }
}

#[tokio::test]
async fn without_a_path_in_the_public_address_a_redirect_stays_on_the_host_of_the_request() {
    let (_sandbox, relay) = pair(&["http.public_url=https://public.test/"]).await;
    assert_eq!(asked(&relay, "simple/wire-core", &[]).await.header("location"), "/simple/wire-core/");
    lead_to("https://public.test", &all_addresses(&relay, &[]).await);
}

#[tokio::test]
async fn a_trusted_proxy_tells_which_address_was_asked_and_one_clients_is_not_anothers() {
    let (_sandbox, relay) = pair(&["clients.trusted_proxies=127.0.0.1"]).await;
    let first = [("x-forwarded-proto", "https"), ("x-forwarded-host", "first.test")];
    let second = [("host", "second.test"), ("x-forwarded-proto", "https"), ("x-forwarded-prefix", "/below")];
    let third = [("host", "third.test")];
    for _ in 0..2 {
        lead_to("https://first.test", &all_addresses(&relay, &first).await);
        lead_to("https://second.test/below", &all_addresses(&relay, &second).await);
        lead_to("http://third.test", &all_addresses(&relay, &third).await);
    }
    let location =
        async |fields| asked(&relay, "simple/wire-core", fields).await.header("location").to_owned();
    assert_eq!(location(&first).await, "/simple/wire-core/");
    assert_eq!(location(&second).await, "https://second.test/below/simple/wire-core/");
    let hostile = [
        ("x-forwarded-host", "a.test/\"><script>"),
        ("x-forwarded-prefix", "//evil.test"),
        ("host", "third.test"),
    ];
    lead_to("http://third.test", &all_addresses(&relay, &hostile).await);
}

#[tokio::test]
async fn others_say_nothing_of_the_address_that_was_asked() {
    let fields = [
        ("host", "relay.test"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-port", "444"),
        ("x-forwarded-for", "10.0.0.1"),
    ];
    for settings in [&[][..], &["clients.trusted_proxies=10.0.0.0/8"]] {
        let (_sandbox, relay) = pair(settings).await;
        lead_to("http://relay.test", &all_addresses(&relay, &fields).await);
        assert_eq!(asked(&relay, "simple/wire-core", &fields).await.header("location"), "/simple/wire-core/");
    }
}

//! `/serverkey` and `/serversig/NAME/`.

use std::os::unix::fs::PermissionsExt as _;

use cheesewire::sandbox::{Publication, Route};
use dsa::signature::hazmat::PrehashVerifier as _;
use dsa::{Signature, VerifyingKey};
use pkcs8::DecodePublicKey as _;
use reqwest::Method;
use sha1::{Digest as _, Sha1};

use super::{KEY, POLLS, get_as, keyed, signing_pair};
use crate::support::process::Process;
use crate::support::{Answer, Relay, get, get_with, sandbox, until};

/// The key, once it is there.
async fn key(relay: &str) -> VerifyingKey {
    let url = format!("{relay}serverkey");
    until("no key", async || get(&url).await.status == 200).await;
    VerifyingKey::from_public_key_pem(get(&url).await.text()).unwrap()
}

/// Whether a signature is that of a page.
fn fits(key: &VerifyingKey, page: &[u8], signature: &[u8]) -> bool {
    let signature = Signature::try_from(signature).unwrap();
    key.verify_prehash(&Sha1::digest(page), &signature).is_ok()
}

async fn signature(relay: &Relay, name: &str, agent: &str) -> Answer {
    let signature = get_as(relay, &format!("serversig/{name}/"), agent).await;
    assert_eq!(signature.status, 200, "{}", String::from_utf8_lossy(signature.bytes()));
    signature
}

#[tokio::test]
async fn serverkey_is_a_public_key_in_pem() {
    let (_sandbox, relay) = signing_pair(&[]).await;
    let key = key(&relay.url).await;
    let text = get(&format!("{}serverkey", relay.url)).await.text().to_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.first(), Some(&"-----BEGIN PUBLIC KEY-----"));
    assert_eq!(lines.last(), Some(&"-----END PUBLIC KEY-----"));
    assert!(!KEY.contains(lines[1]) && !text.contains("PRIVATE"), "{text}");
    let components = key.components();
    assert_eq!((components.p().bit_width(), components.q().bit_width()), (2048, 256));
}

#[tokio::test]
async fn every_pages_signature_is_of_exactly_what_the_same_program_gets() {
    let (sandbox, relay) = signing_pair(&[POLLS]).await;
    let key = key(&relay.url).await;
    for project in sandbox.listed().iter().take(12) {
        for agent in ["bandersnatch/1.5 (CPython 2.7.18)", "pep381client/1.5", "z3c.pypimirror/1.0.16"] {
            let page = get_as(&relay, &format!("simple/{}/", project.name), agent).await;
            let signature = signature(&relay, &project.name, agent).await;
            assert_eq!(signature.header("content-type"), "application/octet-stream");
            assert_eq!(signature.header("x-pypi-last-serial"), page.header("x-pypi-last-serial"));
            assert!(fits(&key, page.bytes(), signature.bytes()), "{} {agent}", project.name);
        }
    }
    // Another program's page has other links.
    let page = get_as(&relay, "simple/wire-top/", "pip/1").await;
    let other = signature(&relay, "wire-top", "pep381client/1.5").await;
    assert!(!fits(&key, page.bytes(), other.bytes()));
}

#[tokio::test]
async fn what_a_program_accepts_does_not_change_a_pages_signature() {
    let (_sandbox, relay) = signing_pair(&[]).await;
    let key = key(&relay.url).await;
    let page = get_as(&relay, "simple/wire-top/", "x/1").await;
    for (name, value) in [
        ("accept", "application/vnd.pypi.simple.v1+json"),
        ("accept-encoding", "gzip"),
        ("range", "bytes=0-3"),
    ] {
        let fields = [("user-agent", "x/1"), (name, value)];
        let url = format!("{}serversig/wire-top/", relay.url);
        let signature = get_with(Method::GET, &url, &fields).await.unwrap();
        assert_eq!((signature.status, signature.header("content-encoding")), (200, ""), "{name}");
        assert!(fits(&key, page.bytes(), signature.bytes()), "{name}");
    }
}

/// Each program's signature is that of the HTML that it gets, whatever it accepts; the page that it accepts may be another one.
#[tokio::test]
async fn a_signature_is_of_the_form_that_the_program_gets_as_html_whatever_it_accepts() {
    let (_sandbox, relay) = signing_pair(&[]).await;
    let key = key(&relay.url).await;
    for agent in ["x/1", "pep381client/1.5", "Z3C.PyPIMirror/1"] {
        let ask = async |path: &str, accept: &str| {
            let fields = [("user-agent", agent), ("accept", accept), ("accept-encoding", "gzip")];
            get_with(Method::GET, &format!("{}{path}", relay.url), &fields).await.unwrap()
        };
        let html = get_as(&relay, "simple/wire-top/", agent).await;
        for (accept, is_html) in [
            ("*/*", true),
            ("text/html", true),
            ("application/vnd.pypi.simple.v1+html", true),
            ("application/vnd.pypi.simple.v1+json", false),
            ("application/vnd.pypi.simple.latest+json, text/html;q=0.1", false),
            ("image/png", true),
        ] {
            let page = ask("simple/wire-top/", accept).await;
            let signature = ask("serversig/wire-top/", accept).await;
            assert!(fits(&key, html.bytes(), signature.bytes()), "{agent} {accept}");
            let serial = |answer: &Answer| answer.header("x-pypi-last-serial").to_owned();
            assert_eq!(serial(&signature), serial(&page), "{agent} {accept}");
            if page.header("content-encoding").is_empty() {
                assert_eq!(fits(&key, page.bytes(), signature.bytes()), is_html, "{agent} {accept}");
            }
        }
    }
}

/// A page that changes between page and signature: the serial tells.
#[tokio::test]
async fn a_signature_with_the_pages_serial_is_that_pages_and_a_later_one_says_so() {
    let (sandbox, relay) = signing_pair(&[POLLS]).await;
    let key = key(&relay.url).await;
    let path = "simple/wire-top/";
    let page = get_as(&relay, path, "x/1").await;
    let serial = sandbox.publish(Publication::new("wire-top", "9.0")).await.unwrap();
    let told = async || get(&format!("{}serial", relay.url)).await.text() >= &*serial.to_string();
    until("the change is not told", told).await;
    let later = signature(&relay, "wire-top", "x/1").await;
    assert_ne!(later.header("x-pypi-last-serial"), page.header("x-pypi-last-serial"));
    assert!(!fits(&key, page.bytes(), later.bytes()));
    let page = get_as(&relay, path, "x/1").await;
    assert_eq!(later.header("x-pypi-last-serial"), page.header("x-pypi-last-serial"));
    assert!(fits(&key, page.bytes(), later.bytes()));
}

#[tokio::test]
async fn serversig_redirects_without_the_slash_knows_unknown_projects_and_is_never_200_without_a_name() {
    let (_sandbox, relay) = signing_pair(&[]).await;
    let _ = key(&relay.url).await;
    let moved = get(&format!("{}serversig/Wire.Top", relay.url)).await;
    assert_eq!((moved.status, moved.header("location")), (301, "/serversig/Wire.Top/"));
    let spelled = get(&format!("{}serversig/Wire.Top/", relay.url)).await;
    assert_eq!(spelled.bytes(), get(&format!("{}serversig/wire-top/", relay.url)).await.bytes());
    let long = format!("serversig/{}/", "a".repeat(30_000));
    for path in [
        "serversig/no-such-project/",
        "serversig/..%2f..%2fetc/",
        "serversig/%00/",
        "serversig/a%2Fb/",
        &long,
    ] {
        assert_eq!(get(&format!("{}{path}", relay.url)).await.status, 404, "{path}");
    }
    assert_eq!(get(&format!("{}serversig/%ff/", relay.url)).await.status, 400);
    // pep381client opens a folder for writing if there is a signature.
    for path in ["serversig", "serversig/", "serversig//", "serversig///", "serversig/%20/", "serversig/?a=b"]
    {
        let answer = get(&format!("{}{path}", relay.url)).await;
        assert!(answer.status >= 400, "{path}: {}", answer.status);
    }
}

/// A key that is a pipe: it is read once somebody writes into it, so until then there is none.
#[tokio::test]
async fn until_there_is_a_key_only_the_two_addresses_are_503_and_nothing_is_asked_for() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("serverkey.pem");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let relay = Relay::start_in(folder, &sandbox.url(), &["signing.enabled=true"]).await;
    for address in ["serverkey", "serversig/wire-top/"] {
        let answer = get(&format!("{}{address}", relay.url)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "10"), "{address}");
    }
    assert_eq!(sandbox.requests().route(Route::Page), 0);
    assert_eq!(get(&format!("{}simple/wire-top/", relay.url)).await.status, 200);
    tokio::task::spawn_blocking(move || std::fs::write(path, KEY).unwrap()).await.unwrap();
    let _ = key(&relay.url).await;
    assert_eq!(get(&format!("{}serversig/wire-top/", relay.url)).await.status, 200);
}

#[tokio::test]
async fn a_key_that_is_none_is_never_replaced() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("serverkey.pem");
    std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nhalf").unwrap();
    let relay = Relay::start_in(folder, &sandbox.url(), &["signing.enabled=true"]).await;
    let broken = async || get(&format!("{}serverkey", relay.url)).await.header("retry-after") == "60";
    until("it is not seen", broken).await;
    assert!(std::fs::read_to_string(&path).unwrap().ends_with("half"));
    assert_eq!(get(&format!("{}simple/wire-top/", relay.url)).await.status, 200);
}

#[tokio::test]
async fn a_relay_that_signs_nothing_has_neither_address() {
    let sandbox = sandbox().await;
    let relay = Relay::start_in(keyed(), &sandbox.url(), &[]).await;
    for address in ["serverkey", "serversig/wire-top/"] {
        assert_eq!(get(&format!("{}{address}", relay.url)).await.status, 404, "{address}");
    }
}

/// The whole of it, with keys that the processes make themselves.
#[tokio::test]
async fn a_key_is_made_once_for_its_owner_alone_and_is_whole_or_absent_after_a_kill() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("serverkey.pem");
    let start = async || Process::start(folder.path(), &sandbox.url(), &["signing.enabled=true"]).await;
    // While it is made, most likely.
    for _ in 0..3 {
        let process = start().await;
        process.kill().await;
        assert!(
            !path.exists()
                || std::fs::read_to_string(&path).unwrap().ends_with("-----END PRIVATE KEY-----\n")
        );
    }
    let process = start().await;
    let _ = key(&process.url).await;
    let (made, public) = (std::fs::read(&path).unwrap(), get(&format!("{}serverkey", process.url)).await);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    process.kill().await;
    let process = start().await;
    let _ = key(&process.url).await;
    assert_eq!(get(&format!("{}serverkey", process.url)).await.text(), public.text());
    assert_eq!(std::fs::read(&path).unwrap(), made);
}

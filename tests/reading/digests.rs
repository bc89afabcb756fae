//! Which of the digests that an index states decides.

use cheesewire::model::{Algorithm, FileHasher};
use serde_json::{Map, json};

use super::{HTML, JSON, Site, ZIP};
use crate::support::{Relay, get, until};

const RIGHT: &[u8] = b"these are the bytes of a distribution file";
const WRONG: &[u8] = b"those are the bytes of a distribution file";

fn digits(algorithm: Algorithm, bytes: &[u8]) -> String {
    let mut hasher = FileHasher::new(algorithm);
    hasher.update(bytes);
    hasher.digest().digits()
}

/// An index of one project, each of whose files has the right bytes and these digests.
fn index(files: &[(&str, Vec<(String, String)>)]) -> Site {
    let site = Site::default();
    let files = files.iter().map(|(filename, stated)| {
        site.put(&format!("/packages/{filename}"), ZIP, RIGHT);
        let hashes: Map<_, _> = stated.iter().map(|(name, digits)| (name.clone(), json!(digits))).collect();
        json!({"filename": filename, "url": format!("/packages/{filename}"), "hashes": hashes})
    });
    let files: Vec<_> = files.collect();
    let page = json!({"meta": {"api-version": "1.1"}, "name": "a", "files": files});
    site.put("/simple/a/", JSON, page.to_string());
    site
}

async fn relay(site: &Site) -> Relay {
    relay_before(site.serve().await.as_str()).await
}

async fn relay_before(upstream: &str) -> Relay {
    let relay = Relay::start(upstream, &["follow.enabled=false"]).await;
    assert_eq!(get(&format!("{}simple/a/", relay.url)).await.status, 200);
    relay
}

/// What a client gets of a file: whole, or not at all.
async fn delivered(relay: &Relay, filename: &str) -> Option<Vec<u8>> {
    let answer = get(&format!("{}packages/{filename}", relay.url)).await;
    answer.body.ok().filter(|_| answer.status == 200)
}

#[tokio::test]
async fn a_file_is_checked_by_whichever_algorithm_its_digest_is_stated_in() {
    let names = Algorithm::ALL.map(|one| [one.name().to_owned(), one.name().to_ascii_uppercase()]);
    let names = names.concat();
    let digests = |name: &String, bytes| vec![(name.clone(), digits(Algorithm::parse(name).unwrap(), bytes))];
    let files = names.iter().flat_map(|name| {
        let right = (format!("{name}-1.zip"), digests(name, RIGHT));
        [right, (format!("{name}-2.zip"), digests(name, WRONG))]
    });
    let files: Vec<_> = files.collect();
    let stated: Vec<_> = files.iter().map(|(filename, stated)| (filename.as_str(), stated.clone())).collect();
    let relay = relay(&index(&stated)).await;
    for name in names {
        assert_eq!(delivered(&relay, &format!("{name}-1.zip")).await.as_deref(), Some(RIGHT), "{name}");
        assert_eq!(delivered(&relay, &format!("{name}-2.zip")).await, None, "{name}");
    }
}

#[tokio::test]
async fn the_strongest_decides_and_a_weaker_one_only_where_that_is_missing_or_malformed() {
    let of = |algorithm: Algorithm, bytes| (algorithm.name().to_owned(), digits(algorithm, bytes));
    let malformed = |algorithm: Algorithm| (algorithm.name().to_owned(), "00".to_owned());
    let (md5, sha256, sha512) = (Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512);
    let files = [
        ("a-1.zip", vec![of(sha512, RIGHT), of(sha256, WRONG), of(md5, WRONG)], true),
        ("a-2.zip", vec![of(sha512, WRONG), of(sha256, RIGHT), of(md5, RIGHT)], false),
        ("a-3.zip", vec![of(sha256, RIGHT), of(md5, WRONG)], true),
        ("a-4.zip", vec![of(sha256, WRONG), of(md5, RIGHT)], false),
        ("a-5.zip", vec![malformed(sha256), of(md5, RIGHT)], true),
        ("a-6.zip", vec![malformed(sha256), of(md5, WRONG)], false),
        ("a-7.zip", vec![malformed(sha512), malformed(md5)], false),
        ("a-8.zip", vec![("unheard-of".to_owned(), "00".to_owned()), of(sha256, WRONG)], false),
    ];
    let site = index(&files.clone().map(|(filename, stated, _)| (filename, stated)));
    let relay = relay(&site).await;
    for (filename, _, right) in files {
        assert_eq!(delivered(&relay, filename).await.is_some(), right, "{filename}");
    }
}

#[tokio::test]
async fn a_file_without_sha256_is_kept_and_found_again_also_after_a_restart() {
    let stated = vec![("sha512".to_owned(), digits(Algorithm::Sha512, RIGHT))];
    let site = index(&[("a-1.zip", stated.clone()), ("a-2.zip", stated)]);
    let url = site.serve().await;
    let first = relay_before(url.as_str()).await;
    let fetched = |site: &Site| site.asked().iter().filter(|path| path.contains("/packages/")).count();
    assert_eq!(delivered(&first, "a-1.zip").await.as_deref(), Some(RIGHT));
    // It is kept a moment after it was sent.
    let again = async || get(&format!("{}packages/a-1.zip", first.url)).await.header("x-cache") == "hit";
    until("the file is never kept", again).await;
    assert_eq!(fetched(&site), 1);
    assert_eq!(delivered(&first, "a-2.zip").await.as_deref(), Some(RIGHT), "the same bytes on another path");
    let tag = format!("\"{}\"", digits(Algorithm::Sha256, RIGHT));
    assert_eq!(get(&format!("{}packages/a-2.zip", first.url)).await.header("etag"), tag);
    let second = Relay::start_in(first.stop().await, url.as_str(), &["follow.enabled=false"]).await;
    assert_eq!(get(&format!("{}packages/a-1.zip", second.url)).await.header("x-cache"), "hit");
    assert_eq!(fetched(&site), 0);
}

#[tokio::test]
async fn a_digest_in_an_html_pages_link_is_read_in_any_spelling_and_given_on() {
    for (spelling, algorithm) in
        [("SHA512", Algorithm::Sha512), ("sha3-384", Algorithm::Sha3_384), ("blake2b", Algorithm::Blake2b)]
    {
        let site = Site::default();
        let link = |filename: &str, bytes| {
            site.put(&format!("/packages/{filename}"), ZIP, RIGHT);
            let weak = digits(Algorithm::Md5, RIGHT);
            format!(
                "<a href='/packages/{filename}#md5={weak}&{spelling}={}'>{filename}</a>",
                digits(algorithm, bytes)
            )
        };
        site.put("/simple/a/", HTML, format!("{}{}", link("a-1.zip", RIGHT), link("a-2.zip", WRONG)));
        let relay = relay(&site).await;
        let page = get(&format!("{}simple/a/", relay.url)).await;
        let told = format!("#{}={}\"", algorithm.name(), digits(algorithm, RIGHT));
        assert!(page.text().contains(&told), "{}", page.text());
        assert_eq!(delivered(&relay, "a-1.zip").await.as_deref(), Some(RIGHT), "{spelling}");
        assert_eq!(delivered(&relay, "a-2.zip").await, None, "{spelling}");
    }
}

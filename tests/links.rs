//! What links and redirects of the index may lead to: nothing beside the relay, whatever a page says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::any;
use cheesewire::journal::{DocumentKey, Journal, JournalSettings, KeptDocument};
use cheesewire::model::{Digest, ProjectName};
use cheesewire::upstream::{Refusal, Upstream, UpstreamError, UpstreamSettings};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::support::scripted::serve;
use crate::support::{Relay, get};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const SECRET: &[u8] = b"what nobody outside may read";

fn name(text: &str) -> ProjectName {
    ProjectName::parse(text).unwrap()
}

/// A server beside the relay that is not the index's, and how often it was asked.
struct Neighbour {
    url: Url,
    asked: Arc<AtomicUsize>,
}

impl Neighbour {
    async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let answer = move |uri: Uri, headers: HeaderMap| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(!headers.contains_key("authorization"), "{headers:?}");
                if uri.path().ends_with("/json") || uri.path().ends_with("/provenance") {
                    return "{\"info\": {}}".into_response();
                }
                if uri.path().contains("/simple/") {
                    return ([("content-type", JSON)], r#"{"files":[],"projects":[]}"#).into_response();
                }
                SECRET.into_response()
            }
        };
        Self { url: serve(Router::new().fallback(any(answer))).await, asked }
    }

    fn at(&self, path: &str) -> String {
        self.url.join(path).unwrap().to_string()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// An index with one page, and redirects below `/to/`: `/to/HTTP_ADDRESS`.
async fn index(page: impl Fn(&str) -> Value + Clone + Send + Sync + 'static) -> Url {
    let answer = move |uri: Uri| {
        let page = page.clone();
        async move { respond(&uri, &page) }
    };
    serve(Router::new().fallback(any(answer))).await
}

fn respond(uri: &Uri, page: &impl Fn(&str) -> Value) -> Response {
    if let Some(target) = uri.path().strip_prefix("/to/") {
        return Redirect::temporary(&target.replacen("http:/", "http://", 1).replace(":///", "://"))
            .into_response();
    }
    match uri.path().strip_prefix("/simple/").and_then(|rest| rest.strip_suffix('/')) {
        Some("") => ([("content-type", JSON)], r#"{"projects":[{"name":"a"}]}"#).into_response(),
        Some(project) => ([("content-type", JSON)], page(project).to_string()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn secret() -> String {
    hex::encode(Sha256::digest(SECRET))
}

/// The links of a page as the relay states them.
async fn links(relay: &Relay, project: &str) -> Vec<String> {
    let page = get_json(&format!("{}simple/{project}/", relay.url)).await;
    let files = page["files"].as_array().unwrap();
    files.iter().map(|file| file["url"].as_str().unwrap().to_owned()).collect()
}

async fn get_json(url: &str) -> Value {
    let accept = [("accept", JSON)];
    crate::support::get_with(reqwest::Method::GET, url, &accept).await.unwrap().json()
}

#[tokio::test]
async fn a_link_to_what_is_beside_the_relay_is_refused_with_the_settings_name_until_that_lists_it() {
    let neighbour = Neighbour::start().await;
    let port = neighbour.url.port().unwrap();
    let at = neighbour.url.clone();
    let base = index(move |_| {
        let spellings = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"];
        let direct = spellings.map(|host| format!("http://{host}:{port}/packages/a/a-1.zip"));
        let redirected = [format!("../../to/{at}a/a-1.zip"), format!("../../to//to/{at}a/a-1.zip")];
        let file = |(at, url)| json!({"filename": format!("a-{at}.zip"), "url": url, "hashes": {"sha256": secret()}});
        let files: Vec<_> = direct.into_iter().chain(redirected).enumerate().map(file).collect();
        json!({"meta": {"api-version": "1.1"}, "name": "a", "versions": [], "files": files})
    })
    .await;
    let relay = Relay::start(base.as_str(), &["upstream.allowed_hosts="]).await;
    let found = links(&relay, "a").await;
    assert_eq!(found.len(), 7);
    for link in found {
        let answer = get(&link).await;
        assert_eq!(answer.status, 502, "{link}");
        assert!(answer.text().contains("upstream.allowed_hosts"), "{}", answer.text());
        assert!(!answer.text().contains("127.0.0.1") && !answer.text().contains(&port.to_string()));
    }
    assert_eq!(neighbour.asked(), 0);
    for listed in ["127.0.0.0/8".to_owned(), format!("127.0.0.1:{port}")] {
        let set = format!("upstream.allowed_hosts={listed}");
        let relay = Relay::start(base.as_str(), &[&set]).await;
        let answer = get(&links(&relay, "a").await[0]).await;
        assert_eq!((answer.status, answer.bytes()), (200, SECRET), "{listed}");
    }
}

#[tokio::test]
async fn metadata_provenances_pages_listings_and_heads_reach_nothing_beside_the_relay_either() {
    let neighbour = Neighbour::start().await;
    let at = neighbour.url.clone();
    let base = index(|_| json!({})).await;
    let redirected = |path: &str| base.join(&format!("to/{at}{path}")).unwrap();
    let settings = UpstreamSettings { retries: 0, ..UpstreamSettings::new(base.clone()) };
    let upstream = Upstream::new(settings.clone()).unwrap();
    let refused = UpstreamError::Refused(Refusal::Private);
    for link in [neighbour.at("a-1.zip").parse().unwrap(), redirected("a-1.zip")] {
        assert_eq!(upstream.file(&link, None).await.map(drop).unwrap_err(), refused);
        assert_eq!(upstream.file_head(&link).await.unwrap_err(), refused);
        assert_eq!(upstream.metadata(&link).await.unwrap_err(), refused);
        assert_eq!(upstream.provenance(&link).await.unwrap_err(), refused);
    }
    let moved = UpstreamSettings { base: redirected(""), ..settings };
    let upstream = Upstream::new(moved.clone()).unwrap();
    assert_eq!(upstream.listing().await.unwrap_err(), refused);
    assert_eq!(upstream.project_page(&name("a"), None).await.map(drop).unwrap_err(), refused);
    assert_eq!(upstream.json_document(&name("a"), None, None).await.map(drop).unwrap_err(), refused);
    assert_eq!(neighbour.asked(), 0);
    let allowed = UpstreamSettings { allowed_hosts: "127.0.0.1".parse().unwrap(), ..moved };
    let upstream = Upstream::new(allowed).unwrap();
    upstream.project_page(&name("a"), None).await.map(drop).unwrap();
    upstream.json_document(&name("a"), None, None).await.map(drop).unwrap();
    assert_eq!(neighbour.asked(), 2);
}

#[tokio::test]
async fn credentials_go_to_the_indexs_own_origin_alone_also_behind_a_redirect_that_leads_back() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = seen.clone();
    let own = move |uri: Uri, headers: HeaderMap| {
        let sent: Vec<_> =
            headers.get_all("authorization").iter().map(|sent| sent.to_str().unwrap().to_owned()).collect();
        heard.lock().unwrap().push((uri.path().to_owned(), sent));
        async move { respond(&uri, &|_| json!({})) }
    };
    let mut base = serve(Router::new().fallback(any(own))).await;
    let (host, back) = (base.clone(), base.join("back").unwrap());
    let other = serve(Router::new().fallback(any(move |headers: HeaderMap| async move {
        assert!(!headers.contains_key("authorization"), "{headers:?}");
        Redirect::temporary(back.as_str())
    })))
    .await;
    base.set_username("u").unwrap();
    let settings = UpstreamSettings { retries: 0, ..UpstreamSettings::new(base) };
    let settings = UpstreamSettings { allowed_hosts: "127.0.0.1".parse().unwrap(), ..settings };
    let upstream = Upstream::new(settings).unwrap();
    // A page's own user does not come in the way, and none is sent that a redirect names.
    let mut link = host.join(&format!("to/http://x:y@127.0.0.1:{}/", other.port().unwrap())).unwrap();
    link.set_username("page").unwrap();
    assert_eq!(upstream.metadata(&link).await.unwrap_err(), UpstreamError::Absent(404));
    let sent = vec!["Basic dTo=".to_owned()];
    assert_eq!(*seen.lock().unwrap(), [(link.path().to_owned(), sent.clone()), ("/back".to_owned(), sent)]);
}

#[tokio::test]
async fn an_encrypted_indexs_clear_text_link_needs_a_strong_digest_and_gets_no_credentials() {
    let neighbour = Neighbour::start().await;
    let settings = UpstreamSettings::new("https://user:password@index.test/".parse().unwrap());
    let allowed = UpstreamSettings { allowed_hosts: "127.0.0.1".parse().unwrap(), retries: 0, ..settings };
    let upstream = Upstream::new(allowed).unwrap();
    let mut link: Url = neighbour.at("a-1.zip").parse().unwrap();
    link.set_username("page").unwrap();
    let refused = UpstreamError::Refused(Refusal::ClearText);
    assert_eq!(upstream.check_clear_text(&link, None), Err(refused.clone()));
    let md5 = Digest::parse("md5", &"ab".repeat(16)).unwrap();
    assert_eq!(upstream.check_clear_text(&link, Some(&md5)), Err(refused));
    let sha256 = Digest::parse("sha256", &secret()).unwrap();
    assert_eq!(upstream.check_clear_text(&link, Some(&sha256)), Ok(()));
    // It looks at what it is sent.
    upstream.file(&link, None).await.map(drop).unwrap();
    assert_eq!(neighbour.asked(), 1);
}

#[tokio::test]
async fn the_relay_fetches_no_clear_text_link_of_an_encrypted_index_without_a_strong_digest() {
    let neighbour = Neighbour::start().await;
    let file = |number: usize, algorithm: &str, digest: &str| {
        let hashes = if algorithm.is_empty() { json!({}) } else { json!({algorithm: digest}) };
        json!({"filename": format!("a-{number}.zip"), "url": neighbour.at(&format!("a-{number}.zip")), "hashes": hashes})
    };
    let files = [
        file(0, "sha256", &secret()),
        file(1, "", ""),
        file(2, "md5", &"ab".repeat(16)),
        file(3, "sha1", &"ab".repeat(20)),
    ];
    let page = json!({"meta": {"api-version": "1.1"}, "name": "a", "versions": [], "files": files});
    // As it was kept while the index could be asked.
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let kept = KeptDocument {
        body: page.to_string().into(),
        content_type: JSON.to_owned(),
        etag: None,
        last_serial: None,
        url: "https://127.0.0.1:1/simple/a/".to_owned(),
        checked: journal.clock().unix(),
    };
    journal.keep_document(&DocumentKey::Page(name("a")), &kept, vec![]).await.unwrap();
    journal.close().await;
    let relay = Relay::start_in(folder, "https://127.0.0.1:1/", &["follow.enabled=false"]).await;
    let [strong, weak @ ..] = &links(&relay, "a").await[..] else { panic!("no links") };
    for link in weak {
        for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
            let answer = crate::support::get_with(method.clone(), link, &[]).await.unwrap();
            assert_eq!(answer.status, 502, "{method} {link}");
            assert!(
                method == reqwest::Method::HEAD || answer.text().contains("SHA-256"),
                "{}",
                answer.text()
            );
        }
    }
    assert_eq!(neighbour.asked(), 0);
    let answer = get(strong).await;
    assert_eq!((answer.status, answer.bytes()), (200, SECRET));
}

#[tokio::test]
async fn five_redirects_are_followed_and_not_a_sixth() {
    let answer = |uri: Uri| async move {
        let hop = uri.path().strip_prefix("/hop/").and_then(|rest| rest.split_once('/'));
        match hop.and_then(|(left, file)| Some((left.parse::<u32>().ok()?, file))) {
            Some((0, _)) => SECRET.into_response(),
            Some((left, file)) => Redirect::temporary(&format!("/hop/{}/{file}", left - 1)).into_response(),
            None => respond(&uri, &|_: &str| {
                let file = |name: &str, hops: u32| json!({"filename": name, "url": format!("/hop/{hops}/{name}"), "hashes": {"sha256": secret()}});
                json!({"name": "a", "files": [file("a-1.zip", 5), file("a-2.zip", 6)]})
            }),
        }
    };
    let index = serve(Router::new().fallback(any(answer))).await;
    let relay = Relay::start(index.as_str(), &["follow.enabled=false", "relay.resumes=0"]).await;
    let links = links(&relay, "a").await;
    // The second first: what was fetched for the other would be given out for it, too.
    assert_eq!(get(&links[1]).await.status, 502);
    let followed = get(&links[0]).await;
    assert_eq!((followed.status, followed.bytes()), (200, SECRET));
}

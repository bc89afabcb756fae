//! Where the simple index is.

use axum::http::StatusCode;
use cheesewire::index::IndexError;
use cheesewire::upstream::{Upstream, UpstreamError, UpstreamSettings, Validators};
use cheesewire::xmlrpc::Value;
use serde_json::json;

use super::{HTML, JSON, Site, name};
use crate::support::scripted::upstream;
use crate::support::{IndexRelay, Relay, call, get};

const LISTING: &str = "<a href='a/'>a</a><br/><a href='b/'>b</a>";
const PAGE: &str = "<a href='/files/a-1%2Bcpu-py3-none-any.whl'>a-1+cpu-py3-none-any.whl</a>";

#[tokio::test]
async fn an_index_directly_below_its_address_is_found_by_a_page_and_stays_found() {
    let site = Site::new([("/whl/cpu/", HTML, LISTING), ("/whl/cpu/a/", HTML, PAGE)]);
    let base = site.serve().await.join("whl/cpu/").unwrap();
    let relay = IndexRelay::start(base.as_str(), crate::reading::quick()).await;
    let page = relay.index.page(&name("a")).await.unwrap();
    assert_eq!(page.files[0].filename, "a-1+cpu-py3-none-any.whl");
    assert_eq!(site.asked(), ["/whl/cpu/simple/a/", "/whl/cpu/a/"]);
    let missing = relay.index.page(&name("c")).await;
    assert!(matches!(missing, Err(IndexError::NoSuchProject)), "{missing:?}");
    assert_eq!(site.asked(), ["/whl/cpu/c/"]);
}

#[tokio::test]
async fn it_is_found_by_its_listing_if_what_that_names_are_projects() {
    let site = Site::new([("/whl/", HTML, LISTING), ("/whl/b/", HTML, "<a href='b-1.tar.gz'>b</a>")]);
    let upstream = upstream(site.serve().await.join("whl").unwrap());
    let listing = upstream.listing().await.unwrap();
    assert_eq!(listing.projects.len(), 2);
    assert_eq!(site.asked(), ["/whl/simple/", "/whl/", "/whl/a/", "/whl/b/"]);
    assert!(upstream.simple_index().unwrap().path() == "/whl/");
    let json = json!({"projects": [{"name": "a"}]}).to_string();
    let page = json!({"files": [{"url": "a-1.zip"}]}).to_string();
    let site = Site::new([("/x/", JSON, &json), ("/x/a/", JSON, &page), ("/x/simple/", JSON, &page)]);
    let upstream = crate::support::scripted::upstream(site.serve().await.join("x/").unwrap());
    assert_eq!(upstream.listing().await.unwrap().projects[0].name, "a");
    assert_eq!(
        upstream.simple_index().unwrap().path(),
        "/x/",
        "below simple/ there is only a project of that name"
    );
}

#[tokio::test]
async fn the_usual_place_costs_no_question_more() {
    let site = Site::new([("/simple/a/", HTML, PAGE), ("/simple/", HTML, LISTING), ("/a/", HTML, PAGE)]);
    let upstream = upstream(site.serve().await);
    upstream.project_page(&name("a"), None).await.unwrap();
    assert!(matches!(upstream.project_page(&name("c"), None).await, Err(UpstreamError::Absent(404))));
    upstream.listing_unless(&Validators::default()).await.unwrap();
    assert_eq!(site.asked(), ["/simple/a/", "/simple/c/", "/simple/"]);
}

#[tokio::test]
async fn an_index_that_is_only_down_is_not_taken_for_another() {
    // A site's front page, a mirror's folders, and folders of anything.
    let front = "<title>Welcome</title><a href='/help/'>help</a><a href='/a/'>a</a>";
    let folders = "<title>Index of /</title><a href='simple/'>simple/</a><a href='packages/'>packages/</a>";
    let others = "<title>Index of /</title><a href='packages/'>packages/</a>";
    for root in [front, folders, others] {
        let site = Site::new([
            ("/", HTML, root),
            ("/a/", HTML, "<title>About us</title>"),
            ("/help/", HTML, "<title>Help</title><a href='/a/'>a</a>"),
            ("/packages/", HTML, "<title>Index of /packages/</title><a href='a/'>a/</a>"),
        ]);
        for status in [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN, StatusCode::SERVICE_UNAVAILABLE] {
            site.say_of_missing(status);
            let upstream = upstream(site.serve().await);
            assert!(upstream.listing_unless(&Validators::default()).await.is_err(), "{root}");
            assert!(upstream.project_page(&name("a"), None).await.is_err(), "{root}");
            assert_eq!(upstream.simple_index(), None, "{root}");
            if status == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!(site.asked(), ["/simple/", "/simple/a/"], "what is down is where it was");
            }
            // It comes back.
            site.put("/simple/a/", HTML, PAGE);
            upstream.project_page(&name("a"), None).await.unwrap();
            assert_eq!(upstream.simple_index().unwrap().path(), "/simple/");
            site.take("/simple/a/");
            site.asked();
        }
    }
}

#[tokio::test]
async fn what_only_may_be_there_is_no_404() {
    let site = Site::new([("/a/", HTML, "")]);
    let upstream = upstream(site.serve().await);
    site.put("/b/", "application/pdf", "%PDF");
    assert!(matches!(upstream.project_page(&name("b"), None).await, Err(UpstreamError::Absent(404))));
    let settings = UpstreamSettings { retries: 0, ..UpstreamSettings::new(site.serve().await) };
    let told = UpstreamSettings { simple: Some(site.serve().await.join("lists").unwrap()), ..settings };
    site.put("/lists/a/", HTML, PAGE);
    site.asked();
    Upstream::new(told).unwrap().project_page(&name("a"), None).await.unwrap();
    assert_eq!(site.asked(), ["/lists/a/"]);
}

#[tokio::test]
async fn a_project_that_the_listing_lacks_is_none_also_where_that_is_forbidden() {
    let listing = r#"{"meta":{"_last-serial":1},"projects":[{"name":"a","_last-serial":1},{"name":"b","_last-serial":1}]}"#;
    let site = Site::new([("/simple/", JSON, listing), ("/simple/a/", HTML, PAGE)]);
    site.say_of_missing(StatusCode::FORBIDDEN);
    let relay = Relay::start(site.serve().await.as_str(), &["follow.enabled=false"]).await;
    assert_eq!(call(&relay.url, "list_packages", &[]).await, Ok(Value::from_iter(["a", "b"])));
    assert_eq!(get(&format!("{}simple/a/", relay.url)).await.status, 200);
    for (path, status) in [("simple/c/", 404), ("pypi/c/json", 404), ("simple/b/", 502)] {
        assert_eq!(get(&format!("{}{path}", relay.url)).await.status, status, "{path}");
    }
}

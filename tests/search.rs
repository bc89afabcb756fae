//! `search` of a whole relay.

use std::sync::Arc;

use cheesewire::sandbox::{Change, Effect, Fault, Info, Project, Publication, Route, Sandbox};
use cheesewire::xmlrpc::{Fault as RpcFault, Value};
use serde_json::json;

use crate::support::{Relay, call, get, sandbox, until};

/// Quick enough for tests, and everything learned only if a test says so.
const QUIET: [&str; 2] = ["follow.interval=20ms", "search.learn_hits=0"];

async fn pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let settings: Vec<&str> = QUIET.iter().chain(settings).copied().collect();
    let relay = Relay::start(&sandbox.url(), &settings).await;
    (sandbox, relay)
}

fn spec(fields: &[(&str, Value)]) -> Value {
    Value::Struct(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn one(field: &str, value: &str) -> Value {
    spec(&[(field, Value::from(value))])
}

/// As pip asks.
fn pip(text: &str) -> [Value; 2] {
    let terms = Value::from_iter([text]);
    [spec(&[("name", terms.clone()), ("summary", terms)]), Value::from("or")]
}

async fn answer(relay: &Relay, params: &[Value]) -> Result<Vec<Value>, RpcFault> {
    call(&relay.url, "search", params).await.map(|hits| hits.as_array().unwrap().to_vec())
}

/// Names with versions.
async fn found(relay: &Relay, params: &[Value]) -> Vec<(String, String)> {
    let text = |hit: &Value, member| hit.get(member).unwrap().as_str().unwrap().to_owned();
    let hits = answer(relay, params).await.unwrap();
    hits.iter().map(|hit| (text(hit, "name"), text(hit, "version"))).collect()
}

async fn names(relay: &Relay, params: &[Value]) -> Vec<String> {
    found(relay, params).await.into_iter().map(|(name, _)| name).collect()
}

/// Has the relay see these projects' documents.
async fn see(relay: &Relay, projects: &[&str]) {
    // The first listing fills the table of projects anew. What is learned meanwhile may be learned once more.
    call(&relay.url, "changelog_last_serial", &[]).await.unwrap();
    for project in projects {
        call(&relay.url, "package_releases", &[Value::from(*project)]).await.unwrap();
    }
}

/// Asks until the names are these.
async fn becomes(relay: &Relay, params: &[Value], expected: &[&str]) {
    let what = format!("{params:?} does not find {expected:?}");
    until(&what, async || names(relay, params).await == expected).await;
}

#[tokio::test]
async fn every_name_is_found_before_any_document_was_seen_in_any_spelling() {
    let (sandbox, relay) = pair(&[]).await;
    for project in sandbox.listed() {
        for spelling in [project.name.clone(), project.name.to_uppercase().replace('-', "_.")] {
            let found = names(&relay, &[one("name", &spelling)]).await;
            assert_eq!(found.first(), Some(&project.name), "{spelling}");
        }
    }
    let all = names(&relay, &pip("wire")).await;
    assert!(all.iter().all(|name| name.contains("wire")) && all.len() >= 4, "{all:?}");
    assert_eq!(sandbox.requests().route(Route::Json), 0, "a document was fetched");
}

#[tokio::test]
async fn hits_have_the_fields_that_clients_read_and_fall_in_their_ordering() {
    let (sandbox, relay) = pair(&[]).await;
    see(&relay, &["wire-top", "wire-core"]).await;
    let mut projects = ["wire-top", "wire-core"].map(|name| sandbox.project(name).unwrap());
    projects.sort_by_key(|project| std::cmp::Reverse(project.last_serial));
    let hit = |(project, ordering): (&Arc<Project>, i64)| {
        let latest = project.latest().unwrap();
        let summary = latest.info.summary.as_deref().unwrap();
        let members = [
            ("name", Value::from(project.name.as_str())),
            ("version", Value::from(latest.version.as_str())),
            ("summary", Value::from(summary)),
            ("_pypi_ordering", Value::Int(ordering)),
        ];
        Value::Struct(members.map(|(name, value)| (name.to_owned(), value)).into())
    };
    let expected: Vec<Value> = projects.iter().zip([100, 99]).map(hit).collect();
    assert_eq!(answer(&relay, &pip("diamond")).await, Ok(expected));
}

#[tokio::test]
async fn every_field_is_searched_by_its_words_and_others_are_ignored() {
    let (_sandbox, relay) = pair(&[]).await;
    see(&relay, &["every-field", "non-ascii", "markup-summary", "wire-core"]).await;
    for (field, value) in [
        ("author", "author alice"),
        ("author_email", "alice@people.test"),
        ("maintainer", "MAINTAINER"),
        ("maintainer_email", "mo@people.test"),
        ("home_page", "https://home.test/every-field"),
        ("license", "apache"),
        ("summary", "stated fields"),
        ("description", "all of them"),
        ("keywords", "slice"),
        ("platform", "any"),
        ("download_url", "download"),
    ] {
        let fields = [(field, Value::from(value)), ("sumary", Value::from("x")), ("classifiers", 3.into())];
        assert!(names(&relay, &[spec(&fields)]).await.contains(&"every-field".to_owned()), "{field}");
        let absent = [(field, Value::from(format!("{value} zebra")))];
        assert_eq!(names(&relay, &[spec(&absent)]).await, [""; 0], "{field}");
    }
    for text in ["kasedraht", "KÄSEDRAHT", "チーズ", "à couper"] {
        assert_eq!(names(&relay, &[one("summary", text)]).await, ["non-ascii"], "{text}");
    }
    assert_eq!(names(&relay, &[one("author", "ångström zoë")]).await, ["non-ascii"]);
    assert_eq!(names(&relay, &[one("summary", "<script>alert(1)</script>")]).await, ["markup-summary"]);
    // Fields are joined by the operator, of any case; a field's values by "or".
    let both = spec(&[("name", "wire".into()), ("license", Value::from_iter(["apache", "mit"]))]);
    assert_eq!(names(&relay, &[both.clone(), "AND".into()]).await, ["wire-core"]);
    let either = names(&relay, &[both, "Or".into()]).await;
    assert!(either.len() > 4 && either.last().is_some_and(|name| name == "every-field"), "{either:?}");
}

#[tokio::test]
async fn with_a_version_each_matching_release_is_a_hit() {
    let (_sandbox, relay) = pair(&[]).await;
    see(&relay, &["wire-top", "many-versions", "wire-core"]).await;
    let asked = |name: &str, versions: &[&str]| {
        [spec(&[("name", name.into()), ("version", versions.iter().copied().collect())])]
    };
    let pairs = |name: &str, versions: &[&str]| -> Vec<(String, String)> {
        versions.iter().map(|version| (name.to_owned(), (*version).to_owned())).collect()
    };
    assert_eq!(found(&relay, &asked("wire-top", &["2"])).await, pairs("wire-top", &["2.0"]));
    assert_eq!(found(&relay, &asked("wire-top", &["9"])).await, []);
    let many = found(&relay, &asked("many", &["1.13.9", "1.0.0", "7"])).await;
    assert_eq!(many, pairs("many-versions", &["1.0.0", "1.13.9"]));
    let or = [spec(&[("name", "many-versions".into()), ("version", "2.0".into())]), "or".into()];
    let hits = found(&relay, &or).await;
    assert_eq!(hits.len(), 100);
    assert!(hits.iter().all(|(name, _)| name == "many-versions"));
}

#[tokio::test]
async fn wrong_arguments_get_upstreams_words() {
    let (_sandbox, relay) = pair(&[]).await;
    let complaint = async |params: &[Value]| {
        let fault = answer(&relay, params).await.unwrap_err();
        (fault.code, fault.string)
    };
    let invalid = |text: &str| (-32602, format!("client error; {text}"));
    assert_eq!(complaint(&[]).await, invalid("spec: Missing required argument"));
    let dictionary = invalid("spec: Input should be a valid dictionary");
    for no_struct in [Value::from("wire"), Value::from_iter(["wire"]), 1.into(), Value::Nil] {
        assert_eq!(complaint(&[no_struct]).await, dictionary);
    }
    let wrong = spec(&[("name", 1.into()), ("summary", Value::Array(vec!["a".into(), true.into()]))]);
    let expected =
        "spec.name: Input should be a valid string; spec.summary.1: Input should be a valid string";
    assert_eq!(complaint(&[wrong]).await, invalid(expected));
    let operator = invalid("operator: Input should be a valid string");
    assert_eq!(complaint(&[one("name", "a"), 1.into()]).await, operator);
    let more = invalid("3: Unexpected positional argument");
    assert_eq!(complaint(&[one("name", "a"), "or".into(), 1.into()]).await, more);
    for operator in ["", "xor", "and or"] {
        let expected = "ValueError: Invalid operator, must be one of 'and' or 'or'.".to_owned();
        assert_eq!(complaint(&[one("name", "a"), operator.into()]).await, (-32500, expected));
    }
}

#[tokio::test]
async fn whatever_is_typed_is_text_and_bounded() {
    let (_sandbox, relay) = pair(&[]).await;
    see(&relay, &["every-field", "non-ascii", "wire-core"]).await;
    let nothing: [&str; 0] = [];
    for text in [
        "\"",
        "'",
        "*",
        "NEAR(",
        "NEAR(a b, 2)",
        "AND",
        "OR NOT",
        "{summary}: x",
        "summary : x",
        "^a",
        "a*",
        "-",
        "+",
        "\\",
        "%",
        "_",
        "(",
        ")",
        "\u{0}",
        "\u{ffff}",
        "diam*",
        "\"diamond",
        "💥",
        "; DROP TABLE learned",
        "\u{301}",
        "०१",
        "a\u{200d}b",
        "\u{93f}",
    ] {
        for field in ["name", "summary", "description", "author", "version", "keywords"] {
            for operator in ["and", "or"] {
                let params = [one(field, text), operator.into()];
                let hits = names(&relay, &params).await;
                assert!(hits.len() < 3, "{field} {text:?} finds {hits:?}");
            }
        }
        assert!(names(&relay, &pip(text)).await.len() < 3, "{text:?}");
    }
    // Nothing asked for, or nothing that can match.
    let empty = Value::Array(vec![]);
    for spec in [
        spec(&[]),
        one("name", ""),
        one("summary", ""),
        spec(&[("name", empty.clone())]),
        spec(&[("summary", Value::Nil)]),
        one("classifiers", "x"),
        one("name", " - "),
        spec(&[("name", "wire".into()), ("summary", "!".into())]),
        spec(&[("name", Value::from_iter([""]))]),
    ] {
        assert_eq!(names(&relay, std::slice::from_ref(&spec)).await, nothing, "{spec:?}");
    }
    // Large ones.
    let large = "x".repeat(900_000);
    for field in ["name", "summary", "version"] {
        assert_eq!(names(&relay, &[one(field, &large)]).await, nothing);
    }
    let words = "wire ".repeat(150_000);
    let refused = RpcFault::raised("ValueError", "a search may have at most 100 words");
    for field in ["name", "summary", "description"] {
        assert_eq!(answer(&relay, &[one(field, &words)]).await, Err(refused.clone()));
    }
    let many = spec(&[("summary", std::iter::repeat_n("", 101).collect())]);
    assert_eq!(answer(&relay, &[many]).await, Err(refused));
    assert_eq!(names(&relay, &pip(&"wire ".repeat(50))).await, names(&relay, &pip("wire")).await);
}

#[tokio::test]
async fn search_follows_the_journal() {
    let (sandbox, relay) = pair(&[]).await;
    see(&relay, &["wire-top"]).await;
    assert_eq!(names(&relay, &[one("summary", "diamond")]).await, ["wire-top"]);
    let brie = Publication { info: Info::default(), ..Publication::new("Brie_slicer", "0.1") };
    sandbox.publish(brie).await.unwrap();
    becomes(&relay, &pip("brie"), &["Brie_slicer"]).await;
    assert_eq!(found(&relay, &pip("brie slicer")).await, [("Brie_slicer".to_owned(), "0.1".to_owned())]);
    sandbox.publish(Publication::new("wire-top", "3.0")).await.unwrap();
    let top = [one("summary", "diamond")];
    until("the new version never comes", async || {
        found(&relay, &top).await == [("wire-top".to_owned(), "3.0".to_owned())]
    })
    .await;
    let name = || "wire-top".to_owned();
    sandbox.change(Change::Quarantine { name: name(), version: None, cleared: false }).await.unwrap();
    becomes(&relay, &top, &[]).await;
    becomes(&relay, &[one("name", "wire-top")], &[]).await;
    sandbox.change(Change::Quarantine { name: name(), version: None, cleared: true }).await.unwrap();
    becomes(&relay, &[one("name", "wire-top")], &["wire-top"]).await;
    sandbox.change(Change::RemoveProject { name: name() }).await.unwrap();
    becomes(&relay, &[one("name", "wire-top")], &[]).await;
    sandbox.change(Change::RemoveProject { name: "Brie_slicer".to_owned() }).await.unwrap();
    becomes(&relay, &pip("brie"), &[]).await;
    // A new project of the old name, spelled anew.
    sandbox.publish(Publication::new("BRIE.slicer", "9")).await.unwrap();
    becomes(&relay, &pip("brie"), &["BRIE.slicer"]).await;
}

#[tokio::test]
async fn what_was_learned_is_found_after_a_restart_without_upstream() {
    let (sandbox, relay) = pair(&[]).await;
    see(&relay, &["wire-top", "wire-core"]).await;
    let params = [spec(&[("summary", "diamond".into()), ("name", "chain".into())]), "or".into()];
    let before = answer(&relay, &params).await.unwrap();
    assert_eq!(before.len(), 6);
    let folder = relay.stop().await;
    sandbox.pause().await.unwrap();
    for settings in [&["search.learn_hits=0"][..], &["follow.enabled=false"][..]] {
        let settings: Vec<&str> = settings.iter().copied().chain(["search.learn_hits=0"]).collect();
        let folder_path = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), folder_path.path().join(file.file_name())).unwrap();
            }
        }
        let relay = Relay::start_in(folder_path, &sandbox.url(), &settings).await;
        assert_eq!(answer(&relay, &params).await.as_deref(), Ok(&before[..]));
    }
}

#[tokio::test]
async fn before_the_first_listing_there_is_a_fault_and_no_empty_answer() {
    let sandbox = sandbox().await;
    sandbox.pause().await.unwrap();
    let relay = Relay::start(&sandbox.url(), &["rpc.deadline=300ms", "follow.shortest_wait=100ms"]).await;
    let fault = answer(&relay, &pip("wire")).await.unwrap_err();
    assert_eq!(fault.code, -32403, "{fault}");
    sandbox.resume().await.unwrap();
    until("no answer comes", async || answer(&relay, &pip("wire")).await.is_ok()).await;
}

/// An index whose listing has projects in quarantine too.
async fn lists_all(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let row = |project: &Arc<Project>| json!({"name": project.name, "_last-serial": project.last_serial});
    let projects: Vec<_> = sandbox.projects().iter().map(row).collect();
    let meta = json!({"api-version": "1.4", "_last-serial": sandbox.last_serial()});
    let body = json!({"meta": meta, "projects": projects}).to_string();
    let headers = [("content-type".to_owned(), "application/vnd.pypi.simple.v1+json".to_owned())].into();
    sandbox.faults().add(Fault::on(Route::Listing, Effect::Answer { status: 200, headers, body })).unwrap();
    let settings: Vec<&str> = QUIET.iter().chain(settings).copied().collect();
    let relay = Relay::start(&sandbox.url(), &settings).await;
    (sandbox, relay)
}

#[tokio::test]
async fn what_was_quarantined_before_the_first_listing_is_found_once_it_is_cleared() {
    let (sandbox, relay) = pair(&[]).await;
    let asked = [one("name", "quarantined")];
    becomes(&relay, &asked, &["quarantined-release"]).await;
    let clear = Change::Quarantine { name: "quarantined-project".into(), version: None, cleared: true };
    sandbox.change(clear).await.unwrap();
    becomes(&relay, &asked, &["quarantined-project", "quarantined-release"]).await;
}

#[tokio::test]
async fn what_was_quarantined_and_is_listed_all_the_same_is_found_until_its_page_is_read() {
    let (sandbox, relay) = lists_all(&[]).await;
    let asked = [one("name", "quarantined")];
    becomes(&relay, &asked, &["quarantined-project", "quarantined-release"]).await;
    assert_eq!(get(&format!("{}simple/quarantined-project/", relay.url)).await.status, 200);
    becomes(&relay, &asked, &["quarantined-release"]).await;
    // Also after a restart, and until the event that clears it.
    let folder = relay.stop().await;
    let relay = Relay::start_in(folder, &sandbox.url(), &QUIET).await;
    becomes(&relay, &asked, &["quarantined-release"]).await;
    let clear = Change::Quarantine { name: "quarantined-project".into(), version: None, cleared: true };
    sandbox.change(clear).await.unwrap();
    becomes(&relay, &asked, &["quarantined-project", "quarantined-release"]).await;
}

#[tokio::test]
async fn a_search_that_hits_a_quarantined_project_has_its_page_read() {
    let (_sandbox, relay) = lists_all(&["search.learn_hits=3", "search.documents_per_second=1000"]).await;
    let asked = [one("name", "quarantined")];
    becomes(&relay, &asked, &["quarantined-release"]).await;
}

#[tokio::test]
async fn a_crawl_reads_every_document_once_and_goes_on_after_a_restart() {
    let settings = ["search.crawl=true", "search.documents_per_second=1000", "search.crawl_pause=50ms"];
    let (sandbox, relay) = pair(&settings).await;
    // It goes by name, so whoever waits for the last has all.
    let read = async |project: &str| {
        let path = format!("/pypi/{project}/json");
        until("the crawl does not get there", async || sandbox.requests().path(&path) > 0).await;
    };
    let last = sandbox.projects().iter().map(|project| project.name.to_lowercase()).max().unwrap();
    read(&last).await;
    becomes(&relay, &[one("summary", "64 MB wheel")], &["big-wheel"]).await;
    becomes(&relay, &[one("summary", "there is a better one")], &["deprecated-project"]).await;
    let folder = relay.stop().await;
    sandbox.forget_requests();
    sandbox.publish(Publication::new("zz-new", "1")).await.unwrap();
    let settings: Vec<&str> = QUIET.iter().chain(&settings).copied().collect();
    let _relay = Relay::start_in(folder, &sandbox.url(), &settings).await;
    // What is new is read, and at most the one that was on its way at the end.
    read("zz-new").await;
    let again = sandbox.requests().route(Route::Json);
    assert!(again <= 2, "{again} documents were read again");
}

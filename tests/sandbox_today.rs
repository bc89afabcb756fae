//! What upstream does today and did not always: docs/wire.md section 8.

use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use cheesewire::model::{Clock, Serial};
use cheesewire::sandbox::{Change, Publication, Role, Sandbox, SandboxSettings, ScaleSettings};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::process::BINARY;
use crate::support::{call, get, get_with, post, sandbox};

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

#[tokio::test]
async fn any_sites_pages_may_read_the_index_and_its_serials() {
    let sandbox = sandbox().await;
    let file = sandbox.project("wire-core").unwrap().releases[0].files[0].file.path.clone();
    let open = [
        ("simple/".to_owned(), 200),
        ("simple".to_owned(), 301),
        ("simple/wire-core/".to_owned(), 200),
        ("simple/Wire_Core/".to_owned(), 301),
        ("simple/nobody/".to_owned(), 404),
        ("pypi/wire-core/json".to_owned(), 200),
        ("pypi/Wire_Core/json".to_owned(), 301),
        ("pypi/nobody/json".to_owned(), 404),
        (format!("packages/{file}"), 200),
    ];
    for (path, status) in open {
        let url = format!("{}{path}", sandbox.url());
        for (method, status) in [(Method::GET, status), (Method::OPTIONS, 200)] {
            if method == Method::OPTIONS && path == "simple" {
                continue;
            }
            let answer = get_with(method.clone(), &url, &[]).await.unwrap();
            assert_eq!(
                (
                    answer.status,
                    answer.header("access-control-allow-origin"),
                    answer.header("access-control-expose-headers")
                ),
                (status, "*", "X-PyPI-Last-Serial"),
                "{method} {path}"
            );
        }
    }
    assert_eq!(get(&sandbox.url()).await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn documents_answer_with_a_slash_too_and_their_absence_is_json() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    for path in ["pypi/wire-core/json", "pypi/wire-core/1.0/json"] {
        let [plain, slash] = [get(&format!("{base}{path}")).await, get(&format!("{base}{path}/")).await];
        assert_eq!((slash.status, slash.text()), (200, plain.text()), "{path}");
    }
    for path in
        ["pypi/nobody/json", "pypi/wire-core/9/json", "pypi/quarantined-project/json/", "pypi/a/b/c/json"]
    {
        let absent = get(&format!("{base}{path}")).await;
        assert_eq!((absent.status, absent.header("content-type")), (404, "application/json"), "{path}");
        assert!(absent.json().is_object());
    }
    let page = get_with(Method::GET, &format!("{base}simple/wire-core/"), &[JSON]).await.unwrap().json();
    assert_eq!(page.get("alternate-locations"), None);
    let document = get(&format!("{base}pypi/wire-core/json")).await.json();
    let named = |files: &serde_json::Value, name: &serde_json::Value| {
        let files = files.as_array().unwrap().iter();
        files.filter(|file| file["filename"] == *name).map(|file| file["core-metadata"].clone()).next()
    };
    for file in document["urls"].as_array().unwrap() {
        assert_eq!(Some(file["core-metadata"].clone()), named(&page["files"], &file["filename"]));
    }
    assert!(
        document["urls"].as_array().unwrap().iter().any(|file| file["core-metadata"]["sha256"].is_string())
    );
}

#[tokio::test]
async fn a_quarantined_release_is_on_no_page_and_in_no_document_until_that_is_cleared() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    let quarantine = |cleared| Change::Quarantine {
        name: "wire-core".to_owned(),
        version: Some("1.1".to_owned()),
        cleared,
    };
    let shows = async || {
        let html = get(&format!("{base}simple/wire-core/")).await.text().contains("wire_core-1.1");
        let page = get_with(Method::GET, &format!("{base}simple/wire-core/"), &[JSON]).await.unwrap();
        let document = get(&format!("{base}pypi/wire-core/json")).await.text().contains("wire_core-1.1");
        let release = get(&format!("{base}pypi/wire-core/1.1/json")).await.status == 200;
        [html, page.text().contains("wire_core-1.1"), document, release]
    };
    assert_eq!(shows().await, [true; 4]);
    sandbox.change(quarantine(false)).await.unwrap();
    assert_eq!(shows().await, [false; 4]);
    assert_eq!(get(&format!("{base}pypi/wire-core/json")).await.json()["info"]["version"], "1.0");
    assert!(get(&format!("{base}simple/")).await.text().contains("/simple/wire-core/"));
    sandbox.change(quarantine(true)).await.unwrap();
    assert_eq!(shows().await, [true; 4]);
}

#[tokio::test]
async fn calls_sort_users_without_case_and_no_classifier_is_had_by_nobody() {
    let sandbox = sandbox().await;
    for user in ["Zed", "amy", "Bob"] {
        let role = Role { role: "Owner".to_owned(), user: user.to_owned() };
        sandbox.change(Change::AddRole { name: "many-hands".to_owned(), role }).await.unwrap();
    }
    let roles = call(&sandbox.url(), "package_roles", &["many-hands".into()]).await.unwrap().to_json();
    let users: Vec<_> = roles.as_array().unwrap().iter().map(|role| role[1].as_str().unwrap()).collect();
    assert_eq!(users, ["alice", "amy", "Bob", "Zed", "zoe", "bob", "carol"]);
    let none = call(&sandbox.url(), "browse", &[Value::Array(vec![])]).await.unwrap();
    assert_eq!(none.to_json(), json!([]));
}

#[tokio::test]
async fn with_a_clock_everything_happens_at_its_time() {
    let clock = Clock::standing_at(1_800_000_000);
    let settings = SandboxSettings { clock: Some(clock.clone()), ..SandboxSettings::default() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let mut since = sandbox.last_serial();
    for (version, now) in [("1.0", 1_800_000_000), ("2.0", 1_800_000_077)] {
        clock.set(now);
        sandbox.publish(Publication::new("clocked", version)).await.unwrap();
        let events = sandbox.events_after(since, 100);
        assert!(!events.is_empty() && events.iter().all(|event| event.time == now), "{events:?}");
        since = sandbox.last_serial();
        let document = get(&format!("{}pypi/clocked/{version}/json", sandbox.url())).await;
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now.try_into().unwrap()));
        assert_eq!(document.header("date"), date);
        assert!(document.json()["urls"][0]["upload_time"].as_str().unwrap().starts_with("2027-01-15T08:0"));
    }
    // Without one runs are alike: the fixtures' own time goes on.
    let sandbox = crate::support::sandbox().await;
    let last = sandbox.events_after(Serial(sandbox.last_serial().0 - 1), 1).remove(0);
    sandbox.publish(Publication::new("clocked", "1.0")).await.unwrap();
    let times: Vec<_> =
        sandbox.events_after(last.serial, 9).iter().map(|event| event.time - last.time).collect();
    assert_eq!(times, [2, 4, 6, 8]);
}

#[tokio::test]
async fn the_commands_sandbox_dates_what_happens_now_unless_told_otherwise() {
    for (arguments, now) in [(&[][..], true), (&["--clock", "stepping"][..], false)] {
        let mut command = tokio::process::Command::new(BINARY);
        command.args(["sandbox", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        // Held to the end: it ends when nobody reads what it prints.
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = printed.next_line().await.unwrap().unwrap();
        let url = line.split_whitespace().nth(2).unwrap();
        let last = call(url, "changelog_last_serial", &[]).await.unwrap();
        let begun = Clock::system().unix();
        let change = r#"{"change": "publish", "name": "wire-top", "version": "3.0"}"#;
        assert_eq!(post(&format!("{url}_sandbox/publish"), change).await.status, 200);
        let rows = call(url, "changelog_since_serial", &[last]).await.unwrap().to_json();
        let times = rows.as_array().unwrap().iter().map(|row| row[2].as_i64().unwrap());
        let dated_now: Vec<_> = times.map(|time| time >= begun).collect();
        assert_eq!(dated_now, [now; 3], "{arguments:?}");
    }
}

#[tokio::test]
async fn a_generated_list_is_what_a_large_sandbox_reads() {
    let list = async |seed: &str| {
        let mut command = tokio::process::Command::new(BINARY);
        let output = command.args(["sandbox", "--generate", "500", "--seed", seed]).output().await.unwrap();
        assert!(output.status.success());
        output.stdout
    };
    let (first, other) = (list("1").await, list("2").await);
    assert_eq!((&list("1").await, first == other), (&first, false));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &first).unwrap();
    let scale = Some(ScaleSettings { projects: file.path().to_owned(), events: 2_000 });
    let sandbox = Sandbox::start(SandboxSettings { scale, ..SandboxSettings::default() }).await.unwrap();
    let listed = get_with(Method::GET, &format!("{}simple/", sandbox.url()), &[JSON]).await.unwrap().json();
    assert_eq!(listed["projects"].as_array().unwrap().len(), 500);
}

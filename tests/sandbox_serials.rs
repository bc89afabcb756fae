//! Serials that are wrong, missing, or from a backup, on demand.

use cheesewire::model::Serial;
use cheesewire::sandbox::{Effect, Fault, Publication, Route, Sandbox, SandboxError, Serials};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::support::{call, get, get_with, post, sandbox};

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

fn state(sandbox: &Sandbox, state: Serials) {
    let effect = Effect::Serials { state };
    sandbox.faults().add(Fault { route: None, path: None, skip: 0, times: None, effect }).unwrap();
}

/// What the header and the body of an answer state.
async fn stated(sandbox: &Sandbox, path: &str) -> (String, Json) {
    let answer = get_with(Method::GET, &format!("{}{path}", sandbox.url()), &[JSON]).await.unwrap();
    let body = answer.json();
    let own = if path.starts_with("pypi") { &body["last_serial"] } else { &body["meta"]["_last-serial"] };
    (answer.header("x-pypi-last-serial").to_owned(), own.clone())
}

/// What the listing states of its projects, without repetitions.
async fn listed(sandbox: &Sandbox) -> Vec<Json> {
    let answer = get_with(Method::GET, &format!("{}simple/", sandbox.url()), &[JSON]).await.unwrap();
    let mut serials: Vec<Json> = answer.json()["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|project| project["_last-serial"].clone())
        .collect();
    serials.dedup();
    serials
}

async fn int(sandbox: &Sandbox, method: &str) -> i64 {
    call(&sandbox.url(), method, &[]).await.unwrap().as_int().unwrap()
}

/// The serials of the rows since.
async fn rows(sandbox: &Sandbox, since: Serial) -> Vec<i64> {
    let rows = call(&sandbox.url(), "changelog_since_serial", &[Value::Int(since.0)]).await.unwrap();
    rows.as_array().unwrap().iter().map(|row| row.as_array().unwrap()[4].as_int().unwrap()).collect()
}

#[tokio::test]
async fn an_index_can_state_no_serials() {
    let sandbox = sandbox().await;
    state(&sandbox, Serials::None);
    for path in ["simple/", "simple/wire-core/", "pypi/wire-core/json"] {
        assert_eq!(stated(&sandbox, path).await, (String::new(), Json::Null), "{path}");
        assert!(!get(&format!("{}{path}", sandbox.url())).await.text().contains("SERIAL"), "{path}");
    }
    assert_eq!(listed(&sandbox).await, [Json::Null]);
}

#[tokio::test]
async fn an_index_can_state_one_serial_for_everything() {
    let sandbox = sandbox().await;
    state(&sandbox, Serials::All(7));
    for path in ["simple/", "simple/wire-core/", "pypi/wire-core/json"] {
        assert_eq!(stated(&sandbox, path).await, ("7".to_owned(), json!(7)), "{path}");
    }
    assert_eq!(listed(&sandbox).await, [json!(7)]);
    assert_eq!(int(&sandbox, "changelog_last_serial").await, 7);
    assert_eq!(rows(&sandbox, Serial(sandbox.last_serial().0 - 5)).await[0], 7);
    let listed = call(&sandbox.url(), "list_packages_with_serial", &[]).await.unwrap();
    assert_eq!(listed.get("wire-core"), Some(&Value::Int(7)));
}

#[tokio::test]
async fn one_serial_can_be_wrong_in_each_place() {
    let sandbox = sandbox().await;
    let (last, own) = (sandbox.last_serial(), sandbox.project("wire-core").unwrap().last_serial);
    let all = listed(&sandbox).await;
    let etag = get(&format!("{}simple/", sandbox.url())).await.header("etag").to_owned();
    state(&sandbox, Serials::One(2_000_000_000));
    for path in ["simple/", "simple/wire-core/", "pypi/wire-core/json"] {
        assert_eq!(stated(&sandbox, path).await, ("2000000000".to_owned(), json!(2_000_000_000)), "{path}");
    }
    let wrong =
        get_with(Method::GET, &format!("{}simple/", sandbox.url()), &[("if-none-match", &etag)]).await;
    assert_eq!(wrong.unwrap().status, 200, "another answer has the same validator");
    assert_eq!(listed(&sandbox).await, all, "its projects keep theirs");
    assert_eq!(int(&sandbox, "changelog_last_serial").await, 2_000_000_000);
    let before = Serial(last.0 - 20);
    let mut expected: Vec<i64> =
        sandbox.events_after(before, 100).iter().map(|event| event.serial.0).collect();
    expected.push(2_000_000_000);
    assert_eq!(rows(&sandbox, before).await, expected);
    assert_eq!(rows(&sandbox, last).await, [2_000_000_000]);
    sandbox.faults().clear();
    state(&sandbox, Serials::Project { name: "wire-core".to_owned(), serial: 9 });
    let listed = listed(&sandbox).await;
    assert!(listed.contains(&json!(9)) && !listed.contains(&json!(own)) && listed.len() == all.len());
    assert_eq!(stated(&sandbox, "simple/").await.1, json!(last));
    let calls = call(&sandbox.url(), "list_packages_with_serial", &[]).await.unwrap();
    assert_eq!(calls.get("wire-core"), Some(&Value::Int(9)));
}

#[tokio::test]
async fn a_restored_index_is_as_it_was_and_gives_the_same_serials_to_other_events() {
    let sandbox = sandbox().await;
    assert!(matches!(sandbox.restore(), Err(SandboxError::NoBackup)));
    sandbox.back_up().unwrap();
    let at = sandbox.last_serial();
    let validator = async || get(&format!("{}simple/", sandbox.url())).await.header("etag").to_owned();
    for times in 0..2 {
        let lost = format!("lost-{times}");
        let high = sandbox.publish(Publication::new(&lost, "1.0")).await.unwrap();
        let file = sandbox.file_url(&sandbox.project(&lost).unwrap().releases[0].files[0].file);
        let etag = validator().await;
        assert_eq!(sandbox.restore().unwrap(), at);
        assert_eq!((int(&sandbox, "changelog_last_serial").await, rows(&sandbox, at).await), (at.0, vec![]));
        for gone in [file, format!("{}simple/{lost}/", sandbox.url())] {
            assert_eq!(get(&gone).await.status, 404, "{gone}");
        }
        let other = format!("other-{times}");
        assert_eq!(sandbox.publish(Publication::new(&other, "1.0")).await.unwrap(), high);
        let told = sandbox.events_after(at, 100);
        assert!(told.iter().all(|event| event.name == other), "{told:?}");
        assert_ne!(validator().await, etag, "another listing of the same serial has the same validator");
        // What was kept stays kept.
        assert_eq!(sandbox.restore().unwrap(), at);
    }
    assert_eq!(rows(&sandbox, Serial(0)).await.len(), sandbox.events_after(Serial(0), 100_000).len());
}

#[tokio::test]
async fn backups_and_serials_are_had_over_http() {
    let sandbox = sandbox().await;
    let control = |path: &str| format!("{}_sandbox/{path}", sandbox.url());
    assert_eq!(post(&control("restore"), "").await.status, 409);
    let at = sandbox.last_serial();
    assert_eq!(post(&control("backup"), "").await.json(), json!({"serial": at}));
    sandbox.publish(Publication::new("lost", "1.0")).await.unwrap();
    assert_eq!(post(&control("restore"), "").await.json(), json!({"serial": at}));
    assert_eq!(sandbox.last_serial(), at);
    let states = [
        (r#""none""#, Serials::None),
        (r#"{"all": 5}"#, Serials::All(5)),
        (r#"{"one": 2000000000}"#, Serials::One(2_000_000_000)),
        (r#"{"project": {"name": "a", "serial": 1}}"#, Serials::Project { name: "a".to_owned(), serial: 1 }),
    ];
    for (text, state) in states {
        let fault = format!(r#"{{"route": "page", "effect": {{"kind": "serials", "state": {text}}}}}"#);
        assert_eq!(post(&control("faults"), fault).await.status, 200, "{text}");
        assert_eq!(sandbox.faults().list(), [Fault::on(Route::Page, Effect::Serials { state })]);
        sandbox.faults().clear();
    }
}

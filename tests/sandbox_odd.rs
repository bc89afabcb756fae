//! Odd answers on demand.

use cheesewire::model::Serial;
use cheesewire::sandbox::{Effect, Fault, Odd, Route, Sandbox};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use serde_json::json;

use crate::support::{call, get, get_with, post, sandbox};

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

fn odd(sandbox: &Sandbox, route: Route, what: Odd) {
    sandbox.faults().add(Fault::on(route, Effect::Odd { what, only: None })).unwrap();
}

fn member(at: &str, raw: &str) -> Odd {
    Odd::Member { at: at.to_owned(), raw: raw.to_owned() }
}

async fn page(sandbox: &Sandbox, path: &str) -> crate::support::Answer {
    get_with(Method::GET, &format!("{}{path}", sandbox.url()), &[JSON]).await.unwrap()
}

#[tokio::test]
async fn members_of_pages_documents_and_the_listing_can_be_odd() {
    let sandbox = sandbox().await;
    let size = sandbox.project("wire-core").unwrap().releases[0].files[0].file.content.size();
    odd(&sandbox, Route::Page, member("files.*.size", "\"{}\""));
    odd(&sandbox, Route::Page, member("meta.api-version", "\"1\""));
    odd(&sandbox, Route::Page, Odd::Missing { at: "versions".to_owned() });
    odd(&sandbox, Route::Json, Odd::Missing { at: "releases".to_owned() });
    odd(&sandbox, Route::Json, member("urls.*.digests", "null"));
    odd(&sandbox, Route::Listing, member("projects.*._last-serial", "\"{}\""));
    let wire = page(&sandbox, "simple/wire-core/").await.json();
    assert_eq!(
        (&wire["files"][0]["size"], &wire["meta"]["api-version"]),
        (&json!(size.to_string()), &json!("1"))
    );
    assert_eq!(wire.get("versions"), None);
    let document = page(&sandbox, "pypi/wire-core/json").await.json();
    assert_eq!((document.get("releases"), &document["urls"][0]["digests"]), (None, &json!(null)));
    let listing = page(&sandbox, "simple/").await.json();
    assert!(
        listing["projects"].as_array().unwrap().iter().all(|project| project["_last-serial"].is_string())
    );
    sandbox.faults().clear();
    odd(&sandbox, Route::Page, member("files.*.size", "NaN"));
    odd(&sandbox, Route::Page, member("x", r#""\ud800""#));
    odd(&sandbox, Route::Page, Odd::Repeated { at: "name".to_owned() });
    let wire = page(&sandbox, "simple/wire-core/").await;
    assert!(
        wire.text().contains("\"size\":NaN,") && wire.text().contains(r#""x":"\ud800""#),
        "{}",
        wire.text()
    );
    assert_eq!(wire.text().matches("\"name\":\"wire-core\"").count(), 2);
}

#[tokio::test]
async fn an_answer_without_a_validator_is_whole_each_time() {
    let sandbox = sandbox().await;
    for (route, path) in [(Route::Page, "simple/wire-core/"), (Route::Listing, "simple/")] {
        let url = format!("{}{path}", sandbox.url());
        let usual = get(&url).await;
        odd(&sandbox, route, Odd::NoValidator);
        for method in [Method::GET, Method::HEAD] {
            let validator = ("if-none-match", usual.header("etag"));
            let again = get_with(method.clone(), &url, &[validator]).await.unwrap();
            assert_eq!((again.status, again.header("etag"), again.header("last-modified")), (200, "", ""));
            let length = if method == Method::GET { usual.bytes().len() } else { 0 };
            assert_eq!(again.bytes().len(), length, "{path}");
        }
    }
}

#[tokio::test]
async fn an_odd_answer_has_a_length_and_a_validator_of_its_own() {
    let sandbox = sandbox().await;
    let url = format!("{}simple/wire-core/", sandbox.url());
    let usual = get(&url).await;
    odd(&sandbox, Route::Page, Odd::Bom);
    odd(&sandbox, Route::Page, Odd::ContentType("application/octet-stream".to_owned()));
    odd(&sandbox, Route::Page, Odd::Text { from: "</html>".to_owned(), to: String::new() });
    let again = get_with(Method::GET, &url, &[("if-none-match", usual.header("etag"))]).await.unwrap();
    assert_eq!((again.status, again.header("content-type")), (200, "application/octet-stream"));
    assert_ne!(again.header("etag"), usual.header("etag"));
    assert_eq!(again.text(), format!("\u{feff}{}", usual.text().replace("</html>", "")));
    assert_eq!(again.header("content-length"), again.bytes().len().to_string());
    let kept = get_with(Method::GET, &url, &[("if-none-match", again.header("etag"))]).await.unwrap();
    assert_eq!((kept.status, kept.bytes().len()), (304, 0));
    let head = get_with(Method::HEAD, &url, &[]).await.unwrap();
    assert_eq!((head.status, head.bytes().len()), (200, 0));
    // What a page has and a call has not is left alone.
    odd(&sandbox, Route::Rpc, member("files", "null"));
    assert!(call(&sandbox.url(), "changelog_last_serial", &[]).await.is_ok());
}

#[tokio::test]
async fn rows_of_a_changelog_can_be_longer_shorter_and_of_other_types() {
    let sandbox = sandbox().await;
    let since = Value::Int(sandbox.last_serial().0 - 30);
    let expected = sandbox.events_after(Serial(sandbox.last_serial().0 - 30), 100);
    let rows = async || {
        let rows = call(&sandbox.url(), "changelog_since_serial", std::slice::from_ref(&since))
            .await
            .unwrap()
            .to_json();
        rows.as_array().unwrap().clone()
    };
    let usual = rows().await;
    assert_eq!(usual.len(), expected.len());
    odd(&sandbox, Route::Rpc, Odd::Row { column: 5, value: json!("sixth") });
    let name = &expected[0].name;
    let one = Effect::Odd { what: Odd::Row { column: 2, value: json!(1.5) }, only: Some(name.clone()) };
    sandbox.faults().add(Fault::on(Route::Rpc, one)).unwrap();
    for (row, usual) in rows().await.iter().zip(&usual) {
        let (columns, usual) = (row.as_array().unwrap(), usual.as_array().unwrap());
        assert_eq!(
            (&columns[..2], &columns[3..5], &columns[5]),
            (&usual[..2], &usual[3..5], &json!("sixth"))
        );
        assert_eq!(row[2] == json!(1.5), row[0] == json!(name), "{row}");
    }
    sandbox.faults().clear();
    odd(&sandbox, Route::Rpc, Odd::ShortRow { columns: 4 });
    odd(&sandbox, Route::Rpc, Odd::Row { column: 1, value: json!(null) });
    assert!(rows().await.iter().all(|row| row.as_array().unwrap().len() == 4 && row[1].is_null()));
}

#[tokio::test]
async fn what_is_odd_is_said_over_http() {
    let sandbox = sandbox().await;
    let url = format!("{}_sandbox/faults", sandbox.url());
    let faults = [
        (
            r#"{"route": "page", "effect": {"kind": "odd", "what": {"member": {"at": "files.*.yanked", "raw": "\"true\""}}}}"#,
            member("files.*.yanked", "\"true\""),
        ),
        (r#"{"route": "page", "effect": {"kind": "odd", "what": "bom"}}"#, Odd::Bom),
        (
            r#"{"route": "page", "effect": {"kind": "odd", "what": {"row": {"column": 5, "value": null}}}}"#,
            Odd::Row { column: 5, value: json!(null) },
        ),
        (
            r#"{"route": "page", "effect": {"kind": "odd", "what": {"content_type": "text/plain"}}}"#,
            Odd::ContentType("text/plain".to_owned()),
        ),
    ];
    for (text, what) in faults {
        assert_eq!(post(&url, text).await.status, 200, "{text}");
        assert_eq!(sandbox.faults().list(), [Fault::on(Route::Page, Effect::Odd { what, only: None })]);
        sandbox.faults().clear();
    }
}

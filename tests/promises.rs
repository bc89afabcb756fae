//! What docs/promises.md promises of the relay as a whole, where no part alone could break it.

use cheesewire::sandbox::{Effect, Fault, Route};
use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call};
use rusqlite::Connection;

use crate::support::{Relay, call, get, post, sandbox, within};

/// Promise 1.
#[tokio::test]
async fn while_nothing_is_known_no_list_is_empty_and_every_answer_says_when_to_come_back() {
    let sandbox = sandbox().await;
    let relay = {
        sandbox.pause().await.unwrap();
        Relay::start(&sandbox.url(), &["rpc.deadline=300ms", "follow.shortest_wait=100ms"]).await
    };
    let since = [Value::Int(0)];
    for (method, params) in [
        ("changelog_last_serial", &[][..]),
        ("changelog_since_serial", &since[..]),
        ("list_packages", &[]),
        ("list_packages_with_serial", &[]),
    ] {
        let fault = call(&relay.url, method, params).await.unwrap_err();
        assert!(fault.code == -32403 && fault.string.contains("retry in "), "{method}: {fault}");
    }
    let page = get(&format!("{}simple/", relay.url)).await;
    assert_eq!((page.status, page.header("retry-after").is_empty()), (503, false), "{}", page.text());
}

/// Promise 7.
#[tokio::test]
async fn a_slow_upstream_costs_a_fault_in_time_and_the_work_goes_on() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["rpc.deadline=200ms"]).await;
    call(&relay.url, "changelog_last_serial", &[]).await.ok();
    sandbox.faults().add(Fault::on(Route::Json, Effect::Delay { millis: 3_600_000 }).times(1)).unwrap();
    sandbox.forget_requests();
    let ask = || async { call(&relay.url, "package_releases", &[Value::from("wire-top")]).await };
    let fault = within("it waits for upstream", ask()).await.unwrap_err();
    assert_eq!(fault.string, "server error; service unavailable; retry in 1 s");
    // Whoever comes back finds the same question under way, and in the end its answer.
    assert_eq!(ask().await.unwrap_err().code, -32403);
    sandbox.faults().clear();
    let answered = within("the work does not go on", async {
        loop {
            match ask().await {
                Ok(releases) => break releases,
                Err(fault) => assert_eq!(fault.code, -32403, "{fault}"),
            }
        }
    })
    .await;
    assert_eq!(answered, ["2.0"].into_iter().collect());
    assert_eq!(sandbox.requests().route(Route::Json), 1);
}

/// Promise 7, for clients that wait longer or shorter than others.
#[tokio::test]
async fn a_listener_has_a_deadline_of_its_own_and_a_request_outdoes_it() {
    let sandbox = sandbox().await;
    let settings = ["rpc.deadline=30s", "http.listen=127.0.0.1:0?deadline=0.2"];
    let relay = Relay::start(&sandbox.url(), &settings).await;
    sandbox.faults().add(Fault::on(Route::Json, Effect::Delay { millis: 3_600_000 }).times(1)).unwrap();
    let params = [Value::from("wire-top")];
    let fault = call(&relay.url, "package_releases", &params).await.unwrap_err();
    assert_eq!(fault.code, -32403);
    sandbox.faults().clear();
    let document = encode_call("package_releases", &params).unwrap();
    let answer = post(&format!("{}pypi?deadline=300", relay.url), document).await;
    let answer = decode_response(answer.bytes(), Limits { depth: 64 }).unwrap();
    assert_eq!(answer, Ok(["2.0"].into_iter().collect()));
}

/// Promise 4.
#[tokio::test]
async fn a_journal_that_takes_no_document_stops_keeping_not_serving() {
    let sandbox = sandbox().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.sqlite3");
    let relay = Relay::start_in(folder, &sandbox.url(), &["follow.enabled=false"]).await;
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON documents BEGIN SELECT RAISE(FAIL, 'full'); END";
    Connection::open(&file).unwrap().execute_batch(refuse).unwrap();
    let page = get(&format!("{}simple/wire-top/", relay.url)).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let (_, link) = page.text().split_once("href=\"../../").unwrap();
    let (link, _) = link.split_once('#').unwrap();
    let package = get(&format!("{}{link}", relay.url)).await;
    assert_eq!(package.status, 200, "{link}: {:?}", package.body);
    assert_eq!(get(&format!("{}pypi/wire-top/json", relay.url)).await.status, 200);
    let releases = call(&relay.url, "package_releases", &[Value::from("wire-core")]).await;
    assert_eq!(releases, Ok(["1.1"].into_iter().collect()));
    let kept = "SELECT count(*) FROM documents";
    let kept = Connection::open(&file).unwrap().query_row(kept, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(kept, 0);
}

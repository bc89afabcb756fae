//! What a relay without an upstream does not do, and says of itself.

use std::net::TcpListener;
use std::time::Duration;

use cheesewire::model::{ProjectName, Serial};
use cheesewire::upstream::{Target, Upstream, UpstreamError, UpstreamSettings, Validators};

use super::*;

#[tokio::test]
async fn no_question_of_any_kind_is_sent_where_there_is_no_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let url: url::Url = format!("http://{address}/").parse().unwrap();
    let settings = UpstreamSettings { bundled: true, ..UpstreamSettings::new(url.clone()) };
    let upstream = Upstream::new(settings).unwrap();
    let name = ProjectName::parse("a").unwrap();
    let (into, _taken) = tokio::sync::mpsc::channel(1);
    let bundled = UpstreamError::Bundled;
    let longest = Duration::from_mins(1);
    assert_eq!(upstream.call("list_packages", &[]).await, Err(bundled.clone()));
    assert_eq!(upstream.changelog_since(Serial(1)).await.err(), Some(bundled.clone()));
    assert_eq!(upstream.changelog_when_idle(Serial(1)).await.err(), Some(bundled.clone()));
    assert_eq!(upstream.changelog_last_serial().await, Err(bundled.clone()));
    assert_eq!(upstream.classifiers().await, Err(bundled.clone()));
    assert_eq!(upstream.json_document(&name, None, None).await.err(), Some(bundled.clone()));
    assert_eq!(upstream.json_document_once(&name).await.err(), Some(bundled.clone()));
    assert_eq!(upstream.metadata(&url).await, Err(bundled.clone()));
    assert_eq!(upstream.provenance(&url).await, Err(bundled.clone()));
    assert_eq!(upstream.file(&url, None).await.err(), Some(bundled.clone()));
    assert_eq!(upstream.file_head(&url).await, Err(bundled.clone()));
    assert_eq!(upstream.file_size(&url).await, Err(bundled.clone()));
    assert_eq!(upstream.listing().await.err(), Some(bundled.clone()));
    assert_eq!(upstream.listing_unless(&Validators::default()).await.err(), Some(bundled.clone()));
    assert_eq!(upstream.project_page(&name, None).await.err(), Some(bundled.clone()));
    assert_eq!(upstream.locate().await.err(), Some(bundled.clone()));
    assert_eq!(upstream.pairs("package_roles", &[]).await, Err(bundled.clone()));
    assert_eq!(upstream.mirror(&url, 9, &into).await, Err(bundled.clone()));
    assert_eq!(upstream.probe(Target::Listing).await.err(), Some(bundled.clone()));
    assert_eq!(upstream.probe_call("list_packages", &[]).await.err(), Some(bundled));
    assert!(upstream.ask_peer(&url, longest).await.is_err());
    assert!(upstream.peer("mirror.test", address).is_err());
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_counts_as_hearing_upstream_and_readiness_says_as_of_when() {
    let exporter = Exporter::serving().await;
    let data = exporter.path("importer");
    std::fs::create_dir(&data).unwrap();
    let relay = imported(&data).await;
    let ready = get(&format!("{}readyz", relay.url)).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("nothing was imported yet"), "{}", ready.text());
    let bundle = exporter.export("first.bundle", &[]).await;
    // A relay has the folder.
    let output = exporter.import(&bundle, &data).await;
    assert!(refused(&output, 1).contains("is in use by another process; stop it"));
    relay.kill().await;
    done(&exporter.import(&bundle, &data).await);
    let as_of = get(&format!("{}readyz", exporter.url())).await.json()["upstream"]["as_of"].as_i64().unwrap();
    let relay = imported(&data).await;
    let ready = get(&format!("{}readyz", relay.url)).await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    let state = ready.json();
    assert_eq!(state["following"], "bundle");
    assert!((as_of - state["upstream"]["as_of"].as_i64().unwrap()).abs() < 3600, "{state}");
    assert!(state["upstream"]["seconds_since_success"].is_u64(), "{state}");
    let metrics = get(&format!("{}metrics", relay.url)).await.text().to_owned();
    assert!(metrics.contains("cheesewire_follow_age_seconds"), "{metrics}");
    let page = get_with(Method::GET, &relay.url, &[("accept", "text/html")]).await.unwrap().text().to_owned();
    assert!(page.contains("bundles that are imported"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_an_upstream_says_that_there_is_none_and_settings_that_ask_somebody_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for args in [vec!["doctor"], vec!["sync"], vec!["adopt"]] {
        let output = run(folder.path(), &[&args[..], &["--upstream", "bundle"]].concat()).await;
        assert!(refused(&output, 64).contains("upstream.url = bundle: there is no upstream"), "{args:?}");
    }
    for setting in [
        "push.from=http://master.test/",
        "push.hosts=mirror.test",
        "stats.collect=https://a.test/",
        "search.crawl=true",
    ] {
        let mut serve = command(folder.path(), &["serve", "--upstream", "bundle", "--listen", "127.0.0.1:0"]);
        let output =
            within("it does not end", serve.args(["--set", setting, "--set", "push.host=a.test"]).output())
                .await
                .unwrap();
        let key = setting.split('=').next().unwrap();
        let said = refused(&output, 64);
        assert!(said.contains(key) && said.contains("nobody is asked"), "{said}");
    }
}

/// What only upstream can tell.
async fn packages(relay: &str, user: &str) -> Value {
    call(relay, "user_packages", &[Value::from(user)]).await.unwrap()
}

/// So many answers are kept, which they are after they were given.
async fn kept(data: &Path, answers: i64) {
    let journal = rusqlite::Connection::open(data.join("journal.sqlite3")).unwrap();
    let kept = || journal.query_row("SELECT count(*) FROM answers", [], |row| row.get::<_, i64>(0)).unwrap();
    until("the answers are not kept", async || kept() == answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_imported_is_current_however_old_it_is_and_whatever_the_clock_says() {
    let exporter = Exporter::serving().await;
    for name in ["wire-top", "wire-core"] {
        assert_eq!(get(&format!("{}simple/{name}/", exporter.url())).await.status, 200);
    }
    let told = [packages(exporter.url(), "alice").await, packages(exporter.url(), "bob").await];
    kept(&exporter.data(), 2).await;
    let bundle = exporter.export("first.bundle", &[]).await;
    let (dated, data) = (exporter.path("dated.bundle"), exporter.path("importer"));
    let mut parts = hostile::Parts::read(&bundle);
    // One is of a year ago, the other of the year to come.
    parts.change_journal(
        "UPDATE documents SET checked = checked + CASE project WHEN 'wire-top' THEN -40000000 ELSE 40000000 END; \
         UPDATE answers SET checked = checked + CASE argument WHEN 'alice' THEN -40000000 ELSE 40000000 END; \
         UPDATE facts SET value = value + 40000000 WHERE name = 'as_of';",
    );
    parts.write(&dated, &exporter.data());
    done(&exporter.import(&dated, &data).await);
    let relay = imported(&data).await;
    for name in ["wire-top", "wire-core"] {
        let page = get(&format!("{}simple/{name}/", relay.url)).await;
        assert_eq!(page.status, 200, "{name}: {}", page.text());
        assert!(page.header("warning").starts_with("112"), "{name} is called stale");
    }
    assert_eq!([packages(&relay.url, "alice").await, packages(&relay.url, "bob").await], told);
    let journal = rusqlite::Connection::open(data.join("journal.sqlite3")).unwrap();
    for table in ["documents", "answers"] {
        let now = jiff::Timestamp::now().as_second();
        let newest = format!("SELECT max(checked) FROM {table}");
        let newest: i64 = journal.query_row(&newest, [], |row| row.get(0)).unwrap();
        assert!(newest <= now, "{table}: {newest} is after {now}");
    }
    let ready = get(&format!("{}readyz", relay.url)).await;
    let upstream = &ready.json()["upstream"];
    assert_eq!(upstream["seconds_since_success"].as_i64().unwrap() / 3600, 0);
    assert!(upstream["as_of"].as_i64().unwrap() <= jiff::Timestamp::now().as_second(), "{upstream}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_importers_bounds_hold_and_it_is_told_of_what_found_no_room() {
    let exporter = Exporter::serving().await;
    answers(exporter.url(), &listed(&exporter.sandbox)).await;
    packages(exporter.url(), "alice").await;
    kept(&exporter.data(), 1).await;
    let bundle = exporter.export("first.bundle", &[]).await;
    let (key, data) = (exporter.key().await, exporter.path("importer"));
    let args = ["bundle", "import", bundle.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let bound =
        ["--upstream", "bundle", "--set", "journal.documents_bytes=4KiB", "--set", "journal.answers_bytes=0"];
    let output = run(&data, &[&args[..], &bound].concat()).await;
    assert!(done(&output).contains("found no room: raise journal.documents_bytes"));
    let journal = rusqlite::Connection::open(data.join("journal.sqlite3")).unwrap();
    let weight: i64 = journal.query_row("SELECT sum(bytes) FROM documents", [], |row| row.get(0)).unwrap();
    assert!(weight <= 4096, "{weight}");
    let answers =
        || journal.query_row("SELECT count(*) FROM answers", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(answers(), 0);
    // With room for all of them it is imported again.
    done(&exporter.import(&bundle, &data).await);
    let all: i64 = journal.query_row("SELECT sum(bytes) FROM documents", [], |row| row.get(0)).unwrap();
    assert!(all > 4096, "{all}");
    assert!(answers() > 0);
}

/// A project that comes or goes without a serial changes the list all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_changed_under_one_serial_has_another_etag() {
    let exporter = Exporter::new().await;
    let (bundle, later) = (exporter.export("first.bundle", &[]).await, exporter.path("later.bundle"));
    let mut parts = hostile::Parts::read(&bundle);
    parts.head["taken"] = (parts.head["taken"].as_i64().unwrap() + 60).into();
    parts.change_journal("DELETE FROM projects WHERE name = 'wire-top'");
    parts.write(&later, &exporter.data());
    let data = exporter.path("importer");
    let list = async |etag: &str| {
        let relay = imported(&data).await;
        let headers = [("accept", JSON), ("if-none-match", etag)];
        let answer = get_with(Method::GET, &format!("{}simple/", relay.url), &headers).await.unwrap();
        relay.kill().await;
        answer
    };
    done(&exporter.import(&bundle, &data).await);
    let before = list("\"none\"").await;
    assert!(before.status == 200 && before.text().contains("wire-top"));
    assert_eq!(list(before.header("etag")).await.status, 304);
    done(&exporter.import(&later, &data).await);
    let after = list(before.header("etag")).await;
    assert!(after.status == 200 && !after.text().contains("wire-top"), "{}", after.status);
}

/// Whoever asks by time gets what an import brought since, whatever its own time is.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_import_brings_is_news_whatever_its_time() {
    let exporter = Exporter::serving().await;
    let data = exporter.path("importer");
    let first = exporter.export("first.bundle", &[]).await;
    done(&exporter.import(&first, &data).await);
    let since = last_serial(exporter.url()).await;
    let serial = exporter.publish("late", "1.0").await;
    let second = exporter.export("second.bundle", &["--since", &since.to_string()]).await;
    let mut parts = hostile::Parts::read(&second);
    parts.change_journal("UPDATE events SET time = time - 1000000");
    parts.write(&exporter.path("old.bundle"), &exporter.data());
    let now = jiff::Timestamp::now().as_second();
    let news = async |relay: &str| {
        let told = call(relay, "changelog", &[Value::Int(now - 3600), Value::Bool(true)]).await.unwrap();
        let Value::Array(rows) = told else { panic!("{told:?}") };
        let last = |row: Value| match row {
            Value::Array(fields) => match fields.last() {
                Some(Value::Int(serial)) => *serial,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        rows.into_iter().map(last).collect::<Vec<_>>()
    };
    let relay = imported(&data).await;
    let old: Vec<i64> = news(&relay.url).await;
    assert!(old.is_empty(), "what was there first is no news: {old:?}");
    relay.kill().await;
    done(&exporter.import(&exporter.path("old.bundle"), &data).await);
    let relay = imported(&data).await;
    let brought = news(&relay.url).await;
    assert!(
        !brought.is_empty() && brought.iter().all(|told| *told > since && *told <= serial),
        "{brought:?}"
    );
}

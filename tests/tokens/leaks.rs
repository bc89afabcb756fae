//! A token stands nowhere but with who shows it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use cheesewire::tokens::Scope;

use super::{QUICK, add, ask, basic, call};
use crate::support::authority::{self, Authority};
use crate::support::process::Process;
use crate::support::scripted::serve;
use crate::support::{exchange, get};

/// The usual one: a log of everything is read only at its end, and each poll writes hundreds of lines.
const PACE: &str = "upstream.calls_per_second=1";

/// All files below a folder, as text.
fn texts(folder: &std::path::Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, found);
        } else {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

#[tokio::test]
async fn no_token_stands_in_a_log_a_page_a_statistic_a_file_an_error_or_a_question_to_upstream() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    let upstream = serve(Router::new().fallback(move |request: Request| {
        seen.lock().unwrap().push(format!("{} {:?}", request.uri(), request.headers()));
        let kind = "application/vnd.pypi.simple.v1+json";
        let page = serde_json::json!({
            "meta": {"api-version": "1.1"}, "name": "wire", "versions": ["1"],
            "files": [{"filename": "wire-1.zip", "url": "/packages/wire-1.zip", "hashes": {"sha256": "0".repeat(64)}}],
            "projects": [{"name": "wire"}],
        });
        async move { ([("content-type", kind)], page.to_string()) }
    }))
    .await;
    let folder = tempfile::tempdir().unwrap();
    let shown = [add(folder.path(), "read", Scope::Read), add(folder.path(), "admin", Scope::Admin)];
    let settings =
        [QUICK, PACE, "log.filter=trace", "log.access=true", "auth.failures=3", "stats.flush=10ms"];
    let relay = Process::start(folder.path(), upstream.as_str(), &settings).await;
    // One that was right once, or has a slip in it, is as secret.
    let wrong = format!("{}A", &shown[0][..45]);
    let mut answers = Vec::new();
    for token in [&shown[0], &shown[1], &wrong, &format!("{}x", shown[0])] {
        for way in [format!("Bearer {token}"), basic("any", token), basic(token, "x"), token.clone()] {
            for path in [
                "simple/",
                "simple/wire/",
                "packages/wire-1.zip",
                "pypi/wire/json",
                "nowhere",
                "readyz",
                "metrics",
            ] {
                let answer = ask("GET", &format!("{}{path}", relay.url), Some(&way)).await;
                answers.push(format!(
                    "{:?} {:?}",
                    answer.headers,
                    answer.body.map(|body| String::from_utf8_lossy(&body).into_owned())
                ));
            }
            let answer = call(&relay.url, Some(&way)).await;
            answers.push(format!("{:?} {}", answer.headers, answer.text()));
            answers.push(format!(
                "{:?}",
                ask("PURGE", &format!("{}simple/wire/", relay.url), Some(&way)).await.headers
            ));
        }
        // In a request that cannot be read, and twice.
        let field = format!("Authorization: Bearer {token}\r\n");
        for request in [
            format!("GET /simple/ HTTP/1.1\r\n{field}\x01bad: x\r\n\r\n"),
            format!("GET /simple/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{field}{field}\r\n"),
        ] {
            answers.push(exchange(&relay.url, request.as_bytes()).await);
        }
    }
    answers.push(get(&format!("{}metrics", relay.url)).await.text().to_owned());
    relay.terminate();
    let (_, log) = relay.end().await;
    assert!(log.iter().any(|line| line.contains("a wrong token was shown")), "{}", log.len());
    let mut found = vec![("the log".to_owned(), log.join("\n")), ("answers".to_owned(), answers.join("\n"))];
    found.push(("upstream".to_owned(), heads.lock().unwrap().join("\n")));
    assert!(found[2].1.contains("/simple/"), "upstream was asked");
    texts(folder.path(), &mut found);
    for token in [&shown[0], &shown[1], &wrong] {
        // Nor most of it, nor as it is sent.
        let sent = basic("any", token);
        for (place, text) in &found {
            assert!(!text.contains(&token[3..40]) && !text.contains(&sent[20..60]), "{place}");
        }
    }
}

#[tokio::test]
async fn nor_does_one_that_was_shown_by_http2_in_a_log_of_everything() {
    let (authority, pair, folder) =
        (Authority::new(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    authority.pair().put(pair.path());
    let upstream = serve(Router::new().fallback(|| async { "[]" })).await;
    let shown = add(folder.path(), "read", Scope::Read);
    let [certificate, key] = authority::settings(pair.path());
    let settings = [QUICK, PACE, "log.filter=trace", "log.access=true", &certificate, &key];
    let relay = Process::start(folder.path(), upstream.as_str(), &settings).await;
    let client = authority.client(&["h2"]);
    let url = relay.url.replace("http:", "https:");
    for token in [&shown, &format!("{}A", &shown[..45])] {
        for way in [format!("Bearer {token}"), basic("any", token)] {
            for path in ["simple/", "nowhere", "healthz"] {
                let asked =
                    client.get(format!("{url}{path}")).header("authorization", &way).send().await.unwrap();
                assert_eq!(asked.version(), reqwest::Version::HTTP_2);
            }
        }
    }
    relay.terminate();
    let (_, log) = relay.end().await;
    let log = log.join("\n");
    assert!(log.contains("h2::") && log.contains("a wrong token was shown"), "it logs nothing");
    assert!(!log.contains(&shown[3..40]) && !log.contains(&basic("any", &shown)[20..60]));
}

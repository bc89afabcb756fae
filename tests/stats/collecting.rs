//! Other mirrors' reports, by the command and by a running relay; and what the commands print.

use std::io::Write as _;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde_json::Value as Json;
use tokio::process::Command;

use super::{AGENT, Counted, SMALL, ask};
use crate::support::process::BINARY;
use crate::support::scripted::serve;
use crate::support::{call, get, until, within};
use cheesewire::xmlrpc::Value;
use reqwest::Method;

pub(super) fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A mirror with these reports, by their names. Also the paths that were asked for.
pub(super) async fn mirror(reports: Vec<(&'static str, Vec<u8>)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let answer = move |uri: Uri| {
        let (seen, reports) = (seen.clone(), reports.clone());
        async move { answer(&uri, &seen, &reports) }
    };
    let url = serve(Router::new().fallback(answer)).await;
    (url.to_string(), asked)
}

fn answer(uri: &Uri, seen: &Mutex<Vec<String>>, reports: &[(&'static str, Vec<u8>)]) -> Response {
    seen.lock().unwrap().push(uri.path().to_owned());
    if uri.path() == "/local-stats/days/" {
        let links = reports.iter().map(|(day, _)| format!("<a href=\"{day}.bz2\">x</a>\n"));
        return links.collect::<Vec<_>>().concat().into_response();
    }
    let named = uri.path().strip_prefix("/local-stats/days/").and_then(|name| name.strip_suffix(".bz2"));
    match reports.iter().find(|(day, _)| Some(*day) == named) {
        Some((_, bytes)) if bytes == b"elsewhere" => {
            Redirect::temporary("http://127.0.0.2:1/local-stats/days/x.bz2").into_response()
        }
        Some((_, bytes)) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A command of `cheesewire stats`.
pub(super) async fn stats(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("stats").args(args).arg("--data").arg(folder).kill_on_drop(true);
    within("it does not end", command.output()).await.unwrap()
}

pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

pub(super) const DAY: &str =
    "project,filename,agent,count\r\none,one-1.zip,pip/1,10\r\nTwo,two-1.zip,Mozilla (a, b),5\r\n";

#[tokio::test]
async fn beside_a_running_relay_each_day_is_collected_once_and_what_is_wrong_is_left() {
    let relay = Counted::start(&[]).await;
    let whole = packed(DAY.as_bytes());
    let (mirror, asked) = mirror(vec![
        ("2011-07-22", whole.clone()),
        ("2011-07-23", whole[..whole.len() - 5].to_vec()),
        ("2011-07-24", b"<html>".to_vec()),
        ("2011-07-25", packed(&vec![b'a'; 3 << 20])),
        ("2011-02-30", whole.clone()),
        ("2099-01-01", whole.clone()),
        ("2011-07-26", b"elsewhere".to_vec()),
    ])
    .await;
    let folder = relay.relay.folder().to_owned();
    let args = ["collect", mirror.as_str(), "--set", "stats.collect_bytes=2 MiB"];
    for round in 0..2 {
        let output = stats(&folder, &args).await;
        let (said, left) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{left}");
        assert_eq!(
            said.contains("2011-07-22: 15 downloads in 2 lines, 1 lines left out"),
            round == 0,
            "{said}"
        );
        for day in ["2011-07-23", "2011-07-24", "2011-07-25", "2011-02-30", "2099-01-01", "2011-07-26"] {
            assert!(left.contains(&format!("{day} is left: ")), "{day}: {left}");
        }
        assert!(left.contains("stats.collect_bytes") && left.contains("redirect to elsewhere"), "{left}");
    }
    let asked = asked.lock().unwrap().iter().filter(|path| path.contains("2011-07-22")).count();
    assert_eq!(asked, 1, "once");
    // The relay that runs tells it at once.
    let top = call(&relay.relay.url, "top_packages", &[]).await.unwrap();
    let row = |name: &str, count| Value::Array(vec![name.into(), Value::Int(count)]);
    assert_eq!(top, Value::from_iter([row("one", 10), row("Two", 5)]));
    let month = get(&format!("{}stats/months/", relay.relay.url)).await;
    assert!(month.text().contains("href=\"2011-07.bz2\""));
    assert_eq!(
        get(&format!("{}local-stats/days/2011-07-22.bz2", relay.relay.url)).await.status,
        404,
        "not its own"
    );
    // A mirror that is not there, and one that is.
    let output = stats(&folder, &["collect", "http://127.0.0.1:1/", &mirror]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("http://127.0.0.1:1/ is left: "));
}

#[tokio::test]
async fn two_relays_collect_from_each_other_what_is_their_own() {
    let first = Counted::start(&["stats.seal_after=1ms"]).await;
    let (_, url) = first.file(SMALL);
    for _ in 0..3 {
        assert_eq!(ask(Method::GET, &url, &[]).await, 200);
    }
    first.clock.set(super::NOON + 86_400);
    let sealed = format!("{}local-stats/days/2026-01-31.bz2", first.relay.url);
    until("it is not sealed", async || get(&sealed).await.status == 200).await;
    let settings = [format!("stats.collect={}", first.relay.url), "stats.collect_interval=1s".to_owned()];
    let settings = settings.each_ref().map(String::as_str);
    let second = Counted::start(&settings).await;
    // By its clock the day is not over: a day after today would be left.
    let collected = format!("{}stats/days/2026-01-31.bz2", second.relay.url);
    until("it is not collected", async || get(&collected).await.status == 200).await;
    assert_eq!(get(&collected).await.bytes(), get(&sealed).await.bytes());
    let metrics = get(&format!("{}metrics", second.relay.url)).await;
    assert!(metrics.text().contains("cheesewire_stats_collected_days_total{outcome=\"taken\"}"));
}

#[tokio::test]
async fn the_commands_print_for_people_and_for_machines() {
    let relay = Counted::start(&[]).await;
    let (file, url) = relay.file(SMALL);
    let filename = file.path.as_str().rsplit('/').next().unwrap().to_owned();
    let pip = "pip/23.0 {\"installer\":{\"name\":\"pip\",\"version\":\"23.0\"},\"python\":\"3.11.2\",\"system\":{\"name\":\"Linux\"}}";
    for agent in [AGENT.1, pip, pip] {
        crate::support::get_with(Method::GET, &url, &[("user-agent", agent)]).await.unwrap();
    }
    let folder = relay.relay.stop().await;
    let run = async |args: &[&str]| {
        let output = stats(folder.path(), args).await;
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    let lines =
        |text: &str| -> Vec<Json> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let top = lines(&run(&["top", "--json"]).await);
    assert_eq!((top.len(), &top[0]["count"]), (1, &3.into()));
    let project = top[0]["project"].as_str().unwrap().to_owned();
    assert_eq!(run(&["top", "5", "--csv"]).await, format!("project,count\r\n{project},3\r\n"));
    assert_eq!(run(&["top"]).await, format!("{project}  3  {}\n", "█".repeat(40)));
    let day = lines(&run(&["day", "2026-01-31", "--json"]).await);
    assert_eq!(day.iter().map(|row| row["count"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(run(&["day", "2026-01-31"]).await.ends_with("            3  downloads on 2026-01-31\n"));
    assert!(run(&["month", "2026-01", "--csv"]).await.starts_with("project,filename,agent,count\r\n"));
    let chart = format!("2026-01-31  3  {}\n3 downloads in 2026-01\n", "█".repeat(40));
    assert_eq!(run(&["month", "2026-01"]).await, chart);
    assert_eq!(run(&["month", "2026-02"]).await, "0 downloads in 2026-02\n");
    let rows = lines(&run(&["export", "--json"]).await);
    let row = rows.iter().find(|row| row["count"] == 2).unwrap();
    let said = ["day", "project", "filename", "agent", "installer", "installer_version", "python", "system"];
    let expected = ["2026-01-31", &project, &filename, pip, "pip", "23.0", "3.11.2", "Linux"];
    assert_eq!(said.map(|name| row[name].as_str().unwrap()), expected);
    assert!(!row["version"].as_str().unwrap().is_empty());
    assert_eq!(run(&["export"]).await.lines().count(), 3);
    assert_eq!(run(&["export", "--from", "2026-02-01"]).await.lines().count(), 1);
    let file = folder.path().join("out.parquet");
    run(&["export", "--parquet", file.to_str().unwrap()]).await;
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    for (args, words) in [
        (&["day", "2026-02-30"][..], "is no day"),
        (&["month", "x"], "is no month"),
        (&["collect", "ftp://x.test"], "is no mirror's address"),
        (&["export", "--json", "--parquet", "x"], "cannot be used with"),
    ] {
        let output = stats(folder.path(), args).await;
        assert!(!output.status.success() && text(&output.stderr).contains(words), "{args:?}: {output:?}");
    }
    let empty = tempfile::tempdir().unwrap();
    let output = stats(empty.path(), &["top"]).await;
    assert!(text(&output.stderr).contains("there are no statistics in"), "{output:?}");
    assert!(text(&stats(&empty.path().join("x"), &["top"]).await.stderr).contains("--data"));
}

/// 10 GB of zeros in a small file, by a process that may have a fraction of that in memory.
#[tokio::test]
async fn a_bomb_ends_at_the_limit_by_default_and_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = packed(&vec![0; 8 << 20]).repeat(1280);
    assert!(bomb.len() < 1 << 20);
    let (mirror, _) = mirror(vec![("2011-07-22", bomb), ("2011-07-23", packed(DAY.as_bytes()))]).await;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 1500000; exec \"$@\"", "sh", BINARY, "stats", "collect", &mirror]);
    let output = command.arg("--data").arg(folder.path()).kill_on_drop(true).output();
    let output = within("it does not end", output).await.unwrap();
    let (said, left) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{left}");
    assert!(left.contains("2011-07-22 is left: ") && left.contains("stats.collect_bytes"), "{left}");
    assert!(said.contains("2011-07-23: 15 downloads"), "{said}");
}

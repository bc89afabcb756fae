//! What the commands print, read by nobody, and read in a terminal; and rounds of collecting in which something is left.

use std::io::pipe;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::collecting::{DAY, mirror, packed, stats, text};
use crate::support::process::BINARY;
use crate::support::within;

/// A folder with these days of another mirror's.
async fn collected(days: &[(&'static str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let days = days.iter().map(|(day, lines)| (*day, packed(lines.as_bytes()))).collect();
    let (mirror, _) = mirror(days).await;
    let output = stats(folder.path(), &["collect", &mirror]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder
}

/// The same command, but whoever reads has left.
async fn unread(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = Command::new(BINARY);
    command.arg("stats").args(args).arg("--data").arg(folder).kill_on_drop(true);
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = within("it does not end", child.wait_with_output()).await.unwrap();
    (output.status.code(), text(&output.stderr).to_owned())
}

#[tokio::test]
async fn who_reads_no_further_is_no_failure_of_any_command() {
    // More than is gathered before it is written.
    let lines: Vec<_> = (0..1000).map(|n| format!("one,one-{n}.zip,pip/1,{n}\r\n")).collect();
    let folder = collected(&[("2011-07-22", lines.concat())]).await;
    for args in [
        &["export"][..],
        &["export", "--json"],
        &["day", "2011-07-22"],
        &["day", "2011-07-22", "--csv"],
        &["month", "2011-07", "--json"],
        &["month", "2011-07"],
        &["top"],
        &["top", "--csv"],
    ] {
        assert_eq!(unread(folder.path(), args).await, (Some(0), String::new()), "{args:?}");
    }
}

/// What is in the names of others turns no line around and ends none; machines get it as it is.
#[tokio::test]
async fn names_are_escaped_where_people_read_them_and_nowhere_else() {
    let lines = "one,one-1\u{202e}.zip,x\u{2028}y,1\r\n".to_owned();
    let folder = collected(&[("2011-07-22", lines)]).await;
    let run = async |args: &[&str]| text(&stats(folder.path(), args).await.stdout).to_owned();
    let table = run(&["day", "2011-07-22"]).await;
    assert!(table.starts_with("            1  one  one-1\\u202e.zip  x\\u2028y\n"), "{table:?}");
    for args in [&["day", "2011-07-22", "--csv"][..], &["month", "2011-07", "--json"], &["export"]] {
        let rows = run(args).await;
        assert!(rows.contains("one-1\u{202e}.zip") && rows.contains("x\u{2028}y"), "{args:?}: {rows:?}");
    }
}

#[tokio::test]
async fn an_export_has_the_days_from_the_first_to_the_last_that_are_named() {
    let days = ["2011-07-21", "2011-07-22", "2011-07-23"].map(|day| (day, DAY.to_owned()));
    let folder = collected(&days).await;
    for (args, expected) in [
        (&[][..], &["2011-07-21", "2011-07-22", "2011-07-23"][..]),
        (&["--from", "2011-07-22"], &["2011-07-22", "2011-07-23"]),
        (&["--to", "2011-07-22"], &["2011-07-21", "2011-07-22"]),
        (&["--from", "2011-07-22", "--to", "2011-07-22"], &["2011-07-22"]),
        (&["--from", "2011-07-23", "--to", "2011-07-21"], &[]),
    ] {
        let output = stats(folder.path(), &[&["export"], args].concat()).await;
        let mut days: Vec<_> = text(&output.stdout).lines().skip(1).map(|line| &line[..10]).collect();
        days.dedup();
        assert_eq!(days, expected, "{args:?}");
    }
}

#[tokio::test]
async fn a_mirror_that_fails_keeps_nobody_from_the_next_and_a_day_named_twice_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let whole = packed(DAY.as_bytes());
    // What is not taken would be fetched again.
    let cut = whole[..whole.len() - 5].to_vec();
    let (mirror, asked) =
        mirror(vec![("2011-07-22", cut.clone()), ("2011-07-22", cut), ("2011-07-23", whole)]).await;
    let output = stats(folder.path(), &["collect", "http://127.0.0.1:1/", &mirror]).await;
    let (said, left) = (text(&output.stdout), text(&output.stderr));
    assert!(left.contains("http://127.0.0.1:1/ is left: "), "{left}");
    assert!(said.contains("2011-07-23: 15 downloads"), "{said} {left}");
    assert_eq!(left.matches("2011-07-22 is left: ").count(), 1, "{left}");
    let fetched = asked.lock().unwrap().iter().filter(|path| path.contains("2011-07-22")).count();
    assert_eq!(fetched, 1);
}

/// A day of lines that hardly become smaller by packing.
fn hardly_packed(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut chance = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let letters = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
        char::from(letters[usize::try_from(state >> 58).unwrap()])
    };
    let mut lines = String::new();
    while lines.len() < bytes {
        let agent: String = (0..200).map(|_| chance()).collect();
        lines.extend(["one,one-1.zip,", &agent, ",1\r\n"]);
    }
    packed(lines.as_bytes())
}

#[tokio::test]
async fn a_day_whose_packed_bytes_are_more_than_a_quarter_of_the_limit_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (hardly_packed(500_000), hardly_packed(900_000));
    assert!(small.len() < 512 << 10 && large.len() > 512 << 10, "{} {}", small.len(), large.len());
    let (mirror, _) = mirror(vec![("2011-07-22", small), ("2011-07-23", large)]).await;
    let output = stats(folder.path(), &["collect", &mirror, "--set", "stats.collect_bytes=2 MiB"]).await;
    let (said, left) = (text(&output.stdout), text(&output.stderr));
    assert!(said.contains("2011-07-22: ") && !said.contains("2011-07-23"), "{said}");
    assert!(left.contains("2011-07-23 is left: ") && left.contains("524288"), "{left}");
}

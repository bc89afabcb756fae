//! What each client gets when upstream goes wrong: a table, run row by row, that also stands in docs/files.md.

use std::time::Duration;

use cheesewire::relay::RelaySettings;
use cheesewire::sandbox::{Change, Effect, Fault, File, Publication, Route};
use futures_util::StreamExt as _;
use reqwest::Method;

use crate::support::{Answer, Files, Relay, get_with, sandbox};

use Got::{Cut, Part, Right, Spoilt, Status};

const PAGE: &str = include_str!("../docs/files.md");

/// Nobody waits longer: six answers, each with its silence, its pauses, and a slow machine.
const LIMIT: Duration = Duration::from_mins(1);
/// How long upstream may be silent.
const SILENCE: Duration = Duration::from_secs(2);
/// The fixtures' file: four times what is held back at the end.
const SIZE: u64 = 321_287;

/// What a client got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    /// The whole file, right.
    Right,
    /// The part asked for, right.
    Part,
    /// The part asked for, with upstream's wrong byte: who wants the middle of a file before its end has come gets
    /// what nobody can have checked.
    Spoilt,
    /// Less than announced, and the connection cut.
    Cut,
    /// An error.
    Status(u16),
}

impl Got {
    fn words(self) -> String {
        match self {
            Right => "the file".to_owned(),
            Part => "its part".to_owned(),
            Spoilt => "its part, with that byte".to_owned(),
            Cut => "cut".to_owned(),
            Status(code) => code.to_string(),
        }
    }
}

/// One fault, and what the first client, a follower and a range client may get. Where there are two, it depends on
/// who is quicker.
struct Row {
    name: String,
    faults: Vec<Fault>,
    first: &'static [Got],
    follower: &'static [Got],
    range: &'static [Got],
}

fn row(name: impl Into<String>, fault: Fault, [first, follower, range]: [&'static [Got]; 3]) -> Row {
    Row { name: name.into(), faults: vec![fault], first, follower, range }
}

/// The middle tenth.
fn middle(size: u64) -> std::ops::Range<u64> {
    size * 45 / 100..size * 55 / 100
}

fn rows(size: u64) -> Vec<Row> {
    let on = |effect| Fault::on(Route::File, effect);
    let cut = |tenth: u64| Effect::Cut { at: size * tenth / 10 };
    let (refused, cut_off): (&'static [Got], &'static [Got]) = (&[Status(503)], &[Cut, Status(503)]);
    let wrong: [&'static [Got]; 3] = [&[Cut, Status(502)], &[Cut, Status(502)], &[Part, Cut, Status(502)]];
    let mut rows = Vec::new();
    for tenth in 0..10 {
        let all: [&'static [Got]; 3] = [&[Right], &[Right], &[Part]];
        rows.push(row(format!("cut at {tenth} tenths, once"), on(cut(tenth)).times(1), all));
    }
    for tenth in 0..10 {
        // Six answers, each of which brings a little more, but too little to count as progress.
        let all: [&'static [Got]; 3] = match tenth {
            0 => [refused, refused, refused],
            1 => [cut_off, cut_off, &[Part, Cut, Status(503)]],
            _ => [&[Right], &[Right], &[Part]],
        };
        rows.push(row(format!("cut at {tenth} tenths, each time"), on(cut(tenth)), all));
    }
    rows.push(row("a wrong byte at the start", on(Effect::WrongByte { at: 0 }), wrong));
    let spoilt = [wrong[0], wrong[1], &[Spoilt, Cut, Status(502)][..]];
    rows.push(row("a wrong byte in the middle", on(Effect::WrongByte { at: size / 2 }), spoilt));
    rows.push(row("a wrong last byte", on(Effect::WrongByte { at: size - 1 }), wrong));
    let told: [&'static [Got]; 3] = [&[Status(502)], &[Status(502)], &[Status(502)]];
    rows.push(row("longer than the index says", on(Effect::Longer { by: 1000 }), told));
    rows.push(row("shorter than the index says", on(Effect::Shorter { by: 1000 }), told));
    rows.push(row("500", on(Effect::Status { code: 500 }), [refused, refused, refused]));
    rows.push(row("no answer, the connection closed", on(Effect::Reset), [refused, refused, refused]));
    let slow = Effect::Drip { bytes: 16 << 10, every_millis: 5 };
    rows.push(row("a drip", on(slow), [&[Right], &[Right], &[Part]]));
    let silent = Effect::Drip { bytes: 1, every_millis: 60_000 };
    rows.push(row("silence after the head", on(silent), [refused, refused, refused]));
    let gone: [&'static [Got]; 3] = [&[Status(404)], &[Status(404)], &[Status(404)]];
    rows.push(row("404", on(Effect::Status { code: 404 }), gone));
    rows.push(row("410", on(Effect::Status { code: 410 }), gone));
    let page = Effect::Answer {
        status: 200,
        headers: [("content-type".to_owned(), "text/html".to_owned())].into(),
        body: "<h1>log in</h1>".to_owned(),
    };
    rows.push(row("a web page with 200", on(page), told));
    let coded = Effect::Answer {
        status: 200,
        headers: [("content-encoding".to_owned(), "gzip".to_owned())].into(),
        body: "coded".to_owned(),
    };
    rows.push(row("a coded body", on(coded), told));
    let elsewhere = Effect::Answer {
        status: 302,
        headers: [("location".to_owned(), "ftp://files.test/x".to_owned())].into(),
        body: String::new(),
    };
    rows.push(row("a redirect to what is not HTTP", on(elsewhere), told));
    let around = Effect::Answer {
        status: 302,
        headers: [("location".to_owned(), "?again".to_owned())].into(),
        body: String::new(),
    };
    rows.push(row("redirects in a loop", on(around), told));
    rows
}

/// Asks, and says what came.
async fn ask(url: String, content: Vec<u8>, range: Option<std::ops::Range<u64>>, wrong: Option<u64>) -> Got {
    let field = range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end - 1));
    let fields: Vec<_> = field.iter().map(|field| ("range", field.as_str())).collect();
    let asked = tokio::time::timeout(LIMIT, get_with(Method::GET, &url, &fields)).await;
    let answer = asked.expect("a client hangs").unwrap();
    let Answer { status, body, .. } = answer;
    let place = |at: u64| usize::try_from(at).unwrap();
    match (status, body, range) {
        (200 | 206, Err(_), _) => Cut,
        (200, Ok(body), None) => {
            assert!(body == content, "a wrong whole file of {} bytes", body.len());
            Right
        }
        (206, Ok(body), Some(range)) => {
            let mut part = content[place(range.start)..place(range.end)].to_vec();
            if body == part {
                return Part;
            }
            let at = wrong.and_then(|at| at.checked_sub(range.start)).expect("a wrong part");
            part[place(at)] ^= 0xff;
            assert!(body == part, "more than upstream's wrong byte is wrong");
            Spoilt
        }
        (200, Ok(_), Some(_)) => panic!("a range client got another answer"),
        (status, Ok(_), _) => Status(status),
        (status, Err(error), _) => panic!("a broken error {status}: {error}"),
    }
}

async fn run(row: &Row) {
    let relay = RelaySettings { resume_pause: Duration::from_millis(1), ..RelaySettings::default() };
    let files = Files::before(|settings| settings, relay, SILENCE).await;
    let file = files.file(SIZE..SIZE + 1);
    let (size, content) = (file.content.size(), file.content.to_vec());
    let faults = files.sandbox.faults();
    // Time for all to join; who does not gets the same of a fetch of its own.
    faults.add(Fault::on(Route::File, Effect::Delay { millis: 50 })).unwrap();
    for fault in &row.faults {
        faults.add(fault.clone()).unwrap();
    }
    let wrong = row.faults.iter().find_map(|fault| match fault.effect {
        Effect::WrongByte { at } => Some(at),
        _ => None,
    });
    let url = files.url(file.path.as_str());
    let one = |range| tokio::spawn(ask(url.clone(), content.clone(), range, wrong));
    let (first, follower, range) = (one(None), one(None), one(Some(middle(size))));
    for (who, got, may) in [
        ("first client", first.await.unwrap(), row.first),
        ("follower", follower.await.unwrap(), row.follower),
        ("range client", range.await.unwrap(), row.range),
    ] {
        assert!(may.contains(&got), "{}: the {who} got {got:?}", row.name);
    }
    files.quiet().await;
    let whole = row.first == [Right];
    assert_eq!(files.kept(), usize::from(whole), "{}: what is kept", row.name);
    // Upstream is right again, and so is every answer, but for an absence, which is remembered for a while.
    faults.clear();
    let after = if row.first == [Status(404)] { Status(404) } else { Right };
    assert_eq!(ask(url, content, None, None).await, after, "{}: afterwards", row.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_upstreams_makes_a_wrong_file_whole_or_a_client_hang() {
    // Some rows side by side: most of their time is pauses.
    let rows = rows(SIZE).into_iter().map(|row| tokio::spawn(async move { run(&row).await }));
    let ended: Vec<_> = futures_util::stream::iter(rows).buffered(8).collect().await;
    let wrong: Vec<_> = ended.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn url(relay: &Relay, file: &File) -> String {
    format!("{}packages/{}", relay.url, file.path)
}

/// The last row of the table: an index that lags behind its own changelog.
#[tokio::test]
async fn a_stale_index_hides_no_file_that_it_named_and_gives_out_none_that_it_does_not_name() {
    let sandbox = sandbox().await;
    // Every question asks upstream anew.
    let relay = Relay::start(&sandbox.url(), &["index.page_max_age=1ms", "follow.enabled=false"]).await;
    let page = format!("{}simple/wire-core/", relay.url);
    assert_eq!(get_with(Method::GET, &page, &[]).await.unwrap().status, 200);
    let newest = |sandbox: &cheesewire::sandbox::Sandbox| {
        let project = sandbox.project("wire-core").unwrap();
        project.files().map(|(_, upload)| upload.file.clone()).max_by_key(|file| file.path.clone()).unwrap()
    };
    let old = newest(&sandbox);
    let before: Vec<_> =
        sandbox.project("wire-core").unwrap().files().map(|(_, upload)| upload.file.path.clone()).collect();
    let serial = sandbox.last_serial();
    sandbox.change(Change::Publish(Publication::new("wire-core", "99.0").into())).await.unwrap();
    let project = sandbox.project("wire-core").unwrap();
    let new =
        project.files().map(|(_, upload)| &upload.file).find(|file| !before.contains(&file.path)).unwrap();
    let behind = sandbox.last_serial().0 - serial.0;
    for route in [Route::Page, Route::Json] {
        sandbox.faults().add(Fault::on(route, Effect::Stale { behind })).unwrap();
    }
    for range in [None, None, Some(0..5)] {
        let got = ask(url(&relay, &old), old.content.to_vec(), range.clone(), None).await;
        assert!(matches!(got, Right | Part), "{got:?}");
        assert_eq!(ask(url(&relay, new), new.content.to_vec(), range, None).await, Status(404));
    }
    sandbox.faults().clear();
    assert_eq!(get_with(Method::GET, &page, &[]).await.unwrap().status, 200);
    assert_eq!(ask(url(&relay, new), new.content.to_vec(), None, None).await, Right);
}

/// The table in words; rows of tenths that end alike are one line.
fn table(size: u64) -> Vec<String> {
    let cell = |may: &[Got]| may.iter().map(|got| got.words()).collect::<Vec<_>>().join(", or ");
    let mut lines: Vec<(String, String)> = Vec::new();
    for row in rows(size) {
        let cells = format!("{} | {} | {}", cell(row.first), cell(row.follower), cell(row.range));
        let tenths = row
            .name
            .split_once(" tenths")
            .map(|(start, when)| (start.rsplit(' ').next().unwrap().to_owned(), when.to_owned()));
        match (lines.last_mut(), tenths) {
            (Some((name, last)), Some((tenth, when))) if *last == cells && name.ends_with(&when) => {
                let first = name.trim_start_matches("cut at ").split([' ', '–']).next().unwrap().to_owned();
                *name = format!("cut at {first}–{tenth} tenths{when}");
            }
            _ => lines.push((row.name, cells)),
        }
    }
    lines.into_iter().map(|(name, cells)| format!("| {name} | {cells} |")).collect()
}

#[test]
fn the_readme_has_the_table() {
    let rows = table(SIZE);
    for row in &rows {
        assert!(PAGE.contains(row.as_str()), "docs/files.md lacks {row}; all of it:\n{}", rows.join("\n"));
    }
}

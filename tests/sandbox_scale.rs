//! The scale mode over HTTP: rows, listing, pages and files agree.

use std::io::Write as _;

use cheesewire::model::Serial;
use cheesewire::sandbox::{Publication, Sandbox, SandboxSettings, ScaleSettings};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use sha2::Digest as _;

use crate::support::{call, get, get_with};

/// A gzip list of `projects` projects.
fn list(projects: usize) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    writeln!(gzip, "name\tversion\tmonth\trank_among_15000_most_downloaded\tsummary").unwrap();
    for n in 0..projects {
        writeln!(gzip, "Some.Name_{n:05}\t1.{n}\t2020-01\t\tSummary <{n}> & ä").unwrap();
    }
    gzip.finish().unwrap()
}

async fn start(projects: &tempfile::NamedTempFile, events: u64) -> Sandbox {
    let scale = Some(ScaleSettings { projects: projects.path().to_owned(), events });
    // Pages shorter than upstream's: unoptimised, 50,000 rows take seconds to read.
    let settings = SandboxSettings { scale, changelog_rows: 5_000, ..SandboxSettings::default() };
    Sandbox::start(settings).await.unwrap()
}

#[tokio::test]
async fn a_client_that_loops_on_the_last_serial_sees_every_event_once() {
    let projects = list(300);
    let sandbox = start(&projects, 12_000).await;
    let (mut serial, mut seen, mut pages) = (0, Vec::new(), 0);
    loop {
        let page = call(&sandbox.url(), "changelog_since_serial", &[Value::Int(serial)]).await.unwrap();
        let rows = page.as_array().unwrap();
        let Some(last) = rows.last() else { break };
        serial = last.as_array().unwrap()[4].as_int().unwrap();
        seen.extend(rows.iter().map(|row| row.as_array().unwrap()[4].as_int().unwrap()));
        pages += 1;
    }
    let all: Vec<i64> =
        sandbox.events_after(Serial(0), usize::MAX).iter().map(|event| event.serial.0).collect();
    assert_eq!((pages, seen.len(), seen == all), (3, 12_000, true));
    assert_eq!(serial, sandbox.last_serial().0);
}

#[tokio::test]
async fn listing_pages_documents_and_files_agree() {
    let list = list(3_000);
    let sandbox = start(&list, 10_000).await;
    let base = sandbox.url();
    let json = ("accept", "application/vnd.pypi.simple.v1+json");
    let listing = get_with(Method::GET, &format!("{base}simple/"), &[json]).await.unwrap().json();
    let projects = listing["projects"].as_array().unwrap();
    assert_eq!((projects.len(), &listing["meta"]["_last-serial"]), (3_000, &sandbox.last_serial().0.into()));
    let Value::Struct(serials) = call(&base, "list_packages_with_serial", &[]).await.unwrap() else {
        panic!()
    };
    assert_eq!((serials.len(), serials[7].0.as_str()), (3_000, "Some.Name_00007"));
    assert_eq!(projects[7]["_last-serial"], serials[7].1.as_int().unwrap());
    let page = get_with(Method::GET, &format!("{base}simple/some-name-00007/"), &[json]).await.unwrap();
    assert_eq!(page.header("x-pypi-last-serial"), serials[7].1.as_int().unwrap().to_string());
    let file = &page.json()["files"][0];
    let bytes = get(file["url"].as_str().unwrap()).await;
    assert_eq!(file["hashes"]["sha256"], hex::encode(sha2::Sha256::digest(bytes.bytes())));
    let metadata = get(&format!("{}.metadata", file["url"].as_str().unwrap())).await;
    assert!(metadata.text().contains("Summary: Summary <7> & ä\n"));
    let document = get(&format!("{base}pypi/some-name-00007/json")).await.json();
    assert_eq!((&document["info"]["version"], &document["urls"][0]["size"]), (&"1.7".into(), &file["size"]));
    assert!(sandbox.publish(Publication::new("x", "1")).await.is_err(), "a large index does not change");
}

#[tokio::test]
async fn a_list_that_is_none_is_refused_by_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let scale = |projects: &std::path::Path, events| {
        let scale = Some(ScaleSettings { projects: projects.to_owned(), events });
        Sandbox::start(SandboxSettings { scale, ..SandboxSettings::default() })
    };
    let error = scale(file.path(), 1).await.err().unwrap().to_string();
    assert!(error.ends_with("line 1: the list is empty"), "{error}");
    let error = scale(std::path::Path::new("/nowhere/list"), 1).await.err().unwrap().to_string();
    assert!(error.starts_with("cannot read "), "{error}");
    let error = scale(list(1).path(), 1 << 40).await.err().unwrap().to_string();
    assert!(error.contains("at most 700000000"), "{error}");
}

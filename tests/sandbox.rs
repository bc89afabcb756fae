//! The sandbox behaves as WIRE.md sections 6 to 8 say.

use std::collections::HashMap;

use cheesewire::sandbox::{Effect, Fault, Publication, Route};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use sha2::Digest as _;

use crate::support::{call, get, get_with, sandbox};

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

#[tokio::test]
async fn every_file_of_every_page_is_there_and_has_its_digests() {
    let sandbox = sandbox().await;
    assert!(sandbox.projects().len() >= 24);
    let mut files = 0;
    for project in sandbox.projects() {
        let name = project.name.to_lowercase().replace(['_', '.'], "-");
        let url = format!("{}simple/{name}/", sandbox.url());
        let page = get_with(Method::GET, &url, &[JSON]).await.unwrap();
        assert_eq!(page.header("x-pypi-last-serial"), project.last_serial.to_string());
        for file in page.json()["files"].as_array().unwrap() {
            let answer = get(file["url"].as_str().unwrap()).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.bytes().len() as u64, file["size"].as_u64().unwrap());
            let digest = hex::encode(sha2::Sha256::digest(answer.bytes()));
            assert_eq!(file["hashes"]["sha256"], digest, "{}", file["filename"]);
            if let Some(stated) = file["core-metadata"]["sha256"].as_str() {
                let metadata = get(&format!("{}.metadata", file["url"].as_str().unwrap())).await;
                assert_eq!(stated, hex::encode(sha2::Sha256::digest(metadata.bytes())));
            }
            files += 1;
        }
    }
    assert!(files > 150, "{files}");
}

#[tokio::test]
async fn journal_listing_and_documents_agree_on_serials() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    let rows = call(&base, "changelog_since_serial", &[Value::Int(0)]).await.unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 5_000, "{}", rows.len());
    let mut last = HashMap::new();
    let mut removed = HashMap::new();
    for row in rows {
        let row = row.as_array().unwrap();
        let name = row[0].as_str().unwrap();
        last.insert(name, row[4].as_int().unwrap());
        removed.insert(
            name,
            matches!(row[3].as_str(), Some("remove project" | "remove")) && row[1] == Value::Nil,
        );
    }
    last.retain(|name, _| !removed[name]);
    let listed = call(&base, "list_packages_with_serial", &[]).await.unwrap();
    let Value::Struct(listed) = listed else { panic!() };
    let listed: HashMap<_, _> =
        listed.iter().map(|(name, serial)| (name.as_str(), serial.as_int().unwrap())).collect();
    assert_eq!(listed, last);
    let simple = get_with(Method::GET, &format!("{base}simple/"), &[JSON]).await.unwrap().json();
    for project in simple["projects"].as_array().unwrap() {
        assert_eq!(project["_last-serial"], listed[project["name"].as_str().unwrap()]);
    }
    assert_eq!(simple["meta"]["_last-serial"], sandbox.last_serial().0);
    let document = get(&format!("{base}pypi/wire-top/json")).await.json();
    assert_eq!(document["last_serial"], listed["wire-top"]);
    assert_eq!(document["info"]["requires_dist"][0], "wire-left");
}

#[tokio::test]
async fn a_publication_shows_everywhere_at_once() {
    let sandbox = sandbox().await;
    let before = sandbox.last_serial();
    let serial = sandbox.publish(Publication::new("New.Project", "1.0")).await.unwrap();
    let events = sandbox.events_after(before, 10);
    let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "create",
            "new release",
            "add source file new_project-1.0.tar.gz",
            "add py3 file new_project-1.0-py3-none-any.whl"
        ]
    );
    assert_eq!(serial, events[3].serial);
    let page = get(&format!("{}simple/new-project/", sandbox.url())).await;
    assert_eq!(page.header("x-pypi-last-serial"), serial.to_string());
    let document = get(&format!("{}pypi/new-project/1.0/json", sandbox.url())).await.json();
    assert_eq!(document["info"]["name"], "New.Project");
    assert_eq!(get(document["urls"][0]["url"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn a_cut_comes_at_its_byte_and_only_as_often_as_asked() {
    let sandbox = sandbox().await;
    let project = sandbox.project("wire-core").unwrap();
    let file = &project.releases[0].files[0].file;
    let fault = Fault::on(Route::File, Effect::Cut { at: 100 }).times(1);
    sandbox.faults().add(fault).unwrap();
    assert!(get(&sandbox.file_url(file)).await.body.is_err());
    assert_eq!(get(&sandbox.file_url(file)).await.bytes(), file.content.to_vec());
    assert_eq!(sandbox.requests().route(Route::File), 2);
}

//! Which files may be fetched.

use axum::Router;
use axum::routing::get;
use cheesewire::index::{IndexError, Located};
use cheesewire::model::FilePath;
use cheesewire::sandbox::Change;

use super::{happen, name, quick};
use crate::support::scripted::serve;
use crate::support::{IndexRelay, sandbox};

fn absent(found: &Result<Located, IndexError>) {
    assert!(matches!(found, Err(IndexError::NoSuchFile)), "{found:?}");
}

#[tokio::test]
async fn a_file_is_known_if_the_page_of_the_project_in_its_name_names_it() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let project = sandbox.project("wire-core").unwrap();
    let (_, upload) = project.files().find(|(_, upload)| upload.file.metadata.is_some()).unwrap();
    let file = &upload.file;
    // Nobody has asked for its page: its own name tells whose it may be.
    assert_eq!(relay.index.file(&file.path).await.unwrap().file.project, name("wire-core"));
    // Also by what is on disk alone.
    for index in [relay.index.clone(), relay.forgetful(quick())] {
        let known = index.file(&file.path).await.unwrap().file;
        assert_eq!((&*known.url, known.sha256), (&*sandbox.file_url(file), Some(file.digests.sha256)));
        assert_eq!((known.size, known.project), (Some(file.content.size()), name("wire-core")));
        let metadata = FilePath::parse(&format!("{}.metadata", file.path)).unwrap();
        let known = index.file(&metadata).await.unwrap().file;
        assert_eq!(*known.url, *format!("{}.metadata", sandbox.file_url(file)));
        assert_eq!((known.sha256, known.size), (file.metadata_sha256(), None));
    }
    assert_eq!(sandbox.requests().total(), 1);
}

#[tokio::test]
async fn metadata_that_is_not_advertised_is_not_known() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let project = sandbox.project("sdist-only").unwrap();
    relay.index.page(&name("sdist-only")).await.unwrap();
    let (_, upload) = project.files().find(|(_, upload)| upload.file.metadata.is_none()).unwrap();
    absent(&relay.index.file(&FilePath::parse(&format!("{}.metadata", upload.file.path)).unwrap()).await);
    absent(&relay.index.file(&FilePath::parse("aa/bb/never-1.0.zip").unwrap()).await);
}

#[tokio::test]
async fn a_removed_file_is_not_found_any_more() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.seed().await;
    relay.index.json(&name("wire-core"), None).await.unwrap();
    let page = relay.index.page(&name("wire-core")).await.unwrap();
    let file = &page.files[0];
    relay.index.file(&file.path).await.unwrap();
    let removal = Change::RemoveFile { name: "wire-core".to_owned(), filename: file.filename.clone() };
    happen(&sandbox, &relay, removal).await;
    absent(&relay.index.file(&file.path).await);
    absent(&relay.index.file_by_name(&file.filename, &name("wire-core")).await);
    relay.index.file(&page.files[1].path).await.unwrap();
}

#[tokio::test]
async fn a_json_document_makes_its_files_known_too() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    relay.index.json(&name("many-versions"), None).await.unwrap();
    let project = sandbox.project("many-versions").unwrap();
    for (_, upload) in project.files() {
        let known = relay.index.file(&upload.file.path).await.unwrap().file;
        assert_eq!(known.sha256, Some(upload.file.digests.sha256));
    }
    // The document said whose they are, the page what they are.
    assert_eq!(sandbox.requests().total(), 2);
}

#[tokio::test]
async fn a_file_that_only_the_json_document_names_is_found_there() {
    let page = ([("content-type", "text/html")], "<a href='a-2.0.zip'>a-2.0.zip</a>");
    let json = r#"{"info":{},"urls":[{"url":"https://files.test/packages/aa/a-1.0.zip","digests":{}}]}"#;
    let json = ([("content-type", "application/json")], json);
    let router = Router::new()
        .route("/simple/a/", get(move || async move { page }))
        .route("/pypi/a/json", get(move || async move { json }));
    let relay = IndexRelay::start(serve(router).await.as_str(), quick()).await;
    relay.index.page(&name("a")).await.unwrap();
    relay.index.json(&name("a"), None).await.unwrap();
    let known = relay.index.file(&FilePath::parse("aa/a-1.0.zip").unwrap()).await.unwrap().file;
    assert_eq!(&*known.url, "https://files.test/packages/aa/a-1.0.zip");
    absent(&relay.index.file(&FilePath::parse("aa/a-3.0.zip").unwrap()).await);
}

#[tokio::test]
async fn an_old_address_finds_a_file_by_its_name() {
    let sandbox = sandbox().await;
    let relay = IndexRelay::start(&sandbox.url(), quick()).await;
    let project = sandbox.project("wire-core").unwrap();
    let (_, upload) = project.files().find(|(_, upload)| upload.file.metadata.is_some()).unwrap();
    let filename = &upload.file.filename;
    let known = relay.index.file_by_name(filename, &name("wire-core")).await.unwrap().file;
    assert_eq!(known.path, upload.file.path);
    let metadata =
        relay.index.file_by_name(&format!("{filename}.metadata"), &name("wire-core")).await.unwrap().file;
    assert_eq!(metadata.sha256, upload.file.metadata_sha256());
    absent(&relay.index.file_by_name("wire_core-0.zip", &name("wire-core")).await);
    absent(&relay.index.file_by_name("x-1.zip", &name("no-such-thing")).await);
}

//! Pages and files through the client, and its user and password.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use cheesewire::client::{Body, Client, ClientError, Reason};
use cheesewire::model::ProjectName;
use futures_util::TryStreamExt as _;

use super::{quick, trio};
use crate::support::scripted;

async fn bytes(body: Body) -> Result<Vec<u8>, ClientError> {
    body.try_fold(Vec::new(), async |mut all, piece| {
        all.extend_from_slice(&piece);
        Ok(all)
    })
    .await
}

#[tokio::test]
async fn a_page_names_files_that_come_whole() {
    let (sandbox, _relay, client) = trio(&[]).await;
    let files = client.files().unwrap();
    let name = ProjectName::parse("wire-top").unwrap();
    let page = files.page(&name).await.unwrap();
    let project = sandbox.project("wire-top").unwrap();
    assert_eq!(page.versions.len(), project.shown().count());
    assert!(page.files.len() > 1);
    for file in &page.files {
        let (_, upload) = project.files().find(|(_, upload)| upload.file.filename == file.filename).unwrap();
        assert_eq!(bytes(files.file(&file.url).await.unwrap()).await.unwrap(), upload.file.content.to_vec());
    }
    let missing = files.page(&ProjectName::parse("no-such-project").unwrap()).await.unwrap_err();
    assert_eq!(missing.reason, Reason::Status { status: 404, retry: None });
    assert_eq!(missing.request, "/simple/no-such-project/");
}

/// Who sent which authorization where.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

async fn server(answer: impl Fn(&str) -> Response + Clone + Send + Sync + 'static) -> (String, Asked) {
    let asked = Asked::default();
    let noted = asked.clone();
    let handler = async move |uri: Uri, headers: HeaderMap| {
        let sent = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        noted.lock().unwrap().push((uri.to_string(), sent));
        answer(uri.path())
    };
    (scripted::serve(Router::new().fallback(any(handler))).await.to_string(), asked)
}

#[tokio::test]
async fn a_user_and_password_go_to_the_relay_and_nowhere_else() {
    let (elsewhere, asked_there) = server(|_| "bytes".into_response()).await;
    let there = elsewhere.clone();
    let (url, asked) = server(move |path| match path {
        "/simple/a/" => {
            let files = serde_json::json!([
                {"filename": "a-1.tar.gz", "url": "../../packages/a-1.tar.gz"},
                {"filename": "a-2.tar.gz", "url": format!("{there}a-2.tar.gz")},
                {"filename": "a-3.tar.gz", "url": "/moved"},
                {"filename": "a-4.tar.gz", "url": "http://"},
            ]);
            serde_json::json!({"files": files, "versions": []}).to_string().into_response()
        }
        "/moved" => (StatusCode::FOUND, [("location", format!("{there}a-3.tar.gz"))]).into_response(),
        _ => "bytes".into_response(),
    })
    .await;
    let client =
        Client::with(&format!("{}pypi?deadline=9", url.replace("http://", "http://user:p%40ss@")), quick())
            .unwrap();
    let files = client.files().unwrap();
    let page = files.page(&ProjectName::parse("a").unwrap()).await.unwrap();
    assert_eq!(page.files.len(), 3, "what has no address is left out");
    for file in page.files {
        assert!(!file.url.contains("user"));
        assert_eq!(bytes(files.file(&file.url).await.unwrap()).await.unwrap(), b"bytes");
    }
    // A query goes with calls only.
    client.list_packages().await.unwrap_err();
    let basic = Some("Basic dXNlcjpwQHNz".to_owned());
    let paths = ["/simple/a/", "/packages/a-1.tar.gz", "/moved", "/pypi?deadline=9"];
    assert_eq!(*asked.lock().unwrap(), paths.map(|path| (path.to_owned(), basic.clone())));
    let others = ["/a-2.tar.gz", "/a-3.tar.gz"].map(|path| (path.to_owned(), None));
    assert_eq!(*asked_there.lock().unwrap(), others);
}

#[tokio::test]
async fn what_failed_on_the_way_is_asked_for_again_and_what_is_refused_is_not() {
    let (url, asked) = server(|path| match path {
        "/down" => StatusCode::BAD_GATEWAY.into_response(),
        "/loop" => (StatusCode::FOUND, [("location", "/loop")]).into_response(),
        _ => StatusCode::FORBIDDEN.into_response(),
    })
    .await;
    let files = Client::with(&url, quick()).unwrap().files().unwrap();
    let error = async |path: &str| match files.file(&format!("{url}{path}")).await {
        Ok(_) => panic!("{path} is there"),
        Err(error) => error,
    };
    assert_eq!(error("down").await.reason, Reason::Status { status: 502, retry: None });
    assert_eq!(asked.lock().unwrap().len(), 3);
    assert_eq!(error("refused").await.reason, Reason::Status { status: 403, retry: None });
    assert_eq!(asked.lock().unwrap().len(), 4);
    assert!(error("loop").await.to_string().contains("redirects that are not followed"));
    assert_eq!(asked.lock().unwrap().len(), 10, "five redirects are followed");
}

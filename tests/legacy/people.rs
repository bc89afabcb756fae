//! Pages for people, and old addresses of files and documents.

use cheesewire::sandbox::{Info, Publication};
use reqwest::Method;

use super::{POLLS, pair};
use crate::support::{get, get_with, until};

#[tokio::test]
async fn a_project_and_a_release_have_a_page_with_name_version_summary_and_files() {
    let (sandbox, relay) = pair(&[]).await;
    for (path, title) in [
        ("pypi/wire-core", None),
        ("pypi/Wire.Core/", None),
        ("pypi/wire-core/1.0", Some("wire-core 1.0")),
        ("pypi/wire-core/1.0/", Some("wire-core 1.0")),
    ] {
        let page = get(&format!("{}{path}", relay.url)).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        let project = sandbox.project("wire-core").unwrap();
        assert!(page.text().contains(title.unwrap_or("wire-core ")), "{}", page.text());
        let version = if title.is_some() { "1.0" } else { project.latest().unwrap().version.as_str() };
        let release = project.releases.iter().find(|release| release.version == version).unwrap();
        for upload in &release.files {
            let link = format!("{}packages/{}", relay.url, upload.file.path);
            assert!(page.text().contains(&format!("href=\"{link}\"")), "{link} {}", page.text());
        }
        assert!(page.text().contains(release.info.summary.as_deref().unwrap()), "{}", page.text());
    }
    for path in
        ["pypi/no-such-project", "pypi/wire-core/99", "pypi/no-such-project/1", "pypi/a%2Fb", "pypi/%00"]
    {
        assert_eq!(get(&format!("{}{path}", relay.url)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn nothing_that_a_release_says_of_itself_is_markup_on_its_page() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    let summary = Some("</p><script>alert(1)</script> \u{1}".to_owned());
    let info = Info { summary, ..Info::default() };
    sandbox.publish(Publication { info, ..Publication::new("odd-page", "1") }).await.unwrap();
    let url = format!("{}pypi/odd-page", relay.url);
    until("it is not there", async || get(&url).await.status == 200).await;
    let page = get(&url).await;
    assert!(!page.text().contains("<script") && page.text().contains("&lt;script&gt;"), "{}", page.text());
    assert_eq!(page.header("content-security-policy"), "default-src 'none'");
}

#[tokio::test]
async fn an_old_address_of_a_file_is_answered_as_the_files_own() {
    let (sandbox, relay) = pair(&[]).await;
    let project = sandbox.project("wire-top").unwrap();
    for (_, upload) in project.files() {
        let (filename, bytes) = (&upload.file.filename, upload.file.content.to_vec());
        let own = get(&format!("{}packages/{}", relay.url, upload.file.path)).await;
        for old in ["source/w/wire-top", "py3/w/wire-top", "2.7/w/Wire_Top"] {
            let answer = get(&format!("{}packages/{old}/{filename}", relay.url)).await;
            assert_eq!((answer.status, answer.bytes()), (200, &bytes[..]), "{old}/{filename}");
            for field in ["etag", "cache-control", "content-type", "content-length", "accept-ranges"] {
                assert_eq!(answer.header(field), own.header(field), "{old} {field}");
            }
            let head = get_with(Method::HEAD, &format!("{}packages/{old}/{filename}", relay.url), &[])
                .await
                .unwrap();
            assert_eq!((head.status, head.bytes()), (200, &b""[..]));
        }
    }
    for other in [
        "source/w/wire-top/none-1.tar.gz",
        "source/x/wire-top/wire-top-2.0.tar.gz",
        "source/n/none/none-1.tar.gz",
    ] {
        assert_eq!(get(&format!("{}packages/{other}", relay.url)).await.status, 404, "{other}");
    }
}

#[tokio::test]
async fn documents_are_answered_with_a_slash_at_the_end_as_without() {
    let (_sandbox, relay) = pair(&[]).await;
    let fields =
        ["content-type", "etag", "x-pypi-last-serial", "cache-control", "content-disposition", "vary"];
    for path in [
        "pypi/wire-top/json",
        "pypi/Wire.Top/2.0/json",
        "pypi/WIRE_top/2/json",
        "pypi/wire-top/doap",
        "pypi/wire-top/2.0/doap",
        "pypi/wire-top",
        "pypi/wire-top/2.0",
    ] {
        for query in ["", "?x=1&x=2"] {
            let address = |slash| format!("{}{path}{slash}{query}", relay.url);
            let (without, with) = (get(&address("")).await, get(&address("/")).await);
            assert_eq!((with.status, with.bytes()), (200, without.bytes()), "{path}");
            for field in fields {
                assert_eq!(with.header(field), without.header(field), "{path} {field}");
            }
            let known = [("if-none-match", with.header("etag"))];
            for slash in ["", "/"].into_iter().filter(|_| !with.header("etag").is_empty()) {
                assert_eq!(
                    get_with(Method::GET, &address(slash), &known).await.unwrap().status,
                    304,
                    "{path}"
                );
            }
        }
        assert_eq!(get(&format!("{}{path}//", relay.url)).await.status, 404, "{path}: two are none");
    }
    for path in ["pypi/none/json/", "pypi/wire-top/9/json/", "pypi/none/doap/", "pypi/wire-top/9/doap/"] {
        assert_eq!(get(&format!("{}{path}", relay.url)).await.status, 404, "{path}");
    }
}

//! `/project/NAME/`.

use cheesewire::sandbox::{Change, Info, Publication};
use reqwest::Method;

use super::{BROWSER, page, page_with, pair};
use crate::support::{get, get_with, until};

#[tokio::test]
async fn a_project_has_its_versions_and_files_and_says_which_are_kept() {
    let (sandbox, relay) = pair(&[]).await;
    let project = sandbox.project("wire-core").unwrap();
    let summary = project.latest().unwrap().info.summary.clone().unwrap();
    page_with(&relay, "project/wire-core/", &format!("<p>{summary}</p>")).await;
    let answer = page(&relay, "project/Wire.Core/").await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-cache"));
    assert!(!answer.header("content-security-policy").contains("script-src"), "nothing runs here");
    let text = answer.text();
    for (release, upload) in project.files() {
        let link = format!("href=\"/packages/{}\">{}</a>", upload.file.path, upload.file.filename);
        assert!(text.contains(&link), "{link}: {text}");
        assert!(text.contains(&format!("<td>{}</td>", release.version)), "{text}");
    }
    for link in [
        "/simple/wire-core/",
        "/pypi/wire-core/json",
        "/pypi/wire-core",
        "/rss/project/wire-core/releases.xml",
    ] {
        assert!(text.contains(&format!("href=\"{link}\"")), "{link}: {text}");
    }
    assert!(!text.contains("<td>yes</td><td>no</td>"), "none is kept yet: {text}");
    let file = &project.files().next().unwrap().1.file;
    assert_eq!(get(&format!("{}packages/{}", relay.url, file.path)).await.status, 200);
    let text = page_with(&relay, "project/wire-core/", "<td>yes</td><td>no</td>").await;
    let rows: Vec<&str> = text.split("<tr>").filter(|row| row.contains("<td>yes</td><td>no</td>")).collect();
    assert!(rows.len() == 1 && rows[0].contains(&file.filename), "{text}");
    let head = get_with(Method::HEAD, &format!("{}project/wire-core/", relay.url), &[BROWSER]).await.unwrap();
    assert_eq!((head.status, head.bytes()), (200, &b""[..]));
    let without = get(&format!("{}project/Wire.Core", relay.url)).await;
    assert_eq!((without.status, without.header("location")), (301, "/project/Wire.Core/"));
}

#[tokio::test]
async fn what_was_yanked_or_removed_is_said_with_its_reason() {
    let (sandbox, relay) = pair(&[]).await;
    for version in ["1.0", "2.0"] {
        sandbox.publish(Publication::new("wire-new", version)).await.unwrap();
    }
    page_with(&relay, "project/wire-new/", "<td>2.0</td>").await;
    let reason = Some("<b>leaks".to_owned());
    sandbox
        .change(Change::Yank { name: "wire-new".to_owned(), version: "2.0".to_owned(), reason })
        .await
        .unwrap();
    let text = page_with(&relay, "project/wire-new/", "yes: &lt;b&gt;leaks").await;
    assert!(!text.contains("<b>") && !text.contains("Taken away"), "{text}");
    let removal = Change::RemoveRelease { name: "wire-new".to_owned(), version: "1.0".to_owned() };
    let serial = sandbox.change(removal).await.unwrap();
    // What was taken away may be read after the event, and the page before it.
    let mut text = String::new();
    until("its files do not go", async || {
        page(&relay, "project/wire-new/").await.text().clone_into(&mut text);
        text.contains("Taken away") && !text.contains("<td>1.0</td>")
    })
    .await;
    assert!(text.contains("<td>wire_new-1.0-py3-none-any.whl</td><td>removed</td>"), "{text}");
    assert!(text.contains(&format!("serial {serial}.")) && text.contains("version 1.0"), "{text}");
}

#[tokio::test]
async fn a_project_that_is_not_to_be_had_has_its_simple_pages_status_and_says_why() {
    let (sandbox, relay) = pair(&[]).await;
    for name in ["wire-gone", "wire-held"] {
        sandbox.publish(Publication::new(name, "1.0")).await.unwrap();
        page_with(&relay, &format!("project/{name}/"), "<td>1.0</td>").await;
    }
    sandbox.change(Change::RemoveProject { name: "wire-gone".to_owned() }).await.unwrap();
    let held = Change::Quarantine { name: "wire-held".to_owned(), version: None, cleared: false };
    sandbox.change(held).await.unwrap();
    page_with(&relay, "project/wire-gone/", "It was removed from the index.").await;
    page_with(&relay, "project/wire-held/", "In quarantine").await;
    for (name, text) in [
        ("wire-gone", "It was removed from the index."),
        ("wire-gone", "<td>wire_gone-1.0-py3-none-any.whl</td><td>removed</td>"),
        ("wire-held", "In quarantine"),
        ("wire-held", "<td>wire_held-1.0-py3-none-any.whl</td><td>in quarantine</td>"),
        ("no-such-project", "The index has no project of this name"),
        ("%3Cscript%3Ealert(1)%3C%2Fscript%3E", "No project can have this name"),
        ("a%00b", "No project can have this name"),
        ("..%2f..%2fetc", "No project can have this name"),
    ] {
        let answer = page(&relay, &format!("project/{name}/")).await;
        let simple = get(&format!("{}simple/{name}/", relay.url)).await;
        assert_eq!(answer.status, simple.status, "{name}");
        assert!(answer.text().contains(text), "{text}: {}", answer.text());
        assert!(!answer.text().contains("<script"), "{}", answer.text());
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    }
    assert_eq!(page(&relay, "project/no-such-project/").await.status, 404);
}

#[tokio::test]
async fn nothing_that_a_release_says_of_itself_is_markup() {
    let (sandbox, relay) = pair(&[]).await;
    let summary = Some("</p><script>alert(1)</script>".to_owned());
    let info = Info { summary, ..Info::default() };
    sandbox.publish(Publication { info, ..Publication::new("odd-page", "1") }).await.unwrap();
    let text = page_with(&relay, "project/odd-page/", "&lt;script&gt;alert(1)").await;
    assert!(!text.contains("<script"), "{text}");
}

//! `/search/`.

use cheesewire::sandbox::{Info, Publication};
use reqwest::Method;

use super::{BROWSER, page, page_with, pair};
use crate::support::{call, get, get_with, until};

#[tokio::test]
async fn projects_are_found_by_name_and_by_summary_as_by_the_method() {
    let (sandbox, relay) = pair(&[]).await;
    let info = Info { summary: Some("slices of gouda".to_owned()), ..Info::default() };
    sandbox.publish(Publication { info, ..Publication::new("Wire.Odd", "1.5") }).await.unwrap();
    let text = page_with(&relay, "search/?q=wire_ODD", ">Wire.Odd<").await;
    assert!(text.contains("<a href=\"/project/wire-odd/\">Wire.Odd</a>"), "{text}");
    assert!(text.contains("1 project whose name or summary matches “wire_ODD”"), "{text}");
    assert!(text.contains("At most 100 are shown."), "{text}");
    assert!(text.contains("value=\"wire_ODD\""), "{text}");
    let text = page_with(&relay, "search/?q=gouda", ">Wire.Odd<").await;
    assert!(text.contains("<td>1.5</td><td>slices of gouda</td>"), "{text}");
    let spec = || {
        let field = |name: &str| (name.to_owned(), "wire".into());
        cheesewire::xmlrpc::Value::Struct(vec![field("name"), field("summary")])
    };
    let hits = call(&relay.url, "search", &[spec(), "or".into()]).await.unwrap();
    let named: Vec<String> = hits
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit.get("name").unwrap().as_str().unwrap().to_owned())
        .collect();
    let text = page(&relay, "search/?q=wire").await.text().to_owned();
    let shown: Vec<&str> = text
        .split("<td><a href=\"/project/")
        .skip(1)
        .map(|rest| rest.split('>').nth(1).unwrap().split('<').next().unwrap())
        .collect();
    assert!(shown.len() > 3, "{text}");
    assert_eq!(shown, named);
}

#[tokio::test]
async fn a_question_is_text_and_one_that_is_none_is_answered_as_such() {
    let (sandbox, relay) = pair(&[]).await;
    let info = Info { summary: Some("</td><script>alert(1)</script>".to_owned()), ..Info::default() };
    sandbox.publish(Publication { info, ..Publication::new("odd-page", "1") }).await.unwrap();
    let text = page_with(&relay, "search/?q=odd-page", "&lt;script&gt;alert(1)").await;
    assert!(!text.contains("<script"), "{text}");
    let long = "a".repeat(30_000);
    let many = "a+".repeat(200);
    for (query, status) in [
        ("", 200),
        ("?q=", 200),
        ("?q=%20", 200),
        ("?other=1", 200),
        ("?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", 200),
        ("?q=%ff%fe%00", 200),
        ("?q=*%22%20NEAR(", 200),
        (&format!("?q={long}"), 200),
        ("?q=a&q=b", 400),
        (&format!("?q={many}"), 400),
    ] {
        let answer = page(&relay, &format!("search/{query}")).await;
        assert_eq!(answer.status, status, "{query}");
        assert!(
            !answer.text().contains("<script") && answer.text().contains("<h1>Search</h1>"),
            "{}",
            answer.text()
        );
        assert!(!answer.header("content-security-policy").contains("script-src"), "nothing runs here");
        assert_eq!(answer.header("cache-control"), "no-cache");
    }
    let text = page(&relay, "search/?q=no-such-thing").await.text().to_owned();
    assert!(text.contains("0 projects") && !text.contains("<table"), "{text}");
    let without = get(&format!("{}search?q=a%20b", relay.url)).await;
    assert_eq!((without.status, without.header("location")), (301, "/search/?q=a%20b"));
    let head = get_with(Method::HEAD, &format!("{}search/?q=wire", relay.url), &[BROWSER]).await.unwrap();
    assert_eq!((head.status, head.bytes()), (200, &b""[..]));
}

#[tokio::test]
async fn a_search_is_charged_as_a_call_and_the_other_pages_are_not() {
    let (_sandbox, relay) = pair(&["clients.calls_per_second=0.001", "clients.burst=4"]).await;
    // Two calls were made already.
    for left in [1, 0] {
        assert_eq!(page(&relay, "search/?q=wire").await.status, 200, "{left} are left");
    }
    let refused = page(&relay, "search/?q=wire").await;
    assert_eq!(
        (refused.status, refused.header("retry-after").is_empty()),
        (429, false),
        "{}",
        refused.text()
    );
    for path in ["", "project/wire-core/"] {
        assert_eq!(page(&relay, path).await.status, 200, "{path}");
    }
    let counter = "cheesewire_http_requests_total{route=\"/search/\",status=\"429\"} 1";
    until("it is not counted", async || get(&format!("{}metrics", relay.url)).await.text().contains(counter))
        .await;
}

//! What only administrators may do: purge, and read the metrics from elsewhere.

use cheesewire::sandbox::Route;
use cheesewire::tokens::Scope;
use reqwest::Method;

use super::{QUICK, add, ask, closed};
use crate::support::{Relay, get, get_with, sandbox, until};

#[tokio::test]
async fn purge_has_a_page_a_document_and_a_file_asked_for_again_for_an_administrator_only() {
    let (sandbox, relay, read, admin) = closed(&[]).await;
    let page = format!("{}simple/wire-top/", relay.url);
    let document = format!("{}pypi/wire-top/json", relay.url);
    let link = ask("GET", &page, Some(&read)).await;
    let link = link.text().split('"').find(|text| text.contains("packages/")).unwrap().to_owned();
    let file = format!("{}{}", relay.url, &link[link.find("packages/").unwrap()..]);
    let file = file.split('#').next().unwrap();
    let asked = |route| sandbox.requests().route(route);
    let fetch = async |url: &str| assert_eq!(ask("GET", url, Some(&read)).await.status, 200, "{url}");
    for (url, route) in [(page.as_str(), Route::Page), (document.as_str(), Route::Json), (file, Route::File)]
    {
        fetch(url).await;
        fetch(url).await;
        let before = asked(route);
        for nobody in [None, Some(read.as_str()), Some("Bearer wrong")] {
            let purged = ask("PURGE", url, nobody).await;
            assert_eq!((purged.status, purged.bytes()), (200, &b""[..]), "{url}");
            fetch(url).await;
            assert_eq!(asked(route), before, "{url} by {nobody:?}");
        }
        let purged = ask("PURGE", url, Some(&admin)).await;
        assert_eq!((purged.status, purged.bytes()), (200, &b""[..]), "{url}");
        // A file goes a moment later.
        until("it is not asked for again", async || {
            fetch(url).await;
            asked(route) > before
        })
        .await;
        let after = asked(route);
        fetch(url).await;
        assert_eq!(asked(route), after, "{url}: once");
    }
    for odd in [
        "simple/",
        "simple/no-such/",
        "packages/no/such.whl",
        "packages/..%2f",
        "pypi/a/b/c",
        "%ff",
        "metrics",
    ] {
        let purged = ask("PURGE", &format!("{}{odd}", relay.url), Some(&admin)).await;
        assert_eq!(purged.status, 200, "{odd}");
    }
}

#[tokio::test]
async fn without_tokens_nobody_is_an_administrator_on_this_machine_either() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let page = format!("{}simple/wire-top/", relay.url);
    get(&page).await;
    let before = sandbox.requests().route(Route::Page);
    for shown in
        [None, Some("Bearer cw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), Some("Basic YWRtaW46YWRtaW4=")]
    {
        assert_eq!(ask("PURGE", &page, shown).await.status, 200);
        // Where no token is needed, none is looked at.
        assert_eq!(ask("GET", &page, shown).await.status, 200);
    }
    assert_eq!(sandbox.requests().route(Route::Page), before);
}

#[tokio::test]
async fn metrics_are_for_this_machine_for_a_listener_of_their_own_and_for_administrators() {
    let sandbox = sandbox().await;
    let listen = "http.listen=127.0.0.1:0, 127.0.0.1:0?admin";
    let relay = Relay::start(&sandbox.url(), &[listen, "clients.trusted_proxies=127.0.0.1", QUICK]).await;
    let from = async |listener: usize, client: &str, token: Option<&str>| {
        let mut fields = vec![("x-forwarded-for", client)];
        fields.extend(token.map(|token| ("authorization", token)));
        let url = format!("{}metrics", relay.urls[listener]);
        get_with(Method::GET, &url, &fields).await.unwrap()
    };
    let (here, there) = ("127.0.0.1", "192.0.2.1");
    assert_eq!(from(0, here, None).await.status, 200);
    let refused = from(0, there, None).await;
    assert!(refused.status == 403 && refused.text().contains("?admin"), "{}", refused.text());
    assert_eq!(from(1, there, None).await.status, 200);
    let read = format!("Bearer {}", add(relay.folder(), "read", Scope::Read));
    let admin = format!("Bearer {}", add(relay.folder(), "admin", Scope::Admin));
    until("it stays open", async || from(0, there, None).await.status == 401).await;
    for (client, token, status) in [
        (here, None, 200),
        (here, Some(&read), 200),
        (there, Some(&read), 403),
        (there, Some(&admin), 200),
        (there, Some(&"Bearer wrong".to_owned()), 401),
    ] {
        let answer = from(0, client, token.map(String::as_str)).await;
        assert_eq!(answer.status, status, "{client} {token:?}");
    }
    assert_eq!(from(1, there, None).await.status, 200);
    // The rest needs a token there as well.
    let page = format!("{}simple/", relay.urls[1]);
    assert_eq!(get(&page).await.status, 401);
}

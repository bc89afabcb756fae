//! Whom a master pushes to, and where a mirror may not be.

use super::*;

#[tokio::test]
async fn only_a_mirror_that_is_listed_is_pushed_to_exactly_and_in_any_case() {
    let index = Index::with(&content(), 200, true).await;
    let relay = master(&index, "mirror.test, Other.Test:81").await;
    for (host, status) in [
        ("mirror.test", 204),
        ("MIRROR.test", 204),
        ("mirror.test:80", 204),
        ("other.test:81", 204),
        ("other.test", 403),
        ("mirror.test:81", 403),
        ("x.mirror.test", 403),
        ("mirror.test.", 400),
        ("127.0.0.1", 403),
    ] {
        assert_eq!(asks(&relay, host, &format!("s-{status}-{}", host.len())).await, status, "{host}");
    }
    let nobody = master(&index, "").await;
    assert_eq!(asks(&nobody, "mirror.test", "s").await, 403);
}

#[tokio::test]
async fn a_name_that_leads_to_loopback_is_not_enough() {
    let index = Index::with(&content(), 200, true).await;
    let mut mirror =
        Played::with(|host| ok(&format!("{PATH}\nhttp://{}/up/1\n", host.replace("127.0.0.1", "localhost"))))
            .await;
    let port = mirror.host.rsplit_once(':').unwrap().1.to_owned();
    let name = format!("localhost:{port}");
    let relay = master(&index, &name).await;
    assert_eq!(asks(&relay, &name, "s").await, 204);
    over(relay).await;
    assert_eq!(mirror.connections(), 0, "what stands beside the relay was asked");
    // Another port of the same address is another thing.
    let relay = master(&index, &format!("{name}, 127.0.0.1:1, 10.0.0.1:{port}")).await;
    assert_eq!(asks(&relay, &name, "s").await, 204);
    over(relay).await;
    assert_eq!(mirror.connections(), 0);
    // With that very address and port listed it is.
    let relay = master(&index, &format!("{name}, 127.0.0.1:{port}")).await;
    assert_eq!(asks(&relay, &name, "s").await, 204);
    assert_eq!(mirror.upload().await[3].1, content());
}

/// The address that is listed, written otherwise, is not what is listed; and what is listed otherwise leads to loopback.
#[tokio::test]
async fn loopback_in_other_words_is_reached_neither_when_asked_for_nor_when_listed() {
    let index = Index::with(&content(), 200, true).await;
    let mirror = Played::wanting(PATH).await;
    let port = mirror.host.rsplit_once(':').unwrap().1.to_owned();
    let relay = master(&index, &mirror.host).await;
    let words = ["127.1", "0x7f000001", "0X7F.1", "2130706433", "017700000001", "localhost"];
    for word in words.iter().chain(&["0.0.0.0", "[::ffff:127.0.0.1]", "[::1]", "127.0.0.1%2e1"]) {
        assert_eq!(asks(&relay, &format!("{word}:{port}"), "s").await, 403, "{word}");
    }
    for odd in [
        format!("127.0.0.1.:{port}"),
        format!("u@127.0.0.1:{port}"),
        format!("u:p@127.0.0.1:{port}"),
        format!("127.0.0.1%3a0{port}0"),
        format!("%3127.0.0.1:{port}%00"),
        format!("127.0.0.1%5c:{port}"),
        format!("127.0.0.1:{port}%23x"),
        format!("127%252e1:{port}"),
        "[::ffff:127.0.0.1%251]:80".to_owned(),
        "127.0.0.1:00".to_owned(),
    ] {
        assert_eq!(asks(&relay, &odd, "s").await, 400, "{odd}");
    }
    over(relay).await;
    for word in words {
        let host = format!("{word}:{port}");
        let relay = master(&index, &host).await;
        assert_eq!(asks(&relay, &host, "s").await, 204, "{word}");
        over(relay).await;
    }
    assert_eq!(mirror.connections(), 0, "what stands beside the relay was asked");
}

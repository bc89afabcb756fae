//! Requests that two readers would take for different ones, and paths and fields without end.

use super::{CALL, Victim, XML, status};
use crate::support::{exchange, get};

fn get_request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{headers}\r\n")
}

/// How many answers came on one connection.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[tokio::test]
async fn a_request_within_a_request_is_never_answered() {
    let victim = Victim::start(&[]).await;
    let inner = "GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let cases = [
        // Two lengths.
        (format!("{XML}Content-Length: 0\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()), &["400"][..]),
        (format!("{XML}Content-Length: 0, {}\r\n\r\n{inner}", inner.len()), &["400"]),
        (format!("{XML}Content-Length: +5\r\n\r\nhello{inner}"), &["400"]),
        // A length and chunks: the chunks count, and the connection is closed after them (RFC 9112, section 6.1).
        (
            format!(
                "{XML}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
                inner.len() + 5
            ),
            &["200"],
        ),
        (format!("{XML}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{inner}"), &["200"]),
        // Chunks by other names.
        (format!("{XML}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{inner}"), &["400"]),
        (format!("{XML}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}"), &["400"]),
        (format!("{XML}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{inner}"), &["400"]),
        (format!("{XML}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{inner}"), &["400"]),
    ];
    for (rest, statuses) in cases {
        let request = format!("POST /pypi HTTP/1.1\r\nHost: a.test\r\n{rest}");
        let answer = victim.answer_to(request.as_bytes()).await;
        assert!(statuses.contains(&status(&answer)), "{rest:?}: {answer}");
        assert_eq!(answers(&answer), 1, "{rest:?}: {answer}");
    }
}

#[tokio::test]
async fn broken_heads_are_refused() {
    let victim = Victim::start(&[]).await;
    for request in [
        "GET /simple/ HTTP/1.1\r\nHost: a.test\r\nX-A: b\r\n folded\r\n\r\n",
        "GET /simple/ HTTP/1.1\r\nHost: a.test\r\nX-A: a\0b\r\n\r\n",
        "GET /simple/ HTTP/1.1\r\nHost: a.test\r\nX A: b\r\n\r\n",
        "GET /simple/\0 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET /sim ple/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET /simple/ HTTP/9.9\r\n\r\n",
        "GET http://[::/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        let answer = victim.answer_to(request.as_bytes()).await;
        assert!(matches!(status(&answer), "400" | "505" | "cut"), "{request:?}: {answer}");
    }
    for (request, expected) in [("CONNECT a.test:443 HTTP/1.1", "404"), ("TRACE /pypi HTTP/1.1", "405")] {
        let request = format!("{request}\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        let answer = victim.answer_to(request.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{request:?}: {answer}");
    }
}

#[tokio::test]
async fn ten_thousand_header_bytes_are_read_and_a_flood_is_refused() {
    let victim = Victim::start(&[]).await;
    let long = format!("X-A: {}\r\n", "a".repeat(10_000));
    assert_eq!(status(&victim.answer_to_call(&long, CALL.as_bytes()).await), "200");
    let many: Vec<_> = (0..90).map(|n| format!("X-{n}: {}\r\n", "b".repeat(100))).collect();
    assert_eq!(status(&victim.answer_to_call(&many.concat(), CALL.as_bytes()).await), "200");
    for flood in
        [format!("X-A: {}\r\n", "a".repeat(1 << 20)), "X-A: b\r\n".repeat(10_000), "A:\r\n".repeat(101)]
    {
        let answer = victim.answer_to(get_request("/healthz", &flood).as_bytes()).await;
        assert!(matches!(status(&answer), "431" | "cut"), "{answer}");
    }
    let answer = victim.answer_to(get_request(&format!("/{}", "a".repeat(1 << 20)), "").as_bytes()).await;
    assert!(matches!(status(&answer), "414" | "431" | "cut"), "{answer}");
}

#[tokio::test]
async fn a_thousand_requests_in_a_row_are_answered_in_order() {
    let victim = Victim::start(&[]).await;
    let one = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n");
    let pairs = format!("{}{}", one("/healthz", ""), one("/nothing", "")).repeat(500);
    let request = format!("{pairs}{}", one("/healthz", "Connection: close\r\n"));
    let answer = victim.answer_to(request.as_bytes()).await;
    let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|one| &one[..3]).collect();
    assert_eq!(statuses.len(), 1001);
    assert!(
        statuses.chunks(2).all(|pair| pair[0] == "200" && pair.get(1).is_none_or(|other| *other == "404"))
    );
}

#[tokio::test]
async fn paths_that_climb_or_hide_are_no_files_and_no_projects() {
    let victim = Victim::start(&[]).await;
    for hidden in [
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5cetc%5cpasswd",
        "%252e%252e%252fetc%252fpasswd",
        "a%00.whl",
        "%c0%ae%c0%ae/etc/passwd",
        "%ff",
        "%",
        "%zz",
        "a/./b",
        "a//b",
        "x/0123/../../a.zip",
        "a%0d%0aX-Injected:%20b",
    ] {
        for folder in ["/packages/", "/simple/", "/pypi/", "/integrity/a/1/"] {
            let answer = victim.answer_to(get_request(&format!("{folder}{hidden}"), "").as_bytes()).await;
            assert!(matches!(status(&answer), "400" | "404" | "301"), "{folder}{hidden}: {answer}");
            let (head, _) = answer.split_once("\r\n\r\n").unwrap();
            assert!(!head.to_lowercase().contains("\nx-injected"), "{answer}");
            assert!(!answer.contains("root:"), "{answer}");
        }
    }
    // Only what is asked for by a name that can be one goes upstream.
    let seen: Vec<_> = victim.sandbox.requests().last().map(|seen| seen.path.clone()).collect();
    assert!(seen.iter().all(|path| !path.contains("..") && !path.contains("etc")), "{seen:?}");
}

#[tokio::test]
async fn ranges_without_end_are_the_whole_file() {
    let victim = Victim::start(&[]).await;
    let page = get(&format!("{}simple/wire-top/", victim.url())).await;
    let link = page.text().split("href=\"../../").nth(1).unwrap().split('#').next().unwrap();
    let path = format!("/{link}");
    let whole = get(&format!("{}{link}", victim.url())).await.bytes().len();
    let overlapping = format!("bytes={}", vec!["0-"; 1000].join(","));
    let huge = format!("bytes=0-{}", "9".repeat(20_000));
    for (range, expected, length) in [
        (overlapping.as_str(), "200", whole),
        (&huge, "206", whole),
        ("bytes=0-0,-1,5-4", "200", whole),
        ("bytes=-0", "416", 0),
        ("bytes=18446744073709551615-18446744073709551616", "416", 0),
        ("bytes=0-18446744073709551615", "206", whole),
    ] {
        let answer = victim.answer_to(get_request(&path, &format!("Range: {range}\r\n")).as_bytes()).await;
        let shown = &answer[..answer.len().min(300)];
        assert_eq!(status(&answer), expected, "{}: {shown}", &range[..range.len().min(40)]);
        let stated = format!("content-length: {length}\r\n");
        assert!(expected == "416" || answer.contains(&stated), "{shown}");
    }
    let lines = "Range: bytes=0-0\r\n".repeat(50);
    let answer = exchange(victim.url(), get_request(&path, &lines).as_bytes()).await;
    assert_eq!(status(&answer), "200");
}

//! All of a page or listing, or an error.

use std::io::Write as _;

use cheesewire::upstream::{ProjectPage, UpstreamError};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::name;
use crate::support::scripted::{raw, upstream};

const JSON: &str =
    r#"{"meta":{"api-version":"1.1"},"name":"a","files":[{"url":"a-1.zip"},{"url":"a-2.zip"}]}"#;
const HTML: &str = "<title>Links for a</title><a href='a-1.zip'>a-1.zip</a><a href='a-2.zip'>a-2.zip</a>";
const LISTING: &str = r#"{"meta":{},"projects":[{"name":"a"},{"name":"b"}]}"#;
const HTML_LISTING: &str = "<a href='a/'>a</a><a href='b/'>b</a>";

fn gzip(text: &str) -> Vec<u8> {
    let mut coder = GzEncoder::new(Vec::new(), Compression::default());
    coder.write_all(text.as_bytes()).unwrap();
    coder.finish().unwrap()
}

/// The answer with these header lines, and the connection's end.
fn answer(lines: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\n{lines}connection: close\r\n\r\n").as_bytes(), body].concat()
}

/// How many files or projects come of an answer to the page's or the listing's address.
async fn told(body: &str, answer: Vec<u8>) -> Result<usize, UpstreamError> {
    let (base, _) = raw(vec![answer]).await;
    let upstream = upstream(base.join("simple/").unwrap());
    if body == LISTING || body == HTML_LISTING {
        return Ok(upstream.listing().await?.projects.len());
    }
    match upstream.project_page(&name("a"), None).await? {
        cheesewire::upstream::Fetched::Fresh(document) => {
            let page = ProjectPage::read(
                &name("a"),
                &document.content_type,
                &document.body,
                &document.url,
                usize::MAX,
            );
            page.map(|page| page.files.len()).map_err(UpstreamError::Unexpected)
        }
        cheesewire::upstream::Fetched::NotModified => panic!("304"),
    }
}

fn media_type(body: &str) -> &'static str {
    if body.starts_with('{') {
        "content-type: application/vnd.pypi.simple.v1+json\r\n"
    } else {
        "content-type: text/html\r\n"
    }
}

#[tokio::test]
async fn what_ends_early_is_an_error_in_every_way_of_ending() {
    for body in [JSON, HTML, LISTING, HTML_LISTING] {
        let (kind, bytes) = (media_type(body), body.as_bytes());
        let length = format!("{kind}content-length: {}\r\n", bytes.len());
        assert_eq!(told(body, answer(&length, bytes)).await, Ok(2), "{body}");
        // Between two links, where the HTML looks whole.
        let cut = body.find("><a").map_or(body.len() / 2, |at| at + 1);
        let error = told(body, answer(&length, &bytes[..cut])).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
        let chunked = format!("{kind}transfer-encoding: chunked\r\n");
        let chunk = format!("{cut:x}\r\n{}\r\n", &body[..cut]);
        let error = told(body, answer(&chunked, chunk.as_bytes())).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
        let coded = gzip(body);
        let lines = format!("{kind}content-encoding: gzip\r\n");
        assert_eq!(told(body, answer(&lines, &coded)).await, Ok(2), "{body}");
        // Also inside the last 8 bytes, which hold the sum, when all of the text is there.
        for cut in [15, coded.len() / 2, coded.len() - 8, coded.len() - 1] {
            let error = told(body, answer(&lines, &coded[..cut])).await.unwrap_err();
            assert!(matches!(error, UpstreamError::Broken(_)), "{error:?} at {cut} of {}", coded.len());
        }
    }
    for body in [JSON, LISTING] {
        // No length, no chunks: only the text tells.
        let error =
            told(body, answer(media_type(body), &body.as_bytes()[..body.len() - 1])).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Unexpected(_)), "{error:?}");
    }
    for body in [HTML, HTML_LISTING] {
        let inside = body.rfind("href").unwrap();
        assert!(told(body, answer(media_type(body), &body.as_bytes()[..inside])).await.is_err(), "{body}");
    }
}

#[tokio::test]
async fn several_gzip_members_are_one_body() {
    for body in [JSON, HTML, LISTING, HTML_LISTING] {
        let (one, other) = body.split_at(body.find("><a").map_or(body.len() / 2, |at| at + 1));
        let coded = [gzip(one), gzip(""), gzip(other)].concat();
        let lines = format!("{}content-encoding: gzip\r\n", media_type(body));
        assert_eq!(told(body, answer(&lines, &coded)).await, Ok(2), "{body}");
        let first = gzip(one).len();
        // The second member is cut, in its head and in its text.
        for cut in [first + 5, coded.len() - 9] {
            assert!(told(body, answer(&lines, &coded[..cut])).await.is_err(), "{body}");
        }
    }
}

//! Bodies that are not what they say, or never come.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{CALL, NOT_WELL_FORMED, Victim, XML, fault, status};
use crate::support::connect;

/// A gzip stream of this many MiB of spaces.
pub(super) fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut coder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..mebibytes {
        coder.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    coder.finish().unwrap()
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_at_the_limit_of_a_plain_call() {
    let victim = Victim::start(&[]).await;
    let bomb = bomb(256);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(status(&victim.answer_to_call("Content-Encoding: gzip\r\n", &bomb).await), "413");
    // Many small members count together.
    let members = GzEncoder::new(Vec::new(), Compression::fast()).finish().unwrap().repeat(20_000);
    let answer = victim.answer_to_call("Content-Encoding: gzip\r\n", &members).await;
    assert_eq!(fault(&answer), NOT_WELL_FORMED);
}

#[tokio::test]
async fn a_coding_within_a_coding_is_refused() {
    let victim = Victim::start(&[]).await;
    for coding in ["gzip, gzip", "deflate", "br", "zstd", "gzip;q=1"] {
        let answer = victim.answer_to_call(&format!("Content-Encoding: {coding}\r\n"), &bomb(1)).await;
        assert_eq!(status(&answer), "415", "{coding}");
    }
}

#[tokio::test]
async fn a_body_that_stops_half_way_is_given_up_at_its_limit() {
    let victim = Victim::start(&["http.body_timeout=300ms"]).await;
    let (head, half) = (head(CALL.len()), &CALL.as_bytes()[..40]);
    let silent = [head.as_bytes(), half].concat();
    assert_eq!(status(&victim.answer_to(&silent).await), "408");
    // Who goes away in the middle, with a word or without, leaves nothing behind.
    for polite in [true, false] {
        let attack = async {
            let mut stream = connect(victim.url()).await;
            stream.write_all(&silent).await.unwrap();
            if polite {
                stream.shutdown().await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                assert!(matches!(status(&answer), "400" | "cut"), "{answer}");
            }
        };
        victim.survives(attack).await;
    }
}

#[tokio::test]
async fn chunks_of_absurd_sizes_are_refused() {
    let victim = Victim::start(&["http.body_timeout=300ms"]).await;
    for (chunk, statuses) in [
        // As long as it is a number that can be, its bytes are waited for.
        ("FFFFFFFFFFFFFFFF\r\nx", &["400", "408", "413"][..]),
        ("FFFFFFFFFFFFFFFFF\r\nx", &["400"]),
        ("7FFFFFFFFFFFFFFF\r\nx", &["400", "413", "408"]),
        ("-1\r\nx", &["400"]),
        ("0x5\r\nhello\r\n0\r\n\r\n", &["400"]),
        ("5\nhello\r\n0\r\n\r\n", &["400"]),
        ("5;a=\"\n\r\nhello\r\n0\r\n\r\n", &["400"]),
        ("\r\n", &["400"]),
        ("5\r\nhello, and more than it said\r\n", &["400"]),
    ] {
        let request = format!(
            "POST /pypi HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{XML}Transfer-Encoding: chunked\r\n\r\n{chunk}"
        );
        let answer = victim.answer_to(request.as_bytes()).await;
        assert!(statuses.contains(&status(&answer)), "{chunk:?}: {answer}");
    }
}

#[tokio::test]
async fn many_chunks_of_one_byte_are_one_body() {
    let victim = Victim::start(&[]).await;
    let body = format!("{CALL}{}", " ".repeat(100_000));
    let chunks: Vec<_> = body.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let chunks = chunks.concat();
    let head = format!(
        "POST /pypi HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{XML}Transfer-Encoding: chunked\r\n\r\n"
    );
    let answer = victim.answer_to(format!("{head}{chunks}0\r\n\r\n").as_bytes()).await;
    assert_eq!(status(&answer), "200", "{answer}");
    // Extensions and trailers are nobody's memory.
    let long = format!("{head}1;{}\r\nx\r\n", "e".repeat(1 << 20));
    assert!(matches!(status(&victim.answer_to(long.as_bytes()).await), "400" | "cut"));
    let trailers = format!("{head}0\r\n{}\r\n", "t: x\r\n".repeat(100_000));
    assert!(matches!(status(&victim.answer_to(trailers.as_bytes()).await), "400" | "200" | "cut"));
}

#[tokio::test]
async fn who_expects_a_word_gets_it_before_he_sends() {
    let victim = Victim::start(&["http.body_timeout=5s"]).await;
    let attack = async {
        let mut stream = connect(victim.url()).await;
        let head = head(CALL.len()).replace(XML, &format!("{XML}Expect: 100-continue\r\n"));
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut word = [0; 25];
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(CALL.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(status(&answer), "200", "{answer}");
    };
    victim.survives(attack).await;
}

/// The head of a call whose body has so many bytes.
pub(super) fn head(length: usize) -> String {
    format!(
        "POST /pypi HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{XML}Content-Length: {length}\r\n\r\n"
    )
}

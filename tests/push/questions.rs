//! As the mirror: what is refused, one test for each rule (docs/push.md). After each refusal nothing is kept.

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::parts::{Form, Index, Mirror, NOON, PATH, content, kept};
use crate::support::{Relay, exchange, post_request, sandbox, within};

/// A mirror with an open question, its secret, and a client that waits.
async fn open() -> (Mirror, String) {
    let mirror = Mirror::start(&[]).await;
    let (client, secret) = mirror.asked().await;
    drop(client);
    (mirror, secret)
}

/// The form is refused, nothing is kept, and the file has no tombstone; whether the secret is spent.
async fn refused(form: impl FnOnce(Form) -> Form, status: u16, spent: bool) {
    let (mirror, secret) = open().await;
    let address = mirror.address(&secret).await;
    let form = form(mirror.form(&secret));
    let posted = mirror.post(&address, &form).await;
    assert_eq!(posted.status(), status, "{}", posted.0);
    mirror.nothing_is_kept().await;
    let again = mirror.post(&address, &mirror.form(&secret)).await.status();
    if spent {
        assert_eq!((again, mirror.session(&secret).await.status), (404, 404), "a secret counts twice");
        // The next question has a new one.
        mirror.clock.set(NOON + 60);
        let _client = mirror.client();
        let next = mirror.master.secret(2).await;
        assert_ne!(next, secret);
        assert_eq!(mirror.upload(&next, &mirror.form(&next)).await.status(), 302);
    } else {
        assert_eq!(again, 302, "who does not know the secret has spent it");
    }
    assert_eq!(kept(&mirror.relay), 1);
}

fn replaced(mut form: Form, part: usize, name: &str, value: &[u8]) -> Form {
    form.parts[part] = (name.to_owned(), Bytes::copy_from_slice(value));
    form
}

#[tokio::test]
async fn a_secret_that_is_guessed_is_refused_and_spends_nothing() {
    refused(|form| replaced(form, 0, "secret", &[b'A'; 32]), 403, false).await;
    let (mirror, secret) = open().await;
    for guess in
        ["", "A", &"A".repeat(32), &secret[..31], &format!("{secret}A"), "%00", "..%2f..", &"A".repeat(5000)]
    {
        assert_eq!(mirror.session(guess).await.status, 404, "{guess}");
        let posted = mirror.post(&format!("/mkupload/{guess}"), &mirror.form(&secret)).await;
        assert_eq!(posted.status(), 404, "{guess}: {}", posted.0);
    }
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302);
}

#[tokio::test]
async fn a_secret_with_slashes_is_none() {
    let (mirror, secret) = open().await;
    for odd in [
        format!("{secret}/"),
        format!("/{secret}"),
        format!("{secret}%2f"),
        format!("x/../{secret}"),
        format!("{secret}//x"),
    ] {
        let answer = exchange(
            &mirror.relay.url,
            format!("GET /mkupload/{odd} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{odd}: {answer}");
    }
}

#[tokio::test]
async fn a_secret_counts_once_also_for_two_uploads_at_the_same_time() {
    let (mirror, secret) = open().await;
    let address = mirror.address(&secret).await;
    let form = mirror.form(&secret);
    let posts = (0..8).map(|_| mirror.post(&address, &form));
    let statuses: Vec<_> = join_all(posts).await.iter().map(super::parts::Posted::status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 302).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 7, "{statuses:?}");
    assert_eq!(mirror.session(&secret).await.status, 404);
}

#[tokio::test]
async fn a_secret_is_too_late_after_its_lifetime() {
    let (mirror, secret) = open().await;
    let address = mirror.address(&secret).await;
    mirror.clock.set(NOON + 299);
    assert_eq!(mirror.session(&secret).await.status, 200);
    mirror.clock.set(NOON + 300);
    assert_eq!(mirror.session(&secret).await.status, 404);
    assert_eq!(mirror.post(&address, &mirror.form(&secret)).await.status(), 404);
    // A clock that was set back tells no more how old it is.
    let (mirror, secret) = open().await;
    mirror.clock.set(NOON - 1);
    assert_eq!(mirror.session(&secret).await.status, 404);
}

#[tokio::test]
async fn the_secret_itself_is_no_address_for_an_upload() {
    let (mirror, secret) = open().await;
    assert_eq!(mirror.post(&format!("/mkupload/{secret}"), &mirror.form(&secret)).await.status(), 404);
}

#[tokio::test]
async fn an_upload_for_another_path_is_refused() {
    for path in [
        "ab/cd/b-1.0.zip",
        "/ab/cd/a-1.0.zip",
        "../ab/cd/a-1.0.zip",
        "",
        "ab/cd/a-1.0.zip ",
        "ab/%63d/a-1.0.zip",
        "%2e%2e/ab/cd/a-1.0.zip",
        "ab\\cd\\a-1.0.zip",
        "ab/cd/a-1.0.zip\0",
        "ab/cd/../cd/a-1.0.zip",
    ] {
        refused(|form| replaced(form, 1, "path", path.as_bytes()), 403, true).await;
    }
}

#[tokio::test]
async fn an_upload_has_present_or_deleted_and_not_both_or_another_value() {
    // Neither.
    refused(
        |mut form| {
            form.parts.remove(2);
            form
        },
        400,
        true,
    )
    .await;
    // Both, in each order.
    for (first, second) in [("present", "deleted"), ("deleted", "present"), ("present", "present")] {
        let both = |mut form: Form| {
            form.parts[2].0 = first.to_owned();
            form.parts.insert(3, (second.to_owned(), Bytes::from_static(b"1")));
            form
        };
        refused(both, 400, true).await;
    }
    // Behind the file.
    refused(
        |mut form| {
            form.parts.push(("deleted".to_owned(), Bytes::from_static(b"1")));
            form
        },
        400,
        true,
    )
    .await;
    for value in ["0", "", "11", "yes"] {
        refused(|form| replaced(form, 2, "present", value.as_bytes()), 400, true).await;
    }
}

#[tokio::test]
async fn what_is_deleted_has_no_bytes_and_leaves_no_tombstone_if_it_has() {
    refused(|form| replaced(form, 2, "deleted", b"1"), 400, true).await;
    let one_byte = |form| replaced(replaced(form, 2, "deleted", b"1"), 3, "file", b"x");
    refused(one_byte, 400, true).await;
    // A part too many.
    let more = |form| {
        let mut form = replaced(replaced(form, 2, "deleted", b"1"), 3, "file", b"");
        form.parts.push(("present".to_owned(), Bytes::from_static(b"1")));
        form
    };
    refused(more, 400, true).await;
}

#[tokio::test]
async fn a_file_of_the_wrong_size_or_with_a_wrong_digest_is_refused() {
    let right = content();
    refused(|form| replaced(form, 3, "file", &right[..right.len() - 1]), 400, true).await;
    refused(|form| replaced(form, 3, "file", &[&right[..], b"x"].concat()), 400, true).await;
    refused(|form| replaced(form, 3, "file", b""), 400, true).await;
    let mut wrong = right.to_vec();
    wrong[7] ^= 1;
    refused(|form| replaced(form, 3, "file", &wrong), 400, true).await;
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_refused_by_its_length_or_at_the_byte_too_many() {
    let (mirror, secret) = open().await;
    let address = mirror.address(&secret).await;
    let large = Form::present(&secret, PATH, &Bytes::from(vec![7; content().len() + (64 << 10)]));
    let posted = mirror.post(&address, &large).await;
    assert_eq!(posted.status(), 413, "{}", posted.0);
    // A part of it, and no length.
    let body = large.body();
    let chunk = format!("{:x}\r\n", body.len());
    let head = format!(
        "POST {address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        large.content_type
    );
    let request = [head.as_bytes(), chunk.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let answer = exchange(&mirror.relay.url, &request).await;
    // The file itself is too large before the form is.
    assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 413"), "{answer}");
    mirror.nothing_is_kept().await;
}

/// By its head alone: no byte of the body is asked for.
#[tokio::test]
async fn an_upload_whose_length_is_too_large_is_refused_before_its_body_is_asked_for() {
    let (mirror, secret) = open().await;
    let address = mirror.address(&secret).await;
    let content_type = mirror.form(&secret).content_type;
    let most = content().len() + (64 << 10);
    for (length, answered) in [(most + 1, "HTTP/1.1 413"), (1 << 60, "HTTP/1.1 413"), (most, "HTTP/1.1 100")]
    {
        let head = format!(
            "POST {address} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let mut upload = super::parts::begun(&mirror.relay.url, head.as_bytes()).await;
        let mut answer = vec![0; answered.len()];
        let read = tokio::io::AsyncReadExt::read_exact(&mut upload, &mut answer);
        within("an upload that cannot be taken is waited for", read).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), answered, "{length}");
    }
    // Nothing of it was read: the secret is not spent.
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302);
}

/// The answer to what was begun on this line, up to where its connection ends or waits for the rest.
async fn answered(upload: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // All of it: it ends with a line.
    while !answer.ends_with(b"\n")
        || !answer.windows(4).any(|end| end == b"\r\n\r\n")
        || answer.ends_with(b"\r\n")
    {
        answer.push(within("the answer waits for the rest", upload.read_u8()).await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

/// An upload of 4 MiB is refused at this address: the answer comes first, and then the rest goes by.
async fn rest_goes_by(url: &str, address: &str, status: u16) {
    let rest = vec![b'x'; 4 << 20];
    let content_type = "multipart/form-data; boundary=x";
    let head = format!(
        "POST {address} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        rest.len()
    );
    let mut upload = super::parts::begun(url, head.as_bytes()).await;
    let answer = answered(&mut upload).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    within("the rest does not go by", upload.write_all(&rest)).await.unwrap();
    let end = within("the connection is not closed", upload.read(&mut [0])).await;
    assert_eq!(end.unwrap(), 0, "who sends on has lost the answer");
}

/// Settings with which the rest may take longer than the test.
const LONG: [&str; 3] = ["upstream.rate_window=1h", "http.header_timeout=1h", "http.idle_timeout=1h"];

/// Some wait for no word, and send nothing more until they have the answer; others send on.
#[tokio::test]
async fn an_upload_that_is_refused_is_answered_before_the_rest_of_it_goes_by() {
    let mirror = Mirror::start(&LONG).await;
    let (client, secret) = mirror.asked().await;
    drop(client);
    for (address, status) in [(&*mirror.address(&secret).await, 413), ("/mkupload/unknown", 404)] {
        rest_goes_by(&mirror.relay.url, address, status).await;
    }
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302);
    // So does a relay that asks nobody for files; and a short window leaves time all the same.
    let sandbox = sandbox().await;
    for settings in [&LONG[..], &["upstream.rate_window=1ms"]] {
        let relay = Relay::start(&sandbox.url(), settings).await;
        rest_goes_by(&relay.url, "/mkupload/unknown", 404).await;
    }
}

/// Who waits for a word and gets a refusal does not begin, and is not waited for.
#[tokio::test]
async fn the_line_of_an_upload_that_is_refused_before_it_began_ends_with_the_answer() {
    let mirror = Mirror::start(&LONG).await;
    let (client, secret) = mirror.asked().await;
    drop(client);
    let (sandbox, address) = (sandbox().await, mirror.address(&secret).await);
    let plain = Relay::start(&sandbox.url(), &LONG).await;
    for (url, address, status) in [
        (&mirror.relay.url, &*address, 413),
        (&mirror.relay.url, "/mkupload/unknown", 404),
        (&plain.url, "/mkupload/unknown", 404),
    ] {
        let head = format!(
            "POST {address} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
             Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n\r\n",
            4 << 20
        );
        let mut upload = super::parts::begun(url, head.as_bytes()).await;
        let mut answer = String::new();
        within("the rest is waited for", upload.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

/// Also where it was told to go on before.
#[tokio::test]
async fn an_upload_that_was_told_to_go_on_and_is_refused_then_goes_by() {
    let mirror = Mirror::start(&LONG).await;
    let (client, secret) = mirror.asked().await;
    drop(client);
    let address = mirror.address(&secret).await;
    let form = replaced(mirror.form(&secret), 0, "secret", &[b'A'; 32]);
    let body = form.body();
    let head = format!(
        "POST {address} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        form.content_type,
        body.len()
    );
    let mut upload = super::parts::begun(&mirror.relay.url, head.as_bytes()).await;
    for expected in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 403 "] {
        let mut answer = vec![0; expected.len()];
        within("no word comes", upload.read_exact(&mut answer)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), expected);
        // The secret is in the first half.
        let half = if expected.contains("100") { &body[..60_000] } else { &body[60_000..] };
        within("the rest does not go by", upload.write_all(half)).await.unwrap();
    }
    let mut answer = String::new();
    let end = within("the connection is not closed", upload.read_to_string(&mut answer)).await;
    assert!(end.is_ok(), "who sends on has lost the answer: {end:?}");
}

#[tokio::test]
async fn an_upload_of_a_file_whose_size_nobody_states_is_bounded_by_the_largest_file() {
    let index = Index::with(&content(), 403, false).await;
    let mirror = Mirror::before(index, content(), &["relay.max_file=100 KiB"]).await;
    let (client, secret) = mirror.asked().await;
    drop(client);
    let large = Form::present(&secret, PATH, &Bytes::from(vec![7; 200 << 10]));
    assert_eq!(mirror.upload(&secret, &large).await.status(), 413);
    let posted = mirror.upload(&secret, &mirror.form(&secret)).await;
    assert_eq!(posted.status(), 400, "{}", posted.0);
    mirror.nothing_is_kept().await;
}

#[tokio::test]
async fn ten_thousand_parts_and_endless_heads_are_refused_at_once() {
    refused(
        |mut form| {
            form.parts = vec![("secret".to_owned(), Bytes::from_static(b"x")); 10_000];
            form
        },
        413,
        false,
    )
    .await;
    let (mirror, secret) = open().await;
    let address = mirror.address(&secret).await;
    let own = Bytes::copy_from_slice(secret.as_bytes());
    let many = Form { parts: vec![("secret".to_owned(), own); 500], ..mirror.form(&secret) };
    assert_eq!(mirror.post(&address, &many).await.status(), 400);
    let (mirror, secret) = open().await;
    let address = mirror.address(&secret).await;
    let endless = format!("--{}\r\nX-{}: y\r\n\r\n", super::parts::BOUNDARY, "x".repeat(100_000));
    let content_type = mirror.form(&secret).content_type;
    let request = post_request(&address, &format!("Content-Type: {content_type}\r\n"), endless.as_bytes());
    assert!(exchange(&mirror.relay.url, &request).await.starts_with("HTTP/1.1 400"));
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302, "the secret was not read");
}

#[tokio::test]
async fn what_is_no_form_or_in_another_order_is_refused() {
    let plain = |mut form: Form| {
        form.content_type = "application/octet-stream".to_owned();
        form
    };
    refused(plain, 400, false).await;
    let boundless = |mut form: Form| {
        form.content_type = "multipart/form-data".to_owned();
        form
    };
    refused(boundless, 400, false).await;
    refused(
        |mut form| {
            form.parts.swap(0, 1);
            form
        },
        400,
        false,
    )
    .await;
    refused(
        |mut form| {
            form.parts.swap(1, 2);
            form
        },
        400,
        true,
    )
    .await;
    refused(
        |mut form| {
            form.parts.swap(2, 3);
            form
        },
        400,
        true,
    )
    .await;
    refused(
        |mut form| {
            form.parts.truncate(3);
            form
        },
        400,
        true,
    )
    .await;
    refused(
        |mut form| {
            form.parts.truncate(0);
            form
        },
        400,
        false,
    )
    .await;
}

#[tokio::test]
async fn an_upload_that_drips_is_cut() {
    let settings = ["upstream.least_rate=1000000", "upstream.rate_window=100ms"];
    let mirror = Mirror::start(&settings).await;
    let (client, secret) = mirror.asked().await;
    drop(client);
    let address = mirror.address(&secret).await;
    let request = mirror.form(&secret).request(&address);
    let mut upload = super::parts::begun(&mirror.relay.url, &request[..request.len() - 90_000]).await;
    let mut answer = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut upload, &mut answer);
    within("an upload that drips is waited for", read).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    mirror.nothing_is_kept().await;
}

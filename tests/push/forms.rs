//! As the mirror: forms as other programs write them, and as none should, byte for byte.

use super::parts::{BOUNDARY, Mirror, PATH, kept};
use crate::support::{exchange, post_request};

/// A form's head lines of each part; the values are right.
struct Written {
    boundary: String,
    secret: &'static str,
    file: &'static str,
    /// Behind the file.
    end: String,
    line: &'static str,
}

impl Written {
    fn plain() -> Self {
        Self {
            boundary: BOUNDARY.to_owned(),
            secret: "form-data; name=\"secret\"",
            file: "form-data; name=\"file\"; filename=\"ab/cd/a-1.0.zip\"",
            end: format!("\r\n--{BOUNDARY}--\r\n"),
            line: "\r\n",
        }
    }

    fn body(&self, secret: &str, content: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        let parts = [
            (self.secret, secret.as_bytes()),
            ("form-data; name=\"path\"", PATH.as_bytes()),
            ("form-data; name=\"present\"", b"1"),
            (self.file, content),
        ];
        for (n, (disposition, value)) in parts.into_iter().enumerate() {
            let (before, line) = (if n == 0 { "" } else { self.line }, self.line);
            let head = format!("{before}--{BOUNDARY}{line}Content-Disposition: {disposition}{line}{line}");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(value);
        }
        body.extend_from_slice(self.end.as_bytes());
        body
    }
}

/// What a form is answered. Whatever that is, no more than the file itself is kept.
async fn answered(form: &Written) -> u16 {
    let mirror = Mirror::start(&[]).await;
    let (client, secret) = mirror.asked().await;
    drop(client);
    let address = mirror.address(&secret).await;
    let content_type = format!("Content-Type: multipart/form-data; boundary={}\r\n", form.boundary);
    let request = post_request(&address, &content_type, &form.body(&secret, &mirror.content));
    let answer = exchange(&mirror.relay.url, &request).await;
    let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
    if status == 302 {
        assert_eq!(kept(&mirror.relay), 1);
        assert_eq!(mirror.client().await.unwrap().bytes(), &mirror.content[..]);
    } else {
        mirror.nothing_is_kept().await;
    }
    status
}

#[tokio::test]
async fn a_form_is_taken_however_its_boundary_is_written_and_its_file_named() {
    let quoted = Written { boundary: format!("\"{BOUNDARY}\""), ..Written::plain() };
    assert_eq!(answered(&quoted).await, 302);
    // The name of the file says nothing: where it goes is known.
    for file in [
        "form-data; name=\"file\"",
        "form-data; name=file; filename=x",
        "form-data; name=\"file\"; filename=\"../../../x\"",
        "form-data; name=\"file\"; filename=\"..\\\\..\\\\x\"",
        "form-data; name=\"file\"; filename=\"/x/%2e%2e/%00\"",
        "form-data; name=\"file\"; filename*=UTF-8''..%2f..%2fx",
    ] {
        assert_eq!(answered(&Written { file, ..Written::plain() }).await, 302, "{file}");
    }
}

#[tokio::test]
async fn a_form_that_has_no_names_other_line_ends_or_no_end_is_refused() {
    for secret in ["form-data", "form-data; name=\"\"", "form-data; name*=UTF-8''secret", "attachment"] {
        assert_eq!(answered(&Written { secret, ..Written::plain() }).await, 400, "{secret}");
    }
    let nul = Written { file: "form-data; name=\"file\"; filename=\"x\0y\"", ..Written::plain() };
    assert_eq!(answered(&nul).await, 400);
    let again = format!("\r\n--{BOUNDARY}\r\nContent-Disposition: {}\r\n\r\n", Written::plain().file);
    for end in [
        "",
        "\r\n",
        "\r\n--",
        &format!("\r\n--{}", &BOUNDARY[1..]),
        &format!("{again}\r\n--{BOUNDARY}--\r\n"),
    ] {
        assert_eq!(answered(&Written { end: end.to_owned(), ..Written::plain() }).await, 400, "{end:?}");
    }
    let lines = Written { line: "\n", end: format!("\n--{BOUNDARY}--\n"), ..Written::plain() };
    assert_eq!(answered(&lines).await, 400);
    let other = Written { boundary: "other".to_owned(), ..Written::plain() };
    assert_eq!(answered(&other).await, 400);
}

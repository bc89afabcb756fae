//! The old master's form, byte for byte as Python 2 sends it: no last `--`, `Host` without a port, `present` is 1, the whole path
//! as `filename`.

use tokio::process::Command;

use super::parts::{Mirror, NOON, PATH, Posted};
use crate::support::exchange;
use crate::support::python27::find;

/// What the old program writes to a socket. Its library writes `Host` last of all if it is given one.
fn old_request(address: &str, secret: &str, presence: &str, content: &[u8]) -> Vec<u8> {
    let boundary = "9f1c2b7d8e6a5f403122";
    let part = |name: &str, value: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut body = [part("secret", secret), part("path", PATH), part(presence, "1")].concat().into_bytes();
    body.extend(
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{PATH}\"\r\n")
            .bytes(),
    );
    body.extend(b"Content-Type: application/octet-stream\r\n\r\n");
    body.extend(content);
    body.extend(format!("\r\n--{boundary}\r\n").bytes());
    let head = format!(
        "POST {address} HTTP/1.1\r\nAccept-Encoding: identity\r\nContent-length: {}\r\nHost: mirror.test\r\n\
         Content-type: multipart/form-data; boundary={boundary}\r\n",
        body.len()
    );
    // It closes the connection itself; here the answer has to end.
    [head.as_bytes(), b"Connection: close\r\n\r\n", &body].concat()
}

#[tokio::test]
async fn the_old_masters_form_is_taken() {
    let mirror = Mirror::start(&[]).await;
    let (client, secret) = mirror.asked().await;
    let address = mirror.address(&secret).await;
    let request = old_request(&address, &secret, "present", &mirror.content);
    let posted = Posted(exchange(&mirror.relay.url, &request).await);
    assert_eq!(
        (posted.status(), posted.header("location")),
        (302, Some("/packages/ab/cd/a-1.0.zip")),
        "{}",
        posted.0
    );
    assert_eq!(client.await.unwrap().bytes(), &mirror.content[..]);
}

#[tokio::test]
async fn the_old_masters_word_that_a_file_was_deleted_is_taken() {
    let mirror = Mirror::start(&[]).await;
    let (client, secret) = mirror.asked().await;
    let address = mirror.address(&secret).await;
    let posted = Posted(exchange(&mirror.relay.url, &old_request(&address, &secret, "deleted", b"")).await);
    assert_eq!(posted.status(), 302, "{}", posted.0);
    assert_eq!(client.await.unwrap().status, 404);
    mirror.clock.set(NOON + 86_400);
    assert_eq!(mirror.client().await.unwrap().header("x-cache"), "tombstone");
}

/// Does what the old master did, with the library that it had: asks, takes the two lines, and posts the form.
const OLD_MASTER: &str = r#"
import sys, urllib2, httplib, urlparse
host, secret, name = sys.argv[1:]
answer = urllib2.urlopen("http://%s/mkupload/%s" % (host, secret))
assert answer.code == 200, answer.code
path, address = answer.read().splitlines()
netloc, session = urlparse.urlsplit(address)[1:3]
content = open(name, "rb").read()
presence = "present" if content else "deleted"
boundary = "1f2e3d4c5b6a79880716"
lines = []
for key, value in [("secret", secret), ("path", path), (presence, "1")]:
    lines += ["--" + boundary, 'Content-Disposition: form-data; name="%s"' % key, "", value]
lines += ["--" + boundary, 'Content-Disposition: form-data; name="file"; filename="%s"' % path]
lines += ["Content-Type: application/octet-stream", "", content, "--" + boundary, ""]
body = "\r\n".join(lines)
name, port = netloc.split(":")
connection = httplib.HTTPConnection(name, port)
headers = {"Content-type": "multipart/form-data; boundary=" + boundary, "Content-length": str(len(body)), "Host": name}
connection.request("POST", session, headers=headers, body=body)
answer = connection.getresponse()
answer.read()
print answer.status, answer.getheader("location")
"#;

#[tokio::test]
#[ignore = "needs Python 2.7: python2.7, one of pyenv's, or what PYTHON27 names"]
async fn python_2_uploads_a_file_and_says_that_one_was_deleted() {
    let Some(python) = find().await else {
        println!("not run: there is no Python 2.7");
        return;
    };
    for empty in [false, true] {
        let mirror = Mirror::start(&[]).await;
        let (client, secret) = mirror.asked().await;
        // The address that the mirror names is the test's own.
        let lines = mirror.session(&secret).await.text().to_owned();
        let relay = mirror.relay.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let folder = tempfile::tempdir().unwrap();
        let (file, script) = (folder.path().join("file"), folder.path().join("master.py"));
        std::fs::write(&file, if empty { &b""[..] } else { &mirror.content }).unwrap();
        let there = OLD_MASTER.replace(
            "urlparse.urlsplit(address)",
            &format!("urlparse.urlsplit(address.replace(\"mirror.test:81\", \"{relay}\"))"),
        );
        std::fs::write(&script, there).unwrap();
        assert_eq!(lines.lines().count(), 2);
        let output =
            Command::new(&python).arg(&script).args([&relay, &secret]).arg(&file).output().await.unwrap();
        let (out, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(out.trim(), "302 /packages/ab/cd/a-1.0.zip", "{errors}");
        let answer = client.await.unwrap();
        assert_eq!(answer.status, if empty { 404 } else { 200 });
    }
}

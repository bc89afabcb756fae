//! Pages that installers were seen to take, or might.

use serde_json::{Value, json};

use super::{HTML, JSON};

/// The one file of a page.
pub(super) struct Wheel {
    pub(super) name: String,
    pub(super) filename: String,
    pub(super) sha256: String,
    pub(super) size: usize,
}

/// What is odd, the type, and the page of a wheel.
type Odd = (&'static str, &'static str, fn(&Wheel) -> Vec<u8>);

/// A page as it should be, with members put over those of its file.
fn with(wheel: &Wheel, members: &Value) -> Value {
    let mut file = json!({
        "filename": wheel.filename, "url": format!("/files/{}", wheel.filename), "hashes": {"sha256": wheel.sha256},
        "size": wheel.size, "yanked": false, "core-metadata": false,
    });
    for (key, value) in members.as_object().unwrap() {
        file[key] = value.clone();
    }
    json!({"meta": {"api-version": "1.1"}, "name": wheel.name, "versions": ["1.0"], "files": [file]})
}

fn text(page: &Value) -> Vec<u8> {
    page.to_string().into_bytes()
}

/// The page as text, after something in it was replaced.
fn replaced(wheel: &Wheel, from: &str, to: &str) -> Vec<u8> {
    let page = with(wheel, &json!({})).to_string();
    assert!(page.contains(from), "{from}");
    page.replace(from, to).into_bytes()
}

fn link(wheel: &Wheel, attributes: &str) -> String {
    let Wheel { filename, sha256, .. } = wheel;
    format!("<a href=\"/files/{filename}#sha256={sha256}\" {attributes}>{filename}</a>")
}

pub(super) const PAGES: &[Odd] = &[
    ("json", JSON, |wheel| text(&with(wheel, &json!({})))),
    ("hashes null", JSON, |wheel| text(&with(wheel, &json!({"hashes": null})))),
    ("hashes empty", JSON, |wheel| text(&with(wheel, &json!({"hashes": {}})))),
    ("digest in upper case", JSON, |wheel| {
        text(&with(wheel, &json!({"hashes": {"sha256": wheel.sha256.to_uppercase()}})))
    }),
    ("another digest", JSON, |wheel| {
        text(&with(wheel, &json!({"hashes": {"blake3": "00", "sha256": wheel.sha256}})))
    }),
    ("digest null", JSON, |wheel| text(&with(wheel, &json!({"hashes": {"sha256": null}})))),
    ("size a text", JSON, |wheel| text(&with(wheel, &json!({"size": wheel.size.to_string()})))),
    ("size a float", JSON, |wheel| replaced(wheel, &format!("\"size\":{}", wheel.size), "\"size\":1.5e3")),
    ("size negative", JSON, |wheel| text(&with(wheel, &json!({"size": -1})))),
    ("size NaN", JSON, |wheel| replaced(wheel, &format!("\"size\":{}", wheel.size), "\"size\":NaN")),
    ("yanked empty", JSON, |wheel| text(&with(wheel, &json!({"yanked": ""})))),
    ("yanked null", JSON, |wheel| text(&with(wheel, &json!({"yanked": null})))),
    ("yanked 0", JSON, |wheel| text(&with(wheel, &json!({"yanked": 0})))),
    ("requires-python odd", JSON, |wheel| text(&with(wheel, &json!({"requires-python": ">=3.6.*"})))),
    ("requires-python empty", JSON, |wheel| text(&with(wheel, &json!({"requires-python": ""})))),
    ("requires-python a list", JSON, |wheel| text(&with(wheel, &json!({"requires-python": []})))),
    ("core-metadata null", JSON, |wheel| text(&with(wheel, &json!({"core-metadata": null})))),
    ("core-metadata a number", JSON, |wheel| text(&with(wheel, &json!({"core-metadata": 0})))),
    ("upload-time a number", JSON, |wheel| text(&with(wheel, &json!({"upload-time": 1_700_000_000})))),
    ("gpg-sig a text", JSON, |wheel| text(&with(wheel, &json!({"gpg-sig": "false"})))),
    ("unknown members", JSON, |wheel| text(&with(wheel, &json!({"x": {"y": [1, null]}, "z": "w"})))),
    ("half a pair", JSON, |wheel| replaced(wheel, "\"yanked\":false", "\"yanked\":false,\"x\":\"\\ud800\"")),
    ("a repeated member", JSON, |wheel| {
        replaced(wheel, "\"yanked\":false", "\"yanked\":true,\"yanked\":false")
    }),
    ("no name", JSON, |wheel| replaced(wheel, "\"filename\":", "\"x\":")),
    ("an address with a query", JSON, |wheel| {
        text(&with(wheel, &json!({"url": format!("/files/{}?sig=a%2Fb&x=1", wheel.filename)})))
    }),
    ("an address with a fragment", JSON, |wheel| {
        text(&with(
            wheel,
            &json!({"hashes": {}, "url": format!("/files/{}#sha256={}", wheel.filename, wheel.sha256)}),
        ))
    }),
    ("a relative address", JSON, |wheel| text(&with(wheel, &json!({"url": wheel.filename})))),
    ("no meta", JSON, |wheel| replaced(wheel, "\"meta\":", "\"x\":")),
    ("api-version 1", JSON, |wheel| replaced(wheel, "\"1.1\"", "\"1\"")),
    ("api-version a number", JSON, |wheel| replaced(wheel, "\"1.1\"", "1.1")),
    ("versions null", JSON, |wheel| replaced(wheel, "[\"1.0\"]", "null")),
    ("versions odd", JSON, |wheel| replaced(wheel, "[\"1.0\"]", "[1.0,null]")),
    ("a byte order mark", JSON, |wheel| [&b"\xef\xbb\xbf"[..], &text(&with(wheel, &json!({})))].concat()),
    ("utf-16", JSON, |wheel| {
        let page = with(wheel, &json!({})).to_string();
        page.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }),
    ("a digest that is none", JSON, |wheel| text(&with(wheel, &json!({"hashes": {"sha256": "00"}})))),
    ("html", HTML, |wheel| link(wheel, "").into_bytes()),
    ("html in capitals", HTML, |wheel| {
        format!("<HTML><BODY><A HREF=/files/{}>x</A></BODY></HTML>", wheel.filename).into_bytes()
    }),
    ("a link without an address", HTML, |wheel| {
        format!("<a name=top>top</a><a href>x</a>{}", link(wheel, "")).into_bytes()
    }),
    ("white space in an address", HTML, |wheel| {
        format!("<a href=' \n/files/{}#sha256={} \t'>x</a>", wheel.filename, wheel.sha256).into_bytes()
    }),
    ("references in an address", HTML, |wheel| {
        format!("<a href='/files/{}'>x</a>", wheel.filename.replace('-', "&#45;")).into_bytes()
    }),
    ("escapes in an address", HTML, |wheel| {
        format!("<a href='/files/{}'>x</a>", wheel.filename.replace('-', "%2D")).into_bytes()
    }),
    ("an address of another scheme beside", HTML, |wheel| {
        format!(
            "<a href='git+https://files.test/x#egg=x-1'>x</a><a href='mailto:x@x.test'>x</a>{}",
            link(wheel, "")
        )
        .into_bytes()
    }),
    ("several digests", HTML, |wheel| {
        format!("<a href='/files/{}#sha256={}&egg={}-1.0'>x</a>", wheel.filename, wheel.sha256, wheel.name)
            .into_bytes()
    }),
    ("an address and a query", HTML, |wheel| {
        format!("<a href='/files/{}?a=1&amp;b=2'>x</a>", wheel.filename).into_bytes()
    }),
    ("a demand with references", HTML, |wheel| link(wheel, "data-requires-python='&gt;=3.0'").into_bytes()),
    ("yanked without a reason", HTML, |wheel| {
        link(wheel, "data-gpg-sig data-dist-info-metadata=false").into_bytes()
    }),
    ("no end", HTML, |wheel| {
        format!("<!DOCTYPE html><html><head><title>x</title></head><body>{}", link(wheel, "")).into_bytes()
    }),
    ("latin-1", "text/html; charset=iso-8859-1", |wheel| {
        [&b"<p>\xe9</p>"[..], link(wheel, "").as_bytes()].concat()
    }),
    ("an html page with a mark", HTML, |wheel| [&b"\xef\xbb\xbf"[..], link(wheel, "").as_bytes()].concat()),
    ("html by its own type", "application/vnd.pypi.simple.v1+html", |wheel| link(wheel, "").into_bytes()),
    ("a type with parameters", "Application/Vnd.PyPI.Simple.v1+JSON; charset=utf-8", |wheel| {
        text(&with(wheel, &json!({})))
    }),
];

//! From the bytes of a page or document to UTF-8 text that our readers take.
//!
//! Static servers and home-made indexes write byte order marks, UTF-16, another charset, `NaN`, half a surrogate pair.
//! Installers read past most of that, so it costs a page nothing here either.

mod bounded;
mod lenient;
mod repair;

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;

pub use bounded::{MEMBER, TABLE};
pub(super) use bounded::{over, tree};
pub use lenient::lenient_json;
pub(super) use repair::{Repaired, repaired};

/// How far into an HTML page a `charset` is looked for, in bytes: as far as browsers look.
const PRESCAN: usize = 1024;
/// Bytes that are decoded at a time.
const BUFFER: usize = 64 << 10;

/// What a page or listing is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PEP 691.
    Json,
    /// PEP 503.
    Html,
}

impl Format {
    /// The format that a media type (lower case, no parameters) states, else the one that the first character of the
    /// text shows; `None` if neither does, or if the type states another major version (PEP 691).
    pub fn of(media_type: &str, first: Option<u8>) -> Option<Self> {
        const SIMPLE: &str = "application/vnd.pypi.simple.";
        match (media_type, first) {
            ("application/vnd.pypi.simple.v1+json", _) => Some(Self::Json),
            ("text/html" | "application/xhtml+xml" | "application/vnd.pypi.simple.v1+html", _) => {
                Some(Self::Html)
            }
            (other, _) if other.strip_prefix(SIMPLE).is_some_and(|rest| !rest.starts_with("latest")) => None,
            (_, Some(b'{')) => Some(Self::Json),
            (_, Some(b'<')) => Some(Self::Html),
            (_, _) => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Html => "HTML",
        })
    }
}

/// The first character of a text that is no white space.
pub(super) fn first(text: &[u8]) -> Option<u8> {
    text.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// The body in UTF-8 without a byte order mark: decoded as its mark says, else as `charset` says if it is HTML (the
/// charset of JSON is UTF-8 by definition), else as a `charset` near its beginning says if it is no UTF-8. A body that is
/// UTF-8 already is not copied.
pub(super) fn utf8(body: Bytes, charset: Option<&str>, format: impl Fn(&[u8]) -> Option<Format>) -> Bytes {
    if let Some((encoding, mark)) = Encoding::for_bom(&body) {
        return decoded(body.slice(mark..), encoding);
    }
    // JSON begins with an ASCII character: a zero beside it is half of a wider one.
    match body.get(..2) {
        Some(&[0, second]) if second != 0 => return decoded(body, UTF_16BE),
        Some(&[first, 0]) if first != 0 => return decoded(body, UTF_16LE),
        Some(_) | None => {}
    }
    if format(&body) != Some(Format::Html) {
        return body;
    }
    let stated = charset.and_then(|label| Encoding::for_label(label.as_bytes()));
    let guess = || if std::str::from_utf8(&body).is_ok() { UTF_8 } else { declared(&body) };
    let encoding = stated.unwrap_or_else(guess);
    decoded(body, encoding)
}

fn decoded(body: Bytes, encoding: &'static Encoding) -> Bytes {
    if encoding == UTF_8 {
        return body;
    }
    encoding.decode_without_bom_handling(&body).0.into_owned().into()
}

/// What an HTML page says of itself; what browsers assume if it says nothing.
fn declared(body: &[u8]) -> &'static Encoding {
    let beginning = body[..body.len().min(PRESCAN)].to_ascii_lowercase();
    let at = memchr::memmem::find(&beginning, b"charset=").map(|at| at + b"charset=".len());
    let label = at.map(|at| {
        let rest = beginning[at..]
            .strip_prefix(b"\"")
            .or(beginning[at..].strip_prefix(b"'"))
            .unwrap_or(&beginning[at..]);
        let end = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_.:".contains(byte)));
        &rest[..end.unwrap_or(rest.len())]
    });
    label.and_then(Encoding::for_label).unwrap_or(WINDOWS_1252)
}

/// The same of a body that is still coming: UTF-8 whatever comes, with what is none replaced. `charset` is for HTML; what
/// a page says of itself is not looked for.
pub(super) fn utf8_reader(body: impl Read, charset: Option<&str>) -> impl BufRead {
    let stated = charset.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8);
    let mut builder = DecodeReaderBytesBuilder::new();
    let decoder = builder.encoding(Some(stated)).bom_override(true).strip_bom(true).build(body);
    BufReader::with_capacity(BUFFER, decoder)
}

/// Reads white space away; gives the first character that is none, without taking it.
pub(super) fn peek(text: &mut impl BufRead) -> std::io::Result<Option<u8>> {
    loop {
        let buffer = text.fill_buf()?;
        let (found, blank) = match buffer.iter().position(|byte| !byte.is_ascii_whitespace()) {
            Some(at) => (buffer.get(at).copied(), at),
            None if buffer.is_empty() => return Ok(None),
            None => (None, buffer.len()),
        };
        text.consume(blank);
        if found.is_some() {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &[u8], charset: Option<&str>) -> String {
        let format = |text: &[u8]| Format::of("", first(text));
        let whole = utf8(Bytes::copy_from_slice(body), charset, format);
        let mut streamed = String::new();
        utf8_reader(body, charset).read_to_string(&mut streamed).unwrap();
        let whole = String::from_utf8_lossy(&whole).into_owned();
        if !body.contains(&0) && charset.is_some() {
            assert_eq!(streamed, whole);
        }
        whole
    }

    #[test]
    fn marks_and_charsets_are_heeded() {
        assert_eq!(text(b"\xef\xbb\xbf{}", None), "{}");
        assert_eq!(text(b"\xff\xfe{\0}\0", None), "{}");
        assert_eq!(text(b"{\0}\0", None), "{}");
        assert_eq!(text(b"\0{\0}", None), "{}");
        assert_eq!(text(b"<a href='\xe9'>", Some("ISO-8859-1")), "<a href='é'>");
        assert_eq!(
            text(b"<meta charset=\"latin1\"><a href='\xe9'>", None),
            "<meta charset=\"latin1\"><a href='é'>"
        );
        assert_eq!(
            text("<meta charset=latin1><a href='é'>".as_bytes(), None),
            "<meta charset=latin1><a href='é'>"
        );
        assert_eq!(text(b"<a href='\xe9'>", None), "<a href='é'>");
    }

    #[test]
    fn the_type_decides_where_it_says_something_and_else_the_first_character() {
        let of = |media_type, text: &str| Format::of(media_type, first(text.as_bytes()));
        for silent in
            ["", "text/plain", "application/octet-stream", "application/json", "binary/octet-stream"]
        {
            assert_eq!(of(silent, " \n{"), Some(Format::Json), "{silent}");
            assert_eq!(of(silent, "\t<!DOCTYPE html>"), Some(Format::Html), "{silent}");
            assert_eq!(of(silent, "PK"), None, "{silent}");
            assert_eq!(of(silent, ""), None, "{silent}");
        }
        assert_eq!(of("text/html", "{"), Some(Format::Html));
        assert_eq!(of("application/vnd.pypi.simple.v1+json", "<"), Some(Format::Json));
        assert_eq!(of("application/vnd.pypi.simple.v2+json", "{"), None);
    }

    #[test]
    fn what_is_peeked_at_stays() {
        let mut reader = BufReader::with_capacity(2, &b" \n \t {}"[..]);
        assert_eq!(peek(&mut reader).unwrap(), Some(b'{'));
        assert_eq!(std::io::read_to_string(reader).unwrap(), "{}");
        assert_eq!(peek(&mut &b"  "[..]).unwrap(), None);
    }
}

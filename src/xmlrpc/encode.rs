//! Values → bytes, by the writing rules of docs/wire.md section 2.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use bytes::Bytes;

use super::{Fault, Value};

/// The declaration that every document starts with.
const DECLARATION: &[u8] = b"<?xml version='1.0'?>\n";

/// What stands before the only value of a `methodResponse` of ours.
pub const RESPONSE_HEAD: &[u8] = b"<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n";
/// What stands after it. No blank line comes before: Tcl's client takes the first one for the end of the headers.
pub const RESPONSE_TAIL: &[u8] = b"</param>\n</params>\n</methodResponse>\n";
/// What a small answer takes: it is not made to grow into it.
const SMALL: usize = 256;

/// A number does not fit 32 bits and the caller has not shown that it reads `<i8>` (section 2, rule 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("int exceeds XML-RPC limits")]
pub struct TooWide;

impl From<TooWide> for Fault {
    fn from(error: TooWide) -> Self {
        // What Python's own server says to the same number.
        Self::raised("OverflowError", &error.to_string())
    }
}

/// Writes a document, whole for [`Encoder::take`], or in pieces, so that an answer of any size can leave while it is
/// written: [`Encoder::piece`] hands those out.
///
/// Nothing checks the nesting: the callers are few, and each has a test that reads its output back.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    wide: bool,
    /// The bytes of a piece, if it writes in pieces.
    size: Option<NonZeroUsize>,
    /// Pieces of just that size, written before what is in `out`.
    full: VecDeque<Bytes>,
}

impl Encoder {
    /// `wide`: the caller sent an `<i8>` in this call, so it may get one.
    pub fn new(wide: bool) -> Self {
        Self { wide, ..Self::default() }
    }

    /// Writes in pieces of `size` bytes from now on. All alike, and none larger than what it holds: many of them are
    /// kept, and buffers that grow as they please cost twice what is in them.
    pub fn in_pieces(wide: bool, size: NonZeroUsize) -> Self {
        Self { wide, size: Some(size), ..Self::default() }
    }

    /// Takes a piece that is full, if there is one.
    pub fn piece(&mut self) -> Option<Bytes> {
        self.full.pop_front()
    }

    /// Takes what was written since the last full piece.
    pub fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.out).into()
    }

    /// Opens a `methodResponse` up to where its only value stands.
    pub fn open_response(&mut self) {
        self.raw(RESPONSE_HEAD);
    }

    /// Closes what [`Encoder::open_response`] opened.
    pub fn close_response(&mut self) {
        self.raw(RESPONSE_TAIL);
    }

    /// Opens an array.
    pub fn open_array(&mut self) {
        self.raw(b"<value><array><data>\n");
    }

    /// Closes an array.
    pub fn close_array(&mut self) {
        self.raw(b"</data></array></value>\n");
    }

    /// Opens a struct.
    pub fn open_struct(&mut self) {
        self.raw(b"<value><struct>\n");
    }

    /// Closes a struct.
    pub fn close_struct(&mut self) {
        self.raw(b"</struct></value>\n");
    }

    /// Opens a member; its value follows.
    pub fn open_member(&mut self, name: &str) {
        self.raw(b"<member><name>");
        self.text(name);
        self.raw(b"</name>");
    }

    /// Closes a member.
    pub fn close_member(&mut self) {
        self.raw(b"</member>\n");
    }

    /// A string, always with its tag (rule 3).
    pub fn string(&mut self, text: &str) {
        self.raw(b"<value><string>");
        self.text(text);
        self.raw(b"</string></value>\n");
    }

    /// A string in two parts with a space between them, so that its owner need not join them.
    pub fn joined(&mut self, first: &str, rest: Option<&str>) {
        self.raw(b"<value><string>");
        self.text(first);
        if let Some(rest) = rest {
            self.raw(b" ");
            self.text(rest);
        }
        self.raw(b"</string></value>\n");
    }

    /// A boolean.
    pub fn boolean(&mut self, b: bool) {
        self.raw(if b { b"<value><boolean>1" } else { b"<value><boolean>0" });
        self.raw(b"</boolean></value>\n");
    }

    /// A whole number: `<int>` within 32 bits, else `<i8>` for who asked for it (rule 4).
    pub fn int(&mut self, n: i64) -> Result<(), TooWide> {
        if !self.wide && i32::try_from(n).is_err() {
            return Err(TooWide);
        }
        self.size(n);
        Ok(())
    }

    /// A file's size: `<int>` within 32 bits, else `<i8>` for everybody (rule 4's exception).
    fn size(&mut self, n: i64) {
        if i32::try_from(n).is_ok() {
            self.number(b"<value><int>", n, b"</int></value>\n");
        } else {
            self.number(b"<value><i8>", n, b"</i8></value>\n");
        }
    }

    /// `<nil/>`, unprefixed, only where section 4 of docs/wire.md allows it (rule 5).
    pub fn nil(&mut self) {
        self.raw(b"<value><nil/></value>\n");
    }

    /// A piece of what another of our encoders wrote, as it is.
    pub fn encoded(&mut self, piece: &[u8]) {
        self.raw(piece);
    }

    /// A fault as a struct, as a multicall's answer has it; `faultCode` comes before `faultString` (rule 7).
    pub fn fault(&mut self, fault: &Fault) {
        self.open_struct();
        self.open_member("faultCode");
        self.number(b"<value><int>", i64::from(fault.code), b"</int></value>\n");
        self.close_member();
        self.open_member("faultString");
        self.string(&fault.string);
        self.close_member();
        self.close_struct();
    }

    /// Any value.
    pub fn value(&mut self, value: &Value) -> Result<(), TooWide> {
        match value {
            Value::Nil => self.nil(),
            Value::Bool(b) => self.boolean(*b),
            Value::Int(n) => self.int(*n)?,
            Value::Size(n) => self.size(*n),
            // The format has no word for these.
            Value::Double(d) if !d.is_finite() => return Err(TooWide),
            Value::Double(d) => self.tagged("double", &d.to_string()),
            Value::String(text) => self.string(text),
            Value::DateTime(text) => self.tagged("dateTime.iso8601", text),
            Value::Base64(text) => self.tagged("base64", text),
            Value::Array(items) => {
                self.open_array();
                for item in items {
                    self.value(item)?;
                }
                self.close_array();
            }
            Value::Struct(members) => {
                self.open_struct();
                for (name, member) in members {
                    self.open_member(name);
                    self.value(member)?;
                    self.close_member();
                }
                self.close_struct();
            }
        }
        Ok(())
    }

    fn tagged(&mut self, tag: &str, text: &str) {
        for piece in ["<value><", tag, ">"] {
            self.raw(piece.as_bytes());
        }
        self.text(text);
        for piece in ["</", tag, "></value>\n"] {
            self.raw(piece.as_bytes());
        }
    }

    fn number(&mut self, open: &[u8], n: i64, close: &[u8]) {
        self.raw(open);
        self.raw(itoa::Buffer::new().format(n).as_bytes());
        self.raw(close);
    }

    fn raw(&mut self, bytes: &[u8]) {
        match self.size {
            Some(size) if self.out.len() + bytes.len() > size.get() => self.cut(bytes, size.get()),
            _ => self.out.extend_from_slice(bytes),
        }
    }

    /// Writes beyond the end of a piece. The last piece is not cut before more comes, so what is in `out` is never
    /// nothing but at the start.
    #[cold]
    fn cut(&mut self, mut bytes: &[u8], size: usize) {
        while self.out.len() + bytes.len() > size {
            let (fits, rest) = bytes.split_at(size - self.out.len());
            self.out.extend_from_slice(fits);
            self.full.push_back(std::mem::replace(&mut self.out, Vec::with_capacity(size)).into());
            bytes = rest;
        }
        self.out.extend_from_slice(bytes);
    }

    /// Text with markup escaped, everything past ASCII as a numeric reference, and what XML 1.0 forbids
    /// dropped (rule 2). Carriage returns are references too: a reader would turn them into line feeds.
    fn text(&mut self, text: &str) {
        let plain = |b: u8| matches!(b, b'\t' | b'\n' | 0x20..=0x7e) && !matches!(b, b'<' | b'>' | b'&');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|b| !plain(b)) {
            let (done, tail) = rest.split_at(at);
            self.raw(done.as_bytes());
            // `at` is the start of a character: a continuation byte never comes first.
            let Some(c) = tail.chars().next() else { return };
            match c {
                '<' => self.raw(b"&lt;"),
                '>' => self.raw(b"&gt;"),
                '&' => self.raw(b"&amp;"),
                '\r' => self.raw(b"&#13;"),
                '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
                _ => {
                    self.raw(b"&#");
                    self.raw(itoa::Buffer::new().format(u32::from(c)).as_bytes());
                    self.raw(b";");
                }
            }
            rest = &tail[c.len_utf8()..];
        }
        self.raw(rest.as_bytes());
    }
}

/// A whole answer with one value.
pub fn response(value: &Value, wide: bool) -> Result<Bytes, TooWide> {
    let mut encoder = Encoder::new(wide);
    encoder.out.reserve(SMALL);
    encoder.open_response();
    encoder.value(value)?;
    encoder.close_response();
    Ok(encoder.take())
}

/// A whole fault answer.
pub fn fault(fault: &Fault) -> Bytes {
    let mut encoder = Encoder::new(false);
    encoder.raw(DECLARATION);
    encoder.raw(b"<methodResponse>\n<fault>\n");
    encoder.fault(fault);
    encoder.raw(b"</fault>\n</methodResponse>\n");
    encoder.take()
}

/// A whole call, for talking to an upstream. Wide numbers are sent as `<i8>`.
pub fn call(method: &str, params: &[Value]) -> Result<Bytes, TooWide> {
    let mut encoder = Encoder::new(true);
    encoder.raw(DECLARATION);
    encoder.raw(b"<methodCall>\n<methodName>");
    encoder.text(method);
    encoder.raw(b"</methodName>\n<params>\n");
    for param in params {
        encoder.raw(b"<param>\n");
        encoder.value(param)?;
        encoder.raw(b"</param>\n");
    }
    encoder.raw(b"</params>\n</methodCall>\n");
    Ok(encoder.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &Value) -> String {
        let bytes = response(value, false).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn text_is_ascii_and_what_xml_forbids_is_dropped() {
        let text = written(&Value::from("a<&]]>\u{8}é…\u{fffe}😀\r\n"));
        assert!(text.contains("<string>a&lt;&amp;]]&gt;&#233;&#8230;&#128512;&#13;\n</string>"), "{text}");
        assert!(text.is_ascii());
    }

    #[test]
    fn a_wide_number_needs_a_caller_that_sent_one() {
        let value = Value::Int(1 << 31);
        assert_eq!(response(&value, false), Err(TooWide));
        let bytes = response(&value, true).unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains("<value><i8>2147483648</i8></value>"));
        assert!(written(&Value::Int(-(1 << 31))).contains("<int>-2147483648</int>"));
    }

    #[test]
    fn only_a_size_is_wide_for_every_caller() {
        let size = written(&Value::Size(1 << 31));
        assert!(size.contains("<value><i8>2147483648</i8></value>"), "{size}");
        assert!(written(&Value::Size((1 << 31) - 1)).contains("<value><int>2147483647</int></value>"));
        let beside = Value::Array(vec![Value::Size(1 << 31), Value::Int(1 << 31)]);
        assert_eq!(response(&beside, false), Err(TooWide));
    }

    #[test]
    fn pieces_are_all_alike_and_together_the_whole() {
        let value: Value = ["", "a", "é<", "three", "a longer text"].into_iter().collect();
        let whole = response(&value, false).unwrap();
        for size in 1..=whole.len() + 1 {
            let mut encoder = Encoder::in_pieces(false, NonZeroUsize::new(size).unwrap());
            encoder.open_response();
            encoder.value(&value).unwrap();
            encoder.close_response();
            let mut pieces: Vec<Bytes> = std::iter::from_fn(|| encoder.piece()).collect();
            assert!(pieces.iter().all(|piece| piece.len() == size));
            pieces.push(encoder.take());
            assert!(!pieces.last().unwrap().is_empty());
            assert_eq!(pieces.concat(), whole);
        }
    }

    #[test]
    fn there_is_no_blank_line() {
        let items: Value = [Value::Nil, Value::from("a"), Value::Array(vec![])].into_iter().collect();
        let members = vec![("a".to_owned(), items), ("b".to_owned(), Value::Struct(vec![]))];
        let document = written(&Value::Struct(members));
        assert!(document.lines().all(|line| !line.is_empty()), "{document}");
    }

    #[test]
    fn the_code_of_a_fault_comes_before_its_text() {
        let bytes = fault(&Fault::method_not_found());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.find("faultCode").unwrap() < text.find("faultString").unwrap());
    }
}

//! The elements of a document, and the values that they stand for.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::xmlrpc::{Fault, Value};

/// Bounds of a document, besides its size, which the HTTP layer bounds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The deepest nesting of elements. A call of PyPI's needs about 12; a reader that nests as deep as it
    /// is asked to can be made to run out of stack.
    pub depth: usize,
}

/// Why a document is not what it should be. Carries where, never the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} (at byte {offset})")]
pub struct DecodeError {
    /// The complaint.
    pub what: &'static str,
    /// Bytes read until then.
    pub offset: u64,
}

/// An element that has been opened: its local name, `""` for one that XML-RPC does not have, and whether it was
/// `<name/>`.
pub(super) struct Tag {
    pub(super) name: &'static str,
    pub(super) empty: bool,
}

/// The names that XML-RPC has. A changelog page has 700,000 elements: their names are not copied.
const NAMES: [&str; 21] = [
    "value",
    "string",
    "int",
    "nil",
    "array",
    "data",
    "i4",
    "i8",
    "boolean",
    "double",
    "dateTime.iso8601",
    "base64",
    "struct",
    "member",
    "name",
    "param",
    "params",
    "methodName",
    "methodCall",
    "methodResponse",
    "fault",
];

fn known(name: &str) -> &'static str {
    NAMES.into_iter().find(|known| *known == name).unwrap_or("")
}

/// Reads a document element by element, within limits.
pub(super) struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    depth: usize,
    max_depth: usize,
    /// All bytes are ASCII.
    ascii: bool,
    /// The document has an `<i8>`.
    pub(super) wide: bool,
    /// The element just handed out was `<name/>`: it has no children and no end of its own.
    pub(super) pending_empty: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(document: &'a [u8], limits: Limits) -> Result<Self, DecodeError> {
        let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
        // Checked once, so that no later step can meet broken text; UTF-16 ends here too.
        let text = std::str::from_utf8(document).map_err(|_| DecodeError { what: "not UTF-8", offset: 0 })?;
        let reader = Reader::from_str(text);
        Ok(Self {
            reader,
            depth: 0,
            max_depth: limits.depth,
            ascii: text.is_ascii(),
            wide: false,
            pending_empty: false,
        })
    }

    pub(super) fn fail(&self, what: &'static str) -> DecodeError {
        DecodeError { what, offset: self.reader.buffer_position() }
    }

    fn event(&mut self) -> Result<Event<'a>, DecodeError> {
        loop {
            let event = self.reader.read_event().map_err(|_| self.fail("not well-formed XML"))?;
            match event {
                Event::Decl(declaration) => {
                    let is = |names: &[&str], name: &str| {
                        names.iter().any(|known| name.eq_ignore_ascii_case(known))
                    };
                    if let Some(Ok(name)) = declaration.encoding()
                        && !is(&["utf-8", "utf8", "ascii", "us-ascii"], &name)
                        // PHP's extension declares this over bytes that are all ASCII; they mean the same there.
                        && !(self.ascii && is(&["iso-8859-1", "latin1", "windows-1252"], &name))
                    {
                        return Err(self.fail("an encoding that is neither UTF-8 nor ASCII"));
                    }
                }
                Event::Comment(_) | Event::PI(_) => {}
                // Entities of a document's own are an old way to blow a reader up; no client has any.
                Event::DocType(_) => return Err(self.fail("a document type")),
                other => return Ok(other),
            }
        }
    }

    fn open(&mut self, start: &BytesStart<'_>, empty: bool) -> Result<Tag, DecodeError> {
        if self.depth >= self.max_depth {
            return Err(self.fail("nested too deep"));
        }
        if !empty {
            self.depth += 1;
        }
        Ok(Tag { name: known(start.local_name().into_inner()), empty })
    }

    pub(super) fn expect_root(&mut self, name: &str, complaint: &'static str) -> Result<(), DecodeError> {
        match self.next_child()? {
            Some(tag) if tag.name == name => {
                self.pending_empty = tag.empty;
                Ok(())
            }
            _ => Err(self.fail(complaint)),
        }
    }

    /// The next child element of the open element; `None` at its end. Only white space may stand between.
    pub(super) fn next_child(&mut self) -> Result<Option<Tag>, DecodeError> {
        if std::mem::take(&mut self.pending_empty) {
            return Ok(None);
        }
        loop {
            match self.event()? {
                Event::Start(start) => return self.open(&start, false).map(Some),
                Event::Empty(start) => return self.open(&start, true).map(Some),
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(None);
                }
                Event::Text(text) if text.trim().is_empty() => {}
                Event::Eof => return Err(self.fail("the document ends early")),
                _ => return Err(self.fail("text where an element belongs")),
            }
        }
    }

    /// After the root: nothing but white space and comments.
    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        loop {
            match self.event()? {
                Event::Eof => return Ok(()),
                Event::Text(text) if text.trim().is_empty() => {}
                _ => return Err(self.fail("something after the end of the document")),
            }
        }
    }

    /// The text of an element that has no children.
    pub(super) fn text(&mut self, tag: &Tag) -> Result<String, DecodeError> {
        let mut out = String::new();
        if tag.empty {
            return Ok(out);
        }
        loop {
            match self.event()? {
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(out);
                }
                event => self.push_text(event, &mut out)?,
            }
        }
    }

    fn push_text(&self, event: Event<'_>, out: &mut String) -> Result<(), DecodeError> {
        match event {
            Event::Text(text) => out.push_str(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::CData(text) => out.push_str(&text.xml_content(XmlVersion::Implicit1_0)),
            Event::GeneralRef(reference) => self.push_reference(&reference, out)?,
            Event::Eof => return Err(self.fail("the document ends early")),
            _ => return Err(self.fail("an element where text belongs")),
        }
        Ok(())
    }

    fn push_reference(&self, reference: &BytesRef<'_>, out: &mut String) -> Result<(), DecodeError> {
        if let Some(c) = reference.resolve_char_ref().map_err(|_| self.fail("a bad character reference"))? {
            out.push(c);
            return Ok(());
        }
        let text = resolve_predefined_entity(reference).ok_or_else(|| self.fail("an unknown entity"))?;
        out.push_str(text);
        Ok(())
    }

    pub(super) fn params(&mut self, tag: &Tag) -> Result<Vec<Value>, DecodeError> {
        self.pending_empty = tag.empty;
        let mut params = Vec::new();
        while let Some(child) = self.next_child()? {
            if child.name != "param" {
                return Err(self.fail("unexpected element in params"));
            }
            params.push(self.only_value(&child)?);
        }
        Ok(params)
    }

    /// The single `<value>` child of an element.
    pub(super) fn only_value(&mut self, tag: &Tag) -> Result<Value, DecodeError> {
        self.pending_empty = tag.empty;
        let value = match self.next_child()? {
            Some(child) if child.name == "value" => self.value(&child)?,
            _ => return Err(self.fail("no value")),
        };
        match self.next_child()? {
            None => Ok(value),
            Some(_) => Err(self.fail("more than one value")),
        }
    }

    /// What stands in a `<value>`: a typed element, or text, which is a string.
    fn value(&mut self, tag: &Tag) -> Result<Value, DecodeError> {
        let mut text = String::new();
        if tag.empty {
            return Ok(Value::String(text));
        }
        loop {
            let child = match self.event()? {
                Event::Start(start) => self.open(&start, false)?,
                Event::Empty(start) => self.open(&start, true)?,
                Event::End(_) => {
                    self.depth -= 1;
                    return Ok(Value::String(text));
                }
                event => {
                    self.push_text(event, &mut text)?;
                    continue;
                }
            };
            if !text.trim().is_empty() {
                return Err(self.fail("text beside a typed value"));
            }
            let value = self.typed(&child)?;
            return match self.next_child()? {
                None => Ok(value),
                Some(_) => Err(self.fail("more than one type in a value")),
            };
        }
    }

    fn typed(&mut self, tag: &Tag) -> Result<Value, DecodeError> {
        match tag.name {
            "string" => self.text(tag).map(Value::String),
            "int" | "i4" => self.int(tag),
            "i8" => {
                self.wide = true;
                self.int(tag)
            }
            "boolean" => match self.text(tag)?.trim() {
                "1" | "true" => Ok(Value::Bool(true)),
                "0" | "false" => Ok(Value::Bool(false)),
                _ => Err(self.fail("a boolean that is neither 0 nor 1")),
            },
            "double" => {
                let text = self.text(tag)?;
                text.trim().parse().map(Value::Double).map_err(|_| self.fail("not a double"))
            }
            "nil" if self.text(tag)?.trim().is_empty() => Ok(Value::Nil),
            "dateTime.iso8601" => Ok(Value::DateTime(self.text(tag)?.trim().to_owned())),
            "base64" => {
                let text = self.text(tag)?;
                Ok(Value::Base64(text.split_ascii_whitespace().collect()))
            }
            "array" => self.array(tag),
            "struct" => self.structure(tag),
            _ => Err(self.fail("an unknown type")),
        }
    }

    fn int(&mut self, tag: &Tag) -> Result<Value, DecodeError> {
        let text = self.text(tag)?;
        text.trim().parse().map(Value::Int).map_err(|_| self.fail("not an integer of 64 bits"))
    }

    fn array(&mut self, tag: &Tag) -> Result<Value, DecodeError> {
        self.pending_empty = tag.empty;
        let mut items = Vec::new();
        self.each_item(&mut |item| items.push(item))?;
        Ok(Value::Array(items))
    }

    /// Reads an open array's items to its end.
    pub(super) fn each_item(&mut self, each: &mut impl FnMut(Value)) -> Result<(), DecodeError> {
        while let Some(data) = self.next_child()? {
            if data.name != "data" {
                return Err(self.fail("unexpected element in array"));
            }
            self.pending_empty = data.empty;
            while let Some(child) = self.next_child()? {
                if child.name != "value" {
                    return Err(self.fail("unexpected element in data"));
                }
                each(self.value(&child)?);
            }
        }
        Ok(())
    }

    fn structure(&mut self, tag: &Tag) -> Result<Value, DecodeError> {
        self.pending_empty = tag.empty;
        let mut members = Vec::new();
        while let Some(member) = self.next_child()? {
            if member.name != "member" {
                return Err(self.fail("unexpected element in struct"));
            }
            self.pending_empty = member.empty;
            let (mut name, mut value) = (None, None);
            while let Some(child) = self.next_child()? {
                match child.name {
                    "name" if name.is_none() => name = Some(self.text(&child)?),
                    "value" if value.is_none() => value = Some(self.value(&child)?),
                    _ => return Err(self.fail("unexpected element in member")),
                }
            }
            let (Some(name), Some(value)) = (name, value) else {
                return Err(self.fail("a member without name or value"));
            };
            members.push((name, value));
        }
        Ok(Value::Struct(members))
    }

    pub(super) fn fault(&self, value: &Value) -> Result<Fault, DecodeError> {
        let code = value.get("faultCode").and_then(Value::as_int).and_then(|n| i32::try_from(n).ok());
        let string = value.get("faultString").and_then(Value::as_str);
        match (code, string) {
            (Some(code), Some(string)) => Ok(Fault { code, string: string.to_owned() }),
            _ => Err(self.fail("a fault without faultCode or faultString")),
        }
    }
}

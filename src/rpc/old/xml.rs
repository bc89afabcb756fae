//! Texts of others in XML 1.0, which forbids most control characters, also as references. Pure.

use std::fmt::Write as _;

/// A document as it is written: `open` and `close` stand where they are called, nothing checks that they match but tests.
#[derive(Debug)]
pub(super) struct Xml(String);

impl Xml {
    /// Begins with the declaration.
    pub(super) fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// A start tag with attributes.
    pub(super) fn open(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.tag(tag, attributes);
        self.0.push_str(">\n");
    }

    /// An end tag.
    pub(super) fn close(&mut self, tag: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "</{tag}>");
    }

    /// An element without content.
    pub(super) fn empty(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        self.tag(tag, attributes);
        self.0.push_str("/>\n");
    }

    /// An element with a text.
    pub(super) fn text(&mut self, tag: &str, text: &str) {
        let _ = write!(self.0, "<{tag}>");
        escape(&mut self.0, text);
        self.close(tag);
    }

    /// The document.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn tag(&mut self, tag: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.0, "<{tag}");
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            escape(&mut self.0, value);
            self.0.push('"');
        }
    }
}

/// Markup as references, and what XML 1.0 forbids left out; a carriage return is a reference, because readers make line feeds
/// of those that stand as they are.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // `]]>` ends a text.
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_forbids_is_left_out_and_the_rest_reads_back_the_same() {
        let odd = "a ]]> <![CDATA[ &amp; \u{0}\u{1}\u{b}\u{1b}\u{1f}\u{fffe}\u{ffff}é\u{1f600}\u{7f}\u{85} \t\n\r\" '";
        let mut xml = Xml::new();
        xml.open("r", &[("a", odd)]);
        xml.text("t", odd);
        xml.close("r");
        let xml = xml.finish();
        let mut reader = quick_xml::Reader::from_str(&xml);
        let (mut texts, mut depth) = (String::new(), 0);
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Start(_) => depth += 1,
                quick_xml::events::Event::End(_) => depth -= 1,
                quick_xml::events::Event::Text(text) => texts.push_str(&text),
                quick_xml::events::Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(depth, 0);
        assert!(
            xml.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\u{7f}' | '\u{85}')),
            "{xml:?}"
        );
        assert!(xml.contains("<t>a ]]&gt; &lt;![CDATA[ &amp;amp; é"), "{xml}");
    }
}

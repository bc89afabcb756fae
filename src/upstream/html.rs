//! What an index's HTML says, in any hand: `<title>`, `<base>`, `<meta>` and `<a>`, as a browser's tokenizer sees them.

use std::collections::BTreeMap;
use std::io::Read;

use html5gum::{DefaultEmitter, Error, HtmlString, IoReader, StartTag, Token, Tokenizer};

/// The most bytes kept of an anchor's text. A file's name has at most 255.
const MAX_TEXT: usize = 1024;

/// One element of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HtmlElement {
    /// `<title>`, trimmed, at most 1 KiB of it.
    Title(String),
    /// `<base href>`: what relative links are relative to. Only the first counts.
    Base(String),
    /// `<meta name content>`.
    Meta {
        /// `name`.
        name: String,
        /// `content`.
        content: String,
    },
    /// `<a>`, complete with its text.
    Anchor(Anchor),
}

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Its attributes, references resolved.
    pub attributes: BTreeMap<String, String>,
    /// The text between the tags, trimmed, at most 1 KiB of it.
    pub text: String,
}

/// Reads a document and hands over its elements in order. Fails where the reader fails, and at a document that ends inside
/// a tag or a comment: it was cut, and what is missing may be more than that. Other errors HTML does not have.
pub fn elements(document: impl Read, mut found: impl FnMut(HtmlElement)) -> std::io::Result<()> {
    let mut emitter = DefaultEmitter::default();
    // Else the inside of a script would be read as markup.
    emitter.naively_switch_states(true);
    let mut open: Option<Open> = None;
    for token in Tokenizer::new_with_emitter(IoReader::new(document), emitter) {
        match token? {
            Token::StartTag(tag) if tag.name == b"a" => {
                let next = Open { anchor: Some(attributes(tag)), text: Vec::new() };
                close(open.replace(next), &mut found);
            }
            Token::StartTag(tag) if tag.name == b"title" => {
                close(open.replace(Open { anchor: None, text: Vec::new() }), &mut found);
            }
            Token::StartTag(tag) if tag.name == b"base" => {
                if let Some(href) = attributes(tag).remove("href") {
                    found(HtmlElement::Base(href));
                }
            }
            Token::StartTag(tag) if tag.name == b"meta" => {
                let mut attributes = attributes(tag);
                if let (Some(name), Some(content)) = (attributes.remove("name"), attributes.remove("content"))
                {
                    found(HtmlElement::Meta { name, content });
                }
            }
            Token::EndTag(tag) if tag.name == b"a" || tag.name == b"title" => close(open.take(), &mut found),
            Token::Error(error) if is_cut(*error) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Token::String(text) => {
                if let Some(Open { text: kept, .. }) = &mut open {
                    let room = MAX_TEXT.saturating_sub(kept.len());
                    kept.extend_from_slice(&text[..text.len().min(room)]);
                }
            }
            _ => {}
        }
    }
    close(open, &mut found);
    Ok(())
}

fn is_cut(error: Error) -> bool {
    matches!(error, Error::EofInTag | Error::EofBeforeTagName | Error::EofInComment | Error::EofInDoctype)
}

/// An element whose text is being read: an anchor with its attributes, or the title.
struct Open {
    anchor: Option<BTreeMap<String, String>>,
    text: Vec<u8>,
}

/// Anchors do not nest: the next one, `</a>` and the end of the document all end the open one.
fn close(open: Option<Open>, found: &mut impl FnMut(HtmlElement)) {
    if let Some(Open { anchor, text }) = open {
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        found(match anchor {
            Some(attributes) => HtmlElement::Anchor(Anchor { attributes, text }),
            None => HtmlElement::Title(text),
        });
    }
}

fn attributes(tag: StartTag<()>) -> BTreeMap<String, String> {
    let text = |bytes: HtmlString| String::from_utf8_lossy(&bytes).into_owned();
    tag.attributes.into_iter().map(|(name, value)| (text(name), text(value.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> Vec<HtmlElement> {
        let mut all = Vec::new();
        elements(document.as_bytes(), |element| all.push(element)).unwrap();
        all
    }

    #[test]
    fn links_are_read_in_any_hand() {
        let found = read(
            "<title> Links\n</title><BASE href='/x/'><meta name=\"pypi:repository-version\" content=1.4>\
             <script>'<a href=no>'</script><A HREF=a-1.zip data-yanked>a&amp;<b>1</b></A><a href='b?x=1&amp;y=2'>b",
        );
        let anchor = |pairs: &[(&str, &str)], text: &str| {
            let attributes = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            HtmlElement::Anchor(Anchor { attributes, text: text.to_owned() })
        };
        assert_eq!(
            found,
            [
                HtmlElement::Title("Links".to_owned()),
                HtmlElement::Base("/x/".to_owned()),
                HtmlElement::Meta { name: "pypi:repository-version".to_owned(), content: "1.4".to_owned() },
                anchor(&[("href", "a-1.zip"), ("data-yanked", "")], "a&1"),
                anchor(&[("href", "b?x=1&y=2")], "b"),
            ]
        );
    }

    #[test]
    fn a_document_that_ends_inside_a_tag_was_cut() {
        for cut in [
            "<a href='a-1.zip'>a</a><a href='a-2",
            "<a>a</a><a href",
            "<a>a</a><",
            "<a>a</a><!-- x",
            "<!DOCTYPE h",
        ] {
            assert!(elements(cut.as_bytes(), |_| {}).is_err(), "{cut}");
        }
        for whole in ["<a href='a-1.zip'>a", "<html><body><a>a</a>", "1 < 2 <a>a</a>", "<title>x"] {
            assert!(elements(whole.as_bytes(), |_| {}).is_ok(), "{whole}");
        }
    }

    #[test]
    fn an_endless_text_is_cut() {
        let found = read(&format!("<a>{}", "x".repeat(1 << 20)));
        assert!(matches!(&found[..], [HtmlElement::Anchor(anchor)] if anchor.text.len() == MAX_TEXT));
    }
}

//! What an index's HTML says, in any hand: `<title>`, `<base>`, `<meta>` and `<a>`, as a browser's tokenizer sees them.

use std::collections::BTreeMap;
use std::io::Read;
use std::mem::take;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Error, IoReader, Span, Tokenizer};

/// The most bytes kept of an anchor's text. A file's name has at most 255.
const MAX_TEXT: usize = 1024;

/// The attributes that say something of a file, or of a project.
const OF_ANCHOR: [&str; 7] = [
    "href",
    "data-core-metadata",
    "data-dist-info-metadata",
    "data-yanked",
    "data-requires-python",
    "data-gpg-sig",
    "data-provenance",
];

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
    /// Those of its attributes that say something, references resolved. Of one that is repeated the first counts.
    pub attributes: BTreeMap<&'static str, String>,
    /// The text between the tags, trimmed, at most 1 KiB of it.
    pub text: String,
}

/// Reads a document and hands over its elements in order. Fails where the reader fails, and at a document that ends inside
/// a tag or a comment: it was cut, and what is missing may be more than that. Other errors HTML does not have.
pub fn elements(document: impl Read, mut found: impl FnMut(HtmlElement)) -> std::io::Result<()> {
    let mut reading = Reading::default();
    // Attribute by attribute: a tag may have millions, of which nobody asks for any.
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| {
        let (element, is_whole) = reading.take(&event);
        if let Some(element) = element {
            found(element);
        }
        (!is_whole).then_some(Cut)
    });
    // Else the inside of a script would be read as markup.
    emitter.naively_switch_states(true);
    if let Some(Cut) = Tokenizer::new_with_emitter(IoReader::new(document), emitter).next().transpose()? {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    if let Some(last) = reading.close() {
        found(last);
    }
    Ok(())
}

/// The document ends inside of something.
struct Cut;

fn is_cut(error: Error) -> bool {
    matches!(error, Error::EofInTag | Error::EofBeforeTagName | Error::EofInComment | Error::EofInDoctype)
}

/// Which of a tag's attributes say something; `None`: the tag itself does not.
fn wanted(tag: &[u8]) -> Option<&'static [&'static str]> {
    match tag {
        b"a" => Some(&OF_ANCHOR),
        b"base" => Some(&["href"]),
        b"meta" => Some(&["name", "content"]),
        b"title" => Some(&[]),
        _ => None,
    }
}

/// What is read at the moment.
#[derive(Default)]
struct Reading {
    tag: Option<Tag>,
    open: Option<Open>,
}

/// A start tag before its end.
struct Tag {
    name: Vec<u8>,
    wanted: &'static [&'static str],
    attributes: BTreeMap<&'static str, String>,
    /// The attribute whose value comes next, if it is kept.
    attribute: Option<&'static str>,
}

/// An element whose text is being read: an anchor with its attributes, or the title.
struct Open {
    anchor: Option<BTreeMap<&'static str, String>>,
    text: Vec<u8>,
}

impl Reading {
    /// An element that is complete by this, and whether the document does not end here inside of something.
    fn take(&mut self, event: &CallbackEvent<'_>) -> (Option<HtmlElement>, bool) {
        let element = match *event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag = wanted(name).map(|wanted| Tag {
                    name: name.to_vec(),
                    wanted,
                    attributes: BTreeMap::new(),
                    attribute: None,
                });
                None
            }
            CallbackEvent::AttributeName { name } => {
                if let Some(tag) = &mut self.tag {
                    tag.begin(name);
                }
                None
            }
            CallbackEvent::AttributeValue { value } => {
                if let Some((tag, name)) =
                    self.tag.as_mut().and_then(|tag| tag.attribute.take().map(|name| (tag, name)))
                {
                    tag.attributes.insert(name, String::from_utf8_lossy(value).into_owned());
                }
                None
            }
            CallbackEvent::CloseStartTag { .. } => self.tag.take().and_then(|tag| self.begin(tag)),
            CallbackEvent::EndTag { name: b"a" | b"title" } => self.close(),
            CallbackEvent::String { value } => {
                if let Some(Open { text, .. }) = &mut self.open {
                    let room = MAX_TEXT.saturating_sub(text.len());
                    text.extend_from_slice(&value[..value.len().min(room)]);
                }
                None
            }
            CallbackEvent::Error(error) if is_cut(error) => return (None, false),
            _ => None,
        };
        (element, true)
    }

    fn begin(&mut self, mut tag: Tag) -> Option<HtmlElement> {
        match &*tag.name {
            b"base" => tag.attributes.remove("href").map(HtmlElement::Base),
            b"meta" => {
                let (name, content) = (tag.attributes.remove("name")?, tag.attributes.remove("content")?);
                Some(HtmlElement::Meta { name, content })
            }
            // Anchors do not nest: the next one, `</a>` and the end of the document all end the open one.
            name => {
                let before = self.close();
                let anchor = (name == b"a").then(|| take(&mut tag.attributes));
                self.open = Some(Open { anchor, text: Vec::new() });
                before
            }
        }
    }

    fn close(&mut self) -> Option<HtmlElement> {
        let Open { anchor, text } = self.open.take()?;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        Some(match anchor {
            Some(attributes) => HtmlElement::Anchor(Anchor { attributes, text }),
            None => HtmlElement::Title(text),
        })
    }
}

impl Tag {
    fn begin(&mut self, name: &[u8]) {
        let known = self.wanted.iter().find(|wanted| wanted.as_bytes() == name).copied();
        self.attribute = known.filter(|name| !self.attributes.contains_key(name));
        if let Some(name) = self.attribute {
            self.attributes.insert(name, String::new());
        }
    }
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
        let anchor = |pairs: &[(&'static str, &str)], text: &str| {
            let attributes = pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
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
    fn of_the_attributes_those_are_kept_that_say_something() {
        let document = "<a id=1 href=one HREF=two href title=x data-yanked name=x>a</a><a href=\"\" href=b>b</a>\
                        </a href=three><meta content=1 name=n content=2 href=x><title href=x>t</title href=y>\
                        <link href=c><base target=x href=d>";
        let anchor = |pairs: &[(&'static str, &str)], text: &str| {
            let attributes = pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
            HtmlElement::Anchor(Anchor { attributes, text: text.to_owned() })
        };
        assert_eq!(
            read(document),
            [
                anchor(&[("href", "one"), ("data-yanked", "")], "a"),
                anchor(&[("href", "")], "b"),
                HtmlElement::Meta { name: "n".to_owned(), content: "1".to_owned() },
                HtmlElement::Title("t".to_owned()),
                HtmlElement::Base("d".to_owned()),
            ]
        );
    }

    #[test]
    fn an_endless_text_is_cut() {
        let found = read(&format!("<a>{}", "x".repeat(1 << 20)));
        assert!(matches!(&found[..], [HtmlElement::Anchor(anchor)] if anchor.text.len() == MAX_TEXT));
    }
}

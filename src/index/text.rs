//! A page or document as it is kept: one text for all clients, with the places where the address goes at which a client
//! knows us.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Bytes of a piece that is written out at a time. 64 KiB: most pages are one piece, and a connection that does not read
/// holds no more.
pub(super) const PIECE: usize = 64 << 10;

/// Stands for the address where the text is hashed. No UTF-8 has it.
const PLACE: [u8; 1] = [0xff];

/// A text with places for an address.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Bytes,
    /// Where in `bytes` the address goes, ascending.
    places: Box<[u32]>,
    digest: [u8; 32],
}

impl Text {
    /// A text without places.
    pub(super) fn plain(bytes: Vec<u8>) -> Self {
        Self::new(bytes, Vec::new())
    }

    fn new(bytes: Vec<u8>, places: Vec<u32>) -> Self {
        let mut hasher = Sha256::new();
        let mut from = 0;
        for &place in &places {
            hasher.update(&bytes[from..place as usize]);
            hasher.update(PLACE);
            from = place as usize;
        }
        hasher.update(&bytes[from..]);
        let digest = hasher.finalize().into();
        // A vector that grew has up to twice its length.
        Self { bytes: bytes.into_boxed_slice().into(), places: places.into(), digest }
    }

    /// Bytes with an address in its places.
    pub(super) fn len(&self, origin: &str) -> usize {
        self.bytes.len() + self.places.len() * origin.len()
    }

    /// The text with an address in its places.
    pub(super) fn whole(self, origin: &str) -> Bytes {
        Pieces::new(Arc::new(self), origin.into()).whole()
    }

    /// Bytes that it takes in memory.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.places) + size_of::<Self>()
    }

    /// The SHA-256 of the text, with a byte that no text has in the places.
    pub(super) fn sha256(&self) -> [u8; 32] {
        self.digest
    }

    /// It is the same for every client.
    pub(super) fn is_plain(&self) -> bool {
        self.places.is_empty()
    }

    /// The strong validator of the text with an address in its places, with its quotes. Another address makes other bytes,
    /// so it makes another validator.
    pub(super) fn etag(&self, origin: &str) -> String {
        let digest: [u8; 32] = if self.is_plain() {
            self.digest
        } else {
            Sha256::new().chain_update(self.digest).chain_update(origin).finalize().into()
        };
        format!("\"{}\"", hex::encode(&digest[..16]))
    }
}

/// A text with an address in its places, in pieces that are made one at a time.
#[derive(Debug, Clone)]
pub struct Pieces {
    text: Arc<Text>,
    origin: Arc<str>,
    /// Bytes of the text that are out.
    at: usize,
    /// Places that are out.
    place: usize,
}

impl Pieces {
    pub(super) fn new(text: Arc<Text>, origin: Arc<str>) -> Self {
        Self { text, origin, at: 0, place: 0 }
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> usize {
        let text = &self.text;
        text.bytes.len() - self.at + (text.places.len() - self.place) * self.origin.len()
    }

    /// All that is still to come. Copies it, unless it is the same for every client.
    pub(super) fn whole(mut self) -> Bytes {
        let left = self.left();
        self.cut(left).unwrap_or_default()
    }

    fn cut(&mut self, most: usize) -> Option<Bytes> {
        let text = &*self.text;
        if self.place == text.places.len() {
            let end = text.bytes.len().min(self.at.saturating_add(most));
            let piece = text.bytes.slice(self.at..end);
            self.at = end;
            return (!piece.is_empty()).then_some(piece);
        }
        let mut piece = BytesMut::with_capacity(self.left().min(most + self.origin.len()));
        while piece.len() < most {
            let next = text.places.get(self.place).map_or(text.bytes.len(), |&place| place as usize);
            let end = next.min(self.at + (most - piece.len()));
            piece.extend_from_slice(&text.bytes[self.at..end]);
            self.at = end;
            if end < next || self.place == text.places.len() {
                break;
            }
            // The piece may become longer than asked for by an address.
            piece.extend_from_slice(self.origin.as_bytes());
            self.place += 1;
        }
        (!piece.is_empty()).then(|| piece.freeze())
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.cut(PIECE)
    }
}

/// A text while it is written as JSON.
#[derive(Debug, Default)]
pub(super) struct Draft {
    bytes: RefCell<Vec<u8>>,
    places: RefCell<Vec<u32>>,
}

impl Draft {
    /// Writes a document; what of it is an address of ours is made with [`Self::ours`].
    pub(super) fn write(&self, document: &impl Serialize) -> serde_json::Result<()> {
        serde_json::to_writer(self, document)
    }

    /// An address of ours: `path` begins with `/`, and what precedes it is put in when it is given out.
    pub(super) fn ours(&self, path: String) -> Ours<'_> {
        Ours { draft: self, path }
    }

    pub(super) fn finish(self) -> Text {
        Text::new(self.bytes.into_inner(), self.places.into_inner())
    }
}

impl Write for &Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A path of ours as a JSON string, with the place of the address at its beginning.
#[derive(Debug)]
pub(super) struct Ours<'a> {
    draft: &'a Draft,
    path: String,
}

impl Serialize for Ours<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The serializer has no buffer of its own: the next byte is the opening quote.
        let place = u32::try_from(self.draft.bytes.borrow().len() + 1);
        self.draft.places.borrow_mut().push(place.map_err(serde::ser::Error::custom)?);
        serializer.serialize_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(paths: &[&str]) -> Text {
        let draft = Draft::default();
        let ours: Vec<_> = paths.iter().map(|path| draft.ours((*path).to_owned())).collect();
        draft.write(&("a", ours, "z")).unwrap();
        draft.finish()
    }

    fn whole(text: Text, origin: &str) -> String {
        let pieces = Pieces::new(Arc::new(text), origin.into());
        let left = pieces.left();
        let all: Vec<u8> = pieces.clone().flatten().collect();
        assert_eq!(all.len(), left);
        assert_eq!(pieces.whole(), all);
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn an_address_is_put_in_where_it_belongs() {
        let text = text(&["/packages/é\"", "/b"]);
        let expected = json!(["a", ["http://relay.test/packages/é\"", "http://relay.test/b"], "z"]);
        assert_eq!(text.len("http://relay.test"), expected.to_string().len());
        assert_eq!(whole(text, "http://relay.test"), expected.to_string());
    }

    #[test]
    fn pieces_are_small_whatever_the_text_and_lose_nothing() {
        for (paths, length) in [(40_000, 1), (3, 200_000), (1, PIECE), (0, 0)] {
            let path = format!("/{}", "x".repeat(length));
            let text = text(&vec![&*path; paths]);
            let all = vec![format!("http://relay.test:81{path}"); paths];
            let expected = json!(["a", all, "z"]).to_string();
            let text = Arc::new(text);
            let pieces = Pieces::new(text.clone(), "http://relay.test:81".into());
            assert!(pieces.clone().all(|piece| piece.len() <= PIECE + "http://relay.test:81".len()));
            assert_eq!(pieces.flatten().collect::<Vec<_>>(), expected.as_bytes());
        }
    }

    #[test]
    fn other_bytes_have_another_validator() {
        let (one, other) = (text(&["/a"]), text(&["/a", "/b"]));
        assert_eq!(one.etag("http://a.test"), text(&["/a"]).etag("http://a.test"));
        assert_ne!(one.etag("http://a.test"), one.etag("http://b.test"));
        assert_ne!(one.etag("http://a.test"), other.etag("http://a.test"));
        // The same bytes with places elsewhere.
        let (plain, placed) = (Text::plain(b"[\"/a\"]".to_vec()), text(&["/a"]));
        assert_ne!(plain.etag(""), placed.etag(""));
        let draft = Draft::default();
        draft.write(&(draft.ours("/a".to_owned()), "/a")).unwrap();
        let first = draft.finish();
        let draft = Draft::default();
        draft.write(&("/a", draft.ours("/a".to_owned()))).unwrap();
        assert_ne!(first.etag("http://a.test"), draft.finish().etag("http://a.test"));
        assert_eq!(plain.etag("http://a.test"), plain.etag("http://b.test"));
    }
}

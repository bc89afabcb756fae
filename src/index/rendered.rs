//! A page or document in the bytes that a client gets: rendered once for all clients, and compressed once.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::IndexError;
use super::text::{PIECE, Pieces, Text};
use crate::journal::DocumentKey;
use crate::model::Serial;

/// Below this compression saves no packet.
const SMALLEST_TO_COMPRESS: usize = 1000;
/// gzip's level of what is kept: 6 is a third smaller than 1, and done once for each page.
const LEVEL: Compression = Compression::new(6);
/// The level of what is compressed while it is sent: a third of the time.
const LEVEL_ONCE: Compression = Compression::new(1);
/// So much of a text is set aside in the cache for its compressed form: about what one takes.
const COMPRESSED_PART: usize = 3;
/// The most that the compressed form of one address is ahead of others: as many requests in a row of others replace it.
const MOST_VOTES: u32 = 16;

/// The forms of the simple index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// PEP 503.
    Html,
    /// PEP 691.
    Json,
    /// PEP 503 with `#md5=` in its links, for mirrors that know no other digest.
    Md5Html,
}

impl Form {
    /// The `Content-Type`. For JSON exactly what devpi and proxpi compare with (docs/wire.md section 7).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Html | Self::Md5Html => "text/html; charset=utf-8",
            Self::Json => "application/vnd.pypi.simple.v1+json",
        }
    }
}

/// Bytes for a client.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub(super) form: Arc<Kept>,
    pub(super) origin: Arc<str>,
    /// For `X-PyPI-Last-Serial`.
    pub last_serial: Option<Serial>,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Older than it should be, because upstream fails.
    pub stale: bool,
}

/// A compressed body.
#[derive(Debug)]
pub enum Compressed {
    /// All of it.
    Whole(Bytes),
    /// It is compressed while it is sent.
    Streamed(Box<Compressing>),
}

/// What is kept of a document in a form.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key: RenderKey,
    /// Of what it was rendered.
    pub(super) stamp: Stamp,
    text: Arc<Text>,
    compressed: Mutex<Slot>,
}

/// The compressed form for one address: that at which most clients know us. A text has one such form at a time, however
/// many addresses clients name; for others it is compressed while it is sent.
#[derive(Debug, Default)]
struct Slot {
    origin: Arc<str>,
    /// How often more it was asked for than others.
    votes: u32,
    body: Arc<OnceCell<Option<Bytes>>>,
}

/// What a rendered form is made of. The address is not part of it: nothing is kept for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RenderKey {
    pub(super) document: DocumentKey,
    pub(super) form: Form,
}

/// What a text is made of: another one is another text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// That of the page or document itself.
    pub(super) own: u64,
    /// That of the document that states more of its files.
    pub(super) other: Option<u64>,
    /// What was found out here besides, as a number that rises with it.
    pub(super) computed: u64,
}

impl Stamp {
    /// Of a page or document alone.
    pub(super) fn of(own: u64) -> Self {
        Self { own, other: None, computed: 0 }
    }
}

impl Kept {
    pub(super) fn new(key: RenderKey, stamp: Stamp, text: Text) -> Self {
        Self { key, stamp, text: Arc::new(text), compressed: Mutex::default() }
    }

    /// What it weighs in a cache: the text, and the compressed form or room for it.
    pub(super) fn weight(&self) -> u32 {
        let compressed = self.slot().body.get().and_then(Option::as_ref).map_or(0, Bytes::len);
        let bytes = self.text.weight() + compressed.max(self.room()) + size_of::<Self>();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    fn room(&self) -> usize {
        self.text.weight() / COMPRESSED_PART
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Slot> {
        // Nothing panics while it is held.
        self.compressed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The form to keep for this address; `None` if more ask for another.
    fn elected(&self, origin: &Arc<str>) -> Option<Arc<OnceCell<Option<Bytes>>>> {
        let mut slot = self.slot();
        if self.text.is_plain() || slot.origin == *origin {
            slot.votes = MOST_VOTES.min(slot.votes + 1);
        } else if slot.votes > 0 {
            slot.votes -= 1;
            return None;
        } else {
            *slot = Slot { origin: origin.clone(), votes: 1, body: Arc::default() };
        }
        Some(slot.body.clone())
    }
}

impl Rendered {
    pub(super) fn new(form: Arc<Kept>, origin: &str, last_serial: Option<Serial>, stale: bool) -> Self {
        let content_type = form.key.form.content_type();
        Self { form, origin: origin.into(), last_serial, content_type, stale }
    }

    /// The body, not compressed.
    pub fn pieces(&self) -> Pieces {
        Pieces::new(self.form.text.clone(), self.origin.clone())
    }

    /// Tells one body from every other one. Exact only for what is the same for every client, as pages in HTML are.
    pub(super) fn sha256(&self) -> [u8; 32] {
        self.form.text.sha256()
    }

    /// The strong validator of the body, with its quotes.
    pub fn etag(&self) -> String {
        self.form.text.etag(&self.origin)
    }

    /// The compressed body; `None` where it would save nothing. And whether it takes more than was set aside for it.
    pub(super) async fn compressed(&self) -> Result<(Option<Compressed>, bool), IndexError> {
        if !self.is_compressible() {
            return Ok((None, false));
        }
        let once = || async {
            let pieces = self.pieces();
            spawn_blocking(move || compress(pieces)).await.map_err(|_| IndexError::Lost)
        };
        let Some(kept) = self.form.elected(&self.origin) else {
            let pieces = self.pieces();
            let body = if pieces.left() > PIECE {
                Some(Compressed::Streamed(Box::new(Compressing::new(pieces))))
            } else {
                once().await?.map(Compressed::Whole)
            };
            return Ok((body, false));
        };
        let new = !kept.initialized();
        let body = kept.get_or_try_init(once).await?.clone();
        let heavier = new && body.as_ref().is_some_and(|body| body.len() > self.form.room());
        Ok((body.map(Compressed::Whole), heavier))
    }

    /// The body is long enough that compression saves something.
    pub fn is_compressible(&self) -> bool {
        self.form.text.len(&self.origin) >= SMALLEST_TO_COMPRESS
    }
}

fn compress(pieces: Pieces) -> Option<Bytes> {
    let length = pieces.left();
    let mut gzip = GzEncoder::new(Vec::with_capacity(length / 4), LEVEL);
    for piece in pieces {
        gzip.write_all(&piece).ok()?;
    }
    let out = gzip.finish().ok()?;
    (out.len() < length).then(|| out.into_boxed_slice().into())
}

/// A body that is compressed while it is sent.
#[derive(Debug)]
pub struct Compressing {
    pieces: Pieces,
    gzip: Option<GzEncoder<Vec<u8>>>,
}

impl Compressing {
    fn new(pieces: Pieces) -> Self {
        Self { pieces, gzip: Some(GzEncoder::new(Vec::new(), LEVEL_ONCE)) }
    }

    /// The next piece, made beside the reactor; `None` at the end. No thread waits for a client that does not read.
    pub async fn next(mut self) -> Result<Option<(Bytes, Self)>, IndexError> {
        let made = spawn_blocking(move || {
            while let Some(gzip) = &mut self.gzip {
                match self.pieces.next() {
                    // A vector takes whatever is written to it.
                    Some(piece) => gzip.write_all(&piece).ok()?,
                    None => return Some((self.gzip.take()?.finish().ok()?.into(), self)),
                }
                if gzip.get_ref().len() >= PIECE / 4 {
                    return Some((std::mem::take(gzip.get_mut()).into(), self));
                }
            }
            None
        });
        made.await.map_err(|_| IndexError::Lost)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::super::text::Draft;
    use super::*;
    use crate::model::ProjectName;

    fn kept(paths: usize) -> Arc<Kept> {
        let draft = Draft::default();
        let ours: Vec<_> = (0..paths).map(|at| draft.ours(format!("/{at}"))).collect();
        draft.write(&ours).unwrap();
        let document = DocumentKey::Page(ProjectName::parse("a").unwrap());
        Arc::new(Kept::new(RenderKey { document, form: Form::Json }, Stamp::of(0), draft.finish()))
    }

    #[test]
    fn one_compressed_form_is_kept_however_many_addresses_there_are() {
        let kept = kept(1000);
        let of = |host: &str| kept.elected(&host.into());
        let first = of("http://a.test").unwrap();
        for _ in 0..8 {
            assert!(Arc::ptr_eq(&of("http://a.test").unwrap(), &first));
        }
        let weight = kept.weight();
        // Clients with a thousand names, each once between those of the first.
        for host in 0..1000 {
            assert!(of(&format!("http://{host}.test")).is_none());
            assert!(Arc::ptr_eq(&of("http://a.test").unwrap(), &first));
        }
        assert_eq!(kept.weight(), weight);
        // A relay that got another name.
        let renamed = (0..=MOST_VOTES).find_map(|_| of("http://b.test")).unwrap();
        assert!(!Arc::ptr_eq(&renamed, &first));
        assert!(Arc::ptr_eq(&of("http://b.test").unwrap(), &renamed));
    }

    #[tokio::test]
    async fn what_is_compressed_while_it_is_sent_is_the_same_text() {
        let kept = kept(100_000);
        let rendered = Rendered::new(kept, "http://relay.test", None, false);
        let (mut coded, mut pieces) = (Vec::new(), 0);
        let mut rest = Compressing::new(rendered.pieces());
        while let Some((piece, next)) = rest.next().await.unwrap() {
            coded.extend_from_slice(&piece);
            pieces += 1;
            rest = next;
        }
        let mut text = Vec::new();
        GzDecoder::new(&coded[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text, rendered.pieces().whole());
        assert!(pieces > 3, "{pieces}");
    }
}

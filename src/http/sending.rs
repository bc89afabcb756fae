//! What of an answer has gone out, as the socket knows it; and downloads, which are counted by that.
//!
//! A body that was read to its end is not sent yet: hyper takes a body of any size into its buffer and lets go of it before
//! the client has taken a byte. So a download waits at its connection until the socket was flushed behind it, which hyper
//! does only when its buffer is empty: then the system has taken all bytes, and no write has failed. That is the most that
//! a server can know; what the system still holds when a client breaks off counts as sent. If the connection fails before,
//! the bytes that the socket took tell which part went out.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::http::{HeaderMap, HeaderValue};

use crate::stats::{Agent, File, Stats};

/// The line `HTTP/1.1 200 OK`, or that of a part, with its end; and the empty line behind the fields.
const WHOLE_LINES: u64 = 19;
const PART_LINES: u64 = 32;

/// An answer with a package file or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Download {
    pub(super) file: Arc<File>,
    pub(super) agent: Arc<Agent>,
    pub(super) client: IpAddr,
    /// Where in the file it begins, if it is a part.
    pub(super) part: Option<u64>,
    /// Bytes of the answer, if they are known.
    pub(super) length: Option<u64>,
    /// Bytes of the file, if they are known.
    pub(super) size: Option<u64>,
    /// Bytes of the answer's head, if somebody has counted them.
    pub(super) head: Option<u64>,
}

impl Download {
    /// In a box: it is moved with the answer, again and again.
    pub(super) fn tracked(self) -> Box<Tracked> {
        Box::new(Tracked { download: self, before: None, taken: 0, ended: false })
    }
}

/// The bytes that a head takes on the wire.
pub(super) fn head_length(fields: &HeaderMap, is_part: bool) -> u64 {
    let fields: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    fields as u64 + if is_part { PART_LINES } else { WHOLE_LINES }
}

/// A download on its way out.
#[derive(Debug)]
pub(super) struct Tracked {
    download: Download,
    /// The bytes of the connection before its first one; `None` if others may still have waited to be sent then.
    before: Option<u64>,
    /// Bytes of the body that hyper has taken.
    taken: u64,
    /// It has taken all.
    ended: bool,
}

impl Tracked {
    /// Its head has the bytes of these fields, unless somebody has counted them and nothing has `changed` since.
    pub(super) fn count_head(&mut self, fields: &HeaderMap, changed: bool) {
        let Download { head, part, .. } = &mut self.download;
        let known = head.filter(|_| !changed);
        *head = Some(known.unwrap_or_else(|| head_length(fields, part.is_some())));
    }

    pub(super) fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    pub(super) fn ended(&mut self) {
        self.ended = true;
    }
}

/// What a connection sends. Only its own task changes it.
#[derive(Debug, Default)]
pub(super) struct Sending {
    stats: OnceLock<(Stats, usize)>,
    /// Bytes that the system has taken.
    sent: AtomicU64,
    /// Bytes may wait to be sent.
    waiting: AtomicBool,
    closed: AtomicBool,
    /// `over` has some.
    any_over: AtomicBool,
    /// Downloads whose body is gone, and whose bytes may not be sent yet.
    #[expect(clippy::vec_box, reason = "they are in their boxes already")]
    over: Mutex<Vec<Box<Tracked>>>,
    /// The last user agent, or that there was none: nearly always that of the next request.
    agent: Mutex<Option<(Option<HeaderValue>, Arc<Agent>)>>,
}

impl Sending {
    /// Has its downloads counted.
    pub(super) fn count(&self, stats: Stats) {
        static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
        let shard = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        // It is done once.
        let _ = self.stats.set((stats, shard));
    }

    /// The user agent of a request, as it is counted.
    pub(super) fn agent(&self, sent: Option<&HeaderValue>) -> Option<Arc<Agent>> {
        let (stats, _) = self.stats.get()?;
        let mut last = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, agent)) if known.as_ref() == sent => return Some(agent.clone()),
            _ => {}
        }
        let agent = stats.agent(sent.map_or(&[], HeaderValue::as_bytes));
        *last = Some((sent.cloned(), agent.clone()));
        Some(agent)
    }

    /// An answer begins.
    pub(super) fn begin(&self, download: Option<&mut Box<Tracked>>) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.waiting.store(true, Ordering::Relaxed);
        if let Some(tracked) = download {
            let Tracked { download, before, .. } = &mut **tracked;
            let head = download.head.filter(|_| !waiting);
            *before = head.map(|head| self.sent.load(Ordering::Relaxed) + head);
        }
    }

    /// A download's body is gone.
    pub(super) fn is_over(&self, tracked: Box<Tracked>) {
        if self.closed.load(Ordering::Relaxed) {
            return self.cut(&tracked);
        }
        self.over.lock().unwrap_or_else(PoisonError::into_inner).push(tracked);
        self.any_over.store(true, Ordering::Relaxed);
    }

    /// The system has taken some bytes.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.store(self.sent.load(Ordering::Relaxed) + bytes as u64, Ordering::Relaxed);
    }

    /// The system has taken all that there was to send.
    pub(super) fn flushed(&self) {
        self.waiting.store(false, Ordering::Relaxed);
        if !self.any_over.load(Ordering::Relaxed) {
            return;
        }
        self.any_over.store(false, Ordering::Relaxed);
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        for tracked in over.drain(..) {
            let Tracked { download, taken, ended, .. } = &*tracked;
            let complete = download.length.map_or(*ended, |length| *taken >= length);
            self.settle(download, complete, *taken);
        }
    }

    /// The socket is gone.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let over = std::mem::take(&mut *self.over.lock().unwrap_or_else(PoisonError::into_inner));
        for tracked in &over {
            self.cut(tracked);
        }
    }

    /// Not all of it went out.
    fn cut(&self, tracked: &Tracked) {
        let Tracked { download, before, taken, .. } = tracked;
        let sent = before.map(|before| self.sent.load(Ordering::Relaxed).saturating_sub(before));
        // Chunks have lengths between them.
        if let Some(sent) = sent.filter(|_| download.length.is_some()) {
            self.settle(download, false, sent.min(*taken));
        }
    }

    fn settle(&self, download: &Download, complete: bool, bytes: u64) {
        let Some((stats, shard)) = self.stats.get() else { return };
        let Download { file, agent, client, part, size, .. } = download;
        match (part, size) {
            (None, _) if complete => stats.whole(*shard, file, agent),
            (part, Some(size)) => {
                let start = part.unwrap_or_default();
                stats.part(*client, file, agent, start..start.saturating_add(bytes), *size);
            }
            (_, None) => {}
        }
    }
}

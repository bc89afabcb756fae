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

/// What is known of the bytes that were taken to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Taken {
    /// The system has them.
    #[default]
    BySystem,
    /// The last ones may still wait to be encrypted, or to be handed to the system, until all is flushed.
    ByEncryption,
    /// They are those of one answer's body, without its head; the last ones may wait in the same way.
    OfBody,
}

/// What a connection sends. Only its own task changes it.
#[derive(Debug, Default)]
pub(super) struct Sending {
    taken: Taken,
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
    pub(super) fn new(taken: Taken) -> Self {
        Self { taken, ..Self::default() }
    }

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
            let head = if self.taken == Taken::OfBody { head.and(Some(0)) } else { head };
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
        if let Some((sent, length)) = sent.zip(download.length) {
            // Without a flush nobody knows whether the last byte left.
            let known = if self.taken == Taken::BySystem { length } else { length.saturating_sub(1) };
            self.settle(download, false, sent.min(*taken).min(known));
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

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use axum::http::header::CONNECTION;
    use tempfile::TempDir;

    use super::*;
    use crate::model::ProjectName;
    use crate::stats::StatsSettings;

    const NAME: &str = "one-1.zip";
    const SIZE: u64 = 100;
    const HEAD: u64 = 50;

    struct Bench {
        _folder: TempDir,
        stats: Stats,
        file: Arc<File>,
    }

    impl Bench {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let spell = Arc::new(|_| Box::pin(async { None }) as _);
            let stats = Stats::open(folder.path(), StatsSettings::default(), spell).await.unwrap();
            let project = ProjectName::parse("one").unwrap();
            let file = Arc::new(File { project, filename: NAME.into(), version: "1".into() });
            Self { _folder: folder, stats, file }
        }

        fn connection(&self) -> Sending {
            let sending = Sending::default();
            sending.count(self.stats.clone());
            sending
        }

        /// A whole download, whose answer begins on a connection.
        fn begin(&self, on: &Sending, length: Option<u64>) -> Box<Tracked> {
            let (file, agent) = (self.file.clone(), on.agent(None).unwrap());
            let client = [192, 0, 2, 1].into();
            let download =
                Download { file, agent, client, part: None, length, size: Some(SIZE), head: Some(HEAD) };
            let mut tracked = download.tracked();
            on.begin(Some(&mut tracked));
            tracked
        }

        /// A download that is cut: bytes that hyper took of it, and those that the socket took since it began.
        fn cut(&self, on: &Sending, length: Option<u64>, taken: usize, sent: usize) {
            let mut tracked = self.begin(on, length);
            tracked.took(taken);
            on.sent(sent);
            on.is_over(tracked);
            on.close();
        }

        /// The same client has a part of the file by another connection.
        fn has_part(&self, part: Range<u64>) {
            self.stats.part([192, 0, 2, 1].into(), &self.file, &self.stats.agent(b""), part, SIZE);
        }

        async fn counted(&self) -> u64 {
            self.stats.flush().await.unwrap();
            let counts = self.stats.of_files(&self.file.project).await.unwrap().expect("they are counted");
            counts.get(NAME).copied().unwrap_or(0)
        }
    }

    #[tokio::test]
    async fn each_request_of_a_connection_counts_for_the_agent_that_it_names() {
        let bench = Bench::new().await;
        let sending = bench.connection();
        let agent = |sent: &'static str| sending.agent(Some(&HeaderValue::from_static(sent))).unwrap();
        let (pip, again, uv) = (agent("pip/1"), agent("pip/1"), agent("uv/1"));
        assert!(Arc::ptr_eq(&pip, &again) && !Arc::ptr_eq(&pip, &uv));
        let none = sending.agent(None).unwrap();
        assert!(!Arc::ptr_eq(&none, &uv) && Arc::ptr_eq(&none, &sending.agent(None).unwrap()));
        assert!(Arc::ptr_eq(&pip, &agent("pip/1")));
    }

    #[tokio::test]
    async fn a_head_that_was_counted_is_counted_anew_if_a_field_came_to_it() {
        let bench = Bench::new().await;
        let mut tracked = bench.begin(&bench.connection(), Some(SIZE));
        let fields = HeaderMap::from_iter([(CONNECTION, HeaderValue::from_static("close"))]);
        tracked.count_head(&fields, false);
        assert_eq!(tracked.download.head, Some(HEAD));
        tracked.count_head(&fields, true);
        assert_eq!(tracked.download.head, Some("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".len() as u64));
    }

    #[tokio::test]
    async fn a_download_counts_once_it_was_flushed_and_not_before() {
        let bench = Bench::new().await;
        let sending = bench.connection();
        let mut tracked = bench.begin(&sending, Some(SIZE));
        tracked.took(100);
        sending.is_over(tracked);
        assert_eq!(bench.counted().await, 0);
        sending.sent(150);
        sending.flushed();
        sending.flushed();
        sending.close();
        assert_eq!(bench.counted().await, 1);
    }

    /// What went out of a download that is cut is what the socket took behind the head, exactly.
    #[tokio::test]
    async fn of_a_download_that_is_cut_the_bytes_behind_its_head_went_out_and_no_more() {
        // Bytes that the socket took; how many of them are the file's.
        for (sent, of_file) in [(90, 40), (150, 100), (10, 0)] {
            for one_less in [false, true] {
                let bench = Bench::new().await;
                let sending = bench.connection();
                bench.cut(&sending, Some(SIZE), 100, sent);
                let rest = of_file + u64::from(one_less);
                bench.has_part(rest.min(SIZE)..SIZE);
                let complete = !one_less || of_file == SIZE;
                assert_eq!(bench.counted().await, u64::from(complete), "{sent} sent, {one_less}");
            }
        }
    }

    #[tokio::test]
    async fn no_more_of_a_file_went_out_than_was_taken_of_it() {
        let bench = Bench::new().await;
        let sending = bench.connection();
        // The next answer's bytes are among them.
        bench.cut(&sending, Some(SIZE), 30, 500);
        bench.has_part(31..SIZE);
        assert_eq!(bench.counted().await, 0);
        bench.has_part(30..31);
        assert_eq!(bench.counted().await, 1);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_whole_file_though_all_of_it_was_flushed() {
        let bench = Bench::new().await;
        let sending = bench.connection();
        let mut tracked = bench.begin(&sending, Some(SIZE));
        tracked.took(60);
        sending.sent(110);
        sending.is_over(tracked);
        sending.flushed();
        assert_eq!(bench.counted().await, 0);
        bench.has_part(60..SIZE);
        assert_eq!(bench.counted().await, 1);
    }

    #[tokio::test]
    async fn of_what_waits_to_be_encrypted_the_last_byte_is_not_known_to_have_left() {
        for (how, head) in [(Taken::ByEncryption, HEAD), (Taken::OfBody, 0)] {
            let bench = Bench::new().await;
            let sending = Sending::new(how);
            sending.count(bench.stats.clone());
            bench.cut(&sending, Some(SIZE), 100, usize::try_from(head + SIZE).unwrap());
            assert_eq!(bench.counted().await, 0, "{how:?}");
            bench.has_part(SIZE - 1..SIZE);
            assert_eq!(bench.counted().await, 1, "{how:?}");
        }
    }

    #[tokio::test]
    async fn behind_an_answer_that_still_waits_nobody_knows_which_bytes_went_out() {
        let bench = Bench::new().await;
        let sending = bench.connection();
        // Not flushed.
        sending.begin(None);
        bench.cut(&sending, Some(SIZE), 100, 90);
        bench.has_part(40..SIZE);
        assert_eq!(bench.counted().await, 0);
    }

    #[tokio::test]
    async fn behind_an_answer_that_was_flushed_it_is_known() {
        let bench = Bench::new().await;
        let sending = bench.connection();
        sending.begin(None);
        sending.sent(1000);
        sending.flushed();
        bench.cut(&sending, Some(SIZE), 100, 90);
        bench.has_part(40..SIZE);
        assert_eq!(bench.counted().await, 1);
    }

    #[tokio::test]
    async fn of_a_body_in_chunks_nobody_knows_how_much_went_out_and_its_end_makes_it_whole() {
        let bench = Bench::new().await;
        bench.cut(&bench.connection(), None, 100, 170);
        bench.has_part(50..SIZE);
        assert_eq!(bench.counted().await, 0);
        let sending = bench.connection();
        let mut tracked = bench.begin(&sending, None);
        tracked.ended();
        sending.is_over(tracked);
        sending.flushed();
        assert_eq!(bench.counted().await, 1);
    }
}

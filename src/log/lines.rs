//! Lines on their way to standard error.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use super::escape;
use crate::metric;

/// Most lines that wait to be written: what a busy relay logs in a second at level `debug`.
const MOST_LINES: usize = 4096;
/// Most bytes of them. One line may hold what upstream said.
const MOST_BYTES: usize = 4 << 20;
/// How long the lines that wait may take at the end of the process. A reader that does not read is not waited for.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The thread that writes. Dropped, it has what waits written, as far as somebody reads.
pub struct LogWriter {
    lines: Lines,
}

enum Order {
    Line(Vec<u8>),
    /// Tell once all lines before this are written.
    Flush(SyncSender<()>),
}

/// Where the log's formatter puts its lines. Clones share the queue.
#[derive(Clone)]
pub(super) struct Lines {
    orders: SyncSender<Order>,
    /// Bytes of lines that wait.
    waiting: Arc<AtomicUsize>,
    colours: bool,
}

/// One event's line.
pub(super) struct Line<'a>(&'a Lines);

impl LogWriter {
    /// Starts the thread. `colours`: the formatter's colours are left in the lines.
    pub(super) fn start(out: impl Write + Send + 'static, colours: bool) -> io::Result<Self> {
        let (orders, ordered) = sync_channel(MOST_LINES);
        let waiting = Arc::new(AtomicUsize::new(0));
        let lines = Lines { orders, waiting: Arc::clone(&waiting), colours };
        thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &ordered, &waiting))?;
        Ok(Self { lines })
    }

    /// For the formatter.
    pub(super) fn lines(&self) -> Lines {
        self.lines.clone()
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        let (written, all) = sync_channel(1);
        // A queue that is full is that of a reader that does not read.
        if self.lines.orders.try_send(Order::Flush(written)).is_ok() {
            let _ = all.recv_timeout(LAST_LINES);
        }
    }
}

fn write(mut out: impl Write, orders: &Receiver<Order>, waiting: &AtomicUsize) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Line(line) => {
                // Whatever the error is, there is nobody to tell.
                if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                    lost();
                }
                waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            // Who asked may have left.
            Order::Flush(written) => drop(written.try_send(())),
        }
    }
}

fn lost() {
    metrics::counter!(metric::LOG_LINES_LOST_TOTAL).increment(1);
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

impl Write for Line<'_> {
    /// Takes a whole event: the formatter writes each with one call. Never fails and never waits.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let Self(Lines { orders, waiting, colours }) = self;
        let line = escape::line(&String::from_utf8_lossy(event), *colours);
        let size = line.len();
        let fits = waiting.fetch_add(size, Ordering::Relaxed).saturating_add(size) <= MOST_BYTES;
        if !fits || orders.try_send(Order::Line(line)).is_err() {
            waiting.fetch_sub(size, Ordering::Relaxed);
            lost();
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    /// Keeps what is written once `gate` lets it.
    struct Out(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Open for good once its other end is gone.
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn both_formats_write_one_line_for_an_event_whatever_is_in_it() {
        for json in [false, true] {
            for colours in [false, true] {
                let (gate, closed) = channel();
                drop(gate);
                let written = Arc::default();
                let writer = LogWriter::start(Out(closed, Arc::clone(&written)), colours).unwrap();
                let logs = tracing_subscriber::fmt().with_writer(writer.lines()).with_ansi(colours);
                let tell = || {
                    let said = "gone\n2026-01-01T00:00:00Z  INFO forged: \u{1b}[2K\u{85}\u{2028}";
                    tracing::warn!(error = %said, text = said, "upstream: {said}");
                };
                if json {
                    tracing::subscriber::with_default(logs.json().finish(), tell);
                } else {
                    tracing::subscriber::with_default(logs.finish(), tell);
                }
                drop(writer);
                let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
                let breaks = ['\n', '\r', '\u{85}', '\u{2028}'];
                assert_eq!(text.matches(breaks).collect::<String>(), "\n", "{text:?}");
                assert!(!text.contains("\u{1b}[2K"), "{text:?}");
                assert!(text.contains("INFO forged"), "{text:?}");
                assert!(!json || serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text:?}");
            }
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read_and_what_waits_is_bounded() {
        let (gate, closed) = channel::<()>();
        let written = Arc::default();
        let writer = LogWriter::start(Out(closed, Arc::clone(&written)), false).unwrap();
        let lines = writer.lines();
        for _ in 0..3 * MOST_LINES {
            lines.make_writer().write_all(b"a line\n").unwrap();
        }
        let large = vec![b'x'; 2 * MOST_BYTES];
        lines.make_writer().write_all(&large).unwrap();
        assert!(lines.waiting.load(Ordering::Relaxed) <= MOST_BYTES);
        drop(gate);
        // Which may be as long as the queue is.
        drop(writer);
        assert!(written.lock().unwrap().len() <= (MOST_LINES + 1) * "a line\n".len());
    }
}

//! What the code under test logs on this thread.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::subscriber::DefaultGuard;

/// The lines, from when it is made until it is dropped.
pub(crate) struct Logged {
    lines: Lines,
    _logging: DefaultGuard,
    _second: tracing::Dispatch,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    pub(crate) fn here() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let logger = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let logging = tracing::subscriber::set_default(logger);
        // With a second one, tracing asks both whether a line is wanted, whichever thread comes by it first;
        // with one it asks that thread's, and other tests' threads have none.
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        Self { lines, _logging: logging, _second: second }
    }

    pub(crate) fn text(&self) -> String {
        let lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&lines).into_owned()
    }
}

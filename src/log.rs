//! The log: one line for each event, written to standard error by a thread of its own.
//!
//! A log line never stands in the way of what it tells about. A reader of standard error that has gone, or that does not
//! read, costs log lines, which are counted; nothing waits for it, and nothing fails. And one event is one line: what
//! upstream or a client says cannot forge another one.

mod escape;
mod lines;
mod panics;

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Error as ReloadError;

pub use escape::escaped;
pub use lines::LogWriter;

/// Puts another filter in the place of the log's.
pub type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), ReloadError> + Send + Sync>;

/// Starts the log of this process. The lines that wait are written when the value is dropped. Fails if there is a log
/// already, or the system gives no thread.
///
/// `json`: one JSON object a line, else text for people.
pub fn start(filter: EnvFilter, json: bool) -> io::Result<(LogWriter, SetFilter)> {
    // Colours are for people: in a file or a journal they are noise.
    let colours =
        !json && io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let writer = LogWriter::start(io::stderr(), colours)?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer.lines())
        .with_ansi(colours)
        // It would go to standard error by a macro that panics if nobody reads there.
        .log_internal_errors(false);
    let (started, set_filter): (_, SetFilter) = if json {
        let logs = logs.json().with_filter_reloading();
        let handle = logs.reload_handle();
        (logs.try_init(), Box::new(move |filter| handle.reload(filter)))
    } else {
        let logs = logs.with_filter_reloading();
        let handle = logs.reload_handle();
        (logs.try_init(), Box::new(move |filter| handle.reload(filter)))
    };
    started.map_err(io::Error::other)?;
    panics::tell();
    Ok((writer, set_filter))
}

//! Words for people, and objects for machines.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::item::Item;

/// Prints lines to standard output; who has read enough of them (`| head`) is no failure.
pub(super) fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Says something beside the answer.
pub(super) fn note(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}

/// A bar over bytes; nothing where there is no terminal.
pub(super) fn bar(bytes: u64) -> ProgressBar {
    let terminal = io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    // A constant template; the default one would do if it were wrong.
    if let Ok(style) = ProgressStyle::with_template("[{bar:40}] {bytes}/{total_bytes} {msg}, {eta} left") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// `12.3 MiB`.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// The largest unit only: `3d`.
pub(super) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let unit = units.iter().find(|(_, length)| seconds >= *length);
    unit.map_or_else(|| format!("{seconds}s"), |(name, length)| format!("{}{name}", seconds / length))
}

/// One line of a list.
pub(super) fn line(item: &Item, now: SystemTime) -> String {
    let name = match &item.name {
        Some(name) => format!("{}  {}", name.project, name.filename),
        None => format!("-  {}", item.kept.sha256),
    };
    format!(
        "{:>11}  {:>4}  {name}\n",
        size(item.kept.size),
        item.unused(now).map_or_else(|| "?".to_owned(), age)
    )
}

/// The same for machines.
pub(super) fn object(item: &Item) -> Value {
    let name = item.name.as_ref();
    json!({
        "sha256": item.kept.sha256,
        "size": item.kept.size,
        "last_used": unix(item.kept.used),
        "uses": (item.kept.uses * 10.0).round() / 10.0,
        "came": item.kept.came.map(unix),
        "project": name.map(|name| name.project.as_str()),
        "filename": name.map(|name| &name.filename),
        "path": name.map(|name| &name.path),
    })
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

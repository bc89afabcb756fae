//! Panics: each is a fault of ours, so each is counted and logged.

use std::panic::PanicHookInfo;

use crate::metric;

/// From now on a panic is a line of the log and counts in `cheesewire_panics_total`, on whatever thread and in whatever
/// task it happens. With `RUST_BACKTRACE` the usual report comes as well.
pub(super) fn tell() {
    let before = std::panic::take_hook();
    let wants_more = std::env::var_os("RUST_BACKTRACE").is_some_and(|set| set != "0");
    std::panic::set_hook(Box::new(move |panic| {
        metrics::counter!(metric::PANICS_TOTAL).increment(1);
        let thread = std::thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(
            thread = thread.name(),
            place,
            reason = reason(panic),
            "a fault of the relay's: a panic"
        );
        if wants_more {
            before(panic);
        }
    }));
}

fn reason<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("unknown")
}

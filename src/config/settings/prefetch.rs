//! Files fetched in advance.

use super::Reader;
use crate::relay::PrefetchSettings;

pub(super) fn read(reader: &mut Reader) -> PrefetchSettings {
    let mut prefetch = PrefetchSettings::default();
    reader.set(
        "prefetch.rules",
        &mut prefetch.rules,
        "Which announced files are fetched in advance: rules with ; between them, each a project's name or pattern, \
         then newest=N, python=TAG,…, platform=TAG,… or sdist=no to narrow it. Empty: none.",
    );
    reader.bytes(
        "prefetch.bytes_a_day",
        &mut prefetch.bytes_a_day,
        "Most bytes fetched in advance a day (UTC).",
    );
    reader.bytes("prefetch.largest", &mut prefetch.largest, "The largest file fetched in advance.");
    reader.count("prefetch.at_once", &mut prefetch.at_once, "Files fetched in advance at once.");
    reader.count("prefetch.queue", &mut prefetch.queue, "Files that may wait; further ones are left out.");
    reader.count(
        "prefetch.attempts",
        &mut prefetch.attempts,
        "How often a file is tried before it is given up.",
    );
    reader.set(
        "prefetch.shortest_wait",
        &mut prefetch.shortest_wait,
        "The delay after a first failure; it doubles.",
    );
    reader.set("prefetch.longest_wait", &mut prefetch.longest_wait, "The longest delay after failures.");
    prefetch
}

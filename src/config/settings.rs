//! Every setting: its key, its place, its meaning. The defaults stand beside the parts they belong to.

mod http;
mod prefetch;
mod rpc;
mod upstream;

use std::path::{Path, PathBuf};

use url::Url;

use super::reader::Reader;
use super::setting::Filter;
use super::{Config, ConfigError, LogSettings};
use crate::blob::StoreSettings;
use crate::follow::FollowSettings;
use crate::index::IndexSettings;
use crate::journal::JournalSettings;
use crate::model::Clock;
use crate::relay::RelaySettings;

/// Reads all settings; also tells whether an upstream was given.
pub(super) fn read(reader: &mut Reader) -> Result<(Config, bool), ConfigError> {
    let (upstream, given) = upstream::read(reader)?;
    let mut data = PathBuf::from("cheesewire-data");
    reader.set("data.folder", &mut data, "The folder for journal and cache; made if missing. It belongs to the first upstream that it is used with.");
    let private = [Some(&upstream.base), upstream.simple.as_ref()].into_iter().flatten().any(has_credentials);
    let (http, mut rpc, feed) = (http::http(reader, private), rpc::rpc(reader), rpc::feed(reader));
    let (journal, follow, mut index) = (journal(reader), follow(reader), index(reader));
    rpc::search(reader, &mut rpc.search, &mut index.learn);
    let (store, relay, prefetch) = (store(reader, &data), relay(reader), prefetch::read(reader));
    let log = log(reader);
    let mut config =
        Config { upstream, data, http, rpc, feed, journal, follow, index, relay, prefetch, store, log };
    config.set_clock(&Clock::system());
    Ok((config, given))
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn journal(reader: &mut Reader) -> JournalSettings {
    let mut journal = JournalSettings::default();
    reader.bytes(
        "journal.documents_bytes",
        &mut journal.documents_bytes,
        "Most bytes of kept index pages and JSON documents, compressed. Past it the least recently checked go.",
    );
    reader.count(
        "journal.tombstones",
        &mut journal.tombstones,
        "Removed, quarantined and absent files that are remembered; past it the oldest go.",
    );
    reader.bytes(
        "journal.answers_bytes",
        &mut journal.answers_bytes,
        "Most bytes of kept answers to relayed calls, compressed. Past it the least recently checked go.",
    );
    reader.bytes(
        "journal.names_bytes",
        &mut journal.names_bytes,
        "Most bytes of names in memory, as events spell them, with what finds them. Those beyond are looked up for each row.",
    );
    reader.count("journal.readers", &mut journal.readers, "Threads that read at once.");
    reader.count("journal.queue", &mut journal.queue, "Writes that may wait for the writer.");
    reader.set(
        "journal.leap_floor",
        &mut journal.leap_floor,
        "How far beyond the one before a last serial of upstream's is not doubted, and again for each day without a word \
         of upstream's.",
    );
    reader.set(
        "journal.leap_factor",
        &mut journal.leap_factor,
        "How many times faster than before it may rise meanwhile without being doubted.",
    );
    journal
}

fn follow(reader: &mut Reader) -> FollowSettings {
    let mut follow = FollowSettings::default();
    reader.set(
        "follow.enabled",
        &mut follow.follow,
        "Whether upstream's changelog is polled. If not, upstream is asked only what clients need.",
    );
    reader.set("follow.interval", &mut follow.interval, "From one poll to the next.");
    reader.set(
        "follow.head_lifetime",
        &mut follow.head_lifetime,
        "How long after a poll without more news an empty changelog is given out; then upstream is asked first.",
    );
    reader.set(
        "follow.source",
        &mut follow.source,
        "Where events come from: changelog, listings (compared with each other), or auto: the changelog, and listings \
         as long as upstream has no XML-RPC.",
    );
    reader.set(
        "follow.history",
        &mut follow.history,
        "What happened before the first start: none, or all to fetch it in the background, some 12 minutes of PyPI's.",
    );
    reader.set(
        "follow.calls_retry",
        &mut follow.calls_retry,
        "How long an upstream without XML-RPC is believed to have none.",
    );
    reader.set(
        "follow.calls_doubt",
        &mut follow.calls_doubt,
        "How long calls that were answered before must fail as if there were no XML-RPC until that is believed; and how \
         long upstream's last serial must be lower than it was until upstream is taken for restored from an older copy.",
    );
    reader.set(
        "follow.leap_pause",
        &mut follow.leap_pause,
        "How long after a last serial far beyond the pace of before upstream is asked again (see journal.leap_floor).",
    );
    reader.set(
        "follow.listing_interval",
        &mut follow.listing_interval,
        "From one comparison of listings to the next.",
    );
    reader.set(
        "follow.small_index",
        &mut follow.small_index,
        "If listings are compared and have at most so many projects, each page is looked at once in advance; where serials \
         say nothing, by each comparison. If there are more such projects, the changelog is refused.",
    );
    reader.set(
        "follow.pages_at_once",
        &mut follow.pages_at_once,
        "Pages of changed projects that a comparison fetches at once.",
    );
    reader.set(
        "follow.page_attempts",
        &mut follow.page_attempts,
        "How often a page is asked for that is older than its listing says, or fails.",
    );
    reader.set(
        "follow.listing_lifetime",
        &mut follow.listing_lifetime,
        "Without polling, how long a listing of all projects is believed.",
    );
    reader.set(
        "follow.shortest_wait",
        &mut follow.shortest_wait,
        "The first wait after a failure; it doubles.",
    );
    reader.set("follow.longest_wait", &mut follow.longest_wait, "The longest wait after failures.");
    follow
}

fn index(reader: &mut Reader) -> IndexSettings {
    let mut index = IndexSettings::default();
    reader.set(
        "index.page_max_age",
        &mut index.page_max_age,
        "How long a project page is current without asking.",
    );
    reader.set("index.json_max_age", &mut index.json_max_age, "The same for a document of the JSON API.");
    reader.set(
        "index.stale_if_error",
        &mut index.stale_if_error,
        "How old a page or document may be that is given out because upstream fails.",
    );
    reader.set(
        "index.patience",
        &mut index.patience,
        "How long a client waits for upstream before it gets a page that is kept; the fetch goes on.",
    );
    reader.set(
        "index.deadline",
        &mut index.deadline,
        "How long it waits if none is kept, also for the list of projects, before it is told to come back.",
    );
    reader.set(
        "index.failure_pause",
        &mut index.failure_pause,
        "After a failure of upstream's the same page is not asked for again for so long.",
    );
    reader.set(
        "index.behind_pause",
        &mut index.behind_pause,
        "How long a page is believed that upstream serves older than its own changelog says.",
    );
    reader.set(
        "index.older_after",
        &mut index.older_after,
        "How long after a page upstream must go on giving one with a lower serial until that is believed.",
    );
    reader.set(
        "index.absent_max_age",
        &mut index.absent_max_age,
        "How long upstream's \"no such project\" is remembered; its 404s count towards its rate limit.",
    );
    reader.set("index.absent_entries", &mut index.absent_entries, "How many absences are remembered.");
    reader.set(
        "index.absent_metadata_max_age",
        &mut index.absent_metadata_max_age,
        "How long metadata (PEP 658) that upstream advertises and answers 404 to is not asked for or advertised again.",
    );
    reader.set(
        "index.asked_files",
        &mut index.asked_files,
        "If a JSON document is made of a page: up to how many of its files that have no size or time there are asked for \
         it at their server.",
    );
    reader.set(
        "index.unknown_poll_age",
        &mut index.unknown_poll_age,
        "Where upstream's changelog is followed, an unknown name is not there if a poll that began at most so long ago did \
         not tell of it; else it first has upstream polled.",
    );
    reader.set(
        "index.unknown_wait",
        &mut index.unknown_wait,
        "How long unknown names wait for one poll, together.",
    );
    reader.set(
        "index.unknown_per_second",
        &mut index.unknown_per_second,
        "Names that upstream's listing lacks and that it is asked for all the same, a second: where listings are compared, or \
         upstream was not heard lately.",
    );
    reader.count(
        "index.unknown_burst",
        &mut index.unknown_burst,
        "How many of them may be asked for at once after a rest.",
    );
    reader.set(
        "index.unknown_waiting",
        &mut index.unknown_waiting,
        "How many of them may wait for their turn; one more is told to come back.",
    );
    reader.bytes("index.parsed_bytes", &mut index.parsed_bytes, "Parsed pages and documents in memory.");
    reader.bytes(
        "index.rendered_bytes",
        &mut index.rendered_bytes,
        "Rendered pages and documents in memory.",
    );
    index
}

fn store(reader: &mut Reader, data: &Path) -> StoreSettings {
    let mut store = StoreSettings::new(data.join("files"));
    reader.set("cache.folder", &mut store.folder, "The folder for package files.");
    reader.bytes(
        "cache.max_bytes",
        &mut store.max_bytes,
        "Most bytes of kept files. Past it those go that were used least and longest ago.",
    );
    reader.bytes("cache.free_floor", &mut store.free_floor, "Bytes of the file system that are left free.");
    reader.bytes("cache.hot_bytes", &mut store.hot_bytes, "Most bytes of small files in memory.");
    reader.bytes("cache.hot_file", &mut store.hot_file, "The largest file that is held in memory.");
    reader.count(
        "cache.maps",
        &mut store.maps,
        "Larger files that stay mapped between requests; each takes a descriptor.",
    );
    reader.bytes(
        "cache.mapped_bytes",
        &mut store.mapped_bytes,
        "Bytes of a mapped file that may count as memory of this process.",
    );
    reader.count("cache.readers", &mut store.readers, "Threads that read kept files at once.");
    reader.set(
        "cache.half_life",
        &mut store.half_life,
        "After so long a use counts half: a file used 2^n times is kept n half-lives longer than one used once. It counts \
         less long where all bytes are exchanged twice in a shorter time.",
    );
    reader.set(
        "cache.tending",
        &mut store.tending,
        "How often recency is written back and the floor is looked at.",
    );
    store
}

fn relay(reader: &mut Reader) -> RelaySettings {
    let mut relay = RelaySettings::default();
    reader.bytes(
        "relay.holdback",
        &mut relay.holdback,
        "Bytes at the end of a file that no client gets before size and digest are right.",
    );
    reader.room(
        "relay.own_buffer",
        &mut relay.own_buffer,
        "Bytes that each answer may always read ahead of its socket.",
    );
    reader.bytes(
        "relay.pool",
        &mut relay.pool,
        "Bytes that all answers together may read ahead beyond that.",
    );
    reader.room("relay.pool_buffer", &mut relay.pool_buffer, "Bytes of one read into that pool.");
    reader.room(
        "relay.window",
        &mut relay.window,
        "Bytes of a large kept file that are looked for in memory, and handed to a socket, in one go.",
    );
    reader.room(
        "relay.batch",
        &mut relay.batch,
        "Bytes of an arriving file that are hashed and written in one go.",
    );
    reader.count(
        "relay.transfers",
        &mut relay.transfers,
        "Files transferred from upstream at once; further ones wait. No host has more than three \
         quarters of these turns, and no client more than half.",
    );
    reader.count(
        "relay.directs",
        &mut relay.directs,
        "Files without a known digest that are passed straight through at once; further ones wait, and the same shares hold.",
    );
    reader.count(
        "relay.flights",
        &mut relay.flights,
        "Files wanted from upstream at once, waiting ones included; who would start one more is told to come back.",
    );
    reader.set(
        "relay.resumes",
        &mut relay.resumes,
        "How often in a row a transfer that breaks off is taken up again without progress.",
    );
    reader.bytes(
        "relay.resume_progress",
        &mut relay.resume_progress,
        "Bytes that count as progress: after as many the resumptions are counted anew.",
    );
    reader.set(
        "relay.resume_pause",
        &mut relay.resume_pause,
        "The pause before that; it doubles, to 10 s at most.",
    );
    reader.set(
        "relay.absent_max_age",
        &mut relay.absent_max_age,
        "How long upstream's 404 to a file that its index names is remembered.",
    );
    reader.set("relay.gone_max_age", &mut relay.gone_max_age, "The same of a 410.");
    reader.bytes("relay.max_file", &mut relay.max_file, "The largest file that is taken from upstream.");
    relay
}

fn log(reader: &mut Reader) -> LogSettings {
    let mut log = LogSettings::default();
    reader.set(
        "log.format",
        &mut log.format,
        "text for people, json for machines. Logs go to standard error.",
    );
    let mut filter = Filter(log.filter);
    reader.set(
        "log.filter",
        &mut filter,
        "A level (error, warn, info, debug, trace), or levels by module: info,cheesewire::http=debug.",
    );
    log.filter = filter.0;
    log
}

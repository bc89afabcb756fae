//! The settings of calls: methods, feeds, search.

use std::num::NonZeroU32;

use crate::config::reader::Reader;
use crate::index::LearnSettings;
use crate::rpc::{FeedSettings, RpcSettings, SearchSettings};

pub(super) fn rpc(reader: &mut Reader) -> RpcSettings {
    let mut rpc = RpcSettings::default();
    reader.set(
        "rpc.deadline",
        &mut rpc.deadline,
        "The time within which a call is answered, if need be with a fault that says when to come back. The oldest \
         clients wait for 5 s.",
    );
    reader.set(
        "rpc.longest_deadline",
        &mut rpc.longest_deadline,
        "The longest that a caller may ask for with ?deadline=SECONDS after the path.",
    );
    reader.count("rpc.depth", &mut rpc.depth, "Deepest nesting of a call's elements.");
    reader.count(
        "rpc.changelog_rows",
        &mut rpc.changelog_rows,
        "Most events in one answer by serial or with a limit. PyPI gives 50,000.",
    );
    reader.count(
        "rpc.uncut_rows",
        &mut rpc.uncut_rows,
        "Most events in one answer of changelog(since) without a limit, which is not cut; beyond it is a fault.",
    );
    reader.set(
        "rpc.poll_age",
        &mut rpc.poll_age,
        "A question by time without a limit first has upstream polled if the last poll began longer ago.",
    );
    reader.set(
        "rpc.clock_slack",
        &mut rpc.times.slack,
        "By how much callers' clocks may differ: a question by time also gets what became known so long before.",
    );
    reader.set(
        "rpc.page_rows",
        &mut rpc.page_rows,
        "Most events that one changelog_page with a filter looks through.",
    );
    reader.set(
        "rpc.changed_rows",
        &mut rpc.changed_rows,
        "Most events that one changed_packages or updated_releases looks through; beyond it they refuse.",
    );
    reader.set(
        "rpc.step_back",
        &mut rpc.times.step_back,
        "How far an event's time may lie before that of an earlier one; questions by time rely on it.",
    );
    reader.set(
        "rpc.settle",
        &mut rpc.times.settle,
        "How long after a second changelog with a limit still waits for events of that second. A longer time also \
         catches events that upstream adds late.",
    );
    reader.set(
        "rpc.second_rows",
        &mut rpc.times.second_rows,
        "Most events of one second, which changelog with a limit cannot cut.",
    );
    reader.count("rpc.multicall_calls", &mut rpc.multicall_calls, "Most calls of one system.multicall.");
    reader.count(
        "rpc.multicall_at_once",
        &mut rpc.multicall_at_once,
        "How many calls of a system.multicall are prepared at once.",
    );
    reader.set(
        "rpc.relayed_max_age",
        &mut rpc.relayed_max_age,
        "How long upstream's answer to browse, user_packages or package_roles is current.",
    );
    reader.set(
        "rpc.relayed_stale",
        &mut rpc.relayed_stale,
        "How old such an answer may be that is given out because upstream is limited, down or slow.",
    );
    reader.bytes(
        "rpc.relayed_bytes",
        &mut rpc.relayed_bytes,
        "Such answers in memory; all are in the journal.",
    );
    reader.bytes("rpc.memo_bytes", &mut rpc.memo_bytes, "Bulk answers kept in memory.");
    reader.bytes("rpc.memo_entry", &mut rpc.memo_entry, "The largest of them.");
    rpc
}

pub(super) fn feed(reader: &mut Reader) -> FeedSettings {
    let mut feed = FeedSettings::default();
    reader.set(
        "feed.subscribers",
        &mut feed.subscribers,
        "Subscribers of the feed at once; one more is told to come back.",
    );
    reader.room("feed.buffer", &mut feed.buffer, "Bytes of events that are read ahead for a subscriber.");
    reader.set(
        "feed.keep_alive",
        &mut feed.keep_alive,
        "From one sign of life to the next where nothing happens.",
    );
    reader.set(
        "feed.patience",
        &mut feed.patience,
        "How long a subscriber may take for one buffer before it is cut; it comes back where it was.",
    );
    reader.set(
        "feed.first_wait",
        &mut feed.first_wait,
        "How long a new subscriber waits for a missing slice before it is told to come back.",
    );
    feed
}

pub(super) fn search(reader: &mut Reader, search: &mut SearchSettings, learn: &mut LearnSettings) {
    reader.set(
        "search.crawl",
        &mut learn.crawl,
        "Whether the JSON documents of all projects are read for search, in the background.",
    );
    reader.set(
        "search.documents_per_second",
        &mut learn.documents_per_second,
        "Documents a second that are read for search alone: by a crawl, only while nothing else is asked of upstream, and \
         as many for searches.",
    );
    reader.set(
        "search.learn_hits",
        &mut search.learn_hits,
        "Of how many unknown hits, from the first, a search has the documents read; 0 for none. It waits for them, within \
         its deadline.",
    );
    reader.count(
        "search.documents_at_once",
        &mut learn.at_once,
        "How many documents are read at once for searches that wait.",
    );
    let mut burst = learn.burst.get();
    reader.count(
        "search.documents_burst",
        &mut burst,
        "How many they may have read without a pause, before search.documents_per_second counts; others are read \
         afterwards.",
    );
    learn.burst = NonZeroU32::new(burst).unwrap_or(learn.burst);
    reader.count(
        "search.waiting",
        &mut learn.waiting,
        "Hits that may wait for their documents; further ones are left until they are found again.",
    );
    reader.set(
        "search.crawl_pause",
        &mut learn.pause,
        "From the end of a crawl to the next, which reads what has changed.",
    );
    reader.bytes("search.text_bytes", &mut learn.text_bytes, "Most bytes of a text that are learned.");
    reader.bytes(
        "search.description_bytes",
        &mut learn.description_bytes,
        "Most bytes of a description that are learned, from its beginning.",
    );
    reader.count("search.words", &mut search.words, "Most words of one search; more are refused.");
    reader.count(
        "search.looked_at",
        &mut search.looked_at,
        "Most projects that are looked at where one condition finds them and another decides.",
    );
}

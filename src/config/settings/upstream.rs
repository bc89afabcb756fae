//! The settings of what is asked upstream.

use url::Url;

use super::super::setting::Setting;
use super::super::{ConfigError, pip};
use super::Reader;
use crate::model::redacted;
use crate::upstream::UpstreamSettings;

/// What stands in place of an upstream that was not given, until that is complained about.
const UNSET: &str = "http://unset.invalid/";

/// How the index is named.
#[derive(Debug, Clone)]
enum Address {
    /// The one that the local pip is set to.
    Pip,
    /// This one.
    Url(Url),
}

impl Setting for Address {
    const EXPECTED: &'static str = "an address such as http://index.test/ (or https), or pip";
    fn read(text: &str) -> Option<Self> {
        if text == "pip" { Some(Self::Pip) } else { Url::read(text).map(Self::Url) }
    }
    fn write(&self) -> String {
        match self {
            Self::Pip => "pip".to_owned(),
            Self::Url(url) => url.write(),
        }
    }
}

/// Whom to ask and how; also tells whether an upstream was given.
pub(super) fn read(reader: &mut Reader) -> Result<(UpstreamSettings, bool), ConfigError> {
    let mut address: Option<Address> = None;
    let complaints = reader.complaints();
    reader.set(
        "upstream.url",
        &mut address,
        "The package index that this relay serves: its address, or that of its /simple/ or of whatever its projects lie \
         directly below, or pip for the index that the local pip is set to. User and password in it become Basic authentication.",
    );
    // A bad address was given too: it has its complaint already.
    let given = address.is_some() || reader.complaints() > complaints;
    let text = match address {
        None => UNSET.to_owned(),
        Some(Address::Pip) => pip::index()?,
        Some(Address::Url(url)) => url.into(),
    };
    let base = Url::read(&text).ok_or_else(|| {
        ConfigError::one(format!("upstream.url = {}: expected {}", redacted(&text), Url::EXPECTED))
    })?;
    let mut upstream = UpstreamSettings::new(base);
    reader.set(
        "upstream.simple",
        &mut upstream.simple,
        "The simple index, where neither /simple/ below upstream.url nor that address itself is one; which of the two it \
         is, the first answers tell.",
    );
    reader.set(
        "upstream.allowed_hosts",
        &mut upstream.allowed_hosts,
        "Where links and redirects of the index may lead besides its own host and port and the public internet: hosts, each \
         with or without a port, and networks, such as files.corp.test:8080, 10.1.0.0/16. None, so that nobody who may \
         write a page can read what is beside the relay.",
    );
    reader.set(
        "upstream.contact",
        &mut upstream.contact,
        "Whom upstream may write to about this relay, such as an e-mail address; part of User-Agent.",
    );
    reader.set(
        "upstream.calls_per_second",
        &mut upstream.calls_per_second,
        "XML-RPC calls a second, all callers together. PyPI calls one polite and refuses many more.",
    );
    reader.count(
        "upstream.waiting_calls",
        &mut upstream.waiting_calls,
        "XML-RPC calls that may wait for their turn, polls not counted; one more is refused, or one of the client that has \
         most of them.",
    );
    reader.count(
        "upstream.fetches_at_once",
        &mut upstream.fetches_at_once,
        "Pages and documents that are fetched at once, package files not counted; no host has more than three quarters of \
         them, and no client more than half.",
    );
    reader.set(
        "upstream.waiting_fetches",
        &mut upstream.waiting_fetches,
        "Such fetches that may wait for their turn; one more is refused, or one of the client that has most of them.",
    );
    slow(reader, &mut upstream);
    reader.set("upstream.connect_timeout", &mut upstream.connect_timeout, "Longest wait for a connection.");
    reader.set(
        "upstream.read_timeout",
        &mut upstream.read_timeout,
        "Longest silence between bytes. PyPI's slowest call takes 10 to 15 s before its first.",
    );
    reader.set(
        "upstream.answer_timeout",
        &mut upstream.answer_timeout,
        "Longest time for a whole answer that is not a file.",
    );
    sizes(reader, &mut upstream);
    reader.set(
        "upstream.retries",
        &mut upstream.retries,
        "How often a GET that failed on the way or with a 5xx is asked again.",
    );
    Ok((upstream, given))
}

/// What upstream may send, and what that may take in memory.
fn sizes(reader: &mut Reader, upstream: &mut UpstreamSettings) {
    reader.bytes(
        "upstream.page_limit",
        &mut upstream.page_limit,
        "Most bytes of a project page or JSON document.",
    );
    reader.bytes(
        "upstream.reading_bytes",
        &mut upstream.reading_bytes,
        "Most bytes of large pages and documents that are read at once.",
    );
    reader.bytes(
        "upstream.document_memory",
        &mut upstream.document_memory,
        "Most memory that a page or document may take once it was read.",
    );
    reader.count(
        "upstream.listing_projects",
        &mut upstream.listing_projects,
        "Most projects of the listing.",
    );
    reader.bytes(
        "upstream.listing_limit",
        &mut upstream.listing_limit,
        "Most bytes of the listing of all projects.",
    );
    reader.bytes("upstream.call_limit", &mut upstream.call_limit, "Most bytes of an XML-RPC answer.");
}

/// Waiting, and transfers that are too slow.
fn slow(reader: &mut Reader, upstream: &mut UpstreamSettings) {
    reader.set(
        "upstream.turn_timeout",
        &mut upstream.turn_timeout,
        "Longest wait for the turn of a page, a document or a file; then the client is told to come back.",
    );
    reader.set(
        "upstream.least_rate",
        &mut upstream.least_rate,
        "Bytes a second below which a transfer is slow: it is dropped if nobody waits for it, or if others need its turn. 0: \
         none is.",
    );
    reader.set("upstream.rate_window", &mut upstream.rate_window, "The time over which that rate is taken.");
    reader.set(
        "upstream.longest_slow",
        &mut upstream.longest_slow,
        "How long a transfer that somebody waits for may be slow before others get its turn, though its host and its client \
         have no more than their share; and a listing or a call, though nobody needs its turn.",
    );
}

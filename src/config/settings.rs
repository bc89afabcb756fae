//! All groups of settings, in the order of the template, and what settings say of each other.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::log::LogSettings;
use super::reader::Reader;
use super::{ConfigError, address};
use crate::blob::StoreSettings;
use crate::bundle::BundleSettings;
use crate::follow::FollowSettings;
use crate::http::{Cors, HttpSettings};
use crate::index::IndexSettings;
use crate::journal::JournalSettings;
use crate::model::{Clock, settings};
use crate::push::{HostPort, Hosts, LeastRate, PushSettings};
use crate::relay::{PrefetchSettings, RelaySettings};
use crate::rpc::{FeedSettings, RpcSettings};
use crate::signing::SigningSettings;
use crate::stats::StatsSettings;
use crate::tls::TlsSettings;
use crate::tokens::TokenSettings;
use crate::upstream::UpstreamSettings;

/// A century: longer than anything is kept, and no sum with it overflows.
const FOR_EVER: Duration = Duration::from_hours(24 * 36_525);

settings! {
    /// Where what is kept is.
    struct DataSettings in "data" {
        /// The folder for journal and cache; made if missing. It belongs to the first upstream that it is used with.
        folder: PathBuf = PathBuf::from("cheesewire-data"),
    }
}

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// The package index to serve.
    pub upstream: UpstreamSettings,
    /// Journal and cache are below it.
    pub data: PathBuf,
    /// The edge.
    pub http: HttpSettings,
    /// Encrypted connections.
    pub tls: TlsSettings,
    /// Who may ask.
    pub auth: TokenSettings,
    /// The methods.
    pub rpc: RpcSettings,
    /// The feed.
    pub feed: FeedSettings,
    /// The journal's limits.
    pub journal: JournalSettings,
    /// How upstream is followed.
    pub follow: FollowSettings,
    /// Pages and documents.
    pub index: IndexSettings,
    /// Signatures of pages.
    pub signing: SigningSettings,
    /// Files on their way.
    pub relay: RelaySettings,
    /// Files fetched in advance.
    pub prefetch: PrefetchSettings,
    /// Files between relays.
    pub push: PushSettings,
    /// Kept files.
    pub store: StoreSettings,
    /// Downloads.
    pub stats: StatsSettings,
    /// Whose bundles are taken.
    pub bundle: BundleSettings,
    /// The logs.
    pub log: LogSettings,
}

impl Config {
    /// Puts one clock in the place of all others, which are the system's.
    pub fn set_clock(&mut self, clock: &Clock) {
        let places = [
            &mut self.journal.clock,
            &mut self.store.clock,
            &mut self.stats.clock,
            &mut self.upstream.clock,
            &mut self.http.listener.clock,
            &mut self.tls.clock,
            &mut self.push.clock,
        ];
        for place in places {
            *place = clock.clone();
        }
    }
}

/// Reads all settings; also tells whether an upstream was given.
pub(super) fn read(reader: &mut Reader) -> Result<(Config, bool), ConfigError> {
    let (mut upstream, given) = address::read(reader)?;
    upstream.visit(reader);
    let mut data = DataSettings::default();
    data.visit(reader);
    let private = [Some(&upstream.base), upstream.simple.as_ref()].into_iter().flatten().any(has_credentials);
    let mut config = Config {
        upstream,
        http: http(reader, private),
        tls: tls(reader),
        auth: TokenSettings::default(),
        rpc: RpcSettings::default(),
        feed: FeedSettings::default(),
        journal: JournalSettings::default(),
        follow: FollowSettings::default(),
        index: IndexSettings::default(),
        signing: SigningSettings::default(),
        relay: RelaySettings::default(),
        prefetch: PrefetchSettings::default(),
        push: PushSettings::default(),
        store: StoreSettings::new(data.folder.join("files")),
        stats: StatsSettings::default(),
        bundle: BundleSettings::default(),
        log: LogSettings::default(),
        data: data.folder,
    };
    config.auth.visit(reader);
    config.rpc.visit(reader);
    config.feed.visit(reader);
    config.journal.visit(reader);
    config.follow.visit(reader);
    config.index.visit(reader);
    config.signing.visit(reader);
    // One section of two parts.
    config.index.learn.visit(reader);
    config.rpc.search.visit(reader);
    config.store.visit(reader);
    config.relay.visit(reader);
    config.prefetch.visit(reader);
    push(reader, &mut config);
    config.stats.visit(reader);
    config.bundle.visit(reader);
    config.log.visit(reader);
    if config.upstream.bundled {
        bundled(reader, &mut config);
    }
    config.set_clock(&Clock::system());
    Ok((config, given))
}

/// There is no upstream: what was imported is as good as it gets, however old it is, and nobody is there to be asked.
fn bundled(reader: &mut Reader, config: &mut Config) {
    let index = &mut config.index;
    for age in [&mut index.page_max_age, &mut index.json_max_age, &mut index.stale_if_error] {
        *age = FOR_EVER;
    }
    (config.rpc.relayed_max_age, config.rpc.relayed_stale) = (FOR_EVER, FOR_EVER);
    let asks = [
        ("push.from", config.push.from.is_some()),
        ("push.hosts", config.push.hosts != Hosts::default()),
        ("stats.collect", !config.stats.collect.0.is_empty()),
        ("search.crawl", config.index.learn.crawl),
    ];
    for (key, _) in asks.into_iter().filter(|(_, is_set)| *is_set) {
        reader.complain(format!(
            "{key}: upstream.url = bundle is for machines without a network, where nobody is asked; take one of them out"
        ));
    }
}

/// A mirror has a name by which it is reached.
fn push(reader: &mut Reader, config: &mut Config) {
    let push = &mut config.push;
    push.visit(reader);
    push.least = LeastRate { bytes: config.upstream.least_rate, window: config.upstream.rate_window };
    if push.from.is_some() && push.host.is_none() {
        push.host = config.http.public_url.as_ref().and_then(HostPort::of);
        if push.host.is_none() {
            let complaint = "push.from is set and push.host is not: set it to the HOST:PORT by which that relay reaches this one, \
                             or set http.public_url";
            reader.complain(complaint.to_owned());
        }
    }
    if push.only && push.from.is_none() {
        reader.complain(
            "push.only = true: nobody is asked for files; set push.from to the relay that is".to_owned(),
        );
    }
}

/// One without the other encrypts nothing.
fn tls(reader: &mut Reader) -> TlsSettings {
    let mut tls = TlsSettings::default();
    tls.visit(reader);
    match (&tls.certificate, &tls.key) {
        (Some(_), None) => {
            reader.complain(
                "tls.certificate is set and tls.key is not: set it to the file of its private key".to_owned(),
            );
        }
        (None, Some(_)) => {
            reader.complain(
                "tls.key is set and tls.certificate is not: set it to the file of its certificate".to_owned(),
            );
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    tls
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// `private`: upstream is asked with credentials. Then no web page may read what it has unless it is listed.
fn http(reader: &mut Reader, private: bool) -> HttpSettings {
    let mut http = HttpSettings::default();
    if private {
        http.cors = Cors::Only(vec![]);
    }
    http.visit(reader);
    if private && http.cors == Cors::Any {
        let complaint = "http.cors = *: upstream is asked with user and password, so list the origins of the web pages that \
                         may read what it has";
        reader.complain(complaint.to_owned());
    }
    http
}

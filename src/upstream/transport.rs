//! Requests and their answers: who we say we are, what is repeated, how much is read, what is counted.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode};
use tokio::sync::watch;
use url::Url;

use super::addresses::Addresses;
use super::coding::decoded;
use super::links::{Links, Routes};
use super::pace::{self, Pace};
use super::rests::{Pass, Rests};
use super::room::{Room, Share};
use super::throttle::{LONGEST_SILENCE, Throttle};
use super::turns::Turns;
use super::{Skipped, UpstreamError, UpstreamSettings, tls};
use crate::metric;
use crate::model::Clock;
use crate::requester::Requesters;

/// How often it is noted, while a body waits for room, that upstream is not to blame: shorter than any window of its rate.
const UNBLAMED: Duration = Duration::from_secs(1);
/// How many times as long the memory for a large body gets each time: a full changelog page grows once.
const GROWTH: usize = 16;

/// The first pause before a GET is repeated; it doubles, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The wait after a 429 without `Retry-After`.
pub(super) const UNSAID_RETRY: Duration = Duration::from_secs(30);

/// What a request is for; the `kind` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    Listing,
    Page,
    Json,
    Provenance,
    Metadata,
    File,
    /// Of another mirror.
    Mirror,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Listing => "listing",
            Self::Page => "page",
            Self::Json => "json",
            Self::Provenance => "provenance",
            Self::Metadata => "metadata",
            Self::File => "file",
            Self::Mirror => "mirror",
        }
    }

    /// The word for what it shares turns with; a listing has none to wait for.
    fn pool(self) -> &'static str {
        match self {
            Self::Call => "calls",
            Self::Listing => "listings",
            Self::Page | Self::Json | Self::Provenance | Self::Metadata | Self::File | Self::Mirror => {
                "pages"
            }
        }
    }

    pub(super) fn count(self, outcome: &'static str) {
        metrics::counter!(metric::UPSTREAM_REQUESTS_TOTAL, "kind" => self.label(), "outcome" => outcome)
            .increment(1);
    }

    /// Bytes have come of the answer that this task reads.
    pub(super) fn count_bytes(self, bytes: usize) {
        pace::brought(bytes);
        metrics::counter!(metric::UPSTREAM_BYTES_TOTAL, "kind" => self.label()).increment(bytes as u64);
    }
}

/// Everything that requests share.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) settings: UpstreamSettings,
    pub(super) addresses: Addresses,
    pub(super) links: Links,
    pub(super) throttle: Throttle,
    /// Of pages and documents.
    turns: Turns,
    pub(super) rests: Rests,
    pub(super) room: Room,
    /// What the last listing had that could not be used: it is told once.
    pub(super) skipped: Mutex<Skipped>,
    /// Answers that are waited for, files not counted.
    busy: watch::Sender<usize>,
    /// Asks for gzip.
    pages: Routes,
    /// As `pages`; what it sends is not redirected: a POST would come out as a GET.
    calls: Client,
    /// Asks for no coding: what a file's digest is about are the bytes on the wire.
    files: Routes,
    /// For other relays: nothing of the index's.
    pub(super) peers: Client,
    tls: rustls::ClientConfig,
    agent: String,
}

impl Transport {
    pub(super) fn new(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        let addresses = Addresses::new(&settings.base, settings.simple.as_ref())?;
        let links = Links::new(&settings, &addresses);
        let throttle = Throttle::new(settings.calls_per_second, settings.waiting_calls)?;
        let agent = match &settings.contact {
            Some(contact) => format!("cheesewire/{} (+{contact})", env!("CARGO_PKG_VERSION")),
            None => concat!("cheesewire/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let tls = tls::config()?;
        // It also bounds the time that a request's body takes.
        let common = || common(&settings, &tls, &agent).read_timeout(settings.read_timeout);
        let build = |builder: ClientBuilder| {
            builder
                .build()
                .map_err(|_| UpstreamError::Settings("a contact or a TLS setting that no client can use"))
        };
        let coded = || {
            let gzip = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
            common().default_headers(gzip)
        };
        let routes = |builder: &dyn Fn() -> ClientBuilder| {
            // A proxy would resolve the names, so what is to be filtered does not go through one.
            let filtered = builder().dns_resolver(links.resolver()).no_proxy();
            Ok::<_, UpstreamError>(Routes { open: build(builder())?, filtered: build(filtered)? })
        };
        let (pages, calls, files) = (routes(&coded)?, build(coded())?, routes(&common)?);
        let peers = build(self::common(&settings, &tls, &agent))?;
        let turns = settings.turns("pages", settings.fetches_at_once, settings.waiting_fetches);
        let rests = Rests::new();
        let room = Room::new(settings.reading_bytes.max(settings.page_limit));
        let skipped = Mutex::default();
        let busy = watch::Sender::new(0);
        Ok(Self {
            settings,
            addresses,
            links,
            throttle,
            turns,
            rests,
            room,
            skipped,
            busy,
            pages,
            calls,
            files,
            peers,
            tls,
            agent,
        })
    }

    /// Fails if there is nobody to be asked: everything that sends a question asks this first.
    pub(super) fn check(&self) -> Result<(), UpstreamError> {
        if self.settings.bundled { Err(UpstreamError::Bundled) } else { Ok(()) }
    }

    /// A client that is still to be built, with our manners.
    pub(super) fn common(&self) -> ClientBuilder {
        common(&self.settings, &self.tls, &self.agent)
    }

    pub(super) fn get(&self, kind: Kind, url: &Url) -> RequestBuilder {
        let client = &self.clients(kind).open;
        self.authorized(client.get(self.without_user(url)), url)
    }

    /// What sends questions that are no calls.
    pub(super) fn clients(&self, kind: Kind) -> &Routes {
        match kind {
            // Their digests are about the bytes as they are sent.
            Kind::File | Kind::Metadata | Kind::Mirror => &self.files,
            Kind::Call | Kind::Listing | Kind::Page | Kind::Json | Kind::Provenance => &self.pages,
        }
    }

    /// A question for what a GET of a file would say of it.
    pub(super) fn head(&self, url: &Url) -> RequestBuilder {
        self.authorized(self.files.open.head(self.without_user(url)), url)
    }

    pub(super) fn post(&self, url: &Url) -> RequestBuilder {
        self.authorized(self.calls.post(url.clone()), url)
    }

    fn authorized(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        match self.authorization(url) {
            Some(own) => request.header(AUTHORIZATION, own),
            None => request,
        }
    }

    /// What goes with a question to the index's own origin.
    pub(super) fn authorization(&self, url: &Url) -> Option<HeaderValue> {
        self.addresses.authorization(url).cloned()
    }

    /// A link without the user and password that a page wrote into it, where they must not be sent: unencrypted where the
    /// index is not, or in place of the index's own.
    pub(super) fn without_user(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if self.links.is_downgrade(&url) || self.addresses.authorization(&url).is_some() {
            // Both succeed: it has a host.
            let _ = (url.set_username(""), url.set_password(None));
        }
        url
    }

    /// Repeats a fetch that failed on the way, a few times. Only for what may be repeated.
    pub(super) async fn repeated<T, F>(&self, fetch: impl FnMut() -> F) -> Result<T, UpstreamError>
    where
        F: Future<Output = Result<T, UpstreamError>>,
    {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_times(self.settings.retries)
            .with_jitter();
        fetch
            .retry(pauses)
            .when(UpstreamError::worth_repeating)
            .notify(|error, pause| tracing::debug!(%error, ?pause, "asking upstream again"))
            .await
    }

    /// Waits until nobody waits for an answer.
    pub(super) async fn idle(&self) {
        // Its sender is ours.
        let _ = self.busy.subscribe().wait_for(|answers| *answers == 0).await;
    }

    /// Runs what belongs to one answer of `url` within the time for a whole answer, and counts how it ended. What is
    /// no call waits for a turn first, and is not asked at all while the address or its host rests. One that is slow and
    /// that nobody waits for ends, and one whose turn is needed.
    pub(super) async fn timed<T>(
        &self,
        kind: Kind,
        url: &Url,
        answer: impl Future<Output = Result<T, UpstreamError>>,
        outcome: impl FnOnce(&T) -> &'static str,
    ) -> Result<T, UpstreamError> {
        self.check()?;
        let _busy = Busy::new(&self.busy);
        // On the heap: it is handed on a few times, and each would be as large.
        let answer = Box::pin(answer);
        let requesters = Requesters::current();
        // A call has waited for its turn already, and there are rests of its own for it.
        let pass = if kind == Kind::Call { None } else { Some(self.rests.pass(url).await?) };
        let turn = match kind {
            // There is one listing at a time, which pages must not keep from coming.
            Kind::Call | Kind::Listing => None,
            Kind::Page | Kind::Json | Kind::Provenance | Kind::Metadata | Kind::File | Kind::Mirror => {
                let turn = self.turns.take(url, &requesters).await?;
                // It may have been refused meanwhile.
                self.rests.check(url)?;
                Some(turn)
            }
        };
        let own = || Arc::new(Pace::new(kind.pool(), self.settings.least()));
        let pace = turn.as_ref().map_or_else(own, |turn| turn.pace().clone());
        let overdue = async {
            if let Some(turn) = &turn {
                turn.overdue(|| !requesters.wait()).await;
            } else {
                pace.slow(|slow| slow >= self.settings.longest_slow).await;
                metrics::counter!(metric::UPSTREAM_DROPPED_TOTAL, "pool" => kind.pool(), "reason" => "slow")
                    .increment(1);
            }
        };
        let started = std::time::Instant::now();
        let answer = tokio::time::timeout(self.settings.answer_timeout, pace::measured(pace.clone(), answer));
        let result = tokio::select! {
            biased;
            answer = answer => answer.unwrap_or(Err(UpstreamError::TimedOut)),
            () = overdue => Err(UpstreamError::TimedOut),
        };
        if let Some(pass) = &pass {
            self.settle(url, pass, &result);
        }
        metrics::histogram!(metric::UPSTREAM_SECONDS, "kind" => kind.label()).record(started.elapsed());
        kind.count(match &result {
            Ok(value) => outcome(value),
            Err(error) => error.outcome(),
        });
        result
    }

    /// Remembers what an answer says of its address and its host.
    pub(super) fn settle<T>(&self, url: &Url, pass: &Pass<'_>, result: &Result<T, UpstreamError>) {
        if let Err(UpstreamError::Limited { retry }) = result {
            self.rests.rest(url, *retry);
        }
        pass.ended(result);
    }
}

/// What all clients have.
fn common(settings: &UpstreamSettings, tls: &rustls::ClientConfig, agent: &str) -> ClientBuilder {
    Client::builder()
        .use_preconfigured_tls(tls.clone())
        .user_agent(agent)
        .connect_timeout(settings.connect_timeout)
        .referer(false)
        .tcp_nodelay(true)
        // Each is a link that has to be looked at.
        .redirect(Policy::none())
}

/// Counts an answer as waited for, as long as it lives.
struct Busy<'a>(&'a watch::Sender<usize>);

impl<'a> Busy<'a> {
    fn new(busy: &'a watch::Sender<usize>) -> Self {
        busy.send_modify(|answers| *answers += 1);
        Self(busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|answers| *answers -= 1);
    }
}

impl Transport {
    /// Sends what is no call; after a 429 the host that gave it rests, which after a redirect is not the one that was asked.
    pub(super) async fn fetch(&self, kind: Kind, request: RequestBuilder) -> Result<Response, UpstreamError> {
        // On the heap: nearly everything waits for one, and would be as large.
        let response = Box::pin(self.send_following(kind, request)).await?;
        pace::answered();
        let url = response.url().clone();
        sorted(response, self.settings.clock.system_time()).inspect_err(|error| self.rests.heed(&url, error))
    }
}

/// Sends a request; statuses that are no success are errors, 304 is not.
pub(super) async fn send(request: RequestBuilder, clock: &Clock) -> Result<Response, UpstreamError> {
    let response = request.send().await.map_err(UpstreamError::from_transport)?;
    pace::answered();
    sorted(response, clock.system_time())
}

/// Statuses that are no success are errors, 304 is not.
pub(super) fn sorted(response: Response, now: SystemTime) -> Result<Response, UpstreamError> {
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(UpstreamError::Absent(response.status().as_u16())),
        StatusCode::TOO_MANY_REQUESTS => {
            let retry = retry_after(response.headers(), now).unwrap_or(UNSAID_RETRY);
            Err(UpstreamError::Limited { retry: retry.min(LONGEST_SILENCE) })
        }
        status if status.is_success() || status == StatusCode::NOT_MODIFIED => Ok(response),
        status => Err(UpstreamError::Status(status.as_u16())),
    }
}

/// `Retry-After`, in seconds or as a date, which is by upstream's own clock if that says `Date`.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER.as_str())?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| httpdate::parse_http_date(text).ok();
    let now = header(headers, DATE.as_str()).and_then(date).unwrap_or(now);
    // One that has passed asks for no wait.
    Some(date(text)?.duration_since(now).unwrap_or(Duration::ZERO))
}

/// Reads a body of at most `limit` bytes. It takes no room, so it is for what is small or has a turn of its own.
pub(super) async fn read(response: Response, kind: Kind, limit: usize) -> Result<Bytes, UpstreamError> {
    Ok(read_in(None, response, kind, limit).await?.0)
}

/// The same of a body that has to have room once it is large.
pub(super) async fn read_in(
    room: Option<&Room>,
    response: Response,
    kind: Kind,
    limit: usize,
) -> Result<(Bytes, Share), UpstreamError> {
    // Of a coded body it is not known before its end.
    let coded = response.headers().contains_key(CONTENT_ENCODING);
    let stated = response.content_length().filter(|_| !coded).and_then(|length| usize::try_from(length).ok());
    let mut chunks = decoded(response)?;
    let (mut body, mut share, mut room_for) = (BytesMut::new(), Share::default(), Room::FREE);
    while let Some(chunk) = chunks.try_next().await? {
        kind.count_bytes(chunk.len());
        let length = body.len() + chunk.len();
        if length > limit {
            return Err(UpstreamError::TooLarge(limit));
        }
        if length > room_for {
            if let Some(room) = room {
                room_for = stated.unwrap_or_else(|| room.step(length)).clamp(length, limit);
                // Not while it has some: another might wait for that, and have what this one needs.
                drop(share);
                let mut taken = std::pin::pin!(room.take(room_for));
                share = loop {
                    match tokio::time::timeout(UNBLAMED, &mut taken).await {
                        Ok(share) => break share,
                        // It is not upstream that is slow meanwhile.
                        Err(_) => pace::answered(),
                    }
                };
                pace::answered();
            } else {
                room_for = stated.unwrap_or(length.saturating_mul(GROWTH)).clamp(length, limit);
            }
            // Seldom: while it grows it is there twice. What is not written to takes no memory.
            body.reserve(room_for.saturating_sub(body.len()));
        }
        body.extend_from_slice(&chunk);
    }
    let share = share.shrink(body.len());
    Ok((body.freeze(), share))
}

/// A header's text; none if it has bytes that are no ASCII text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The media type without parameters, in lower case; `""` if upstream says none.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = header(headers, CONTENT_TYPE.as_str()).unwrap_or("");
    value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase()
}

/// The `charset` of the content type.
pub(super) fn charset(headers: &HeaderMap) -> Option<String> {
    let value: mime::Mime = header(headers, CONTENT_TYPE.as_str())?.parse().ok()?;
    value.get_param(mime::CHARSET).map(|charset| charset.as_str().to_owned())
}

/// Shared by every clone of the door.
pub(super) type Shared = Arc<Transport>;

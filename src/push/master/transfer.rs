//! One transfer: asks the mirror what it wants, and sends it that, or the word that it was deleted.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use metrics::counter;
use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};
use url::Url;

use super::Inner;
use crate::index::IndexError;
use crate::metric;
use crate::model::FilePath;
use crate::push::{HostPort, LeastRate, UPLOADS, secret};
use crate::relay::{Conditions, Content, FetchError, FileAnswer, RelayError, Served};
use crate::requester::Requester;
use crate::upstream::{Peer, PeerError, UpstreamError};

/// Most bytes of the mirror's answer: a path has at most 1024.
const LONGEST_ANSWER: usize = 4 << 10;
/// The longest time for the mirror's answer, and to find its address.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest time for the mirror's word on a file that has been sent: it has to be on its disk.
const ACCEPTANCE: Duration = Duration::from_mins(2);

/// How a transfer ended without a word of the mirror's on a file. Says nothing of secrets.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("its name leads nowhere: {0}")]
    Unknown(String),
    #[error("its name leads to an address that is not public; push.hosts has to list that address and port")]
    Private,
    #[error("{0}")]
    Peer(#[from] PeerError),
    #[error("its answer is not a path and an address")]
    Answer,
    #[error("the upload is to go to another host")]
    OtherHost,
    #[error("the file cannot be had: {0}")]
    NoFile(String),
    #[error("it takes the file too slowly")]
    TooSlow,
}

/// What is sent.
enum Sent {
    File(Content, u64),
    Deleted,
}

/// Where an upload goes, and what it is about.
struct Order {
    path: FilePath,
    address: Url,
}

impl Inner {
    /// Runs it, whatever comes of it.
    pub(super) async fn transfer(&self, host: &HostPort, secret: &str) {
        let outcome = match self.try_transfer(host, secret).await {
            Ok((outcome, path, status)) => {
                info!(%host, %path, outcome, status, "a mirror was sent what it asked for");
                if status == 302 { outcome } else { "refused" }
            }
            Err(failure) => {
                warn!(%host, %failure, "a mirror cannot be sent what it asked for");
                failure.word()
            }
        };
        counter!(metric::PUSH_TRANSFERS_TOTAL, "outcome" => outcome).increment(1);
    }

    async fn try_transfer(
        &self,
        host: &HostPort,
        secret: &str,
    ) -> Result<(&'static str, FilePath, u16), Failure> {
        // Once: all that follows goes there, whatever the name leads to by then.
        let at = self.resolve(host).await?;
        let peer = self.upstream.peer(host.host(), at)?;
        let question = address(host, &format!("{UPLOADS}{secret}")).ok_or(Failure::Answer)?;
        let answer = peer.get(&question, LONGEST_ANSWER, PATIENCE).await?;
        let Order { path, address } = Order::read(&answer, host)?;
        let sent = Requester::Client(at.ip()).run(self.look_up(&path)).await?;
        let outcome = if matches!(sent, Sent::Deleted) { "deleted" } else { "sent" };
        let status = send(&peer, &address, secret, &path, sent, self.settings.least).await?;
        Ok((outcome, path, status))
    }

    /// An address of the mirror's that may be written to.
    async fn resolve(&self, host: &HostPort) -> Result<SocketAddr, Failure> {
        let found = timeout(PATIENCE, lookup_host((host.host(), host.port()))).await;
        let found = found.map_err(|_| Failure::Unknown("no answer in time".to_owned()))?;
        let mut any = false;
        for at in found.map_err(|error| Failure::Unknown(error.to_string()))? {
            if self.settings.hosts.may_reach(at) {
                return Ok(at);
            }
            any = true;
        }
        Err(if any { Failure::Private } else { Failure::Unknown("no address".to_owned()) })
    }

    /// The file at the path, from the cache or on its way from upstream; or that upstream's index of now does not name it, or
    /// its host has it no more.
    async fn look_up(&self, path: &FilePath) -> Result<Sent, Failure> {
        // Its size may be known only once it is here.
        for _ in 0..2 {
            let served = match self.relay.open(path, &Conditions::default()).await {
                Ok(served) => served,
                Err(error) => return self.why_not(path, error).await,
            };
            let Served { size, answer: FileAnswer::Whole(content), .. } = served else {
                return Err(Failure::NoFile("it is not whole".to_owned()));
            };
            if let Some(size) = size {
                return Ok(Sent::File(content, size));
            }
            let mut content = content.into_stream();
            while let Some(piece) = content.next().await {
                piece.map_err(|error| Failure::NoFile(error.to_string()))?;
            }
            self.relay.settled(path).await;
        }
        Err(Failure::NoFile("nobody states its size".to_owned()))
    }

    async fn why_not(&self, path: &FilePath, error: RelayError) -> Result<Sent, Failure> {
        match error {
            RelayError::Gone(_)
            | RelayError::Fetch(FetchError::Upstream(UpstreamError::Absent(_)) | FetchError::Deleted) => {
                Ok(Sent::Deleted)
            }
            // A page that is kept may be old, and upstream not to be asked.
            RelayError::Index(IndexError::NoSuchFile) if self.relay.is_unnamed(path).await => {
                Ok(Sent::Deleted)
            }
            error => Err(Failure::NoFile(error.to_string())),
        }
    }
}

impl Failure {
    /// The word in metrics.
    fn word(&self) -> &'static str {
        match self {
            Self::Unknown(_) | Self::Peer(_) => "unreachable",
            Self::Private => "private",
            Self::Answer => "malformed",
            Self::OtherHost => "other_host",
            Self::NoFile(_) => "no_file",
            Self::TooSlow => "too_slow",
        }
    }
}

impl Order {
    /// Two lines: a path below `/packages/`, and an address on the mirror's own host.
    fn read(answer: &[u8], host: &HostPort) -> Result<Self, Failure> {
        let text = std::str::from_utf8(answer).map_err(|_| Failure::Answer)?;
        let mut lines = text.lines();
        let (Some(path), Some(address), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(Failure::Answer);
        };
        let path = FilePath::parse(path).map_err(|_| Failure::Answer)?;
        let address: Url = address.parse().map_err(|_| Failure::Answer)?;
        if !host.has(&address) {
            return Err(Failure::OtherHost);
        }
        Ok(Self { path, address })
    }
}

fn address(host: &HostPort, path: &str) -> Option<Url> {
    format!("http://{host}{path}").parse().ok()
}

/// How a form that is being sent gets on.
#[derive(Default)]
struct Progress {
    /// Bytes that were taken.
    taken: AtomicU64,
    /// The file itself is waited for: the mirror is not to blame.
    starving: AtomicBool,
    /// All was taken.
    ended: AtomicBool,
}

/// Sends the form; what the mirror answers, whatever that is.
async fn send(
    peer: &Peer,
    address: &Url,
    secret: &str,
    path: &FilePath,
    sent: Sent,
    least: LeastRate,
) -> Result<u16, Failure> {
    let boundary = secret::fresh().map_err(|error| Failure::NoFile(error.to_string()))?;
    let presence = if matches!(sent, Sent::Deleted) { "deleted" } else { "present" };
    let head = head(&boundary, secret, path, presence);
    let tail = format!("\r\n--{boundary}--\r\n");
    let size = if let Sent::File(_, size) = &sent { *size } else { 0 };
    let length = head.len() as u64 + size + tail.len() as u64;
    let content = match sent {
        Sent::File(content, _) => Some(content),
        Sent::Deleted => None,
    };
    let progress = Arc::new(Progress::default());
    let body = body(head.into(), content, tail.into(), progress.clone());
    let content_type = format!("multipart/form-data; boundary={boundary}");
    tokio::select! {
        biased;
        status = peer.post(address, &content_type, length, body) => Ok(status?),
        () = stalled(&progress, least) => Err(Failure::TooSlow),
    }
}

/// All of the form before the file's bytes.
fn head(boundary: &str, secret: &str, path: &FilePath, presence: &str) -> String {
    let value = |name: &str, value: &dyn fmt::Display| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let filename = path.as_str().replace('"', "%22");
    [
        value("secret", &secret),
        value("path", path),
        value(presence, &1),
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n"),
        "Content-Type: application/octet-stream\r\n\r\n".to_owned(),
    ]
    .concat()
}

/// The form's bytes as they are taken.
fn body(
    head: Bytes,
    content: Option<Content>,
    tail: Bytes,
    progress: Arc<Progress>,
) -> impl Stream<Item = Result<Bytes, RelayError>> + Send + 'static {
    let content = content.map(Content::into_stream);
    let content = stream::iter(content).flatten();
    let ends = |bytes| stream::iter([Ok(bytes)]);
    let pieces = Box::pin(ends(head).chain(content).chain(ends(tail)));
    stream::unfold((pieces, progress), |(mut pieces, progress)| async move {
        progress.starving.store(true, Relaxed);
        let piece = pieces.next().await;
        progress.starving.store(false, Relaxed);
        match &piece {
            Some(Ok(bytes)) => {
                progress.taken.fetch_add(bytes.len() as u64, Relaxed);
            }
            Some(Err(error)) => debug!(%error, "a file that is pushed broke off"),
            None => progress.ended.store(true, Relaxed),
        }
        Some((piece?, (pieces, progress)))
    })
}

/// Ready when the mirror takes less than the least rate, or has taken all and says nothing.
async fn stalled(progress: &Progress, least: LeastRate) {
    let mut before = 0;
    loop {
        sleep(least.window).await;
        if progress.ended.load(Relaxed) {
            return sleep(ACCEPTANCE).await;
        }
        let taken = progress.taken.load(Relaxed);
        if least.bytes > 0 && !progress.starving.load(Relaxed) && taken - before < least.least() {
            return;
        }
        before = taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Result<(String, String), String> {
        let order = Order::read(answer.as_bytes(), &"mirror.test:81".parse().unwrap());
        order
            .map(|order| (order.path.to_string(), order.address.to_string()))
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_answer_is_a_path_and_an_address_on_the_mirror_itself() {
        let right = Ok(("source/a/a/a-1.zip".to_owned(), "http://mirror.test:81/u/1".to_owned()));
        for answer in [
            "source/a/a/a-1.zip\nhttp://mirror.test:81/u/1",
            "source/a/a/a-1.zip\nhttp://mirror.test:81/u/1\n",
            "source/a/a/a-1.zip\r\nhttp://MIRROR.test:81/u/1\r\n",
        ] {
            assert_eq!(read(answer), right, "{answer}");
        }
        for odd in [
            "",
            "a-1.zip",
            "a-1.zip\nhttp://mirror.test:81/\n\n",
            "/a-1.zip\nhttp://mirror.test:81/",
            "../a\nhttp://mirror.test:81/",
            "a-1.zip\nu/1",
        ] {
            assert_eq!(read(odd), Err(Failure::Answer.to_string()), "{odd:?}");
        }
        for other in [
            "http://other.test:81/",
            "http://mirror.test/",
            "https://mirror.test:81/",
            "http://u:p@mirror.test:81/",
        ] {
            assert_eq!(read(&format!("a-1.zip\n{other}")), Err(Failure::OtherHost.to_string()), "{other}");
        }
    }
}

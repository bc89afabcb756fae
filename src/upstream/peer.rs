//! Other relays, by the same client as the index: who is asked to push files here, and to whom files are pushed
//! (docs/push.md). They are not the index: neither its budget nor its credentials are for them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::transport::retry_after;
use super::{Upstream, UpstreamError};
use crate::model::innermost;

/// Why another relay did not do what it was asked to. Carries no address: that may have a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No success.
    #[error("it answered {status}")]
    Status {
        /// What it answered.
        status: u16,
        /// `Retry-After`.
        retry: Option<Duration>,
    },
    /// No connection, or it was lost before the end of the answer.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// No whole answer in time.
    #[error("it took too long")]
    TimedOut,
    /// More bytes than an answer may have.
    #[error("its answer has more than {0} bytes")]
    TooLarge(usize),
    /// Ours: no client can be made.
    #[error("{0}")]
    Settings(String),
}

/// One relay at one address, whatever its name leads to meanwhile.
#[derive(Debug)]
pub struct Peer(Client);

impl Upstream {
    /// A question whose answer is its status. No redirect is followed.
    pub async fn ask_peer(&self, url: &Url, longest: Duration) -> Result<(), PeerError> {
        self.check_peers()?;
        let clock = &self.transport.settings.clock;
        let asked = timeout_at(Instant::now() + longest, self.transport.peers.get(url.clone()).send()).await;
        let response = asked.map_err(|_| PeerError::TimedOut)?.map_err(PeerError::of)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let retry = retry_after(response.headers(), clock.system_time());
        Err(PeerError::Status { status: status.as_u16(), retry })
    }

    /// As for the index: where there is none, nobody is asked.
    fn check_peers(&self) -> Result<(), PeerError> {
        self.transport.check().map_err(|error| PeerError::Settings(error.to_string()))
    }

    /// The relay that is reached by plain HTTP under this name, at this address and no other. No proxy is asked, and no redirect
    /// is followed.
    pub fn peer(&self, host: &str, at: SocketAddr) -> Result<Peer, PeerError> {
        self.check_peers()?;
        // A connection that the other side is about to close takes no upload.
        let client = self.transport.common().no_proxy().resolve(host, at).pool_max_idle_per_host(0);
        client.build().map(Peer).map_err(|error| PeerError::Settings(innermost(&error)))
    }
}

impl Peer {
    /// The whole body of a 200, which has at most `most` bytes and comes within `longest`.
    pub async fn get(&self, url: &Url, most: usize, longest: Duration) -> Result<Bytes, PeerError> {
        let read = async {
            let response = self.0.get(url.clone()).send().await.map_err(PeerError::of)?;
            if response.status().as_u16() != 200 {
                return Err(PeerError::Status { status: response.status().as_u16(), retry: None });
            }
            bounded(response, most).await
        };
        timeout_at(Instant::now() + longest, read).await.unwrap_or(Err(PeerError::TimedOut))
    }

    /// Sends a body of `length` bytes; what is answered, as a status. How long it may take is the caller's affair.
    pub async fn post<E>(
        &self,
        url: &Url,
        content_type: &str,
        length: u64,
        body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Result<u16, PeerError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let request =
            self.0.post(url.clone()).header(CONTENT_TYPE, content_type).header(CONTENT_LENGTH, length);
        let response = request.body(reqwest::Body::wrap_stream(body)).send().await.map_err(PeerError::of)?;
        Ok(response.status().as_u16())
    }
}

async fn bounded(mut response: Response, most: usize) -> Result<Bytes, PeerError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(PeerError::of)? {
        if body.len() + piece.len() > most {
            return Err(PeerError::TooLarge(most));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}

impl PeerError {
    /// From the client's error, without its address.
    fn of(error: reqwest::Error) -> Self {
        match UpstreamError::from_transport(error) {
            UpstreamError::TimedOut => Self::TimedOut,
            UpstreamError::Unreachable(reason) | UpstreamError::Broken(reason) => Self::Unreachable(reason),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::UpstreamSettings;

    /// A server that answers each request with these pieces, a pause between them, and its address.
    async fn server(pieces: Vec<&'static str>, pause: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let pieces = pieces.clone();
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    let _ = stream.read(&mut head).await;
                    for piece in pieces {
                        if stream.write_all(piece.as_bytes()).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(pause).await;
                    }
                });
            }
        });
        at
    }

    /// A peer by a name that leads nowhere: whatever it leads to is not asked.
    fn peer(at: SocketAddr) -> (Peer, Url) {
        let upstream = Upstream::new(UpstreamSettings::new("http://index.test/".parse().unwrap())).unwrap();
        let url = format!("http://mirror.test:{}/mkupload/s", at.port()).parse().unwrap();
        (upstream.peer("mirror.test", at).unwrap(), url)
    }

    const LONG: Duration = Duration::from_mins(5);

    #[tokio::test]
    async fn all_requests_go_to_the_address_that_was_resolved_whatever_the_name_leads_to() {
        let at = server(vec!["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"], Duration::ZERO).await;
        let (peer, url) = peer(at);
        for _ in 0..2 {
            assert_eq!(peer.get(&url, 2, LONG).await.unwrap(), "ok");
        }
        let body = || futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"abc"))]);
        assert_eq!(peer.post(&url, "text/plain", 3, body()).await, Ok(200));
    }

    #[tokio::test]
    async fn an_answer_that_drips_ends_and_one_that_is_too_long_is_not_read() {
        let drip = vec!["HTTP/1.1 200 OK\r\n\r\n"; 1].into_iter().chain(["x"; 1000]).collect();
        let (peer, url) = self::peer(server(drip, Duration::from_millis(20)).await);
        assert_eq!(peer.get(&url, 4096, Duration::from_millis(300)).await, Err(PeerError::TimedOut));
        let long = vec!["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"];
        let (peer, url) = self::peer(server(long, Duration::ZERO).await);
        assert_eq!(peer.get(&url, 4, LONG).await, Err(PeerError::TooLarge(4)));
    }

    #[tokio::test]
    async fn only_a_200_is_an_answer_and_no_redirect_is_followed() {
        for (status, code) in
            [("302 Found\r\nLocation: http://127.0.0.1:1/", 302), ("204 No", 204), ("404 No", 404)]
        {
            let answer: &'static str = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").leak();
            let (peer, url) = peer(server(vec![answer], Duration::ZERO).await);
            assert_eq!(peer.get(&url, 9, LONG).await, Err(PeerError::Status { status: code, retry: None }));
        }
    }
}

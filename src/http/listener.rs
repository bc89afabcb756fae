//! Accepts connections, bounds them in number and in patience, and drains them at the end.

use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connections::Connections;
use super::date::Dates;
use super::deadline::deadline;
use super::edge::{Edge, Inbound};
use super::timeouts::{Phase, TimedStream, Timeouts};
use crate::model::{Clock, Setting, settings};

/// The pause after a failed accept. The usual cause is that the process is out of file descriptors; without
/// a pause the loop would spin until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The smallest limit on a request's head that hyper takes.
const LEAST_HEADER_BYTES: usize = 8192;

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 takes any free one.
    pub address: SocketAddr,
    /// The time within which calls that arrive here are answered, instead of `rpc.deadline`: clients that wait
    /// longer get a listener of their own.
    pub deadline: Option<Duration>,
}

impl FromStr for Listen {
    type Err = ();

    /// `127.0.0.1:3141`, or with a deadline in seconds `127.0.0.1:3141?deadline=9`, as on a request's path. See
    /// [`socket_address`].
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, query) = text.split_once('?').map_or((text, None), |(at, query)| (at, Some(query)));
        let deadline = deadline(query)?;
        if query.is_some() && deadline.is_none() {
            return Err(());
        }
        Ok(Self { address: socket_address(address).ok_or(())?, deadline })
    }
}

/// An address and port to listen on; `3141` and `localhost:3141` are `127.0.0.1:3141`.
pub fn socket_address(text: &str) -> Option<SocketAddr> {
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some((Ipv4Addr::LOCALHOST, port.parse().ok()?).into());
    }
    text.parse().ok()
}

/// One address at least, with commas between several.
impl Setting for Vec<Listen> {
    const EXPECTED: &'static str = "an address and port such as 127.0.0.1:3141, or a port alone, several with commas between them, each \
                                    with ?deadline=SECONDS if it has its own";
    fn read(text: &str) -> Option<Self> {
        text.split(',').map(|one| one.trim().parse().ok()).collect()
    }
    fn write(&self) -> String {
        let all: Vec<String> = self.iter().map(ToString::to_string).collect();
        all.join(", ")
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.deadline.map_or(Ok(()), |deadline| write!(f, "?deadline={}", deadline.as_secs_f64()))
    }
}

settings! {
    /// Limits of connections.
    #[derive(Debug, Clone)]
    pub struct ListenerSettings in "http" {
        /// Connections served at once; with one more, the one goes that has waited longest for its client.
        ///
        /// By all listeners, about 100 MB at worst. While all are busy, more wait in the kernel's queue.
        max_connections: usize as Count = 4096,
        /// Most bytes of a request's line and headers; at least 8 KiB.
        ///
        /// Four times what the largest known clients send; all connections together may hold 256 MiB of unfinished heads.
        header_limit: usize as Bytes = 64 << 10,
        /// How long which phase of a connection may take.
        patience: Timeouts as Group = Timeouts::default(),
        /// How long running requests may go on after the order to stop.
        drain: Duration = Duration::from_secs(30),
        /// The clock of `Date`.
        clock: Clock as Internal = Clock::system(),
    }
}

/// Serves `edge` on each listener, bound as its [`Listen`] says, until `stop`; then lets running requests end within the
/// drain time.
pub async fn serve(
    mut listeners: Vec<(TcpListener, Listen)>,
    edge: Edge,
    settings: &ListenerSettings,
    stop: &CancellationToken,
) {
    let (edge, begun) = (Arc::new(edge), Instant::now());
    let mut connections = Connections::new(settings.max_connections);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listeners, &mut connections) => accepted,
        };
        // Each has its turn, however many come to another.
        listeners.rotate_left(1);
        let (stream, caller, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let stream = TimedStream::new(stream, settings.patience, begun);
        let phase = stream.phase();
        let connection = connection(stream, edge.clone(), caller, settings);
        connections.admit(permit, phase, async move {
            // Broken connections are the client's affair.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listeners);
    if tokio::time::timeout(settings.drain, connections.leave()).await.is_err() {
        tracing::warn!(after = ?settings.drain, "requests still running were cut at the drain deadline");
    }
}

async fn accept(
    listeners: &[(TcpListener, Listen)],
    connections: &mut Connections,
) -> std::io::Result<(TcpStream, Inbound, OwnedSemaphorePermit)> {
    // A new connection is accepted first and room is made for it then: no other is closed for nothing.
    let waiting = listeners.iter().map(|(listener, _)| Box::pin(listener.accept()));
    let (accepted, at, _) = select_all(waiting).await;
    let (stream, peer) = accepted?;
    // Without it, answers of two writes wait for the peer's delayed acknowledgement: 0.7 k/s instead of 60.
    stream.set_nodelay(true)?;
    let deadline = listeners.get(at).and_then(|(_, listen)| listen.deadline);
    Ok((stream, Inbound { peer: peer.ip(), deadline }, connections.make_room().await))
}

fn connection(
    stream: TimedStream<TcpStream>,
    edge: Arc<Edge>,
    inbound: Inbound,
    settings: &ListenerSettings,
) -> impl Future<Output = hyper::Result<()>> + Send + use<> {
    let (phase, dates) = (stream.phase(), Dates::new(&settings.clock));
    if let Some(stats) = edge.counted_by() {
        phase.sending().count(stats.clone());
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (edge, phase, dates) = (edge.clone(), phase.clone(), dates.clone());
        async move {
            phase.set(Phase::Busy);
            Ok::<_, Infallible>(edge.answer(inbound, request, &dates, phase).await)
        }
    });
    hyper::server::conn::http1::Builder::new()
        // Without a timer: the socket has its own patience, which costs a busy connection nothing.
        .max_buf_size(settings.header_limit.max(LEAST_HEADER_BYTES))
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_back_as_they_are_written_and_each_must_be_one() {
        for text in ["127.0.0.1:3141", "127.0.0.1:0, [::1]:3142?deadline=9", "0.0.0.0:1?deadline=2.5"] {
            assert_eq!(Vec::<Listen>::read(text).map(|read| read.write()).as_deref(), Some(text));
        }
        for (text, read) in [
            ("3141", "127.0.0.1:3141"),
            ("localhost:0?deadline=2, 80", "127.0.0.1:0?deadline=2, 127.0.0.1:80"),
        ] {
            assert_eq!(Vec::<Listen>::read(text).map(|read| read.write()).as_deref(), Some(read));
        }
        for text in [
            "",
            "+1",
            "65536",
            "localhost",
            "127.0.0.1",
            "127.0.0.1:1,",
            "127.0.0.1:1?deadline=0",
            "127.0.0.1:1?dedline=3",
        ] {
            assert!(Vec::<Listen>::read(text).is_none(), "{text}");
        }
    }
}

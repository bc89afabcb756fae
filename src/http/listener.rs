//! Accepts connections, bounds them in number and in patience, and drains them at the end.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::select_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::clients::{Role, Turns};
use super::connections::Connections;
use super::date::Dates;
use super::deadline::deadline;
use super::edge::{Edge, Inbound};
use super::encrypted::Encryption;
use super::http1;
use super::http2::Http2;
use super::sending::Taken;
use super::timeouts::{SharedPhase, TimedStream, Timeouts};
use crate::model::{Clock, Setting, settings};
use crate::tls::TlsSettings;

/// The pause after a failed accept. The usual cause is that the process is out of file descriptors; without
/// a pause the loop would spin until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 takes any free one.
    pub address: SocketAddr,
    /// The time within which calls that arrive here are answered, instead of `rpc.deadline`: clients that wait
    /// longer get a listener of their own.
    pub deadline: Option<Duration>,
    /// It speaks HTTP in the clear, also where there is a certificate: for masters that push, for probes of health, and for a proxy
    /// on this machine.
    pub plain: bool,
    /// Whoever comes by it may look at the metrics.
    pub admin: bool,
}

impl Listen {
    /// A listener at an address, without anything of its own.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, deadline: None, plain: false, admin: false }
    }
}

impl FromStr for Listen {
    type Err = ();

    /// `127.0.0.1:3141`, or with a deadline in seconds `127.0.0.1:3141?deadline=9`, as on a request's path, and with `plain` and
    /// `admin` likewise: `127.0.0.1:3142?plain&admin`. See [`socket_address`].
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, query) = text.split_once('?').map_or((text, None), |(at, query)| (at, Some(query)));
        let mut listen = Self::at(socket_address(address).ok_or(())?);
        for word in query.into_iter().flat_map(|query| query.split('&')) {
            let place = match word {
                "plain" => &mut listen.plain,
                "admin" => &mut listen.admin,
                _ if listen.deadline.is_none() => {
                    listen.deadline = Some(deadline(Some(word))?.ok_or(())?);
                    continue;
                }
                _ => return Err(()),
            };
            if std::mem::replace(place, true) {
                return Err(());
            }
        }
        Ok(listen)
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
                                    with ?deadline=SECONDS, ?plain or ?admin (several with & between) if it has its own";
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
        let deadline = self.deadline.map(|deadline| format!("deadline={}", deadline.as_secs_f64()));
        let word = |is: bool, word: &str| is.then(|| word.to_owned());
        let words = [deadline, word(self.plain, "plain"), word(self.admin, "admin")].into_iter().flatten();
        let mut mark = '?';
        for word in words {
            write!(f, "{mark}{word}")?;
            mark = '&';
        }
        Ok(())
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
        /// Requests that one connection of HTTP/2 may have at once. All such connections together may have as many as
        /// http.max_connections.
        ///
        /// RFC 9113 recommends no less than 100; uv has 50.
        streams_at_once: usize as Count = 100,
        /// How long which phase of a connection may take.
        patience: Timeouts as Group = Timeouts::default(),
        /// How long running requests may go on after the order to stop.
        drain: Duration = Duration::from_secs(30),
        /// The clock of `Date`.
        clock: Clock as Internal = Clock::system(),
    }
}

/// Serves `edge` on each listener, bound as its [`Listen`] says, until `stop`; then lets running requests end within the
/// drain time. `tls`: what encrypts the connections of all that are not plain, if they are to be encrypted.
pub async fn serve(
    mut listeners: Vec<(TcpListener, Listen)>,
    edge: Edge,
    settings: &ListenerSettings,
    tls: Option<(TlsAcceptor, TlsSettings)>,
    stop: &CancellationToken,
) {
    let (edge, begun) = (Arc::new(edge), Instant::now());
    let encryption = tls.map(|(acceptor, tls)| Arc::new(encryption(acceptor, &tls, settings)));
    let mut connections = Connections::new(settings.max_connections);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listeners, &mut connections) => accepted,
        };
        // Each has its turn, however many come to another.
        listeners.rotate_left(1);
        let (stream, inbound, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Some(encryption) = encryption.as_ref().filter(|_| inbound.encrypted) {
            let phase = SharedPhase::new(begun, Taken::ByEncryption);
            let connection = encryption.clone().serve(stream, edge.clone(), inbound, phase.clone());
            connections.admit(permit, phase, connection.map(ended));
            continue;
        }
        let inbound = Inbound { encrypted: false, ..inbound };
        let phase = SharedPhase::new(begun, Taken::BySystem);
        let stream = TimedStream::new(stream, settings.patience, phase.clone());
        let dates = Dates::new(&settings.clock);
        let connection = http1::serve(stream, edge.clone(), inbound, dates, settings.header_limit);
        connections.admit(permit, phase, connection.map(ended));
    }
    drop(listeners);
    if tokio::time::timeout(settings.drain, connections.leave()).await.is_err() {
        tracing::warn!(after = ?settings.drain, "requests still running were cut at the drain deadline");
    }
}

/// Broken connections are the client's affair.
fn ended<E: fmt::Display>(connection: Result<(), E>) {
    if let Err(error) = connection {
        tracing::debug!(%error, "a connection ended");
    }
}

fn encryption(acceptor: TlsAcceptor, tls: &TlsSettings, settings: &ListenerSettings) -> Encryption {
    let ListenerSettings { patience, header_limit, .. } = *settings;
    Encryption {
        acceptor,
        handshake: tls.handshake_timeout,
        turns: Turns::new(tls.handshakes_at_once),
        patience,
        header_limit,
        clock: settings.clock.clone(),
        http2: Http2 {
            patience,
            header_limit,
            streams: settings.streams_at_once,
            room: Arc::new(Semaphore::new(settings.max_connections)),
        },
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
    let listen = listeners.get(at).map(|(_, listen)| *listen);
    let is = |what: fn(Listen) -> bool| listen.is_some_and(what);
    let inbound = Inbound {
        peer: peer.ip(),
        deadline: listen.and_then(|listen| listen.deadline),
        encrypted: !is(|listen| listen.plain),
        role: if is(|listen| listen.admin) { Role::Observer } else { Role::Reader },
    };
    Ok((stream, inbound, connections.make_room().await))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_back_as_they_are_written_and_each_must_be_one() {
        for text in [
            "127.0.0.1:3141",
            "127.0.0.1:0, [::1]:3142?deadline=9",
            "0.0.0.0:1?deadline=2.5",
            "0.0.0.0:1?plain, [::]:2?deadline=1&plain&admin",
        ] {
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
            "127.0.0.1:1?plain=1",
            "127.0.0.1:1?",
            "127.0.0.1:1?plain&plain",
            "127.0.0.1:1?deadline=1&deadline=2",
            "127.0.0.1:1?admin&dedline=3",
        ] {
            assert!(Vec::<Listen>::read(text).is_none(), "{text}");
        }
    }
}

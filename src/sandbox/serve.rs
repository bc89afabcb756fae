//! The listener and its connections; a pause closes both for real.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::handle::answer;
use super::shared::{Pause, Shared};
use super::wire::Wire;

/// After a failed `accept`: with no descriptor left it would fail again at once, a core's worth of times.
const BREATH: Duration = Duration::from_millis(10);

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A port that stays ours, listened on or not: no other program can take it while the sandbox is paused.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    /// Bound and never listened on.
    _kept: TcpSocket,
}

impl Port {
    /// Takes a port, a free one for 0.
    pub(super) fn take(wanted: SocketAddr) -> io::Result<Self> {
        let socket = socket(wanted)?;
        Ok(Self { address: socket.local_addr()?, _kept: socket })
    }

    /// Listens on it.
    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        socket(self.address)?.listen(BACKLOG)
    }
}

/// A socket that is bound beside others of the same address, as long as only one listens.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts until `stop`.
pub(super) async fn run(
    listener: TcpListener,
    port: Port,
    shared: Arc<Shared>,
    mut pauses: mpsc::Receiver<Pause>,
    stop: CancellationToken,
) {
    let mut listener = Some(listener);
    let mut connections = stop.child_token();
    loop {
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(stream, shared.clone(), connections.clone()));
                }
                // The peer gave up before it was accepted, or descriptors are short for a while.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            },
            pause = pauses.recv() => {
                let Some(Pause { paused, done }) = pause else { return };
                let mut result = Ok(());
                if paused {
                    listener = None;
                    connections.cancel();
                } else if listener.is_none() {
                    connections = stop.child_token();
                    match port.listen() {
                        Ok(bound) => listener = Some(bound),
                        Err(error) => result = Err(error),
                    }
                }
                // Who asked may have left: nobody to tell then.
                let _ = done.send(result);
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    // Small answers leave at once: without this each waits for the peer's acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let (wire, flushes) = Wire::new(stream);
    let service = service_fn(move |request| answer(shared.clone(), flushes.clone(), request));
    let mut builder = http1::Builder::new();
    let serving = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(wire), service);
    tokio::select! {
        () = stop.cancelled() => {}
        served = serving => if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        },
    }
}

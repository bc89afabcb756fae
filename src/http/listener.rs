//! Accepts connections, bounds them in number and in patience, and drains them at the end.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use futures_util::future::join_all;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::patience::{Patience, Patient, Phase};

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
}

impl FromStr for Listen {
    type Err = ();

    /// `127.0.0.1:3141`, or with a deadline in seconds `127.0.0.1:3141?deadline=9`, as on a request's path.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, query) = text.split_once('?').map_or((text, None), |(at, query)| (at, Some(query)));
        let deadline = super::rpc::deadline(query)?;
        if query.is_some() && deadline.is_none() {
            return Err(());
        }
        Ok(Self { address: address.parse().map_err(|_| ())?, deadline })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.deadline.map_or(Ok(()), |deadline| write!(f, "?deadline={}", deadline.as_secs_f64()))
    }
}

/// The deadline of the listener that a request came by, among its extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnDeadline(pub(super) Duration);

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Connections served at once by all listeners; more wait in the kernel's queue. Default 4,096: about 100 MB at worst.
    pub max_connections: usize,
    /// How long which phase of a connection may take.
    pub patience: Patience,
    /// How long requests may go on after the order to stop. Default 30 s.
    pub drain: Duration,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        let patience = Patience { header: Duration::from_secs(10), idle: Duration::from_mins(1) };
        Self { max_connections: 4096, patience, drain: Duration::from_secs(30) }
    }
}

/// Serves `router` on each listener, bound as its [`Listen`] says, until `stop`; then lets running requests end within
/// the drain time.
pub async fn serve(
    listeners: Vec<(TcpListener, Listen)>,
    router: Router,
    settings: &ListenerSettings,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(settings.max_connections));
    let serving = listeners.into_iter().map(|(listener, listen)| {
        let router = router.clone();
        let router = match listen.deadline {
            Some(deadline) => router.layer(Extension(OwnDeadline(deadline))),
            None => router,
        };
        serve_one(listener, router, settings, permits.clone(), stop.cancelled())
    });
    join_all(serving).await;
}

async fn serve_one(
    listener: TcpListener,
    router: Router,
    settings: &ListenerSettings,
    permits: Arc<Semaphore>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        // Ended tasks are collected here, or they would pile up.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = connection(stream, peer, router.clone(), settings.patience);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            // Broken connections are the client's affair.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(settings.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(after = ?settings.drain, "requests still running were cut at the drain deadline");
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let permit = permits.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Without it, answers of two writes wait for the peer's delayed acknowledgement: 0.7 k/s instead of 60.
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    patience: Patience,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    let patient = Patient::new(stream, patience);
    let phase = patient.phase();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (router, phase) = (router.clone(), phase.clone());
        async move {
            phase.set(Phase::Busy);
            let response = router.oneshot(request.map(Body::new)).await?;
            Ok::<_, Infallible>(response.map(|body| phase.idle_after(body)))
        }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's own limit starts when it begins to wait, so it also ends idle connections.
        .header_read_timeout(patience.idle + patience.header)
        .half_close(true)
        .serve_connection(TokioIo::new(patient), service)
}

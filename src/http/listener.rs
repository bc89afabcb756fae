//! Accepts connections, bounds them in number and in patience, and drains them at the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use super::patience::{Patience, Patient, Phase};

/// The pause after a failed accept. The usual cause is that the process is out of file descriptors; without
/// a pause the loop would spin until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Connections served at once; more wait in the kernel's queue. Default 4,096: about 100 MB at worst.
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

/// Serves `router` until `stop`, then lets running requests end within the drain time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    settings: &ListenerSettings,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let permits = Arc::new(Semaphore::new(settings.max_connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        // Ended tasks are collected here, or they would pile up.
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = connection(stream, router.clone(), settings.patience);
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
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let permit = permits.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Without it, answers of two writes wait for the peer's delayed acknowledgement: 0.7 k/s instead of 60.
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

fn connection(
    stream: TcpStream,
    router: Router,
    patience: Patience,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send {
    let patient = Patient::new(stream, patience);
    let phase = patient.phase();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, phase) = (router.clone(), phase.clone());
        async move {
            phase.set(Phase::Busy);
            let response = router.oneshot(request.map(Body::new)).await?;
            Ok::<_, Infallible>(response.map(|body| phase.idle_after(body)))
        }
    });
    hyper::server::conn::http1::Builder::new()
        // The socket has its own, at half the cost: hyper makes a timer for each request.
        .header_read_timeout(None)
        .half_close(true)
        .serve_connection(TokioIo::new(patient), service)
}

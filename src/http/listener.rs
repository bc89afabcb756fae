//! Accepts connections, bounds them in number and in patience, and drains them at the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Edge;
use super::crowd::Crowd;
use super::patience::{Patience, Patient, Phase};

/// The pause after a failed accept. The usual cause is that the process is out of file descriptors; without
/// a pause the loop would spin until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The smallest limit on a request's head that hyper takes.
const LEAST_HEADER_BYTES: usize = 8192;

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Connections served at once. Default 4,096: about 100 MB at worst. With one more, the one goes that has waited
    /// longest for its peer; while all are busy, more wait in the kernel's queue.
    pub max_connections: usize,
    /// How long which phase of a connection may take.
    pub patience: Patience,
    /// The most bytes of a request's head. Default 64 KiB, four times what the largest known clients send; all
    /// connections together may hold 256 MiB of unfinished heads. At least 8 KiB.
    pub header_bytes: usize,
    /// How long requests may go on after the order to stop. Default 30 s.
    pub drain: Duration,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        let patience = Patience { header: Duration::from_secs(10), idle: Duration::from_mins(1) };
        let (header_bytes, drain) = (64 << 10, Duration::from_secs(30));
        Self { max_connections: 4096, patience, header_bytes, drain }
    }
}

/// Serves `edge` until `stop`, then lets running requests end within the drain time.
pub async fn serve(
    listener: TcpListener,
    edge: Edge,
    settings: &ListenerSettings,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let (edge, begun) = (Arc::new(edge), Instant::now());
    let mut crowd = Crowd::new(settings.max_connections);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &mut crowd) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let patient = Patient::new(stream, settings.patience, begun);
        let phase = patient.phase();
        let connection = connection(patient, edge.clone(), settings);
        crowd.admit(permit, phase, async move {
            // Broken connections are the client's affair.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(settings.drain, crowd.leave()).await.is_err() {
        tracing::warn!(after = ?settings.drain, "requests still running were cut at the drain deadline");
    }
}

async fn accept(
    listener: &TcpListener,
    crowd: &mut Crowd,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    // First who is new, then room for him: nobody is sent away for none.
    let (stream, _) = listener.accept().await?;
    // Without it, answers of two writes wait for the peer's delayed acknowledgement: 0.7 k/s instead of 60.
    stream.set_nodelay(true)?;
    Ok((stream, crowd.make_room().await))
}

fn connection(
    patient: Patient<TcpStream>,
    edge: Arc<Edge>,
    settings: &ListenerSettings,
) -> impl Future<Output = hyper::Result<()>> + Send + use<> {
    let phase = patient.phase();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (edge, phase) = (edge.clone(), phase.clone());
        async move {
            phase.set(Phase::Busy);
            let mut response = edge.answer(request).await;
            if phase.is_leaving() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| phase.idle_after(body)))
        }
    });
    hyper::server::conn::http1::Builder::new()
        // Without a timer: the socket has its own patience, which costs a busy connection nothing.
        .max_buf_size(settings.header_bytes.max(LEAST_HEADER_BYTES))
        .half_close(true)
        .serve_connection(TokioIo::new(patient), service)
}

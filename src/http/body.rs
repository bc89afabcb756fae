//! A call's body as it arrives: bounded in size, in time, and in memory together with all others.

use std::io::Read as _;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, EXPECT};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::poll;
use http_body_util::BodyExt as _;
use hyper::ext::ReasonPhrase;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tokio::time::timeout;

use crate::model::settings;

/// Calls up to this size need no room among the others, so that nobody who holds that room can delay them: all but
/// large multicalls and searches are smaller.
const SMALL: usize = 16 << 10;
/// A KiB is the unit of room.
const UNIT: usize = 1 << 10;

settings! {
    /// Limits of a call as it arrives.
    #[derive(Debug, Clone, Copy)]
    pub struct CallLimits in "http" {
        /// For a call's body as a whole.
        body_timeout: Duration = Duration::from_secs(10),
        /// Most bytes of a call, also after decoding.
        body_limit: usize as Bytes = 1 << 20,
        /// Most bytes of large calls (above 16 KiB) in memory, all clients together; one more waits, or is told to come back.
        ///
        /// Clients that dribble thousands of large calls get no more. What is read of a call takes some five times its size, for
        /// the moment of its answer. A call that finds no room waits for it as long as it may take to arrive.
        bodies_limit: usize as Bytes = 32 << 20,
    }
}

/// Reads bodies.
pub(super) struct Bodies {
    limits: CallLimits,
    room: Arc<Semaphore>,
    /// Cores for what takes long.
    cores: Arc<Semaphore>,
}

/// A body in memory. What it holds of the common room goes back with it.
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Why a body is not taken. Not faults: what did not arrive whole is no call.
pub(super) enum Refusal {
    TooLarge(usize),
    TooSlow(Duration),
    Crowded,
    Type,
    Upload,
    Coding,
    Broken,
}

/// What who uploads or registers is told.
const NO_UPLOADS: &str = "this relay takes no uploads";

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let (status, reason) = match self {
            Self::TooLarge(limit) => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("a call has at most {limit} bytes\n"))
            }
            Self::TooSlow(limit) => {
                (StatusCode::REQUEST_TIMEOUT, format!("a call has to arrive within {limit:?}\n"))
            }
            Self::Crowded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many large calls at once; come back, or send smaller ones\n".to_owned(),
            ),
            Self::Type => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "an XML-RPC call has Content-Type text/xml\n".to_owned())
            }
            Self::Upload => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{NO_UPLOADS}: send them to the index itself\n"))
            }
            Self::Coding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a call may be coded with gzip, nothing else\n".to_owned(),
            ),
            Self::Broken => (StatusCode::BAD_REQUEST, "the body of the call is broken\n".to_owned()),
        };
        tracing::debug!(status = status.as_u16(), reason = reason.trim_end(), "a call was not taken");
        let mut response = (status, reason).into_response();
        match self {
            // What came with it is out of the way.
            Self::Type => response,
            Self::Upload => {
                // All that distutils and old twines show of an answer.
                response.extensions_mut().insert(ReasonPhrase::from_static(NO_UPLOADS.as_bytes()));
                response
            }
            Self::TooLarge(_) | Self::TooSlow(_) | Self::Crowded | Self::Coding | Self::Broken => {
                ([("connection", "close")], response).into_response()
            }
        }
    }
}

/// What a body has of the common room.
#[derive(Default)]
struct Share {
    permit: Option<OwnedSemaphorePermit>,
    /// It had to wait for it.
    waited: bool,
}

impl Bodies {
    pub(super) fn new(limits: CallLimits) -> Self {
        // The largest call fits, or it would wait for ever.
        let room = units(limits.bodies_limit.max(limits.body_limit));
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() - 1).max(1);
        Self { limits, room: Arc::new(Semaphore::new(room as usize)), cores: Arc::new(Semaphore::new(cores)) }
    }

    /// Does what takes long off the reactor, and no more of it at once than leaves a core to small calls. Each thread more
    /// would keep memory of its own besides.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // The semaphore is never closed. Who leaves does not end the work, so the place goes with that.
        let core = Arc::clone(&self.cores).acquire_owned().await;
        let work = move || {
            let done = work();
            drop(core);
            done
        };
        tokio::task::spawn_blocking(work).await
    }

    /// The whole body, decoded.
    pub(super) async fn read<B>(&self, mut body: B, headers: &HeaderMap) -> Result<Document, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let gzip = match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") => false,
            Some(coding)
                if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") =>
            {
                true
            }
            Some(_) => return Err(Refusal::Coding),
        };
        let mut share = Share::default();
        let patience = self.limits.body_timeout;
        let arrived = {
            let mut gathering = std::pin::pin!(self.gather(&mut body, gzip, &mut share));
            // Most bodies came with their heads, and need no timer.
            match poll!(gathering.as_mut()) {
                Poll::Ready(arrived) => Ok(arrived),
                Poll::Pending => timeout(patience, gathering).await,
            }
        };
        let arrived = match arrived {
            Ok(arrived) => arrived,
            Err(_) if share.waited => Err(Refusal::Crowded),
            Err(_) => Err(Refusal::TooSlow(patience)),
        };
        match arrived {
            Ok(bytes) if gzip => Ok(Document { bytes: self.plain(bytes).await?, room: share.permit }),
            Ok(bytes) => Ok(Document { bytes, room: share.permit }),
            Err(refusal @ Refusal::TooLarge(_)) => {
                self.swallow(body, headers).await;
                Err(refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Lets a body go by that is refused and may still be on its way, for no longer than a call may take to arrive. Who
    /// expects a word before sending gets that at once. Others send first and read then: a connection closed on what they
    /// still send would take the answer from them.
    pub(super) async fn swallow<B>(&self, mut body: B, headers: &HeaderMap)
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        if headers.contains_key(EXPECT) {
            return;
        }
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        // What is still coming then is cut off with the connection.
        let _ = timeout(self.limits.body_timeout, rest).await;
    }

    /// The body as it arrives; not begun if it says that it is too large.
    async fn gather<B>(&self, body: &mut B, gzip: bool, share: &mut Share) -> Result<Bytes, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let limit = self.limits.body_limit;
        let hint = body.size_hint();
        if hint.lower() > limit as u64 {
            return Err(Refusal::TooLarge(limit));
        }
        let expected = hint.exact().filter(|_| !gzip).and_then(|size| usize::try_from(size).ok());
        let expected = expected.unwrap_or(limit);
        // One piece is kept as it came, and is all of a small call. More are copied together: a list of a million
        // chunks of one byte would take thirty times their size.
        let (mut piece, mut pieces) = (Bytes::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            // Trailers say nothing about a call.
            let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
            let size = piece.len().max(pieces.len()) + data.len();
            if size > limit {
                return Err(Refusal::TooLarge(limit));
            }
            if size > SMALL {
                self.make_room(expected, share).await;
                // Once and for all: growing would take twice as much.
                pieces.reserve_exact(expected.saturating_sub(pieces.len()));
            }
            if piece.is_empty() {
                piece = data;
            } else {
                if pieces.is_empty() {
                    pieces.extend_from_slice(&piece);
                }
                pieces.extend_from_slice(&data);
            }
        }
        if gzip {
            self.make_room(expected, share).await;
        }
        Ok(if pieces.is_empty() { piece } else { pieces.into() })
    }

    async fn make_room(&self, bytes: usize, share: &mut Share) {
        if share.permit.is_none() {
            share.permit = self.room.clone().try_acquire_many_owned(units(bytes)).ok();
        }
        if share.permit.is_none() {
            share.waited = true;
            // The semaphore is never closed.
            share.permit = self.room.clone().acquire_many_owned(units(bytes)).await.ok();
        }
    }

    /// A bomb is bounded here: no more is decoded than a plain call may have.
    async fn plain(&self, coded: Bytes) -> Result<Bytes, Refusal> {
        let limit = self.limits.body_limit;
        let decoded = self.aside(move || {
            let mut plain = Vec::new();
            let decoder = flate2::read::MultiGzDecoder::new(&coded[..]);
            let read = decoder.take(limit as u64 + 1).read_to_end(&mut plain);
            read.map(|_| plain)
        });
        match decoded.await {
            Ok(Ok(plain)) if plain.len() > limit => Err(Refusal::TooLarge(limit)),
            Ok(Ok(plain)) => Ok(plain.into()),
            Ok(Err(_)) | Err(_) => Err(Refusal::Broken),
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

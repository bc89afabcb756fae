//! Several calls in one: answered in their order, the next while the one before leaves.
//!
//! The rule that keeps memory flat whatever is called: at most `rpc.multicall_at_once` calls are prepared at a time,
//! and of a bulk answer no more than its first piece until its turn comes; then it streams like any other, and the
//! connection's pace is the pace of all.
//!
//! The deadline is for all of them together, and counts the time that the client waits for us, not the time that it
//! takes to read. A call whose answer is not there by then gets the fault that says when to come back; what was ready
//! stays ready.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;

use super::answer::{self, Pieces, StreamError, written};
use super::arguments::Arguments;
use super::table::{Method, Verb};
use super::{Answer, Ask, Rpc};
use crate::xmlrpc::{Call, Encoder, Fault, RESPONSE_HEAD, RESPONSE_TAIL, Value};

impl Rpc {
    pub(super) async fn multicall(&self, arguments: &Arguments, ask: Ask<'_>) -> Result<Answer, Fault> {
        let calls = arguments.list(0).to_vec();
        if calls.len() > self.0.settings.multicall_calls {
            return Err(Fault::multicall_too_large());
        }
        let clock = Clock::start(ask.deadline);
        let (rpc, origin, its) = (self.clone(), Arc::<str>::from((ask.origin)()), clock.clone());
        let wide = ask.wide;
        let elements = stream::iter(calls.into_iter().enumerate())
            .map(move |(at, call)| {
                rpc.element(at, call, Setting { origin: origin.clone(), wide, clock: its.clone() })
            })
            .buffered(self.0.settings.multicall_at_once)
            .boxed();
        let mut encoder = answer::encoder(ask.wide);
        encoder.open_response();
        encoder.open_array();
        let pieces = written(encoder, (elements, None), some);
        Answer::streamed(clock.running(pieces)).await
    }

    /// The answer to one of the calls. Not an `async fn`: a call may be of any method, also of this one.
    fn element(&self, at: usize, call: Value, setting: Setting) -> BoxFuture<'static, Result<Answer, Fault>> {
        let rpc = self.clone();
        async move {
            let call = read(at, call, setting.wide)?;
            rpc.counted(&call, |method, call| rpc.one(method, call, &setting)).await
        }
        .boxed()
    }

    async fn one(&self, method: &Method, call: &Call, setting: &Setting) -> Result<Answer, Fault> {
        if method.verb == Verb::Multicall {
            return Err(Fault::raised("ValueError", "a multicall inside a multicall is refused"));
        }
        let arguments = Arguments::check(method, &call.params)?;
        // Coded as a whole, if at all.
        let Setting { origin, wide, clock } = setting;
        let address = || origin.to_string();
        let ask = Ask { origin: &address, coder: None, wide: *wide, deadline: clock.left() };
        let done = clock.within(self.verb(method.verb, &arguments, ask)).await;
        done.unwrap_or_else(|| Err(self.too_late(method)))
    }
}

/// What all calls of a multicall share.
struct Setting {
    origin: Arc<str>,
    wide: bool,
    clock: Clock,
}

/// `{methodName, params}`; without `params` there are none.
fn read(at: usize, call: Value, wide: bool) -> Result<Call, Fault> {
    let wrong = |complaint: &str| Err(Fault::invalid_params(&[format!("calls.{at}{complaint}")]));
    let Value::Struct(members) = call else { return wrong(": Input should be a valid dictionary") };
    let (mut method, mut params) = (None, None);
    for (name, value) in members {
        match name.as_str() {
            "methodName" => method = Some(value),
            "params" => params = Some(value),
            // Others are passed over, as every server of multicalls does.
            _ => {}
        }
    }
    let params = match params {
        None | Some(Value::Nil) => Vec::new(),
        Some(Value::Array(params)) => params,
        Some(_) => return wrong(".params: Input should be a valid list"),
    };
    match method {
        Some(Value::String(method)) => Ok(Call { method, params, wide }),
        Some(_) => wrong(".methodName: Input should be a valid string"),
        None => wrong(".methodName: Missing required argument"),
    }
}

/// What is being written: the answers still to come, and what is left of the one before them.
type Writing = (BoxStream<'static, Result<Answer, Fault>>, Option<Pieces>);

/// Writes a piece of an answer, or begins the next.
async fn some(
    (mut elements, current): Writing,
    mut encoder: Encoder,
) -> Result<(Encoder, Option<Writing>), StreamError> {
    if let Some(mut pieces) = current {
        if let Some(piece) = pieces.next().await.transpose()? {
            encoder.encoded(&piece);
            return Ok((encoder, Some((elements, Some(pieces)))));
        }
        encoder.close_array();
        return Ok((encoder, Some((elements, None))));
    }
    match elements.next().await {
        Some(Ok(answer)) => {
            encoder.open_array();
            Ok((encoder, Some((elements, Some(inner(answer))))))
        }
        Some(Err(fault)) => {
            encoder.fault(&fault);
            Ok((encoder, Some((elements, None))))
        }
        None => {
            encoder.close_array();
            encoder.close_response();
            Ok((encoder, None))
        }
    }
}

/// The value of an answer without the `methodResponse` around it.
fn inner(answer: Answer) -> Pieces {
    let pieces = match answer {
        Answer::Whole(bytes) => stream::once(async { Ok(bytes) }).boxed(),
        Answer::Stream(answer) | Answer::Coded(answer) => answer.pieces,
    };
    // The tail may be spread over the last pieces: as much is always held back.
    let state = Some((pieces, None::<Bytes>));
    stream::unfold(state, |state| async move {
        let (mut pieces, mut held) = state?;
        loop {
            match pieces.next().await {
                Some(Err(error)) => return Some((Err(error), None)),
                Some(Ok(piece)) => match held.take() {
                    None => match piece.strip_prefix(RESPONSE_HEAD) {
                        Some(rest) => held = Some(piece.slice_ref(rest)),
                        None => return Some((Err(StreamError::Lost), None)),
                    },
                    Some(before) if piece.len() >= RESPONSE_TAIL.len() => {
                        return Some((Ok(before), Some((pieces, Some(piece)))));
                    }
                    Some(before) => held = Some(joined(&before, &piece)),
                },
                None => {
                    let held = held.unwrap_or_default();
                    let last = held.strip_suffix(RESPONSE_TAIL).map(|rest| held.slice_ref(rest));
                    return Some((last.ok_or(StreamError::Lost), None));
                }
            }
        }
    })
    .boxed()
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.extend_from_slice(first);
    both.extend_from_slice(second);
    both.freeze()
}

/// A deadline that stands still while the client reads.
#[derive(Clone)]
struct Clock(Arc<Mutex<Hands>>);

struct Hands {
    until: Instant,
    /// Since when it stands.
    paused: Option<Instant>,
}

impl Clock {
    fn start(deadline: Duration) -> Self {
        Self(Arc::new(Mutex::new(Hands { until: Instant::now() + deadline, paused: None })))
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        // Two moments, each whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left of it, if it runs on.
    fn left(&self) -> Duration {
        let hands = self.hands();
        hands.until.saturating_duration_since(hands.paused.unwrap_or_else(Instant::now))
    }

    /// The same pieces; the clock runs only while one is asked for.
    fn running(&self, pieces: Pieces) -> Pieces {
        let clock = self.clone();
        stream::unfold((pieces, clock), |(mut pieces, clock)| async move {
            {
                let mut hands = clock.hands();
                if let Some(since) = hands.paused.take() {
                    hands.until += since.elapsed();
                }
            }
            let piece = pieces.next().await;
            clock.hands().paused = Some(Instant::now());
            Some((piece?, (pieces, clock)))
        })
        .boxed()
    }

    /// What the work comes to; `None` if time is up. What is ready at once is ready at any time.
    async fn within<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let until = self.hands().until;
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = tokio::time::sleep_until(until) => {}
            }
            if self.hands().until <= Instant::now() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Streamed;
    use crate::xmlrpc::encode_response;

    async fn inside(pieces: Vec<Bytes>) -> Result<Vec<u8>, StreamError> {
        let pieces = stream::iter(pieces.into_iter().map(Ok)).boxed();
        let answer = Answer::Stream(Streamed { pieces, length: None });
        let pieces: Vec<Result<Bytes, StreamError>> = inner(answer).collect().await;
        Ok(pieces.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }

    #[tokio::test]
    async fn the_value_of_an_answer_is_the_same_however_it_is_cut() {
        let value: Value = ["a", "b"].into_iter().collect();
        let whole = encode_response(&value, false).unwrap();
        let mut alone = Encoder::new(false);
        alone.value(&value).unwrap();
        let alone = alone.take();
        for cut in RESPONSE_HEAD.len()..whole.len() {
            let (first, second) = (whole.slice(..cut), whole.slice(cut..));
            assert_eq!(inside(vec![first.clone(), second]).await.unwrap(), alone, "{cut}");
            let bytes = whole[cut..].chunks(1).map(Bytes::copy_from_slice);
            assert_eq!(inside([first].into_iter().chain(bytes).collect()).await.unwrap(), alone, "{cut}");
        }
        assert!(inside(vec![whole.slice(1..)]).await.is_err());
        assert!(inside(vec![whole.slice(..whole.len() - 1)]).await.is_err());
        assert!(inside(vec![]).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_stands_still_while_the_client_reads() {
        let clock = Clock::start(Duration::from_secs(4));
        let pieces = stream::repeat_with(|| Ok(Bytes::new())).boxed();
        let mut pieces = clock.running(pieces);
        let wait = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        assert!(clock.within(wait(3)).await.is_some());
        pieces.next().await;
        wait(100).await;
        pieces.next().await;
        assert!(clock.within(std::future::ready(())).await.is_some());
        assert!(clock.within(wait(2)).await.is_none());
        assert!(clock.within(std::future::ready(())).await.is_some());
    }
}

//! Calls, counted by method.

use std::time::Instant;

use metrics::{Counter, Histogram};

use super::Answer;
use crate::metric;
use crate::xmlrpc::Fault;

/// Counts a call, and how it ended.
pub(super) fn count(method: &'static str, answered: &Result<Answer, Fault>, started: Instant) {
    let outcome = answered.as_ref().map_or_else(|fault| fault.code.to_string(), |_| "ok".to_owned());
    counter(method, outcome).increment(1);
    histogram(method).record(started.elapsed().as_secs_f64());
    if let Err(fault) = answered {
        tracing::debug!(method, %fault, "a call got a fault");
    }
}

/// How calls of a method ended: `ok`, or a fault's code.
pub(super) fn counter(method: &'static str, outcome: impl Into<metrics::SharedString>) -> Counter {
    metrics::counter!(metric::RPC_CALLS_TOTAL, "method" => method, "outcome" => outcome.into())
}

/// How long calls of a method took until their answer was there, or began.
pub(super) fn histogram(method: &'static str) -> Histogram {
    metrics::histogram!(metric::RPC_SECONDS, "method" => method)
}

//! The one call that mirrors repeat all day, recognised by its bytes.
//!
//! `changelog_last_serial` has no parameters, so a client's library writes it the same each time, and between two events it
//! has the same answer. Reading it as XML, checking its arguments and writing its answer would take three times as long
//! as everything else that is done for it.

use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use bytes::Bytes;
use metrics::{Counter, Histogram};

use super::counts::{counter, histogram};
use crate::model::Serial;
use crate::xmlrpc::{Call, Value, encode_response};

/// The method that is answered by its bytes.
pub const QUICK: &str = "changelog_last_serial";
/// How many ways to write the call are remembered: one a client library, of which there are some dozens.
const SPELLINGS: usize = 32;
/// The longest that is remembered; libraries write 90 to 150 bytes.
const LONGEST: usize = 512;

/// What is remembered.
pub(super) struct Quick {
    remembered: RwLock<Remembered>,
    answered: Counter,
    seconds: Histogram,
}

#[derive(Default)]
struct Remembered {
    spellings: Vec<Box<[u8]>>,
    /// The place of the next one, where all are taken.
    next: usize,
    answer: Option<(Serial, Bytes)>,
}

impl Quick {
    pub(super) fn new() -> Self {
        // Looked up once: for each call it would take as long as the answer.
        Self { remembered: RwLock::default(), answered: counter(QUICK, "ok"), seconds: histogram(QUICK) }
    }

    /// The answer to a call that is known by its bytes, if it is one and the last serial is known. `started`: when the
    /// call came.
    pub(super) fn answer(
        &self,
        document: &[u8],
        started: Instant,
        last_serial: impl FnOnce() -> Option<Serial>,
    ) -> Option<Bytes> {
        let serial = {
            let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
            if !remembered.spellings.iter().any(|spelling| **spelling == *document) {
                return None;
            }
            let serial = last_serial()?;
            if let Some((_, answer)) = remembered.answer.as_ref().filter(|(of, _)| *of == serial) {
                self.count(started);
                return Some(answer.clone());
            }
            serial
        };
        // The first after an event. A serial past 32 bits is a fault, by the long way.
        let answer = encode_response(&Value::Int(serial.0), false).ok()?;
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        remembered.answer = Some((serial, answer.clone()));
        self.count(started);
        Some(answer)
    }

    /// Remembers the bytes of a call that was read.
    pub(super) fn remember(&self, document: &[u8], call: &Call) {
        if call.method != QUICK || !call.params.is_empty() || document.len() > LONGEST {
            return;
        }
        let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.spellings.iter().any(|spelling| **spelling == *document) {
            return;
        }
        let spelling = document.into();
        if remembered.spellings.len() < SPELLINGS {
            remembered.spellings.push(spelling);
        } else {
            let next = remembered.next;
            remembered.spellings[next] = spelling;
            remembered.next = (next + 1) % SPELLINGS;
        }
    }

    fn count(&self, started: Instant) {
        self.answered.increment(1);
        self.seconds.record(started.elapsed().as_secs_f64());
    }
}

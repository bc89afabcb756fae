//! From the faults that hit a request to what is done to its answer.

use std::time::Duration;

use hyper::{Response, header};

use super::body::{Body, Spoil, whole};
use super::fault::Effect;
use super::odd::Oddity;
use super::respond::{self, set, text};
use super::serials::Stated;
use super::wire::Flushes;

/// What the faults make of a request.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) answer: Option<Response<Body>>,
    pub(super) reset: bool,
    /// Pages are as old as the journal was so many serials ago.
    pub(super) behind: i64,
    pub(super) stated: Stated,
    pub(super) odd: Vec<Oddity>,
    shorter: u64,
    spoil: Spoil,
}

impl Plan {
    pub(super) fn of(effects: Vec<Effect>) -> Self {
        let mut plan = Self::default();
        for effect in effects {
            match effect {
                Effect::Delay { millis } => plan.delay += Duration::from_millis(millis),
                Effect::Status { code } => {
                    plan.answer.get_or_insert_with(|| text(respond::status(code), "a fault on demand"));
                }
                Effect::Answer { status, headers, body } => {
                    plan.answer.get_or_insert_with(|| {
                        let mut response = Response::new(whole(body));
                        *response.status_mut() = respond::status(status);
                        for (name, value) in &headers {
                            set(&mut response, name.as_str(), value);
                        }
                        response
                    });
                }
                Effect::Cut { at } => plan.spoil.cut = Some(at),
                Effect::WrongByte { at } => plan.spoil.wrong.push(at),
                Effect::Drip { bytes, every_millis } => {
                    plan.spoil.drip = Some((bytes, Duration::from_millis(every_millis)));
                }
                Effect::Stale { behind } => plan.behind = behind.max(0),
                Effect::Serials { state } => plan.stated = Stated(Some(state)),
                Effect::Odd { what, only } => plan.odd.push(Oddity { what, only }),
                Effect::Reset => plan.reset = true,
                Effect::Longer { by } => plan.spoil.longer = plan.spoil.longer.saturating_add(by),
                Effect::Shorter { by } => plan.shorter = plan.shorter.saturating_add(by),
            }
        }
        plan
    }

    /// Spoils an answer, its stated length included.
    pub(super) fn finish(mut self, mut response: Response<Body>, flushes: Flushes) -> Response<Body> {
        let both = self.shorter.min(self.spoil.longer);
        self.shorter -= both;
        self.spoil.longer -= both;
        let stated = response.headers().get(header::CONTENT_LENGTH);
        let stated = stated.and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
        if let Some(len) = stated.filter(|_| self.shorter > 0 || self.spoil.longer > 0) {
            let end = len.saturating_sub(self.shorter);
            self.spoil.end = (self.shorter > 0).then_some(end);
            set(&mut response, header::CONTENT_LENGTH, &end.saturating_add(self.spoil.longer).to_string());
        }
        if self.spoil.is_none() { response } else { response.map(|body| self.spoil.apply(body, flushes)) }
    }
}

//! Following a changelog by its serials.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{Client, ClientError, Reason};
use crate::model::{Event, Serial};

/// A changelog that is followed, from [`Client::changelog`].
///
/// Nothing is lost and nothing comes twice: the cursor is the serial of the last event that was given out. Who keeps
/// [`Changelog::last_serial`] goes on from there after a restart.
#[derive(Debug)]
pub struct Changelog {
    client: Client,
    last: Serial,
    /// Of the last answer what was not given out yet.
    events: VecDeque<Event>,
    /// Not asked before.
    not_before: Option<Instant>,
}

impl Client {
    /// The changelog from behind a serial on, event by event, without an end.
    pub fn changelog(&self, after: Serial) -> Changelog {
        Changelog { client: self.clone(), last: after, events: VecDeque::new(), not_before: None }
    }
}

impl Changelog {
    /// The serial of the last event that was given out; at first the one behind which the changelog begins.
    pub fn last_serial(&self) -> Serial {
        self.last
    }

    /// The next event. Waits for one: while there is nothing new, the relay is asked again each
    /// [`pause`](super::ClientSettings::pause). A relay that says when to come back is asked again then, however often it does.
    ///
    /// After an error it may be called again. It then waits as long as [`ClientError::retry_after`] says, and asks again. Dropping
    /// it unfinished loses no event.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                self.last = event.serial;
                return Ok(event);
            }
            if let Some(at) = self.not_before {
                tokio::time::sleep_until(at).await;
                self.not_before = None;
            }
            let answer = self.ask().await;
            self.heed(answer)?;
        }
    }

    /// Takes an answer in, and notes when the next question may be asked. An error goes on to the caller unless the relay said when
    /// to come back.
    fn heed(&mut self, answer: Result<Vec<Event>, ClientError>) -> Result<(), ClientError> {
        let wait = match &answer {
            Ok(events) if events.is_empty() => Some(self.client.relay.settings.pause),
            // There may be more.
            Ok(_) => None,
            Err(error) => error.retry_after(),
        };
        self.not_before = wait.map(|wait| Instant::now() + wait);
        match answer {
            Ok(events) => self.events = events.into(),
            Err(error) if error.later() => tracing::debug!(%error, ?wait, "asking the relay again"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The events behind the last one. None that was given out, and in order: a relay that told others would be asked for the same
    /// for ever.
    async fn ask(&self) -> Result<Vec<Event>, ClientError> {
        let limit = self.client.relay.settings.events_at_once;
        let events = self.client.changelog_since_serial(self.last, limit).await?;
        let before = std::iter::once(self.last).chain(events.iter().map(|event| event.serial));
        if before.zip(&events).any(|(before, event)| event.serial <= before) {
            let seen = Reason::Unexpected(format!("events that do not ascend from serial {}", self.last));
            return Err(self.client.relay.error("changelog_since_serial", seen));
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ClientSettings;
    use super::*;

    fn followed() -> Changelog {
        Client::new("http://relay.test/").unwrap().changelog(Serial(7))
    }

    fn wait(changes: &Changelog) -> Option<Duration> {
        changes.not_before.map(|at| at - Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_is_asked_again_when_it_said_or_after_the_pause_and_at_once_where_there_may_be_more() {
        let mut changes = followed();
        changes.heed(Ok(Vec::new())).unwrap();
        assert_eq!(wait(&changes), Some(ClientSettings::default().pause));
        let event = Event {
            serial: Serial(8),
            name: "a".to_owned(),
            version: None,
            time: 0,
            action: "create".to_owned(),
        };
        changes.heed(Ok(vec![event])).unwrap();
        assert_eq!((wait(&changes), changes.events.len(), changes.last_serial()), (None, 1, Serial(7)));
        let fail = |reason| Err(changes.client.relay.error("changelog_since_serial", reason));
        let fault = |words: &str| Reason::Fault { code: -32403, words: words.to_owned() };
        let (later, unheard) = (fail(fault("server error; retry in 12 s")), fail(Reason::TimedOut));
        changes.heed(later).unwrap();
        assert_eq!(wait(&changes), Some(Duration::from_secs(12)));
        changes.heed(unheard).unwrap_err();
        assert_eq!(wait(&changes), Some(Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_asked_before_its_time() {
        let mut changes = followed();
        changes.heed(Ok(Vec::new())).unwrap();
        // Nobody answers at that address: an error would say that it was asked.
        let early = tokio::time::timeout(ClientSettings::default().pause / 2, changes.next()).await;
        assert!(early.is_err(), "{early:?}");
        assert!(changes.not_before.is_some(), "a question that was dropped asks at once");
    }
}

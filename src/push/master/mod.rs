//! As the master: mirrors that are listed ask for files, and get them pushed, or the word that they were deleted.

mod queue;
mod transfer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use self::queue::{Entered, Queue};
use super::{HostPort, PushSettings, secret};
use crate::metric;
use crate::relay::Relay;
use crate::upstream::Upstream;

/// What a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The mirror is told what it asked for, now or when it was asked before.
    Accepted,
    /// It is no question.
    Malformed(&'static str),
    /// Nobody of that name may ask.
    Forbidden,
    /// As many of the mirror's files wait as may.
    Full,
}

/// The master's side. Clones are one.
#[derive(Debug, Clone)]
pub struct Master(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: PushSettings,
    relay: Relay,
    upstream: Upstream,
    queues: Mutex<HashMap<HostPort, Queue>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A mirror's transfer; when it is over, the next may run.
struct Running<'a> {
    master: &'a Inner,
    host: &'a HostPort,
}

impl Master {
    /// Transfers run on `tasks`, and none begins after `stop`.
    pub fn new(
        settings: PushSettings,
        relay: Relay,
        upstream: Upstream,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner { settings, relay, upstream, queues: Mutex::default(), tasks, stop }))
    }

    /// A mirror asks for a file: `host` is its name, `secret` what it knows the file by. Answered at once; what it asks for comes
    /// later.
    pub fn ask(&self, host: &str, secret: &str) -> Question {
        let answer = self.enter(host, secret);
        let outcome = match answer {
            Question::Accepted => "accepted",
            Question::Malformed(_) => "malformed",
            Question::Forbidden => "forbidden",
            Question::Full => "full",
        };
        counter!(metric::PUSH_REQUESTS_TOTAL, "outcome" => outcome).increment(1);
        answer
    }

    /// What a question would be answered, without any effect.
    pub fn look(&self, host: &str, secret: &str) -> Question {
        self.checked(host, secret).map_or_else(|refused| refused, |_| Question::Accepted)
    }

    /// The time over which a sender's least rate is taken.
    pub fn window(&self) -> Duration {
        self.0.settings.least.window
    }

    fn checked(&self, host: &str, secret: &str) -> Result<HostPort, Question> {
        let Ok(host) = host.parse::<HostPort>() else {
            return Err(Question::Malformed("host is HOST or HOST:PORT"));
        };
        if !secret::is_secret(secret) {
            return Err(Question::Malformed("secret has 1 to 128 letters, digits, - and _"));
        }
        if !self.0.settings.hosts.name(&host) {
            debug!(%host, "a mirror that is not on push.hosts has asked for a file");
            return Err(Question::Forbidden);
        }
        Ok(host)
    }

    fn enter(&self, host: &str, secret: &str) -> Question {
        let host = match self.checked(host, secret) {
            Ok(host) => host,
            Err(refused) => return refused,
        };
        let settings = &self.0.settings;
        let entered =
            self.0.lock().entry(host.clone()).or_default().enter(secret, settings.at_once, settings.queue);
        match entered {
            Entered::Run => {
                let (inner, secret) = (self.0.clone(), secret.to_owned());
                self.0.tasks.spawn(async move { inner.run(&host, secret).await });
            }
            Entered::Waits => gauge!(metric::PUSH_WAITING).increment(1.0),
            Entered::Repeated => {}
            Entered::Full => {
                warn!(%host, "a mirror asks for more files than may wait (push.queue)");
                return Question::Full;
            }
        }
        Question::Accepted
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<HostPort, Queue>> {
        // Whole entries only.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a transfer, and those that wait behind it.
    async fn run(&self, host: &HostPort, secret: String) {
        let running = Running { master: self, host };
        let mut next = Some(secret);
        while let Some(secret) = next.take().filter(|_| !self.stop.is_cancelled()) {
            self.transfer(host, &secret).await;
            next = self.lock().get_mut(host).and_then(Queue::next);
            if next.is_some() {
                gauge!(metric::PUSH_WAITING).decrement(1.0);
            }
        }
        drop(running);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.master.lock().get_mut(self.host) {
            queue.left();
        }
    }
}

//! Following an index: what the journal knows when, and what upstream is asked for it.

mod absent;
mod budget;
mod calls_again;
mod content;
mod demand;
mod history;
mod leads;
mod listings;
mod odd;
mod polls;
mod restored;
mod unbelieved;

use std::path::Path;
use std::time::Duration;

use cheesewire::follow::{FollowSettings, FollowStatus, run};
use cheesewire::journal::{Journal, JournalSettings, Since};
use cheesewire::model::{Event, Serial};
use cheesewire::sandbox::{Effect, Fault, Route, Sandbox};
use cheesewire::upstream::{Upstream, UpstreamSettings};
use cheesewire::xmlrpc::{Value, encode_response};
use futures_util::TryStreamExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A journal and the task that follows a sandbox for it.
struct Following {
    journal: Journal,
    status: watch::Receiver<FollowStatus>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

/// Polls every 5 ms, and waits as little after failures.
fn polling() -> FollowSettings {
    let short = Duration::from_millis(5);
    FollowSettings { interval: short, shortest_wait: short, longest_wait: short, ..FollowSettings::default() }
}

/// Polls never, and believes what it heard for an hour.
fn on_demand() -> FollowSettings {
    FollowSettings { enabled: false, interval: Duration::from_hours(1), ..polling() }
}

impl Following {
    async fn start(folder: &Path, sandbox: &Sandbox, settings: FollowSettings) -> Self {
        Self::start_at(folder, &sandbox.url(), settings, JournalSettings::default()).await
    }

    async fn start_at(folder: &Path, url: &str, settings: FollowSettings, journal: JournalSettings) -> Self {
        let journal = Journal::open(folder, journal).await.unwrap();
        let base = url.parse().unwrap();
        let upstream =
            UpstreamSettings { calls_per_second: 10_000.0, retries: 0, ..UpstreamSettings::new(base) };
        let upstream = Upstream::new(upstream).unwrap();
        let (sender, status) = watch::channel(FollowStatus::default());
        let cancel = CancellationToken::new();
        let task = tokio::spawn(run(journal.clone(), upstream, settings, sender, cancel.clone()));
        Self { journal, status, cancel, task }
    }

    /// Waits until our head is `serial`.
    async fn reaches(&self, serial: Serial) {
        let mut head = self.journal.watch_last_serial();
        within(head.wait_for(|head| *head == Some(serial))).await.unwrap();
    }

    async fn status(&mut self, wanted: impl FnMut(&FollowStatus) -> bool) -> FollowStatus {
        within(self.status.wait_for(wanted)).await.unwrap().clone()
    }

    /// One answer, after as many questions to upstream as it takes.
    async fn since(&self, serial: Serial) -> Vec<Event> {
        loop {
            match self.journal.since_serial(serial, 50_000).await.unwrap() {
                Since::Events(chunks) => return chunks.try_concat().await.unwrap(),
                Since::NotCovered(wanted) => wanted.done().await.unwrap(),
            }
        }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
        self.journal.close().await;
    }
}

/// A wait that fails a test instead of hanging it.
async fn within<T>(wait: impl Future<Output = T>) -> T {
    crate::support::within("it never came", wait).await
}

/// An event as upstream's changelog has it.
fn row_of(event: &Event) -> Value {
    let version = event.version.as_deref().map_or(Value::Nil, Value::from);
    let (name, action) = (event.name.as_str().into(), event.action.as_str().into());
    Value::Array(vec![name, version, event.time.into(), action, event.serial.0.into()])
}

/// An XML-RPC method that answers something else.
fn answers(method: &str, value: &Value) -> Fault {
    let body = String::from_utf8(encode_response(value, false).unwrap().to_vec()).unwrap();
    let headers = [("content-type".to_owned(), "text/xml".to_owned())].into();
    Fault::on(Route::Rpc, Effect::Answer { status: 200, headers, body }).path(method)
}

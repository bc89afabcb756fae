//! The index over the sandbox: what clients get, what upstream is asked, and what happens when it fails.

mod clock;
mod derived;
mod files;
mod forms;
mod freshness;
mod hosts;
mod large;
mod root;
mod serials;
mod trouble;

use std::time::Duration;

use cheesewire::index::IndexSettings;
use cheesewire::model::ProjectName;
use cheesewire::sandbox::{Change, Publication, Sandbox};

use crate::support::IndexRelay;

fn name(spelling: &str) -> ProjectName {
    ProjectName::parse(spelling).unwrap()
}

/// The default settings with pauses that a test can wait for.
fn quick() -> IndexSettings {
    IndexSettings { behind_pauses: vec![Duration::from_millis(1); 2], ..IndexSettings::default() }
}

/// Something happens upstream, and the journal hears of it as if it were followed.
async fn happen(sandbox: &Sandbox, relay: &IndexRelay, change: Change) {
    let before = sandbox.last_serial();
    let after = sandbox.change(change).await.unwrap();
    relay.journal.append(sandbox.events_after(before, 100), before, after).await.unwrap();
}

/// A release with an sdist and a wheel.
fn publish(name: &str, version: &str) -> Change {
    Change::Publish(Box::new(Publication::new(name, version)))
}

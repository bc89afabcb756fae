//! What stands in `examples/` does what it says.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cheesewire::client::{Client, ClientSettings};
use cheesewire::model::Serial;
use cheesewire::sandbox::{Publication, Sandbox};

use crate::support::{Relay, sandbox, until};

#[expect(dead_code, reason = "its `main` never ends")]
#[path = "../examples/follow.rs"]
mod follow;

/// What was printed so far.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Printed {
    fn serials(&self) -> Vec<i64> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let serial = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(row[0], "followed");
            row[4].as_i64().unwrap()
        };
        text.lines().map(serial).collect()
    }
}

fn told(sandbox: &Sandbox, after: Serial) -> Vec<i64> {
    sandbox.events_after(after, usize::MAX).iter().map(|event| event.serial.0).collect()
}

#[tokio::test]
async fn whoever_follows_as_the_example_does_gets_each_event_once_and_in_order() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["follow.interval=100ms", "rpc.changelog_rows=2"]).await;
    let settings = ClientSettings { pause: Duration::from_millis(20), ..ClientSettings::default() };
    let client = Client::with(&relay.url, settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (file, first) = (folder.path().join("last-serial"), sandbox.last_serial());
    std::fs::write(&file, first.to_string()).unwrap();
    let printed = Printed::default();
    // The second run goes on where the first one was ended.
    for versions in [["1.0", "1.1"], ["1.2", "1.3"]] {
        for version in versions {
            sandbox.publish(Publication::new("followed", version)).await.unwrap();
        }
        let all =
            until("every event has come", async || printed.serials().len() == told(&sandbox, first).len());
        tokio::select! {
            ended = follow::follow(&client, &file, printed.clone()) => panic!("{ended:?}"),
            () = all => {}
        }
    }
    let told = told(&sandbox, first);
    assert!(told.len() > 3, "{told:?}");
    assert_eq!(printed.serials(), told);
}

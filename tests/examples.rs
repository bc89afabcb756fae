//! What stands in `examples/` does what it says.

use cheesewire::sandbox::Publication;
use cheesewire::xmlrpc::Fault;

use crate::support::{Relay, client, sandbox, until};

#[expect(dead_code, reason = "its `main` never ends")]
#[path = "../examples/follow.rs"]
mod follow;

#[tokio::test]
async fn whoever_follows_as_the_example_does_gets_each_event_once_and_in_order() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["follow.interval=100ms", "rpc.changelog_rows=2"]).await;
    let (server, first) = (format!("{}pypi", relay.url), sandbox.last_serial());
    for version in ["1.0", "1.1", "1.2"] {
        sandbox.publish(Publication::new("followed", version)).await.unwrap();
    }
    let (mut last, mut seen) = (first.0, Vec::new());
    until("every event has come", async || {
        let events = match follow::events_since(client(), &server, last).await {
            Ok(events) => events,
            // The relay does not know yet.
            Err(error) => {
                assert!(error.is::<Fault>(), "{error}");
                Vec::new()
            }
        };
        for (serial, event) in events {
            assert_eq!(event.as_array().unwrap()[0].as_str(), Some("followed"));
            seen.push(serial);
            last = serial;
        }
        last == sandbox.last_serial().0
    })
    .await;
    let told: Vec<_> = sandbox.events_after(first, usize::MAX).iter().map(|event| event.serial.0).collect();
    assert!(told.len() > 3, "{told:?}");
    assert_eq!(seen, told);
}

//! Follows a changelog: prints each event as a line of JSON, and keeps the last serial in a file, from which the next run goes on.
//!
//! ```sh
//! cargo run --example follow -- http://127.0.0.1:3141/ last-serial
//! ```

use std::error::Error;
use std::io::{ErrorKind, Write};
use std::path::Path;

use cheesewire::client::Client;
use cheesewire::model::Serial;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (Some(relay), Some(file)) = (std::env::args().nth(1), std::env::args().nth(2)) else {
        return Err("usage: follow ADDRESS FILE".into());
    };
    follow(&Client::new(&relay)?, Path::new(&file), std::io::stdout()).await
}

/// Ends only with an error that asking again would not mend.
pub async fn follow(relay: &Client, file: &Path, mut out: impl Write) -> Result<(), Box<dyn Error>> {
    let last = match std::fs::read_to_string(file) {
        Ok(text) => Serial(text.trim().parse()?),
        // The first run begins at the head. How things are by then, a list of all projects tells.
        Err(error) if error.kind() == ErrorKind::NotFound => relay.changelog_last_serial().await?,
        Err(error) => return Err(error.into()),
    };
    keep(file, last)?;
    let mut changes = relay.changelog(last);
    loop {
        match changes.next().await {
            Ok(e) => {
                writeln!(out, "{}", serde_json::json!([e.name, e.version, e.time, e.action, e.serial]))?;
                keep(file, e.serial)?;
            }
            // The next question waits as long as this one says.
            Err(error) if error.retry_after().is_some() => writeln!(std::io::stderr(), "{error}")?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whole or not at all: a run that is killed here leaves the serial of before, and the next one repeats an event.
fn keep(file: &Path, last: Serial) -> std::io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{last}\n"))?;
    std::fs::rename(new, file)
}

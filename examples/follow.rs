//! Follows a changelog: prints each event as a line of JSON, and keeps the last serial in a file, from which the next run goes on.
//!
//! ```sh
//! cargo run --example follow -- http://127.0.0.1:3141/pypi last-serial
//! ```
//!
//! Calls are written and answers read by [`cheesewire::xmlrpc`]; any HTTP client does for the rest.

use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::Duration;

use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call};
use reqwest::Client;

/// From one question to the next, once there is nothing new. A relay asks upstream once a minute.
const PAUSE: Duration = Duration::from_secs(30);
/// A relay answers within its own deadline, which is shorter.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Elements within each other: a list of lists of scalars has eleven.
const LIMITS: Limits = Limits { depth: 16 };

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (Some(server), Some(file)) = (std::env::args().nth(1), std::env::args().nth(2)) else {
        return Err("usage: follow ADDRESS FILE".into());
    };
    // The client takes whichever provider of TLS the process has.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().timeout(TIMEOUT).build()?;
    let file = Path::new(&file);
    let mut last = match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse()?,
        // The first run begins at the head. How things are by then, a list of all projects tells.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            call(&client, &server, "changelog_last_serial", &[]).await?.as_int().ok_or("no serial")?
        }
        Err(error) => return Err(error.into()),
    };
    loop {
        match events_since(&client, &server, last).await {
            Ok(events) if !events.is_empty() => {
                for (serial, event) in events {
                    writeln!(std::io::stdout(), "{}", event.to_json())?;
                    last = serial;
                }
                keep(file, last)?;
                // The answer may have been cut, so there can be more.
                continue;
            }
            Ok(_) => keep(file, last)?,
            // A fault is an answer too: what the relay does not know yet it is fetching. Nothing was printed, so nothing is lost.
            Err(error) => writeln!(std::io::stderr(), "{error}; asking again in {} s", PAUSE.as_secs())?,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Some events after a serial, oldest first, each with its own serial; none if there is nothing new.
pub async fn events_since(
    client: &Client,
    server: &str,
    last: i64,
) -> Result<Vec<(i64, Value)>, Box<dyn Error>> {
    let answer = call(client, server, "changelog_since_serial", &[Value::Int(last)]).await?;
    let events = answer.as_array().ok_or("an answer that is no list")?.iter();
    // An event is [name, version, time, action, serial].
    let with_serial = |event: &Value| Some((event.as_array()?.get(4)?.as_int()?, event.clone()));
    events.map(|event| with_serial(event).ok_or_else(|| "an event without a serial".into())).collect()
}

async fn call(
    client: &Client,
    server: &str,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Box<dyn Error>> {
    let request =
        client.post(server).header("Content-Type", "text/xml").body(encode_call(method, arguments)?);
    let answer = request.send().await?.error_for_status()?.bytes().await?;
    Ok(decode_response(&answer, LIMITS)??)
}

/// Whole or not at all: a run that is killed here leaves the serial of before, and the next one repeats some events.
fn keep(file: &Path, last: i64) -> std::io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{last}\n"))?;
    std::fs::rename(new, file)
}

//! `/_sandbox/…`: the Rust API over HTTP, for people who test clients in other languages.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hyper::header;
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::SandboxError;
use super::body::{Body, whole};
use super::change::Change;
use super::fault::Fault;
use super::respond::{set, text};
use super::shared::{Pause, Shared, XmlRpc};

/// The longest pause, in seconds: a sandbox that nobody can reach cannot be asked to come back.
const LONGEST_PAUSE: f64 = 3_600.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseFor {
    seconds: f64,
}

pub(super) async fn answer(shared: &Arc<Shared>, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
    let answered = match (method.as_str(), path) {
        ("GET", "/_sandbox/faults") => Ok(reply(&json!(shared.faults.list()))),
        ("POST", "/_sandbox/faults") => add_fault(shared, body),
        ("DELETE", "/_sandbox/faults") => {
            shared.faults.clear();
            Ok(reply(&json!([])))
        }
        ("GET", "/_sandbox/requests") => Ok(reply(&json!(shared.requests.counts()))),
        ("DELETE", "/_sandbox/requests") => {
            shared.requests.forget();
            Ok(reply(&json!({})))
        }
        ("POST", "/_sandbox/publish") => publish(shared, body).await,
        ("POST", "/_sandbox/backup") => Ok(shared.catalogue.back_up().map_or_else(
            |error| refusal(&error),
            |()| reply(&json!({ "serial": shared.catalogue.last_serial() })),
        )),
        ("POST", "/_sandbox/restore") => Ok(shared
            .catalogue
            .restore()
            .map_or_else(|error| refusal(&error), |serial| reply(&json!({ "serial": serial })))),
        ("POST", "/_sandbox/pause") => pause(shared, body),
        ("POST", "/_sandbox/xmlrpc") => read(body).map(|mode: XmlRpc| {
            *shared.xmlrpc.write().unwrap_or_else(PoisonError::into_inner) = mode;
            reply(&json!({}))
        }),
        _ => Ok(text(
            StatusCode::NOT_FOUND,
            "here are faults (GET, POST, DELETE), requests (GET, DELETE), publish, backup, restore, pause and xmlrpc (POST)",
        )),
    };
    answered.unwrap_or_else(|reason| text(StatusCode::BAD_REQUEST, &reason))
}

fn reply(value: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(whole(format!("{value}\n")));
    set(&mut response, header::CONTENT_TYPE, "application/json");
    response
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn add_fault(shared: &Shared, body: &[u8]) -> Result<Response<Body>, String> {
    let fault: Fault = read(body)?;
    shared.faults.add(fault).map_err(|error| error.to_string())?;
    Ok(reply(&json!(shared.faults.list())))
}

async fn publish(shared: &Arc<Shared>, body: &[u8]) -> Result<Response<Body>, String> {
    let change: Change = read(body)?;
    let serial = shared.clone().change(change).await;
    Ok(serial.map_or_else(|error| refusal(&error), |serial| reply(&json!({ "serial": serial }))))
}

fn refusal(error: &SandboxError) -> Response<Body> {
    let status = match error {
        SandboxError::Absent(_) => StatusCode::NOT_FOUND,
        SandboxError::Pack { .. } => StatusCode::BAD_REQUEST,
        SandboxError::FileExists(_) | SandboxError::NoBackup | SandboxError::Unchangeable => {
            StatusCode::CONFLICT
        }
        // Of the start; none comes from a change.
        SandboxError::Listen { .. }
        | SandboxError::Fixture { .. }
        | SandboxError::List(_)
        | SandboxError::TooManyEvents(_)
        | SandboxError::Stopped => StatusCode::INTERNAL_SERVER_ERROR,
    };
    text(status, &error.to_string())
}

/// Answers first: the connection that asked is closed too.
fn pause(shared: &Arc<Shared>, body: &[u8]) -> Result<Response<Body>, String> {
    let PauseFor { seconds } = read(body)?;
    if !(0.0..=LONGEST_PAUSE).contains(&seconds) {
        return Err(format!("seconds: 0 to {LONGEST_PAUSE}"));
    }
    let shared = shared.clone();
    tokio::spawn(async move {
        for paused in [true, false] {
            let (done, finished) = tokio::sync::oneshot::channel();
            // An error means that the sandbox has stopped meanwhile.
            if shared.pauses.send(Pause { paused, done }).await.is_err() {
                return;
            }
            match finished.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return tracing::error!(%error, "the sandbox cannot listen again"),
                Err(_) => return,
            }
            if paused {
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
        }
    });
    Ok(reply(&json!({ "seconds": seconds })))
}

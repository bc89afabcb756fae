//! The methods, with types.

use std::collections::BTreeMap;
use std::sync::Arc;

use dxr::{TryFromValue, TryToParams, Value};
use serde::Deserialize;

use super::http::Relay;
use super::{ClientError, ClientSettings, Reason, ReleaseData, ReleaseUrl, wire};
use crate::model::{Event, Serial};

/// A client of one relay. Clones share connections.
///
/// Each method fails with a [`ClientError`], which says whether it helps to ask again, and when.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) relay: Arc<Relay>,
}

impl Client {
    /// A client of the relay at an address, such as `http://127.0.0.1:3141/`; nothing is asked yet. The address of calls
    /// (`…/pypi`, `…/RPC2`) or of the index (`…/simple/`) is taken too. A user and password in it become Basic authentication
    /// and stand in no error. A query goes with each call: with `?deadline=9` the relay takes up to 9 s for an answer.
    ///
    /// Fails if the address is not one of HTTP, or at `https` if the system has no certificate authorities.
    pub fn new(address: &str) -> Result<Self, ClientError> {
        Self::with(address, ClientSettings::default())
    }

    /// The same with settings of one's own.
    pub fn with(address: &str, settings: ClientSettings) -> Result<Self, ClientError> {
        Ok(Self { relay: Relay::new(address, settings)? })
    }

    /// Any method, such as `("browse", (vec!["Framework :: Plone"],))`, and what it answers: as a [`Value`], or read as another type.
    /// Several arguments are a tuple or a slice of values; none are `()`.
    pub async fn call<R: TryFromValue + Send + 'static>(
        &self,
        method: &str,
        params: impl TryToParams,
    ) -> Result<R, ClientError> {
        let fail = |reason| self.relay.error(method, reason);
        let body = wire::write(method, &params).map_err(fail)?;
        let answer = self.relay.post(body).await.map_err(fail)?;
        // Not on the reactor: see there.
        let read = tokio::task::spawn_blocking(move || wire::read(&answer)).await;
        read.unwrap_or_else(|_| Err(Reason::Unexpected("XML that stopped its reader".to_owned())))
            .map_err(fail)
    }

    /// Why the relay should get no requests, as its `/readyz` says; empty if it should.
    pub async fn unready(&self) -> Result<Vec<String>, ClientError> {
        let fail = |reason| self.relay.error("readyz", reason);
        let (is_ready, answer) = self.relay.readiness().await.map_err(fail)?;
        let Readiness { unready } = serde_json::from_slice(&answer)
            .map_err(|error| fail(Reason::Unexpected(format!("a state that is no JSON: {error}"))))?;
        if !is_ready && unready.is_empty() {
            return Err(fail(Reason::Unexpected("503 and no reason".to_owned())));
        }
        Ok(unready)
    }

    /// The last serial that the relay knows.
    pub async fn changelog_last_serial(&self) -> Result<Serial, ClientError> {
        self.call("changelog_last_serial", ()).await
    }

    /// Events after a serial, ascending: at most `limit`, or as many as the relay gives (50,000). There may be more after the last
    /// of them; an empty list means that there is nothing new. To follow a changelog, see [`Client::changelog`].
    pub async fn changelog_since_serial(
        &self,
        serial: Serial,
        limit: Option<i32>,
    ) -> Result<Vec<Event>, ClientError> {
        let serial = whole(serial.0);
        let params =
            limit.map_or_else(|| vec![serial.clone()], |limit| vec![serial.clone(), Value::Integer(limit)]);
        self.call("changelog_since_serial", params).await
    }

    /// The names of all projects, in their registered spelling.
    pub async fn list_packages(&self) -> Result<Vec<String>, ClientError> {
        self.call("list_packages", ()).await
    }

    /// The same, each with the serial of the project's last event.
    pub async fn list_packages_with_serial(&self) -> Result<BTreeMap<String, Serial>, ClientError> {
        self.call("list_packages_with_serial", ()).await
    }

    /// A project's latest release, or with `all` every one, newest first. Empty if there is none or the project is unknown.
    pub async fn package_releases(&self, name: &str, all: bool) -> Result<Vec<String>, ClientError> {
        self.call("package_releases", (name, all)).await
    }

    /// The files of a release. Empty if the release is unknown.
    pub async fn release_urls(&self, name: &str, version: &str) -> Result<Vec<ReleaseUrl>, ClientError> {
        self.call("release_urls", (name, version)).await
    }

    /// The metadata of a release; `None` if the release is unknown.
    pub async fn release_data(&self, name: &str, version: &str) -> Result<Option<ReleaseData>, ClientError> {
        let Known(data) = self.call("release_data", (name, version)).await?;
        Ok(data)
    }
}

/// An `<int>` where it fits: a relay answers with `<i8>` whoever sends it.
fn whole(number: i64) -> Value {
    i32::try_from(number).map_or(Value::Long(number), Value::Integer)
}

/// What is read of the relay's state.
#[derive(Deserialize)]
struct Readiness {
    unready: Vec<String>,
}

/// Of a release that is not known the struct is empty.
struct Known(Option<ReleaseData>);

impl TryFromValue for Known {
    fn try_from_value(value: &Value) -> Result<Self, dxr::Error> {
        match value {
            Value::Struct(members) if members.is_empty() => Ok(Self(None)),
            value => ReleaseData::try_from_value(value).map(|data| Self(Some(data))),
        }
    }
}

//! The addresses of PyPI's first server, for mirrors and programs of its days (docs/old-addresses.md): each in a test of its
//! own.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use cheesewire::sandbox::Sandbox;
use reqwest::Method;
use tempfile::TempDir;

use crate::support::{Answer, Relay, get_with, sandbox};

mod actions;
mod doap;
mod feedparser;
mod feeds;
mod md5_links;
mod moments;
mod old_mirrors;
mod people;
mod python3;
mod signatures;

/// A key as a relay makes it, so that tests need not wait for one.
const KEY: &str = include_str!("legacy/serverkey.pem");

/// A data folder with that key.
fn keyed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serverkey.pem");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(KEY.as_bytes()).unwrap();
    folder
}

/// Polls often, so that a test's wait for one is short.
const POLLS: &str = "follow.interval=20ms";

async fn pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), settings).await;
    (sandbox, relay)
}

async fn signing_pair(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let settings = [&["signing.enabled=true"], settings].concat();
    let relay = Relay::start_in(keyed(), &sandbox.url(), &settings).await;
    (sandbox, relay)
}

/// A GET by a program.
async fn get_as(relay: &Relay, path: &str, agent: &str) -> Answer {
    get_with(Method::GET, &format!("{}{path}", relay.url), &[("user-agent", agent)]).await.unwrap()
}

//! devpi-server with mirror indexes of the relay.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use url::Url;

use super::programs::{client_program, environment, run};
use super::{Answer, client, get, get_with};

/// The newest of 2026-11.
const VERSION: &str = "devpi-server==6.20.3";

/// How long devpi does not ask again for what it has, in seconds. Its default.
const EXPIRY: u64 = 1800;

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

/// A running server. Dropped, it is killed.
pub struct Devpi {
    url: String,
    token: String,
    _child: Child,
}

impl Devpi {
    /// One without any index.
    pub async fn start(folder: &Path) -> Self {
        let bin = environment(&[VERSION]).await;
        let data = folder.join("devpi");
        run(client_program(bin.join("devpi-init")).arg("--no-root-pypi").arg("--serverdir").arg(&data)).await;
        let mut server = client_program(bin.join("devpi-server"));
        // It takes a free port; and waits for the relay as long as a slow machine needs.
        server.args(["--host", "127.0.0.1", "--port", "0", "--threads", "4", "--request-timeout", "120"]);
        server.arg("--serverdir").arg(&data).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = server.spawn().unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = Vec::new();
        let url = loop {
            let Some(line) = log.next_line().await.unwrap() else { panic!("devpi ended: {seen:#?}") };
            if let Some((_, url)) = line.split_once("Serving on ") {
                break url.trim().to_owned();
            }
            seen.push(line);
        };
        // Its log goes on, and has to be read.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let login = json!({"user": "root", "password": ""}).to_string();
        let answer =
            client().post(format!("{url}/+login")).header("content-type", "application/json").body(login);
        let answer: Value =
            serde_json::from_slice(&answer.send().await.unwrap().bytes().await.unwrap()).unwrap();
        let password = answer["result"]["password"].as_str().unwrap();
        let token = STANDARD.encode(format!("root:{password}"));
        Self { url, token, _child: child }
    }

    async fn configure(&self, method: Method, path: &str, body: &Value) {
        let request = client().request(method, format!("{}{path}", self.url)).body(body.to_string());
        let request = request.header("content-type", "application/json").header("x-devpi-auth", &self.token);
        let response = request.send().await.unwrap();
        let status = response.status();
        assert!(
            status.is_success(),
            "{status} {}",
            String::from_utf8_lossy(&response.bytes().await.unwrap())
        );
    }

    /// An index that mirrors the one at an address.
    pub async fn mirror(&self, name: &'static str, simple: &str) -> DevpiIndex<'_> {
        let body = json!({"type": "mirror", "mirror_url": simple, "mirror_cache_expiry": EXPIRY});
        self.configure(Method::PUT, &format!("/root/{name}"), &body).await;
        DevpiIndex { devpi: self, name }
    }
}

/// An index of devpi.
pub struct DevpiIndex<'a> {
    devpi: &'a Devpi,
    name: &'static str,
}

impl DevpiIndex<'_> {
    /// Its address, for pip.
    pub fn simple(&self) -> String {
        format!("{}/root/{}/+simple/", self.devpi.url, self.name)
    }

    async fn json(&self, path: &str) -> Answer {
        get_with(Method::GET, &format!("{}{path}", self.simple()), &[JSON]).await.unwrap()
    }

    /// The names of all projects.
    pub async fn names(&self) -> Vec<String> {
        let listing = self.json("").await.json();
        let name = |project: &Value| project["name"].as_str().unwrap().to_owned();
        let mut names: Vec<_> = listing["projects"].as_array().unwrap().iter().map(name).collect();
        names.sort();
        names
    }

    /// The files that a project's page names, with their digests; each is fetched, and has that.
    pub async fn files(&self, name: &str) -> BTreeMap<String, String> {
        let answer = self.json(&format!("{name}/")).await;
        assert_eq!(answer.status, 200, "{name}: {:?}", answer.body);
        let page = answer.json();
        let base: Url = format!("{}{name}/", self.simple()).parse().unwrap();
        let mut files = BTreeMap::new();
        for file in page["files"].as_array().unwrap() {
            let digest = file["hashes"]["sha256"].as_str().unwrap().to_owned();
            let url = base.join(file["url"].as_str().unwrap()).unwrap();
            let bytes = get(url.as_str()).await;
            assert_eq!(bytes.status, 200, "{url}");
            assert_eq!(hex::encode(Sha256::digest(bytes.bytes())), digest, "{url}");
            files.insert(file["filename"].as_str().unwrap().to_owned(), digest);
        }
        files
    }

    /// What it keeps runs out; then it asks again for its list of projects, which has to have changed, and for the pages of
    /// these projects.
    ///
    /// It takes a 304 for its list as if upstream had only the projects whose pages it keeps, so that is asked for once.
    pub async fn renew(&self, names: &[&str]) {
        let path = format!("/root/{}", self.name);
        let expiry = |seconds: u64| json!([format!("mirror_cache_expiry={seconds}")]);
        self.devpi.configure(Method::PATCH, &path, &expiry(0)).await;
        self.names().await;
        for name in names {
            self.json(&format!("{name}/")).await;
        }
        self.devpi.configure(Method::PATCH, &path, &expiry(EXPIRY)).await;
    }
}

//! bandersnatch 6.6.0, the last that asks by XML-RPC, mirrors the sandbox through the relay, unchanged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cheesewire::model::ProjectName;
use cheesewire::sandbox::{Change, Publication, Route, Sandbox, XmlRpc};
use cheesewire::xmlrpc::Value;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::support::{Relay, call, sandbox};

/// The only large project: 64 MB that prove nothing here.
const LARGE: &str = "big-wheel";

/// A mirror on disk and the program that fills it.
struct Mirror {
    program: PathBuf,
    config: PathBuf,
    web: PathBuf,
    status: PathBuf,
}

async fn run(command: &mut Command) -> String {
    let output = command.kill_on_drop(true).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

impl Mirror {
    /// Installs bandersnatch by name, from wherever the local pip installs.
    async fn install(folder: &Path, relay: &Relay) -> Self {
        let venv = folder.join("venv");
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).await;
        // Its setup still imports setuptools, which newer interpreters do not bring.
        let pip = ["install", "--quiet", "bandersnatch==6.6.0", "setuptools<81"];
        run(Command::new(venv.join("bin/pip")).args(pip)).await;
        let mirror = folder.join("mirror");
        let config = folder.join("bandersnatch.conf");
        let text = format!(
            "[mirror]\ndirectory = {}\nmaster = {}\nallow-non-https = true\njson = true\ntimeout = 10\n\
             stop-on-error = true\n[plugins]\nenabled =\n    blocklist_project\n[blocklist]\npackages =\n    {LARGE}\n",
            mirror.display(),
            relay.url.trim_end_matches('/'),
        );
        std::fs::write(&config, text).unwrap();
        let program = venv.join("bin/bandersnatch");
        Self { program, config, web: mirror.join("web"), status: mirror.join("status") }
    }

    /// One run, which has to end well and to reach `serial`.
    async fn run(&self, sandbox: &Sandbox) {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(&self.config).arg("mirror").env("NO_PROXY", "*");
        let said = run(&mut command).await;
        let status = std::fs::read_to_string(&self.status).unwrap();
        assert_eq!(status.trim(), sandbox.last_serial().to_string(), "{said}");
        assert_eq!(self.files(), truth(sandbox), "{said}");
    }

    /// The mirrored files: path below `packages/`, and the digest of what is on disk.
    fn files(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let root = self.web.join("packages");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let digest = hex::encode(Sha256::digest(std::fs::read(&path).unwrap()));
                    found.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), digest);
                }
            }
        }
        found
    }

    fn page(&self, name: &str) -> String {
        std::fs::read_to_string(self.web.join("simple").join(name).join("index.html")).unwrap()
    }
}

/// What a mirror of everything small has.
fn truth(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let projects = sandbox.projects().into_iter().filter(|project| project.name != LARGE);
    let files = projects.flat_map(|project| {
        let of = |upload: &cheesewire::sandbox::Upload| {
            (upload.file.path.to_string(), upload.file.digests.sha256.to_string())
        };
        project.files().map(|(_, upload)| of(upload)).collect::<Vec<_>>()
    });
    files.collect()
}

/// Waits until the relay has heard of everything.
async fn current(relay: &Relay, sandbox: &Sandbox) {
    let last = Value::Int(sandbox.last_serial().0);
    while call(&relay.url, "changelog_last_serial", &[]).await != Ok(last.clone()) {}
}

/// Mirrors everything, then what has changed, then nothing.
async fn mirrors_all_and_then_what_changed(sandbox: &Sandbox, settings: &[&str]) {
    let relay = Relay::start(&sandbox.url(), settings).await;
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::install(folder.path(), &relay).await;
    mirror.run(sandbox).await;
    assert!(mirror.files().len() > 60, "{}", mirror.files().len());
    let names = sandbox.projects().into_iter().filter(|project| project.files().next().is_some());
    let pages = names.map(|project| ProjectName::parse(&project.name).unwrap());
    for name in pages.filter(|name| name.as_str() != LARGE) {
        assert!(mirror.page(name.as_str()).contains("../../packages/"), "{name}");
    }
    // A release more, a project more, and a release of another spelling.
    for (name, version) in [("wire-top", "3.0"), ("brand-new", "0.1"), ("Registered.Spelling_x", "9.0")] {
        sandbox.publish(Publication::new(name, version)).await.unwrap();
    }
    current(&relay, sandbox).await;
    mirror.run(sandbox).await;
    assert!(
        mirror.page("wire-top").contains("wire_top-3.0") || mirror.page("wire-top").contains("wire-top-3.0")
    );
    // A yank has no file of its own, only a serial and a mark on the page.
    let yank = Change::Yank {
        name: "wire-top".to_owned(),
        version: "3.0".to_owned(),
        reason: Some("bad".to_owned()),
    };
    sandbox.change(yank).await.unwrap();
    current(&relay, sandbox).await;
    mirror.run(sandbox).await;
    assert!(mirror.page("wire-top").contains("data-yanked"));
    mirror.run(sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn bandersnatch_mirrors_all_and_then_what_changed() {
    let sandbox = sandbox().await;
    mirrors_all_and_then_what_changed(&sandbox, &["follow.interval=20ms"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn bandersnatch_mirrors_the_same_from_an_upstream_without_xml_rpc() {
    let sandbox = sandbox().await;
    sandbox.set_xmlrpc(XmlRpc::Status(405));
    mirrors_all_and_then_what_changed(&sandbox, &["follow.listing_interval=20ms"]).await;
    assert_eq!(sandbox.requests().route(Route::Rpc), 1, "only to find out that there is none");
}

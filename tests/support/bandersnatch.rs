//! bandersnatch, and what it mirrors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cheesewire::model::ProjectName;
use cheesewire::sandbox::{Project, Sandbox};
use cheesewire::xmlrpc::Value;
use sha2::{Digest as _, Sha256};
use tokio::process::{Child, Command};

use super::programs::{client_program, environment, run_whole};
use super::{Relay, call};

/// The only large project, which no mirror takes: 64 MB that prove nothing here.
pub const LARGE: &str = "big-wheel";

/// Which release, and how it asks what changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bandersnatch {
    /// 3.6.0, the last that asks by `requests`; it refuses a master without TLS.
    Requests,
    /// 6.6.0, the last that knows nothing but XML-RPC.
    Calls,
    /// 6.8.0, the newest of 2026-11, with `api-method = simple`: it compares the serials of the JSON listing with its own,
    /// and leaves out projects that have none. Unless it is told so, it asks as 6.6.0 does.
    NewestListing,
}

impl Bandersnatch {
    async fn program(self) -> PathBuf {
        let package = match self {
            Self::Requests => "bandersnatch==3.6.0",
            Self::Calls => "bandersnatch==6.6.0",
            Self::NewestListing => "bandersnatch==6.8.0",
        };
        // Its setup still imports setuptools, which newer interpreters do not bring.
        environment(&[package, "setuptools<81"]).await.join("bandersnatch")
    }
}

/// Projects by their normal names, each with its files' names and SHA-256.
pub type Pages = BTreeMap<String, BTreeMap<String, String>>;

/// A mirror on disk and the program that fills it.
pub struct Mirror {
    bandersnatch: Bandersnatch,
    program: PathBuf,
    config: PathBuf,
    web: PathBuf,
    status: PathBuf,
    relay: String,
    /// Variables that it runs with.
    variables: Vec<(&'static str, String)>,
}

impl Mirror {
    /// An empty mirror in a folder; its projects come one after the other, in the order of their names.
    pub async fn new(bandersnatch: Bandersnatch, folder: &Path, relay: &Relay) -> Self {
        Self::of(bandersnatch, folder, &relay.url, Vec::new()).await
    }

    /// The same of the relay at an address; the program runs with these variables.
    pub async fn of(
        bandersnatch: Bandersnatch,
        folder: &Path,
        relay: &str,
        variables: Vec<(&'static str, String)>,
    ) -> Self {
        let mirror = folder.join("mirror");
        let config = folder.join("bandersnatch.conf");
        let own = match bandersnatch {
            // It has no default for it.
            Bandersnatch::Requests => "hash-index = false\n",
            Bandersnatch::Calls => "",
            Bandersnatch::NewestListing => "api-method = simple\n",
        };
        let list = if bandersnatch == Bandersnatch::Requests { "blacklist" } else { "blocklist" };
        let text = format!(
            "[mirror]\ndirectory = {}\nmaster = {}\nallow-non-https = true\njson = true\ntimeout = 300\n\
             workers = 1\nstop-on-error = true\n{own}[plugins]\nenabled =\n    {list}_project\n\
             [{list}]\npackages =\n    {LARGE}\n",
            mirror.display(),
            relay.trim_end_matches('/'),
        );
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(&config, text).unwrap();
        Self {
            bandersnatch,
            program: bandersnatch.program().await,
            config,
            web: mirror.join("web"),
            status: mirror.join("status"),
            relay: relay.to_owned(),
            variables,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = client_program(&self.program);
        command.arg("-c").arg(&self.config).args(arguments).envs(self.variables.iter().cloned());
        command
    }

    /// Starts a run, for what is to happen in the middle of it.
    pub fn begin(&self) -> Child {
        let mut command = self.command(&["mirror"]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
    }

    /// A run that may fail; whether it did not.
    pub async fn try_run(&self) -> bool {
        self.command(&["mirror"]).output().await.unwrap().status.success()
    }

    /// A run, which has to end well and to reach the relay's last serial; then it has what upstream has. What it says.
    pub async fn run(&self, sandbox: &Sandbox) -> String {
        let (_, said) = run_whole(&mut self.command(&["mirror"])).await;
        assert_eq!(self.status(), self.reachable().await, "{said}");
        self.is_exact(sandbox);
        said
    }

    /// The serial that a run has to reach. In a listing it is the highest of the projects that are still there.
    async fn reachable(&self) -> i64 {
        if self.bandersnatch != Bandersnatch::NewestListing {
            return call(&self.relay, "changelog_last_serial", &[]).await.unwrap().as_int().unwrap();
        }
        let Ok(Value::Struct(projects)) = call(&self.relay, "list_packages_with_serial", &[]).await else {
            panic!("no list")
        };
        projects.iter().map(|(_, serial)| serial.as_int().unwrap()).max().unwrap()
    }

    /// The serial that it has reached.
    pub fn status(&self) -> i64 {
        std::fs::read_to_string(&self.status).unwrap().trim().parse().unwrap()
    }

    /// Each of upstream's projects has the page that it should have, and the files of these pages are upstream's, byte for
    /// byte. What upstream removed stays on disk: `verify` and `delete`, which take it away, refuse a relay without TLS.
    pub fn is_exact(&self, sandbox: &Sandbox) {
        let (pages, files) = (self.pages(), self.files());
        for (name, page) in pages_of(sandbox) {
            // It asks for documents, which projects without a release do not have.
            assert_eq!(pages.get(&name).cloned().unwrap_or_default(), page, "{name}");
        }
        for (path, digest) in files_of(sandbox) {
            assert_eq!(files.get(&path), Some(&digest), "{path}");
        }
    }

    /// The mirrored files: path below `packages/`, and the digest of what is on disk.
    pub fn files(&self) -> BTreeMap<String, String> {
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

    /// A project's page in HTML.
    pub fn page(&self, name: &str) -> String {
        std::fs::read_to_string(self.web.join("simple").join(name).join("index.html")).unwrap()
    }

    /// What the pages say.
    pub fn pages(&self) -> Pages {
        let mut pages = Pages::new();
        for entry in std::fs::read_dir(self.web.join("simple")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if self.bandersnatch == Bandersnatch::Requests {
                // It has no others, and a page of all projects beside them.
                if entry.path().is_dir() {
                    let page = files_on(&self.page(&name));
                    pages.insert(name, page);
                }
                continue;
            }
            let Ok(text) = std::fs::read(entry.path().join("index.v1_json")) else { continue };
            let page: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let of = |file: &serde_json::Value| {
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                // uv refuses a page with another size than a whole number.
                assert!(file["size"].is_u64(), "{file}");
                (text(&file["filename"]), text(&file["hashes"]["sha256"]))
            };
            let files = page["files"].as_array().unwrap().iter().map(of).collect();
            pages.insert(name, files);
        }
        pages
    }
}

/// What a mirror's page in HTML says: each link's text, and the digest behind its address.
fn files_on(page: &str) -> BTreeMap<String, String> {
    let links = page.split("<a ").skip(1);
    let link = |link: &str| {
        let (tag, rest) = link.split_once('>').unwrap();
        let digest = tag.split_once("#sha256=").unwrap().1.split('"').next().unwrap();
        (rest.split("</a>").next().unwrap().to_owned(), digest.to_owned())
    };
    links.map(link).collect()
}

/// What a mirror of everything small is to have.
fn taken(sandbox: &Sandbox) -> impl Iterator<Item = std::sync::Arc<Project>> {
    sandbox.listed().into_iter().filter(|project| project.name != LARGE)
}

/// What its pages say.
pub fn pages_of(sandbox: &Sandbox) -> Pages {
    let page = |project: std::sync::Arc<Project>| {
        let of = |upload: &cheesewire::sandbox::Upload| {
            (upload.file.filename.clone(), upload.file.digests.sha256.to_string())
        };
        let files = project.files().map(|(_, upload)| of(upload)).collect();
        (ProjectName::parse(&project.name).unwrap().to_string(), files)
    };
    taken(sandbox).map(page).collect()
}

/// Its files, as [`Mirror::files`] has them.
pub fn files_of(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let files = taken(sandbox).flat_map(|project| {
        let of = |upload: &cheesewire::sandbox::Upload| {
            (upload.file.path.to_string(), upload.file.digests.sha256.to_string())
        };
        project.files().map(|(_, upload)| of(upload)).collect::<Vec<_>>()
    });
    files.collect()
}

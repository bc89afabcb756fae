//! The mirrors that the old addresses are for, as they were released: a full mirror, then what changed, from the sandbox through
//! the relay. Nothing of them is changed, also not the address that they ask: their connections are led to the relay. Where there
//! is no Python 2.7 they do not run; `python3` has them converted, and runs everywhere.
//!
//! bandersnatch names its test tools as requirements, of which some are not to be had any more: they are there by name alone.
//! z3c.pypimirror's release has its program under another name than the one whose version it looks up: that is added as a name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cheesewire::sandbox::{Change, Publication, Sandbox};
use md5::{Digest as _, Md5};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{POLLS, get_as, keyed};
use crate::support::programs::{run, run_whole};
use crate::support::python27::{OldMirror, find};
use crate::support::{Relay, get, sandbox, until, within};

/// When a run is begun again that may be stuck.
const STUCK: Duration = Duration::from_secs(20);

/// What bandersnatch 1.x asks for and never uses.
const TEST_TOOLS: [(&str, &str); 8] = [
    ("mock", "0"),
    ("pytest", "0"),
    ("pytest-capturelog", "0"),
    ("pytest-codecheckers", "0"),
    ("pytest-cov", "0"),
    ("pytest-timeout", "0"),
    ("pytest-cache", "0"),
    ("pdbpp", "0"),
];

pub(super) async fn signing(settings: &[&str]) -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let settings = [&["signing.enabled=true", POLLS], settings].concat();
    let relay = Relay::start_in(keyed(), &sandbox.url(), &settings).await;
    until("no key", async || get(&format!("{}serverkey", relay.url)).await.status == 200).await;
    told(&sandbox, &relay).await;
    (sandbox, relay)
}

/// Waits until the relay knows what the sandbox does.
pub(super) async fn told(sandbox: &Sandbox, relay: &Relay) {
    let last = sandbox.last_serial().to_string();
    until("it is not told", async || get(&format!("{}serial", relay.url)).await.text() == last).await;
}

fn port(relay: &Relay) -> u16 {
    relay.url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
}

/// A release more, a project more, and less of each.
async fn change(sandbox: &Sandbox, relay: &Relay) {
    for (name, version) in [("wire-top", "3.0"), ("Brand.New", "0.1")] {
        sandbox.publish(Publication::new(name, version)).await.unwrap();
    }
    let (name, version) = ("wire-core".to_owned(), "1.0".to_owned());
    sandbox.change(Change::RemoveRelease { name, version }).await.unwrap();
    sandbox.change(Change::RemoveProject { name: "chain-d".to_owned() }).await.unwrap();
    told(sandbox, relay).await;
}

/// The files below a folder, by their path there.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// What a mirror's `packages` has to have.
fn packages(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    let of = |project: std::sync::Arc<cheesewire::sandbox::Project>| {
        let file = |upload: &cheesewire::sandbox::Upload| {
            (upload.file.path.to_string(), upload.file.content.to_vec())
        };
        project.files().map(|(_, upload)| file(upload)).collect::<Vec<_>>()
    };
    sandbox.listed().into_iter().flat_map(of).collect()
}

/// The mirror's pages are those of the relay, and OpenSSL verifies the signature of each.
async fn pages_are_right(relay: &Relay, sandbox: &Sandbox, web: &Path, agent: &str) {
    let key = web.with_file_name("serverkey.pem");
    std::fs::write(&key, get(&format!("{}serverkey", relay.url)).await.text()).unwrap();
    let mut verified = 0;
    for project in sandbox.listed().iter().filter(|project| project.files().next().is_some()) {
        let page = web.join("simple").join(&project.name).join("index.html");
        let served = get_as(relay, &format!("simple/{}/", project.name), agent).await;
        assert_eq!(std::fs::read(&page).unwrap(), served.bytes(), "{}", project.name);
        verify(&key, &page, &web.join("serversig").join(&project.name)).await;
        verified += 1;
    }
    assert!(verified >= 20, "{verified}");
}

async fn verify(key: &Path, page: &Path, signature: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha1", "-verify"]).arg(key).arg("-signature").arg(signature).arg(page);
    assert_eq!(run(&mut openssl).await, "Verified OK\n", "{}", page.display());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn openssl_verifies_the_signatures_of_twenty_pages() {
    let (sandbox, relay) = signing(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("key"), get(&format!("{}serverkey", relay.url)).await.text()).unwrap();
    let pages = sandbox.listed();
    assert!(pages.len() >= 20);
    for project in &pages {
        for agent in ["x/1", "pep381client/1.5"] {
            std::fs::write(
                path("page"),
                get_as(&relay, &format!("simple/{}/", project.name), agent).await.bytes(),
            )
            .unwrap();
            let signature = get_as(&relay, &format!("serversig/{}/", project.name), agent).await;
            std::fs::write(path("signature"), signature.bytes()).unwrap();
            verify(&path("key"), &path("page"), &path("signature")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl, python3 with venv, and python2.7 to run pep381client 1.5"]
async fn pep381client_mirrors_all_and_then_what_changed() {
    let Some(python) = find().await else { return };
    pep381client(OldMirror::new(&python, &["pep381client==1.5"], &[]).await).await;
}

pub(super) async fn pep381client(mirror: OldMirror) {
    let (sandbox, relay) = signing(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, web) = (folder.path().join("mirror"), folder.path().join("mirror/web"));
    let run_once = async || {
        run(mirror.program(port(&relay), "pep381run").arg(&root)).await;
        // It compares the files with the pages' `#md5=`, and says what it does not like.
        let said = run(mirror.program(port(&relay), "pep381checkfiles").arg(&root)).await;
        assert_eq!(said, "");
        assert_eq!(files(&web.join("packages")), packages(&sandbox));
        pages_are_right(&relay, &sandbox, &web, "pep381client/1.5").await;
    };
    run_once().await;
    assert!(!web.join("serversig/index.html").exists(), "the list of projects has no signature");
    change(&sandbox, &relay).await;
    run_once().await;
    assert!(web.join("simple/Brand.New/index.html").exists());
    assert!(!web.join("simple/chain-d").exists() && !web.join("serversig/chain-d").exists());
    let moment = std::fs::read_to_string(web.join("last-modified")).unwrap();
    assert_eq!(moment.len(), 18, "{moment}");
}

async fn bandersnatch(
    mirror: &OldMirror,
    port: u16,
    master: &str,
    root: &Path,
    authority: Option<&Path>,
) -> String {
    let config = root.with_extension("conf");
    let text = format!(
        "[mirror]\ndirectory = {}\nmaster = {master}\ntimeout = 300\nworkers = 1\nstop-on-error = true\n\
         delete-packages = true\n",
        root.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut program = mirror.program(port, "bandersnatch.main:main");
    program.arg("-c").arg(&config).arg("mirror");
    if let Some(authority) = authority {
        program.env("REQUESTS_CA_BUNDLE", authority);
    }
    // Two of its twenty threads may wait for the one package that is left, and one of them then waits for ever. What it has
    // done it does not do again.
    let again = async {
        loop {
            if let Ok((_, said)) = tokio::time::timeout(STUCK, run_whole(&mut program)).await {
                break said;
            }
        }
    };
    within("it is never done", again).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl, python3 with venv, and python2.7 to run bandersnatch 1.0.5"]
async fn bandersnatch_1_0_5_mirrors_all_and_then_what_changed() {
    let Some(python) = find().await else { return };
    let packages = ["bandersnatch==1.0.5", "requests==1.2.0"];
    bandersnatch_1_0_5(OldMirror::new(&python, &packages, &TEST_TOOLS).await).await;
}

pub(super) async fn bandersnatch_1_0_5(mirror: OldMirror) {
    let (sandbox, relay) = signing(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, web) = (folder.path().join("mirror"), folder.path().join("mirror/web"));
    let master = relay.url.trim_end_matches('/');
    bandersnatch_is_right(&relay, &sandbox, &web, async || {
        bandersnatch(&mirror, port(&relay), master, &root, None).await
    })
    .await;
}

/// Refuses a master without TLS, so it gets one that speaks it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl, python3 with venv, and python2.7 to run bandersnatch 1.5"]
async fn bandersnatch_1_5_mirrors_all_and_then_what_changed() {
    let Some(python) = find().await else { return };
    let packages =
        ["bandersnatch==1.5", "requests==1.2.0", "xmlrpc2==0.3.1", "six==1.17.0", "python-dateutil==2.2"];
    bandersnatch_1_5(OldMirror::new(&python, &packages, &TEST_TOOLS).await).await;
}

pub(super) async fn bandersnatch_1_5(mirror: OldMirror) {
    let (sandbox, relay) = signing(&["http.public_url=https://index.test"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, web) = (folder.path().join("mirror"), folder.path().join("mirror/web"));
    let (_tls, at, authority) = tls(folder.path(), port(&relay)).await;
    bandersnatch_is_right(&relay, &sandbox, &web, async || {
        bandersnatch(&mirror, at, "https://index.test", &root, Some(&authority)).await
    })
    .await;
}

/// What speaks TLS before the relay, its port, and who signed its certificate.
async fn tls(folder: &Path, relay: u16) -> (tokio::process::Child, u16, PathBuf) {
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=index.test"]);
    openssl
        .args(["-addext", "subjectAltName=DNS:index.test", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    run(&mut openssl).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/legacy/tls.py");
    let mut server = Command::new("python3");
    server.arg(script).arg(&certificate).arg(&key).arg(relay.to_string()).stdout(Stdio::piped());
    let mut server = server.kill_on_drop(true).spawn().unwrap();
    let line = BufReader::new(server.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    (server, line.parse().unwrap(), certificate)
}

async fn bandersnatch_is_right(
    relay: &Relay,
    sandbox: &Sandbox,
    web: &Path,
    mirror: impl AsyncFn() -> String,
) {
    let run_once = async || {
        let said = mirror().await;
        let serial = std::fs::read_to_string(web.with_file_name("status")).unwrap();
        assert_eq!(serial, sandbox.last_serial().to_string(), "{said}");
        let (have, want) = (files(&web.join("packages")), packages(sandbox));
        for (path, bytes) in &want {
            assert!(have.get(path) == Some(bytes), "{path} {said}");
        }
        // Its own page of all projects is no page of the relay's; the others are.
        pages_are_right(relay, sandbox, web, "bandersnatch/1.5").await;
    };
    run_once().await;
    change(sandbox, relay).await;
    run_once().await;
    assert!(web.join("simple/Brand.New/index.html").exists());
    assert!(!web.join("simple/chain-d").exists() && !web.join("serversig/chain-d").exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and python2.7 to run pypimirror 1.0.16.4"]
async fn z3c_pypimirror_mirrors_all_and_then_what_changed() {
    let Some(python) = find().await else { return };
    let packages = ["pypimirror==1.0.16.4", "zc.lockfile==1.4", "BeautifulSoup==3.2.2"];
    z3c_pypimirror(OldMirror::new(&python, &packages, &[("z3c.pypimirror", "1.0.16.4")]).await).await;
}

pub(super) async fn z3c_pypimirror(mirror: OldMirror) {
    let (sandbox, relay) = signing(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let (root, config) = (folder.path().join("mirror"), folder.path().join("mirror.cfg"));
    let text = format!(
        "[DEFAULT]\nmirror_file_path = {}\nbase_url = http://mirror.test/\nlock_file_name = lock\nfetch_since_days = 7\n\
         filename_matches = *.tar.gz *.zip *.whl\npackage_matches = *\ncleanup = True\ncreate_indexes = True\nverbose = True\n\
         external_links = False\nfollow_external_index_pages = False\nlog_filename = {}/log\n",
        root.display(),
        folder.path().display()
    );
    std::fs::write(&config, text).unwrap();
    let run_once = async |mode| {
        run(mirror.program(port(&relay), "pypimirror.mirror:run").arg(mode).arg(&config)).await;
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(!log.contains("Invalid URL:") && !log.contains("not available:"), "{log}");
        for project in sandbox.listed() {
            for (_, upload) in project.files() {
                let filename = &upload.file.filename;
                if ![".tar.gz", ".zip", ".whl"].iter().any(|ending| filename.ends_with(ending)) {
                    continue;
                }
                let path = root.join(&project.name).join(filename);
                let bytes = upload.file.content.to_vec();
                assert!(std::fs::read(&path).is_ok_and(|found| found == bytes), "{}: {log}", path.display());
                let noted =
                    std::fs::read_to_string(root.join(&project.name).join(format!(".{filename}.md5")));
                assert_eq!(noted.unwrap(), hex::encode(Md5::digest(&bytes)));
            }
        }
    };
    run_once("-I").await;
    for (name, version) in [("wire-top", "3.0"), ("Brand.New", "0.1")] {
        sandbox.publish(Publication::new(name, version)).await.unwrap();
    }
    told(&sandbox, &relay).await;
    run_once("-U").await;
}

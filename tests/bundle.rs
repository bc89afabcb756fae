//! Bundles that are carried from a relay to one without an upstream.

mod hostile;
mod installs;
mod killed;
mod modes;
mod refused;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use cheesewire::sandbox::{Change, Publication, Sandbox};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::process::{BINARY, Process};
use crate::support::{call, get, get_with, sandbox, until, within};

/// Polls follow each other.
const QUICK: [&str; 4] = [
    "upstream.calls_per_second=1000",
    "follow.interval=5ms",
    "follow.shortest_wait=5ms",
    "follow.longest_wait=20ms",
];
/// Files from so many bytes on would only take time.
const LARGE: u64 = 1 << 20;
const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// A relay of the sandbox, and a place for bundles and other folders.
struct Exporter {
    sandbox: Arc<Sandbox>,
    place: TempDir,
    relay: Option<Process>,
}

impl Exporter {
    /// Knows all of the changelog, and keeps nothing else.
    async fn new() -> Self {
        let sandbox = Arc::new(sandbox().await);
        let place = tempfile::tempdir().unwrap();
        let url = sandbox.url();
        let args = ["sync", "--history", "all", "--until-current", "--upstream", &url];
        done(&run(&place.path().join("exporter"), &args).await);
        Self { sandbox, place, relay: None }
    }

    /// The same, serving.
    async fn serving() -> Self {
        let mut exporter = Self::new().await;
        exporter.start().await;
        exporter
    }

    async fn start(&mut self) {
        self.relay = Some(Process::start(&self.data(), &self.sandbox.url(), &QUICK).await);
    }

    async fn stop(&mut self) {
        self.relay.take().unwrap().kill().await;
    }

    fn url(&self) -> &str {
        &self.relay.as_ref().unwrap().url
    }

    fn data(&self) -> PathBuf {
        self.path("exporter")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The public key's file.
    async fn key(&self) -> PathBuf {
        let (file, output) = (self.path("key.pub"), run(&self.data(), &["bundle", "key"]).await);
        std::fs::write(&file, done(&output)).unwrap();
        file
    }

    async fn export(&self, name: &str, args: &[&str]) -> PathBuf {
        let to = self.path(name);
        done(&run(&self.data(), &[&["bundle", "export", "--to", to.to_str().unwrap()], args].concat()).await);
        to
    }

    async fn import(&self, bundle: &Path, data: &Path) -> Output {
        run_import(bundle, data, &self.key().await).await
    }

    /// A change of upstream's, which the relay then knows.
    async fn change(&self, change: Change) -> i64 {
        let serial = self.sandbox.change(change).await.unwrap().0;
        until("the exporter does not follow", async || last_serial(self.url()).await == serial).await;
        serial
    }

    async fn publish(&self, name: &str, version: &str) -> i64 {
        self.change(Change::Publish(Box::new(Publication::new(name, version)))).await
    }
}

/// `cheesewire …` on a data folder.
fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).arg("--data").arg(data).args(["--set", "cache.free_floor=0"]).kill_on_drop(true);
    command
}

async fn run(data: &Path, args: &[&str]) -> Output {
    within("it does not end", command(data, args).output()).await.unwrap()
}

async fn run_import(bundle: &Path, data: &Path, key: &Path) -> Output {
    let args = [
        "bundle",
        "import",
        bundle.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--upstream",
        "bundle",
    ];
    run(data, &args).await
}

fn done(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    std::str::from_utf8(&output.stdout).unwrap()
}

/// The complaint of one that did nothing.
fn refused(output: &Output, code: i32) -> &str {
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stdout));
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A relay on a folder that lives on bundles.
async fn imported(data: &Path) -> Process {
    Process::start(data, "bundle", &[]).await
}

async fn last_serial(relay: &str) -> i64 {
    match call(relay, "changelog_last_serial", &[]).await {
        Ok(Value::Int(last)) => last,
        other => panic!("no last serial: {other:?}"),
    }
}

/// What a relay answers, by what was asked: status and body, without the relay's own address.
type Answers = BTreeMap<String, (u16, Vec<u8>)>;

/// Asks for pages, documents, lists and what calls tell of all these projects.
async fn answers(relay: &str, projects: &[String]) -> Answers {
    let mut answers = Answers::new();
    let mut ask = async |path: &str, accept: &str| {
        let answer = get_with(Method::GET, &format!("{relay}{path}"), &[("accept", accept)]).await.unwrap();
        let body = answer.text().replace(relay, "RELAY/");
        answers.insert(format!("{path} {accept}"), (answer.status, body.into_bytes()));
    };
    for accept in ["text/html", JSON] {
        ask("simple/", accept).await;
        for project in projects {
            ask(&format!("simple/{project}/"), accept).await;
        }
    }
    for project in projects {
        ask(&format!("pypi/{project}/json"), "*/*").await;
    }
    let all = [
        ("changelog_last_serial", vec![]),
        ("list_packages", vec![]),
        ("list_packages_with_serial", vec![]),
        ("changelog_since_serial", vec![Value::Int(0)]),
        ("changelog", vec![Value::Int(0), Value::Bool(true)]),
        ("search", vec![Value::from("wire")]),
    ];
    for (method, params) in all {
        let told = format!("{:?}", call(relay, method, &params).await);
        answers.insert(method.to_owned(), (200, told.into_bytes()));
    }
    answers
}

fn assert_same(found: &Answers, expected: &Answers) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (asked, (status, body)) in expected {
        // That something was not there is not kept, and so not carried.
        if (*status, found[asked].0) == (404, 504) {
            continue;
        }
        let (found_status, found) = &found[asked];
        let text = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(3000)]).into_owned();
        assert!(status == found_status && body == found, "{asked}:\n{}\nnot\n{}", text(found), text(body));
    }
}

/// Every file of every project that is listed but for the large ones, and the metadata of all, by its path.
async fn files(relay: &str, sandbox: &Sandbox) -> BTreeMap<String, (u16, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for project in sandbox.listed() {
        for (_, upload) in project.files() {
            let path = format!("packages/{}", upload.file.path);
            if upload.file.content.size() < LARGE {
                let answer = get(&format!("{relay}{path}")).await;
                found.insert(path.clone(), (answer.status, answer.bytes().to_vec()));
            }
            let answer = get(&format!("{relay}{path}.metadata")).await;
            found.insert(path + ".metadata", (answer.status, answer.bytes().to_vec()));
        }
    }
    found
}

fn listed(sandbox: &Sandbox) -> Vec<String> {
    sandbox.listed().iter().map(|project| project.name.clone()).collect()
}

/// What lies in a folder: the journal's rows, and all other files.
fn contents(data: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.to_string_lossy().contains("journal.sqlite3") {
                found.push(format!("{} {:?}", path.display(), std::fs::read(&path).unwrap().len()));
            }
        }
    }
    found.sort();
    if data.join("journal.sqlite3").exists() {
        let journal = rusqlite::Connection::open(data.join("journal.sqlite3")).unwrap();
        for table in ["events", "facts", "projects", "documents", "tombstones", "coverage", "doomed"] {
            let mut rows = journal.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
            let columns = rows.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                (0..columns)
                    .map(|at| row.get_ref(at).map(|value| format!("{value:?}")))
                    .collect::<Result<Vec<_>, _>>()
            };
            found.extend(rows.query_map([], row).unwrap().map(|row| format!("{table} {:?}", row.unwrap())));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_without_upstream_answers_as_the_exporter_did() {
    let mut exporter = Exporter::serving().await;
    let projects = listed(&exporter.sandbox);
    answers(exporter.url(), &projects).await;
    let kept = files(exporter.url(), &exporter.sandbox).await;
    let asked = answers(exporter.url(), &projects).await;
    let head = last_serial(exporter.url()).await;
    // Beside the relay that serves.
    let bundle = exporter.export("first.bundle", &[]).await;
    exporter.stop().await;
    let data = exporter.path("importer");
    let output = exporter.import(&bundle, &data).await;
    let said = done(&output);
    assert!(said.contains(&format!("stands at serial {head}")), "{said}");
    let requests = exporter.sandbox.requests();
    let relay = imported(&data).await;
    assert_eq!(last_serial(&relay.url).await, head);
    let found = answers(&relay.url, &projects).await;
    assert_same(&found, &asked);
    let served = files(&relay.url, &exporter.sandbox).await;
    assert_eq!(served.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    for (path, (status, bytes)) in &kept {
        if *status == 200 {
            assert!(served[path] == (200, bytes.clone()), "{path}: {}", served[path].0);
        }
    }
    let whole = kept.values().filter(|(status, _)| *status == 200).count();
    assert!(whole > 20, "{whole}");
    assert_eq!(format!("{requests:?}"), format!("{:?}", exporter.sandbox.requests()), "upstream was asked");
    // Everything is its owner's alone.
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&bundle), mode(&data), mode(&exporter.data().join("bundlekey.pem"))),
        (0o600, 0o700, 0o600)
    );
    assert_eq!(mode(&data.join("journal.sqlite3")), 0o600);
    assert!(!data.join("journal.sqlite3.import").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_bundle_brings_what_happened_since_and_takes_away_what_was_removed() {
    let exporter = Exporter::serving().await;
    for (project, version) in
        [("carried", "1.0"), ("hidden", "1.0"), ("whole", "1.0"), ("swapped", "1.0"), ("named", "1.0")]
    {
        exporter.publish(project, version).await;
    }
    let mut projects = listed(&exporter.sandbox);
    answers(exporter.url(), &projects).await;
    let before = files(exporter.url(), &exporter.sandbox).await;
    let first = exporter.export("first.bundle", &[]).await;
    let data = exporter.path("importer");
    done(&exporter.import(&first, &data).await);
    let since = last_serial(exporter.url()).await;

    let gone = exporter.sandbox.project("carried").unwrap();
    let (_, gone) = gone.files().next().unwrap();
    let (gone, sha256) = (gone.file.path.to_string(), sha2_of(&gone.file.content.to_vec()));
    let filename = gone.rsplit_once('/').unwrap().1.to_owned();
    exporter.change(Change::RemoveFile { name: "carried".to_owned(), filename }).await;
    exporter.publish("carried", "2.0").await;
    exporter.publish("brought", "1.0").await;
    exporter.change(Change::Quarantine { name: "hidden".to_owned(), version: None, cleared: false }).await;
    // Removed, but a page that was kept before goes on naming it.
    let named = exporter.sandbox.project("named").unwrap();
    let (_, named) = named.files().next().unwrap();
    let named = (named.file.path.to_string(), sha2_of(&named.file.content.to_vec()));
    let filename = named.0.rsplit_once('/').unwrap().1.to_owned();
    exporter.change(Change::RemoveFile { name: "named".to_owned(), filename }).await;
    projects.retain(|name| name != "named");
    // Removed and there again, with the same bytes.
    exporter.change(Change::RemoveProject { name: "swapped".to_owned() }).await;
    exporter.publish("swapped", "1.0").await;
    exporter.change(Change::RemoveProject { name: "whole".to_owned() }).await;
    let head = last_serial(exporter.url()).await;
    // Pages that were kept before, and now are not as they were.
    projects.push("brought".to_owned());
    answers(exporter.url(), &projects).await;
    let asked = answers(exporter.url(), &projects).await;
    let kept = files(exporter.url(), &exporter.sandbox).await;
    // That a file never had metadata is not kept, and so not carried.
    let served = before.iter().filter(|(_, (status, _))| *status == 200).map(|(path, _)| path);
    let hidden: Vec<&String> = served.filter(|path| !kept.contains_key(*path)).collect();
    assert!(hidden.len() >= 3, "{hidden:?}");

    let second = exporter.export("second.bundle", &["--since", &since.to_string()]).await;
    // What a follower of upstream would have left.
    let journal = rusqlite::Connection::open(data.join("journal.sqlite3")).unwrap();
    journal.execute_batch("INSERT INTO absences (project, taken) VALUES ('carried', 1); INSERT INTO lost VALUES ('carried', 'carried')").unwrap();
    let output = exporter.import(&second, &data).await;
    let said = done(&output);
    // It is a journal of its own, and counts what it has.
    let identity = "SELECT group_concat(value) FROM facts WHERE name LIKE 'identity_%'";
    let identity = |journal: &rusqlite::Connection| {
        journal.query_row(identity, [], |row| row.get::<_, Option<String>>(0)).unwrap()
    };
    let exporters = rusqlite::Connection::open(exporter.data().join("journal.sqlite3")).unwrap();
    assert!(identity(&exporters).is_some() && identity(&exporters) != identity(&journal));
    let weights = "SELECT (SELECT sum(bytes) FROM documents) - (SELECT value FROM facts WHERE name = 'documents_bytes')";
    assert_eq!(journal.query_row(weights, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    let left = "SELECT (SELECT count(*) FROM absences) + (SELECT count(*) FROM lost)";
    assert_eq!(journal.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    drop(journal);
    let events = exporter.sandbox.events_after(cheesewire::model::Serial(since), usize::MAX).len();
    assert!(said.contains(&format!(": {events} new events")), "{said}");
    let relay = imported(&data).await;
    assert_eq!(last_serial(&relay.url).await, head);
    assert_same(&answers(&relay.url, &projects).await, &asked);
    for path in hidden {
        let (here, there) =
            (get(&format!("{}{path}", relay.url)).await, get(&format!("{}{path}", exporter.url())).await);
        assert_eq!((here.status, here.text()), (there.status, there.text()), "{path}");
        assert!(matches!(here.status, 404 | 410), "{path}: {}", here.status);
    }
    assert_eq!(get(&format!("{}packages/{gone}", relay.url)).await.status, 410);
    for (path, (status, bytes)) in &kept {
        if *status == 200 {
            assert_eq!(get(&format!("{}{path}", relay.url)).await.bytes(), bytes, "{path}");
        }
    }
    // Its bytes go, as where the changelog is followed.
    for sha256 in [sha256, named.1] {
        let place = data.join("files/sha256").join(&sha256[..2]).join(&sha256);
        until("what was removed is still on the disk", async || !place.exists()).await;
    }
    assert_eq!(get(&format!("{}packages/{}", relay.url, named.0)).await.status, 410);
    let again = kept.iter().find(|(path, _)| path.contains("swapped")).unwrap();
    assert_eq!(get(&format!("{}{}", relay.url, again.0)).await.bytes(), again.1.1);
    relay.kill().await;

    // Once more, and one that begins earlier: nothing is new, and nothing is wrong.
    for bundle in [second, exporter.export("overlaps.bundle", &["--since", &(since - 100).to_string()]).await]
    {
        let output = exporter.import(&bundle, &data).await;
        assert!(done(&output).contains(": 0 new events"), "{}", done(&output));
    }
    let relay = imported(&data).await;
    assert_same(&answers(&relay.url, &projects).await, &asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_imported_is_said_so_and_nobody_is_asked() {
    let exporter = Exporter::serving().await;
    get(&format!("{}simple/wire-top/", exporter.url())).await;
    let (_, upload) = exporter
        .sandbox
        .project("wire-top")
        .unwrap()
        .files()
        .next()
        .map(|(a, b)| (a.to_owned(), b.clone()))
        .unwrap();
    let path = format!("packages/{}", upload.file.path);
    assert_eq!(get(&format!("{}{path}", exporter.url())).await.status, 200);
    let advertised = "data-core-metadata";
    assert!(get(&format!("{}simple/wire-top/", exporter.url())).await.text().contains(advertised));
    let bundle = exporter.export("small.bundle", &["--without-files"]).await;
    let data = exporter.path("importer");
    let output = exporter.import(&bundle, &data).await;
    assert!(done(&output).contains("0 new package files"));
    let relay = imported(&data).await;
    for missing in ["simple/wire-core/", "pypi/wire-core/json", &path] {
        let answer = get(&format!("{}{missing}", relay.url)).await;
        assert_eq!(answer.status, 504, "{missing}: {}", answer.text());
        assert!(answer.text().contains("upstream.url = bundle"), "{missing}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), "");
        let warning = answer.header("warning");
        assert!(warning.starts_with("112 - \"Disconnected Operation, as of "), "{warning}");
    }
    assert_eq!(get(&format!("{}simple/no-such-project/", relay.url)).await.status, 404);
    let page = get(&format!("{}simple/wire-top/", relay.url)).await;
    assert_eq!(page.status, 200);
    // An installer would stop where it does not get what it was told of.
    assert!(!page.text().contains(advertised), "{}", page.text());
    assert!(page.header("warning").starts_with("112"), "it is not stale");
    let nothing = call(&relay.url, "release_data", &[Value::from("wire-core"), Value::from("1.0")]).await;
    assert!(format!("{nothing:?}").contains("RuntimeError: this relay has no upstream"), "{nothing:?}");
    let head = last_serial(&relay.url).await;
    let news = call(&relay.url, "changelog_since_serial", &[Value::Int(head)]).await.unwrap();
    assert_eq!(news, Value::Array(vec![]));
    relay.kill().await;
    // With an upstream it has all again.
    let relay = Process::start(&data, &exporter.sandbox.url(), &QUICK).await;
    let page = get(&format!("{}simple/wire-top/", relay.url)).await;
    assert!(page.text().contains(advertised), "{}", page.text());
    assert_eq!(page.header("warning"), "");
    let mut advertised = 0;
    for (_, upload) in exporter.sandbox.project("wire-top").unwrap().files() {
        let path = format!("packages/{}.metadata", upload.file.path);
        let (here, there) =
            (get(&format!("{}{path}", relay.url)).await, get(&format!("{}{path}", exporter.url())).await);
        assert_eq!((here.status, here.text()), (there.status, there.text()), "{path}");
        advertised += usize::from(here.status == 200);
    }
    assert!(advertised > 0);
}

fn sha2_of(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

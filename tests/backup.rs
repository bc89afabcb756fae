//! Backups of a relay that works, and what becomes of clients after a restore.

mod killed;
mod numbers;
mod refused;

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cheesewire::model::{Clock, Serial};
use cheesewire::sandbox::{Publication, Sandbox};
use cheesewire::xmlrpc::Value;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::support::process::{BINARY, Process};
use crate::support::{call, get, sandbox, until, within};

/// Polls follow each other; the file of tokens is read at the start.
const QUICK: [&str; 4] =
    ["follow.interval=5ms", "follow.shortest_wait=5ms", "follow.longest_wait=20ms", "auth.interval=1h"];
/// What the file of the key says here: it is copied, whatever it says.
const KEY: &str = "a private key";

/// A file of tokens without any: reading needs one all the same.
const TOKENS: &str = "# none\n";

/// `cheesewire backup` or `restore` as it is called here, before it is run.
fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(args).arg("--data").arg(data).args(["--set", "cache.free_floor=0"]).kill_on_drop(true);
    command
}

async fn backup(data: &Path, to: &Path, args: &[&str]) -> Output {
    let mut command = command(data, &["backup", "--to", to.to_str().unwrap()]);
    within("the backup does not end", command.args(args).output()).await.unwrap()
}

async fn restore(from: &Path, data: &Path, args: &[&str]) -> Output {
    let mut command = command(data, &["restore", "--from", from.to_str().unwrap()]);
    within("the restore does not end", command.args(args).output()).await.unwrap()
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

/// A data folder that knows all that upstream's changelog tells, with a key and a kept file.
struct Filled {
    sandbox: Arc<Sandbox>,
    folder: TempDir,
    /// The file's path below a relay's address, and its bytes.
    file: (String, Vec<u8>),
}

impl Filled {
    async fn new() -> Self {
        let sandbox = Arc::new(sandbox().await);
        let folder = tempfile::tempdir().unwrap();
        let url = sandbox.url();
        let args = ["sync", "--history", "all", "--until-current", "--upstream", &url];
        let synced = within("it does not end", command(folder.path(), &args).output()).await.unwrap();
        done(&synced);
        std::fs::write(folder.path().join("serverkey.pem"), KEY).unwrap();
        let project = sandbox.project("wire-top").unwrap();
        let (_, upload) = project.files().next().unwrap();
        let file = (format!("packages/{}", upload.file.path), upload.file.content.to_vec());
        Self { sandbox, folder, file }
    }

    async fn relay(&self) -> Process {
        Process::start(self.folder.path(), &self.sandbox.url(), &QUICK).await
    }

    /// Has the relay keep the file.
    async fn keep(&self, relay: &Process) {
        assert_eq!(get(&format!("{}simple/wire-top/", relay.url)).await.status, 200);
        assert_eq!(get(&format!("{}{}", relay.url, self.file.0)).await.bytes(), self.file.1);
        // The last bytes go out before that.
        until("it is not kept", async || kept_files(self.folder.path()) == 1).await;
    }
}

/// Package files in a data folder's cache, whole or not.
fn kept_files(data: &Path) -> usize {
    let Ok(shards) = std::fs::read_dir(data.join("files/sha256")) else { return 0 };
    shards.map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

/// Publishes without a pause, until it is stopped.
struct Stream {
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Stream {
    fn of(sandbox: &Arc<Sandbox>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, sandbox) = (Arc::clone(&stop), Arc::clone(sandbox));
        let task = tokio::spawn(async move {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                sandbox.publish(Publication::new("streamed", format!("1.{number}"))).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        Self { stop, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

async fn last_serial(relay: &str) -> i64 {
    let Ok(Value::Int(last)) = call(relay, "changelog_last_serial", &[]).await else {
        panic!("no last serial")
    };
    last
}

/// The last serial and the events of a journal that nobody has open, by serial and action.
fn events(folder: &Path) -> (i64, Vec<(i64, String)>) {
    let path = folder.join("journal.sqlite3");
    let journal = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let last = "SELECT value FROM facts WHERE name = 'projects_serial'";
    let last = journal.query_row(last, [], |row| row.get(0)).unwrap();
    let sql = "SELECT serial, spelling FROM events JOIN names ON names.id = events.name ORDER BY serial, events.rowid";
    let mut statement = journal.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    (last, rows.map(Result::unwrap).collect())
}

/// What upstream's changelog says up to a serial.
fn expected(sandbox: &Sandbox, last: i64) -> Vec<(i64, String)> {
    let all = sandbox.events_after(Serial(0), usize::MAX);
    all.into_iter().filter(|event| event.serial.0 <= last).map(|event| (event.serial.0, event.name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_working_relay_is_complete_and_a_relay_goes_on_from_it() {
    let filled = Filled::new().await;
    let relay = filled.relay().await;
    filled.keep(&relay).await;
    // Downloads are written a second later.
    let counted =
        || filled.folder.path().join("statistics.sqlite3").metadata().is_ok_and(|file| file.len() > 0);
    until("there are no statistics", async || counted()).await;
    let stream = Stream::of(&filled.sandbox);
    let before = last_serial(&relay.url).await;
    until("nothing streams", async || last_serial(&relay.url).await > before).await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("backup");
    // This relay does not see it.
    std::fs::write(filled.folder.path().join("tokens.toml"), TOKENS).unwrap();
    std::fs::write(filled.folder.path().join("bundlekey.pem"), "signs bundles").unwrap();
    let begun = Clock::system().unix();
    let output = backup(filled.folder.path(), &to, &["--files"]).await;
    let said = done(&output);
    let manifest = std::fs::read(to.join("backup.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let taken = manifest["taken"].as_i64().unwrap();
    assert!((begun..=Clock::system().unix()).contains(&taken), "{taken} is not after {begun}");
    for word in [
        "journal.sqlite3",
        "statistics.sqlite3",
        "serverkey.pem",
        "bundlekey.pem",
        "tokens.toml",
        "1 package files",
    ] {
        assert!(said.contains(word), "no {word} in {said}");
    }
    let (last, rows) = events(&to);
    assert!(last > before);
    assert_eq!(std::fs::read_to_string(to.join("tokens.toml")).unwrap(), TOKENS);
    // The relay noticed nothing.
    until("it stands still", async || last_serial(&relay.url).await > last).await;
    stream.end().await;
    relay.kill().await;
    assert_eq!(rows, expected(&filled.sandbox, last));

    let restored = place.path().join("restored");
    let output = restore(&to, &restored, &[]).await;
    assert!(done(&output).contains("1 package files"), "{}", done(&output));
    // Nothing in it says where it lies.
    let data = place.path().join("data");
    std::fs::rename(&restored, &data).unwrap();
    assert_eq!(events(&data), (last, rows));
    let statistics = |folder: &Path| std::fs::read(folder.join("statistics.sqlite3")).unwrap();
    assert!(statistics(&data) == statistics(&to));
    assert_eq!(std::fs::read_to_string(data.join("serverkey.pem")).unwrap(), KEY);
    assert_eq!(std::fs::read_to_string(data.join("tokens.toml")).unwrap(), TOKENS);
    assert_eq!(std::fs::read_to_string(data.join("bundlekey.pem")).unwrap(), "signs bundles");
    // Everything is its owner's alone, in the backup as in the folder.
    for folder in [&to, &data] {
        only_for_its_owner(folder);
    }
    let relay = Process::start(&data, &filled.sandbox.url(), &QUICK).await;
    assert_eq!(get(&format!("{}simple/wire-top/", relay.url)).await.status, 401);
    relay.terminate();
    assert_eq!(relay.exit().await, Some(0));
    std::fs::remove_file(data.join("tokens.toml")).unwrap();
    let relay = Process::start(&data, &filled.sandbox.url(), &QUICK).await;
    let newest = filled.sandbox.last_serial().0;
    until("it does not catch up", async || last_serial(&relay.url).await == newest).await;
    let count = filled.sandbox.requests().path(&format!("/{}", filled.file.0));
    filled.keep(&relay).await;
    assert_eq!(
        filled.sandbox.requests().path(&format!("/{}", filled.file.0)),
        count,
        "a kept file was fetched"
    );
    relay.terminate();
    assert_eq!(relay.exit().await, Some(0));
    assert_eq!(events(&data).1, expected(&filled.sandbox, newest));
}

fn only_for_its_owner(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = folder.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "{}", folder.display());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn a_backup_needs_no_relay_and_takes_no_package_files_that_are_not_asked_for() {
    let filled = Filled::new().await;
    let relay = filled.relay().await;
    filled.keep(&relay).await;
    // What a killed one leaves in its log belongs to the backup.
    relay.kill().await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("backup");
    let output = backup(filled.folder.path(), &to, &[]).await;
    assert!(done(&output).contains("no package files"));
    assert!(!to.join("files").exists());
    let (last, rows) = events(&to);
    assert_eq!((last, rows), (filled.sandbox.last_serial().0, expected(&filled.sandbox, last)));
}

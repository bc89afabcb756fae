//! `kill -9` while files are being kept and evicted: afterwards each is whole or not there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use cheesewire::blob::{Key, Store, StoreSettings};
use cheesewire::model::Sha256;
use sha2::Digest;

/// Tells the child, which is this test binary again, where to work; without it the child does nothing.
const FOLDER: &str = "CHEESEWIRE_KILL_FOLDER";
/// The bound in every other round, so that eviction runs too: about seven of the child's files.
const BOUND: u64 = 1 << 20;
const ROUNDS: u64 = 20;

fn settings(folder: &Path, bounded: bool) -> StoreSettings {
    let settings = StoreSettings { free_floor: 0, ..StoreSettings::new(folder.to_owned()) };
    if bounded { StoreSettings { max_bytes: BOUND, ..settings } } else { settings }
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// The process that is killed: keeps one file after the other and says so.
#[tokio::test]
#[ignore = "started by the test below"]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Store::open(&settings(Path::new(&folder), std::env::var_os("BOUNDED").is_some())).unwrap();
    for n in 0_u32.. {
        let bytes = Bytes::from(n.to_le_bytes().repeat(20_000 + 1_000 * (n as usize % 50)));
        let key = Key { sha256: digest(&bytes), size: Some(bytes.len() as u64) };
        let mut writer = store.writer(key.size).await.unwrap();
        for part in bytes.chunks(30_000) {
            writer = writer.append(vec![bytes.slice_ref(part)]).await.unwrap();
        }
        writer.finish(&key).await.unwrap();
        writeln!(std::io::stdout(), "kept {}", key.sha256).unwrap();
    }
}

/// Runs the child and kills it in the middle of something; what it said it had kept.
fn run_and_kill(folder: &Path, round: u64, bounded: bool) -> Vec<Sha256> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kill::child", "--ignored", "--nocapture"]).env(FOLDER, folder);
    if bounded {
        command.env("BOUNDED", "1");
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut kept = Vec::new();
    let said = |line: String| Some(line.split_once("kept ")?.1.parse::<Sha256>().unwrap());
    while kept.len() < 3 + usize::try_from(round).unwrap() {
        kept.extend(said(lines.next().unwrap().unwrap()));
    }
    // Not to wait for something: to be at another place of its work each time.
    std::thread::sleep(Duration::from_micros(round * 379 % 3000));
    child.kill().unwrap();
    child.wait().unwrap();
    kept.extend(lines.map_while(Result::ok).filter_map(said));
    kept
}

#[tokio::test]
async fn after_a_kill_every_entry_is_whole_or_absent() {
    let mut unfinished = 0;
    for round in 0..ROUNDS {
        let (folder, bounded) = (tempfile::tempdir().unwrap(), round % 2 == 1);
        let kept = run_and_kill(folder.path(), round, bounded);
        unfinished += std::fs::read_dir(folder.path().join("tmp")).unwrap().count();

        let store = Store::open(&settings(folder.path(), bounded)).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
        for shard in std::fs::read_dir(folder.path().join("sha256")).unwrap() {
            for entry in std::fs::read_dir(shard.unwrap().path()).unwrap() {
                let path = entry.unwrap().path();
                let actual = digest(&std::fs::read(&path).unwrap()).to_string();
                assert!(path.ends_with(actual), "{} is not whole", path.display());
            }
        }
        for sha256 in kept.into_iter().filter(|_| !bounded) {
            assert!(store.get(&Key { sha256, size: None }).await.is_some(), "{sha256} was kept and is gone");
        }
    }
    assert!(unfinished > 0, "no kill ever met a running write: this test proves nothing");
}

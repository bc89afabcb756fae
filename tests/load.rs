//! The whole relay under load, while its process is killed or its disk fills up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use cheesewire::blob::Inventory;
use cheesewire::model::Sha256;
use cheesewire::sandbox::Sandbox;
use sha2::Digest as _;

use crate::support::process::Process;
use crate::support::{Relay, get, get_with, sandbox, until};

/// A file: its path below the relay's address, and its digest.
#[derive(Clone)]
struct File {
    path: String,
    sha256: Sha256,
    size: u64,
}

/// The sandbox's files up to a size, each digest once.
fn files(sandbox: &Sandbox, largest: u64) -> Vec<File> {
    let mut found: Vec<File> = Vec::new();
    for project in sandbox.projects() {
        for (_, upload) in project.files() {
            let size = upload.file.content.size();
            let sha256: Sha256 = upload.file.digests.sha256.to_string().parse().unwrap();
            if size <= largest && found.iter().all(|file| file.sha256 != sha256) {
                found.push(File { path: format!("packages/{}", upload.file.path), sha256, size });
            }
        }
    }
    found
}

/// Makes the relay read every page, so that it knows the files.
async fn learn(sandbox: &Sandbox, relay: &str) {
    for project in sandbox.projects() {
        get(&format!("{relay}simple/{}/", project.name)).await;
    }
}

/// Asks for files until told to stop, each client in an order of its own. A whole answer must be the right one; one
/// that breaks off proves nothing. Returns how many were whole.
async fn load(relay: String, files: Arc<Vec<File>>, stop: Arc<AtomicBool>, must: bool) -> usize {
    let whole = Arc::new(AtomicUsize::new(0));
    let client = |n: usize| {
        let (relay, files, stop, whole) = (relay.clone(), files.clone(), stop.clone(), whole.clone());
        tokio::spawn(async move {
            for step in 0.. {
                if stop.load(Relaxed) {
                    break;
                }
                let file = &files[(step * (2 * n + 1) + n * 17) % files.len()];
                let answer = get_with(reqwest::Method::GET, &format!("{relay}{}", file.path), &[]).await;
                match answer.map(|answer| (answer.status, answer.body)) {
                    Ok((200, Ok(body))) => {
                        assert_eq!(Sha256(sha2::Sha256::digest(&body).into()), file.sha256, "{}", file.path);
                        whole.fetch_add(1, Relaxed);
                    }
                    other => assert!(!must, "{}: {other:?}", file.path),
                }
            }
        })
    };
    let clients: Vec<_> = (0..8).map(client).collect();
    for client in clients {
        client.await.unwrap();
    }
    whole.load(Relaxed)
}

/// Digests and bytes of what is kept; each entry must have its own.
fn kept(folder: &Path) -> (usize, u64) {
    let inventory = Inventory::of(folder);
    let (mut entries, mut bytes) = (0, 0);
    for kept in inventory.shelves().flat_map(|shelf| shelf.unwrap().kept) {
        assert_eq!(inventory.digest(kept.sha256).unwrap(), Some(kept.sha256), "an entry is not whole");
        (entries, bytes) = (entries + 1, bytes + kept.size);
    }
    (entries, bytes)
}

async fn kill_rounds(rounds: u64) {
    let sandbox = sandbox().await;
    let files = Arc::new(files(&sandbox, 64 << 10));
    let all: u64 = files.iter().map(|file| file.size).sum();
    let bound = all / 3;
    assert!(files.iter().all(|file| file.size < bound));
    let folder = tempfile::tempdir().unwrap();
    let settings = [format!("cache.max_bytes={bound}"), "cache.tending=50ms".into()];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let (mut whole, mut unfinished, mut most) = (0, 0, 0);
    for round in 0..rounds {
        let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
        assert_eq!(get(&format!("{}healthz", relay.url)).await.text(), "ok\n");
        if round == 0 {
            learn(&sandbox, &relay.url).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let clients = tokio::spawn(load(relay.url.clone(), files.clone(), stop.clone(), false));
        // Not to wait for something: to be at another place of the work each time.
        tokio::time::sleep(Duration::from_millis(100 + round * 37 % 300)).await;
        relay.kill().await;
        stop.store(true, Relaxed);
        whole += clients.await.unwrap();
        unfinished += std::fs::read_dir(folder.path().join("files/tmp")).unwrap().count();
        let (entries, bytes) = kept(&folder.path().join("files"));
        // What was not counted yet after the last start does not weigh for the moment that counting takes.
        most = most.max(bytes);
        assert!(entries > 0 || round == 0, "nothing survives");
    }
    println!(
        "{rounds} kills: {whole} right answers, {unfinished} fetches cut, \
         at most {most} of {bound} bytes kept after a kill"
    );
    assert!(whole > 0 && (unfinished > 0 || rounds < 50), "no kill met a fill: this proves nothing");
    let relay = Process::start(folder.path(), &sandbox.url(), &settings).await;
    assert_eq!(std::fs::read_dir(folder.path().join("files/tmp")).unwrap().count(), 0);
    for file in files.iter() {
        let answer = get(&format!("{}{}", relay.url, file.path)).await;
        assert_eq!(Sha256(sha2::Sha256::digest(answer.bytes()).into()), file.sha256);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_leave_no_partial_or_wrong_entry() {
    kill_rounds(4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: a hundred rounds of a process under load"]
async fn a_hundred_kills_under_load_leave_no_partial_or_wrong_entry() {
    kill_rounds(100).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes 100,000 files"]
async fn a_start_with_a_hundred_thousand_kept_files_takes_less_than_a_second_of_a_core() {
    let (folder, sandbox) = (tempfile::tempdir().unwrap(), sandbox().await);
    let cache = folder.path().join("files/sha256");
    for shard in 0..256 {
        std::fs::create_dir_all(cache.join(format!("{shard:02x}"))).unwrap();
    }
    for n in 0..100_000_u64 {
        let bytes = n.to_le_bytes();
        let name = Sha256(sha2::Sha256::digest(bytes).into()).to_string();
        std::fs::write(cache.join(&name[..2]).join(&name), bytes).unwrap();
    }
    for again in 0..3 {
        let relay = Process::start(folder.path(), &sandbox.url(), &[]).await;
        assert_eq!(get(&format!("{}healthz", relay.url)).await.text(), "ok\n");
        // What it works, not how long it has to wait for a core.
        let took = relay.cpu_time();
        println!("start {again}: {took:?}, {} MiB at most", relay.peak_memory());
        assert!(took < Duration::from_secs(1), "{took:?}");
        relay.kill().await;
    }
}

/// A file system of its own, in memory. Dropped, it is gone.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Self(at);
        mounted.mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        mounted
    }

    fn mount(&self, how: &[&str]) {
        assert!(Command::new("mount").args(how).arg(&self.0).status().unwrap().success(), "mount {how:?}");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: the relay may still have files open.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Takes all the room there is, and gives it back, again and again.
fn fill_and_empty(file: &Path, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        let filler = vec![7; 64 << 10];
        let mut out = std::fs::File::create(file).unwrap();
        while std::io::Write::write_all(&mut out, &filler).is_ok() {}
        std::thread::sleep(Duration::from_millis(30));
        out.set_len(0).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs root to mount a small file system"]
async fn on_a_disk_filled_to_the_brim_every_client_gets_right_bytes_and_keeping_resumes() {
    let sandbox = sandbox().await;
    let mut files = files(&sandbox, 1 << 20);
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::tmpfs(folder.path().join("files"), "4m");
    let cache = mounted.0.clone();
    let settings = ["cache.max_bytes=1GiB", "cache.hot_bytes=0"];
    let relay = Relay::start_in(folder, &sandbox.url(), &settings).await;
    learn(&sandbox, &relay.url).await;

    let stop = Arc::new(AtomicBool::new(false));
    let (filler, filling) = (cache.join("filler"), stop.clone());
    let fill = std::thread::spawn(move || fill_and_empty(&filler, &filling));
    let clients = tokio::spawn(load(relay.url.clone(), Arc::new(files.clone()), stop.clone(), true));
    tokio::time::sleep(Duration::from_secs(10)).await;
    stop.store(true, Relaxed);
    let whole = clients.await.unwrap();
    fill.join().unwrap();
    // Full for good: what is not kept passes through.
    let brim = std::fs::File::create(cache.join("filler")).unwrap();
    let mut out = &brim;
    while std::io::Write::write_all(&mut out, &[7; 4096]).is_ok() {}
    for file in &files {
        let answer = get(&format!("{}{}", relay.url, file.path)).await;
        assert_eq!(Sha256(sha2::Sha256::digest(answer.bytes()).into()), file.sha256);
    }
    let metrics = get(&format!("{}metrics", relay.url)).await;
    let unkept =
        metrics.text().lines().find(|line| line.starts_with("cheesewire_files_unkept_total")).unwrap();
    let (entries, _) = kept(&cache);
    println!("{whole} right answers; {unkept}; {entries} entries kept at the end");
    // Space is back: keeping resumes.
    std::fs::remove_file(cache.join("filler")).unwrap();
    drop(brim);
    files.retain(|file| file.size < 100 << 10);
    for file in &files {
        get(&format!("{}{}", relay.url, file.path)).await;
    }
    let last = files.last().unwrap().sha256.to_string();
    let path = cache.join("sha256").join(&last[..2]).join(&last);
    until("keeping does not resume", async || path.exists()).await;
    let (after, _) = kept(&cache);
    assert!(after >= entries, "{after} of {entries}");

    // Read-only: what is kept is served, what is not passes through.
    let folder = relay.stop().await;
    mounted.mount(&["-o", "remount,ro"]);
    let relay = Relay::start_in(folder, &sandbox.url(), &settings).await;
    for file in &files {
        let answer = get(&format!("{}{}", relay.url, file.path)).await;
        assert_eq!(Sha256(sha2::Sha256::digest(answer.bytes()).into()), file.sha256);
    }
    drop(mounted);
}

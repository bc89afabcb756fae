//! `cheesewire cache …`, with and without a relay on the folder.

use std::path::{Path, PathBuf};
use std::process::Output;

use cheesewire::sandbox::{Route, Sandbox};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::process::BINARY;
use crate::support::{Relay, get, sandbox, until, within};

/// A relay that has kept all files of two projects.
async fn filled(sandbox: &Sandbox) -> Relay {
    let relay = Relay::start(&sandbox.url(), &[]).await;
    for name in ["many-tags", "wire-top"] {
        assert_eq!(get(&format!("{}simple/{name}/", relay.url)).await.status, 200);
        for (_, upload) in sandbox.project(name).unwrap().files() {
            let answer = get(&format!("{}packages/{}", relay.url, upload.file.path)).await;
            assert_eq!(answer.bytes(), upload.file.content.to_vec());
        }
    }
    let all = uploads(sandbox, "many-tags").len() + uploads(sandbox, "wire-top").len();
    until("not all is kept", async || {
        list(relay.folder(), &[]).await["files"].as_array().unwrap().len() >= all
    })
    .await;
    relay
}

fn uploads(sandbox: &Sandbox, name: &str) -> Vec<(String, String)> {
    let project = sandbox.project(name).unwrap();
    let file = |upload: &cheesewire::sandbox::Upload| {
        (upload.file.filename.clone(), upload.file.digests.sha256.to_string())
    };
    project.files().map(|(_, upload)| file(upload)).collect()
}

async fn cache(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    // How much the machine's disk has left decides nothing.
    command
        .arg("cache")
        .args(args)
        .args(["--set", "cache.free_floor=0", "--data"])
        .arg(folder)
        .kill_on_drop(true);
    within("it does not end", command.output()).await.unwrap()
}

async fn done(folder: &Path, args: &[&str]) -> Value {
    let output = cache(folder, args).await;
    assert!(output.status.success(), "{args:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn list(folder: &Path, args: &[&str]) -> Value {
    done(folder, &[&["ls", "--json"], args].concat()).await
}

fn names(told: &Value) -> Vec<&str> {
    told["files"].as_array().unwrap().iter().map(|file| file["filename"].as_str().unwrap_or("-")).collect()
}

fn entry(folder: &Path, sha256: &str) -> PathBuf {
    folder.join("files/sha256").join(&sha256[..2]).join(sha256)
}

#[tokio::test]
async fn ls_tells_names_sizes_and_uses_and_narrows() {
    let sandbox = sandbox().await;
    let relay = filled(&sandbox).await;
    let told = list(relay.folder(), &["--project", "wire-top"]).await;
    let mut expected: Vec<_> = uploads(&sandbox, "wire-top").into_iter().map(|(name, _)| name).collect();
    expected.sort();
    assert_eq!(names(&told), expected);
    let file = &told["files"][0];
    assert!(file["size"].as_u64().unwrap() > 0 && file["uses"].as_f64().unwrap() >= 1.0, "{file}");
    assert_eq!(file["project"], "wire-top");
    assert!(
        names(&list(relay.folder(), &["--pattern", "*.tar.gz"]).await)
            .iter()
            .all(|name| name.ends_with(".gz"))
    );
    assert!(names(&list(relay.folder(), &["--unused-for", "1d"]).await).is_empty());
    let people = cache(relay.folder(), &["ls"]).await;
    let text = String::from_utf8(people.stdout).unwrap();
    assert!(text.starts_with("      SIZE USED FILE\n"), "{text}");
    assert!(text.contains(&expected[0]) && text.contains(" of at most 10.0 GiB"), "{text}");
}

#[tokio::test]
async fn ls_sorts_and_sums_by_project() {
    let sandbox = sandbox().await;
    let relay = filled(&sandbox).await;
    // One file is used often.
    let top = sandbox.project("wire-top").unwrap();
    let (_, often) = top.files().last().unwrap();
    let url = format!("{}packages/{}", relay.url, often.file.path);
    for _ in 0..50 {
        assert_eq!(get(&url).await.status, 200);
    }
    let folder = relay.stop().await;
    let numbers = |told: &Value, list: &str, member: &str| -> Vec<u64> {
        told[list].as_array().unwrap().iter().map(|row| row[member].as_u64().unwrap()).collect()
    };
    let all = list(folder.path(), &[]).await;
    let mut sizes = numbers(&all, "files", "size");
    let by_size = list(folder.path(), &["--sort", "size"]).await;
    assert_ne!(numbers(&by_size, "files", "size"), sizes, "they stand by name");
    sizes.sort_by_key(|size| std::cmp::Reverse(*size));
    assert_eq!(numbers(&by_size, "files", "size"), sizes);
    assert_eq!(names(&list(folder.path(), &["--sort", "uses"]).await)[0], often.file.filename);
    let by_use = numbers(&list(folder.path(), &["--sort", "unused"]).await, "files", "last_used");
    assert!(by_use.is_sorted(), "{by_use:?}");

    let projects = list(folder.path(), &["--by-project", "--sort", "size"]).await;
    assert_eq!(numbers(&projects, "projects", "bytes").iter().sum::<u64>(), sizes.iter().sum::<u64>());
    assert!(numbers(&projects, "projects", "bytes").is_sorted_by(|one, other| one >= other));
    let files = |project: &str| {
        let row = projects["projects"].as_array().unwrap().iter().find(|row| row["project"] == project);
        row.unwrap()["files"].as_u64().unwrap()
    };
    for project in ["many-tags", "wire-top"] {
        assert_eq!(files(project), uploads(&sandbox, project).len() as u64, "{project}");
    }
    let by = async |args: &[&str]| {
        let told = list(folder.path(), &[&["--by-project"], args].concat()).await;
        let name = |row: &Value| row["project"].as_str().unwrap().to_owned();
        told["projects"].as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(by(&["--sort", "name"]).await, ["many-tags", "wire-top"]);
    assert_eq!(by(&["--sort", "uses"]).await, ["wire-top", "many-tags"]);
    // Two files beside one.
    let (tags, top) = (uploads(&sandbox, "many-tags"), uploads(&sandbox, "wire-top"));
    let some = ["--sort", "size", "--file", &tags[0].0, "--file", &top[0].0, "--file", &top[1].0];
    assert_eq!(by(&some).await, ["wire-top", "many-tags"]);
    let people = cache(folder.path(), &["ls", "--by-project"]).await;
    let text = String::from_utf8(people.stdout).unwrap();
    assert!(text.starts_with("      SIZE USED   FILES PROJECT\n"), "{text}");
    assert_eq!(text.lines().count(), 4, "a heading, two projects, and the sum of all: {text}");
}

#[tokio::test]
async fn purge_takes_files_out_of_a_running_relay_and_of_a_stopped_one() {
    let sandbox = sandbox().await;
    let relay = filled(&sandbox).await;
    let top = uploads(&sandbox, "wire-top");
    let dry = done(relay.folder(), &["purge", "--project", "wire-top", "--dry-run", "--json"]).await;
    assert_eq!((names(&dry).len(), &dry["deleted"]), (top.len(), &Value::Bool(false)));
    assert!(entry(relay.folder(), &top[0].1).exists());

    let gone = done(relay.folder(), &["purge", "--file", &top[0].0, "--json"]).await;
    assert_eq!(names(&gone), [&top[0].0]);
    assert!(!entry(relay.folder(), &top[0].1).exists());
    // Out of its memory too: it has to fetch the file again.
    sandbox.forget_requests();
    let project = sandbox.project("wire-top").unwrap();
    let (_, upload) = project.files().find(|(_, upload)| upload.file.filename == top[0].0).unwrap();
    let answer = get(&format!("{}packages/{}", relay.url, upload.file.path)).await;
    assert_eq!((answer.header("x-cache"), sandbox.requests().route(Route::File)), ("miss", 1));

    let folder: TempDir = relay.stop().await;
    done(folder.path(), &["purge", "--project", "wire-top", "--json"]).await;
    let left = list(folder.path(), &[]).await;
    assert_eq!(names(&left).len(), uploads(&sandbox, "many-tags").len());
    let refused = cache(folder.path(), &["purge"]).await;
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--all"));
    done(folder.path(), &["purge", "--all", "--json"]).await;
    assert!(names(&list(folder.path(), &[]).await).is_empty());
}

#[tokio::test]
async fn verify_finds_what_was_edited_and_fetches_it_again() {
    let sandbox = sandbox().await;
    let relay = filled(&sandbox).await;
    let top = uploads(&sandbox, "wire-top");
    let path = entry(relay.folder(), &top[0].1);
    let right = std::fs::read(&path).unwrap();
    let edit = |path: &Path| {
        let mut bytes = right.clone();
        bytes[0] ^= 1;
        let modified = path.metadata().unwrap().modified().unwrap();
        std::fs::write(path, bytes).unwrap();
        // As if nobody had: only reading it again can tell.
        std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    };
    done(relay.folder(), &["verify", "--json"]).await;
    edit(&path);
    let told = cache(relay.folder(), &["verify", "--dry-run"]).await;
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    // By the relay that runs.
    let told = cache(relay.folder(), &["verify"]).await;
    assert_eq!(told.status.code(), Some(2), "{told:?}");
    assert!(String::from_utf8(told.stdout).unwrap().contains(&format!("wrong: wire-top {}", top[0].0)));
    assert_eq!(std::fs::read(&path).unwrap(), right);

    // Without one: thrown away, and fetched again if there is an upstream to ask.
    let folder = relay.stop().await;
    edit(&path);
    let told = cache(folder.path(), &["verify"]).await;
    assert_eq!((told.status.code(), path.exists()), (Some(1), false), "{told:?}");
    std::fs::write(&path, &right).unwrap();
    edit(&path);
    let told = cache(folder.path(), &["verify", "--upstream", &sandbox.url(), "--json"]).await;
    assert_eq!(told.status.code(), Some(2), "{told:?}");
    assert_eq!(serde_json::from_slice::<Value>(&told.stdout).unwrap()["repaired"], 1);
    assert_eq!(std::fs::read(&path).unwrap(), right);
}

#[tokio::test]
async fn gc_takes_what_no_page_names_and_leaves_strangers() {
    let sandbox = sandbox().await;
    let folder = filled(&sandbox).await.stop().await;
    let orphan = entry(folder.path(), &"ab".repeat(32));
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, "orphan").unwrap();
    let stranger = orphan.with_file_name("README");
    std::fs::write(&stranger, "mine").unwrap();
    let kept = done(folder.path(), &["gc", "--json"]).await;
    assert!(names(&kept).is_empty() && orphan.exists(), "used a moment ago: {kept}");
    let output = cache(folder.path(), &["gc", "--unused-for", "0s"]).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 files deleted, 6 B\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("not ours, left alone: ") && said.contains("README"), "{said}");
    assert!(!orphan.exists() && stranger.exists());
    let kept = list(folder.path(), &[]).await["files"].as_array().unwrap().len();
    assert!(kept > 0);
    // Without a journal all would be nobody's.
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path().join(format!("journal.sqlite3{end}")));
    }
    let refused = cache(folder.path(), &["gc", "--unused-for", "0s"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("without a readable journal"));
    let left = list(folder.path(), &[]).await;
    assert_eq!(left["files"].as_array().unwrap().len(), kept, "{left}");
}

#[tokio::test]
async fn a_folder_without_a_cache_is_named_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["ls", "verify", "gc"] {
        let output = cache(&folder.path().join("none"), &[command]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(1) && said.contains("name the relay's folder with --data"),
            "{said}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn prefetch_asks_a_relay_for_what_the_rules_want() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let prefetch = async |rules: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["cache", "prefetch", "--relay", &relay.url]).args(rules).kill_on_drop(true);
        within("it does not end", command.output()).await.unwrap()
    };
    let rules = ["wire-t* newest=1", "many-tags sdist=no python=py3"];
    let mut dry = rules.to_vec();
    dry.push("--dry-run");
    let output = prefetch(&dry).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("wire_top-2.0") && told.contains("would be fetched"), "{told}");
    assert_eq!(sandbox.requests().route(Route::File), 0);
    let output = prefetch(&rules).await;
    assert!(output.status.success(), "{output:?}");
    let fetched = sandbox.requests().route(Route::File);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(&format!("{fetched} files are there, ")));
    assert!(fetched >= 3, "{fetched}");
    sandbox.forget_requests();
    prefetch(&rules).await;
    assert_eq!(sandbox.requests().route(Route::File), 0, "they are kept");

    let fault =
        cheesewire::sandbox::Fault::on(Route::File, cheesewire::sandbox::Effect::Status { code: 404 });
    sandbox.faults().add(fault.times(1)).unwrap();
    let output = prefetch(&["wire-core", "no-such-project"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no-such-project: ") && said.contains("2 files or projects could not be had"),
        "{said}"
    );
    assert!(sandbox.requests().route(Route::File) > 1, "one missing file stopped the others");
}

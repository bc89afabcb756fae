//! What is no backup, and where none goes.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_was_written_is_refused_and_nothing_is_made() {
    let filled = Filled::new().await;
    let place = tempfile::tempdir().unwrap();
    let (to, data) = (place.path().join("backup"), place.path().join("data"));
    done(&backup(filled.folder.path(), &to, &[]).await);
    let manifest = std::fs::read_to_string(to.join("backup.json")).unwrap();
    let journal = std::fs::read(to.join("journal.sqlite3")).unwrap();
    let with = |from: &str, to: &str| manifest.replace(from, to);
    let cases = [
        ("cut", manifest[..manifest.len() / 2].to_owned(), "take another backup"),
        ("empty", String::new(), "take another backup"),
        ("newer", with("\"form\": 1", "\"form\": 2"), "newer cheesewire"),
        ("outside", with("\"serverkey.pem\"", "\"../../key\""), "no file of a backup"),
        ("no journal", with("\"journal.sqlite3\"", "\"serverkey2.pem\""), "names no journal.sqlite3"),
        ("endless", " ".repeat(1 << 20) + &manifest, "take another backup"),
    ];
    for (what, text, complaint) in cases {
        std::fs::write(to.join("backup.json"), text).unwrap();
        let output = restore(&to, &data, &[]).await;
        let said = refused(&output, 1);
        assert!(said.contains(complaint), "{what}: {said}");
        assert!(!data.exists(), "{what}");
    }
    std::fs::write(to.join("backup.json"), &manifest).unwrap();
    let mut flipped = journal.clone();
    flipped[journal.len() / 2] ^= 1;
    for (what, bytes) in [("flipped", flipped), ("cut", journal[..journal.len() - 4096].to_vec())] {
        std::fs::write(to.join("journal.sqlite3"), bytes).unwrap();
        let output = restore(&to, &data, &[]).await;
        let said = refused(&output, 1);
        assert!(said.contains("not as it was when the backup was taken"), "{what}: {said}");
        assert!(!data.exists(), "{what}");
    }
    std::fs::write(to.join("journal.sqlite3"), journal).unwrap();
    std::fs::remove_file(to.join("serverkey.pem")).unwrap();
    let output = restore(&to, &data, &[]).await;
    assert!(refused(&output, 1).contains("serverkey.pem is not as it was when the backup was taken"));
    assert!(!data.exists());
    std::fs::write(to.join("serverkey.pem"), KEY).unwrap();
    done(&restore(&to, &data, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_not_replaced() {
    let filled = Filled::new().await;
    let place = tempfile::tempdir().unwrap();
    let (to, data) = (place.path().join("backup"), place.path().join("data"));
    std::fs::create_dir(&to).unwrap();
    std::fs::write(to.join("notes"), "somebody's").unwrap();
    let output = backup(filled.folder.path(), &to, &[]).await;
    assert!(refused(&output, 1).contains("is not empty"));
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 1);
    std::fs::remove_file(to.join("notes")).unwrap();
    done(&backup(filled.folder.path(), &to, &[]).await);
    let before = events(filled.folder.path());
    let output = restore(&to, filled.folder.path(), &[]).await;
    assert!(refused(&output, 1).contains("give --data an empty folder"));
    assert_eq!(events(filled.folder.path()), before);
    assert!(!filled.folder.path().join("restore.unfinished").exists());
    // A key alone is worth as much, and so is the log of a database.
    std::fs::create_dir(&data).unwrap();
    for name in [
        "serverkey.pem",
        "bundlekey.pem",
        "statistics.sqlite3",
        "statistics.sqlite3-wal",
        "journal.sqlite3-wal",
    ] {
        std::fs::write(data.join(name), "another").unwrap();
        let output = restore(&to, &data, &[]).await;
        assert!(refused(&output, 1).contains("give --data an empty folder"), "{output:?}");
        assert_eq!(std::fs::read_to_string(data.join(name)).unwrap(), "another");
        assert!(!data.join("restore.unfinished").exists());
        std::fs::remove_file(data.join(name)).unwrap();
    }
    done(&restore(&to, &data, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_upstreams_backup_and_numbers_that_do_not_fit_are_refused() {
    let filled = Filled::new().await;
    let place = tempfile::tempdir().unwrap();
    let (to, data) = (place.path().join("backup"), place.path().join("data"));
    let other = ["--upstream", "https://user:secret@other.test/"];
    let output = backup(filled.folder.path(), &to, &other).await;
    assert!(refused(&output, 64).contains("other.test") && !to.exists());
    done(&backup(filled.folder.path(), &to, &[]).await);
    let output = restore(&to, &data, &other).await;
    let said = refused(&output, 64);
    assert!(said.contains("cheesewire adopt") && !said.contains("secret"), "{said}");
    let output = restore(&to, &data, &["--told", "2147483647"]).await;
    assert!(refused(&output, 1).contains("--told SERIAL"));
    assert!(!data.exists());
    let none = place.path().join("none");
    assert!(refused(&backup(&none, &place.path().join("b"), &[]).await, 1).contains("no journal in"));
    assert!(!none.exists() && !place.path().join("b").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_is_told_of_and_nothing_is_left() {
    let filled = Filled::new().await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("backup");
    let small = ["backup", "--to", to.to_str().unwrap()];
    let output = with_little_room(64, filled.folder.path(), &small).await;
    let said = refused(&output, 1);
    assert!(said.contains("journal.sqlite3"), "{said}");
    assert!(!to.exists());
    // As late as can be: there is room for all but the last package file.
    let large = keep_large(filled.folder.path());
    let whole = [&small[..], &["--files"]].concat();
    let output = with_little_room(LITTLE, filled.folder.path(), &whole).await;
    assert!(refused(&output, 1).contains("backup/files"), "{output:?}");
    assert!(!to.exists());
    // A folder that was there stays, empty; so does a link to it.
    let folder = place.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&folder, &to).unwrap();
    std::fs::write(filled.folder.path().join("tokens.toml"), TOKENS).unwrap();
    std::fs::write(filled.folder.path().join("bundlekey.pem"), KEY).unwrap();
    let output = with_little_room(LITTLE, filled.folder.path(), &whole).await;
    refused(&output, 1);
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 0);
    assert!(to.symlink_metadata().unwrap().is_symlink());
    // What a file system of its own has in its root is nobody's.
    std::fs::create_dir(folder.join("lost+found")).unwrap();
    done(&backup(filled.folder.path(), &to, &["--files"]).await);
    assert!(folder.join("backup.json").exists() && folder.join("files/sha256").join(&large).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_finds_no_room_says_that_it_did_not_end_and_ends_when_there_is_some() {
    let filled = Filled::new().await;
    let place = tempfile::tempdir().unwrap();
    let (to, data) = (place.path().join("backup"), place.path().join("data"));
    let large = keep_large(filled.folder.path());
    done(&backup(filled.folder.path(), &to, &["--files"]).await);
    let args = ["restore", "--from", to.to_str().unwrap()];
    for (blocks, what) in [(64, "journal.sqlite3"), (LITTLE, "files")] {
        let files = if what == "files" { to.join("files") } else { place.path().join("none") };
        // The journal comes last: only without the files is it what finds no room.
        let aside = place.path().join("aside");
        if !files.exists() {
            std::fs::rename(to.join("files"), &aside).unwrap();
        }
        let output = with_little_room(blocks, &data, &args).await;
        let said = refused(&output, 1);
        assert!(said.contains(what) && said.contains("run cheesewire restore again"), "{said}");
        assert!(data.join("restore.unfinished").exists() && !data.join("journal.sqlite3").exists());
        if aside.exists() {
            std::fs::rename(&aside, to.join("files")).unwrap();
        }
    }
    assert!(!data.join("files/sha256").join(&large).exists());
    assert_eq!(std::fs::read_dir(data.join("files/tmp")).unwrap().count(), 0, "what did not fit takes room");
    done(&restore(&to, &data, &[]).await);
    assert!(data.join("files/sha256").join(&large).exists());
    assert_eq!(events(&data), events(&to));
    assert!(!data.join("restore.unfinished").exists());
    // Package files that the backup has lost are fetched again; it is not said that they came.
    std::fs::remove_dir_all(to.join("files")).unwrap();
    let other = place.path().join("other");
    assert!(done(&restore(&to, &other, &[]).await).contains("0 package files"));
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_that_cannot_be_read_are_named_and_nothing_is_left() {
    let filled = Filled::new().await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("backup");
    let statistics = Connection::open(filled.folder.path().join("statistics.sqlite3")).unwrap();
    statistics.execute_batch("CREATE TABLE somebodys (x); PRAGMA application_id = 7").unwrap();
    let output = backup(filled.folder.path(), &to, &[]).await;
    assert!(refused(&output, 1).contains("statistics.sqlite3"), "{output:?}");
    assert!(!to.exists());
}

/// More than any database here has, in the shell's blocks of 512 bytes, and less than the file of [`keep_large`].
const LITTLE: u32 = 16 << 11;

/// Puts a kept file of 24 MiB into a data folder; its path below those of all.
fn keep_large(data: &Path) -> String {
    use sha2::Digest as _;
    let bytes = vec![7; 24 << 20];
    let sha256 = hex::encode(sha2::Sha256::digest(&bytes));
    let path = format!("{}/{sha256}", &sha256[..2]);
    let place = data.join("files/sha256").join(&path);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, bytes).unwrap();
    path
}

/// Runs a command where files of more than so many blocks of 512 bytes are refused, as by a full disk.
async fn with_little_room(blocks: u32, data: &Path, args: &[&str]) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", BINARY]).args(args).arg("--data").arg(data);
    command.args(["--set", "cache.free_floor=0"]).kill_on_drop(true);
    within("it does not end", command.output()).await.unwrap()
}

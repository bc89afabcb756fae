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
    assert!(refused(&restore(&to, &data, &[]).await, 1).contains("serverkey.pem"));
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
    // A key alone is worth as much.
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("serverkey.pem"), "another").unwrap();
    assert!(refused(&restore(&to, &data, &[]).await, 1).contains("serverkey.pem"));
    assert_eq!(std::fs::read_to_string(data.join("serverkey.pem")).unwrap(), "another");
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
    // Files of more than 32 KiB are refused, as by a full disk.
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
    command.args(["-c", script, "sh", BINARY, "backup", "--data"]).arg(filled.folder.path());
    let output = within("it does not end", command.arg("--to").arg(&to).output()).await.unwrap();
    let said = refused(&output, 1);
    assert!(said.contains("journal.sqlite3"), "{said}");
    assert!(!to.exists());
}

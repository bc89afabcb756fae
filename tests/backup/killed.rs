//! Backups and restores that are killed at some moment.

use std::path::Path;

use super::*;

/// Kills a command as soon as `is_time`, if it has not ended; tells whether it was killed.
async fn kill_when(mut command: Command, is_time: impl Fn() -> bool) -> bool {
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let end = async {
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return false;
            }
            if is_time() {
                child.kill().await.unwrap();
                return true;
            }
            tokio::task::yield_now().await;
        }
    };
    within("it does not end", end).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_at_any_moment_is_whole_or_refused() {
    let filled = Filled::new().await;
    let relay = filled.relay().await;
    filled.keep(&relay).await;
    let stream = Stream::of(&filled.sandbox);
    let moments =
        ["", "journal.sqlite3", "journal.sqlite3-journal", "statistics.sqlite3", "serverkey.pem", "files"];
    let place = tempfile::tempdir().unwrap();
    let (mut killed, mut whole) = (0, 0);
    for round in 0..20 {
        let (to, data) = (place.path().join(format!("b{round}")), place.path().join(format!("d{round}")));
        let command = command(filled.folder.path(), &["backup", "--files", "--to", to.to_str().unwrap()]);
        let moment = to.join(moments[round % moments.len()]);
        // The last rounds are let alone.
        killed += usize::from(kill_when(command, || round < 18 && moment.exists()).await);
        let output = restore(&to, &data, &[]).await;
        if to.join("backup.json").exists() {
            done(&output);
            let (last, rows) = events(&data);
            assert_eq!(rows, expected(&filled.sandbox, last));
            assert_eq!(kept_files(&data), 1);
            whole += 1;
        } else {
            let said = refused(&output, 1);
            assert!(said.contains("did not end"), "{said}");
            assert!(!data.exists());
        }
    }
    stream.end().await;
    assert!(killed > 0 && whole > 1, "{killed} were killed, {whole} are whole");
    drop(relay);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_relay_starts_on_a_restore_that_was_killed_and_the_next_one_ends_it() {
    let filled = Filled::new().await;
    let relay = filled.relay().await;
    filled.keep(&relay).await;
    relay.kill().await;
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("backup");
    done(&backup(filled.folder.path(), &to, &["--files"]).await);
    let moments =
        ["restore.unfinished", "serverkey.pem", "files", "journal.sqlite3.restored", "journal.sqlite3"];
    let mut killed = 0;
    for round in 0..10 {
        let data = place.path().join(format!("d{round}"));
        let moment = data.join(moments[round % moments.len()]);
        let command = command(&data, &["restore", "--from", to.to_str().unwrap()]);
        killed += usize::from(kill_when(command, || moment.exists()).await);
        if data.join("restore.unfinished").exists() {
            assert_not_served(&data, &filled.sandbox.url()).await;
            let output = backup(&data, &place.path().join("none"), &[]).await;
            assert!(refused(&output, 1).contains("no journal"));
            done(&restore(&to, &data, &[]).await);
        }
        let (last, rows) = events(&data);
        assert_eq!((last, &rows), (filled.sandbox.last_serial().0, &expected(&filled.sandbox, last)));
        assert_eq!(std::fs::read_to_string(data.join("serverkey.pem")).unwrap(), KEY);
        assert_eq!(kept_files(&data), 1);
    }
    assert!(killed > 0);
}

/// The moment between the journal's last name and the end of the mark is too short to be hit.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_at_its_very_end_is_done_again() {
    let filled = Filled::new().await;
    let place = tempfile::tempdir().unwrap();
    let (to, data) = (place.path().join("backup"), place.path().join("data"));
    done(&backup(filled.folder.path(), &to, &[]).await);
    done(&restore(&to, &data, &[]).await);
    let log = data.join("statistics.sqlite3-wal");
    for rest in [&data.join("restore.unfinished"), &log] {
        std::fs::write(rest, "").unwrap();
    }
    assert_not_served(&data, &filled.sandbox.url()).await;
    let none = place.path().join("none");
    assert!(refused(&backup(&data, &none, &[]).await, 1).contains("no journal"));
    done(&restore(&to, &data, &[]).await);
    assert_eq!(events(&data), events(&to));
    assert!(!log.exists() && !data.join("restore.unfinished").exists());
}

async fn assert_not_served(data: &Path, upstream: &str) {
    let args = ["serve", "--listen", "127.0.0.1:0", "--upstream", upstream];
    let output = within("it serves", command(data, &args).output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("cheesewire restore"), "{said}");
}

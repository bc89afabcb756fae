//! Imports and exports that are killed at some moment.

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

/// The last serial and the kept pages of a journal.
fn stands(data: &Path) -> (i64, i64, i64) {
    let journal = rusqlite::Connection::open(data.join("journal.sqlite3")).unwrap();
    let number = |sql: &str| journal.query_row(sql, [], |row| row.get(0)).unwrap();
    (
        number("SELECT ifnull((SELECT value FROM facts WHERE name = 'projects_serial'), 0)"),
        number("SELECT count(*) FROM events"),
        number("SELECT count(*) FROM documents"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_at_any_moment_has_taken_all_or_nothing_and_the_next_one_ends_it() {
    let exporter = Exporter::serving().await;
    let mut projects = listed(&exporter.sandbox);
    answers(exporter.url(), &projects).await;
    let first = exporter.export("first.bundle", &["--without-files"]).await;
    let since = last_serial(exporter.url()).await;
    exporter.publish("carried", "1.0").await;
    projects.push("carried".to_owned());
    answers(exporter.url(), &projects).await;
    files(exporter.url(), &exporter.sandbox).await;
    let asked = answers(exporter.url(), &projects).await;
    let second = exporter.export("second.bundle", &["--since", &since.to_string()]).await;
    let key = exporter.key().await;
    let template = exporter.path("template");
    done(&exporter.import(&first, &template).await);
    let before = stands(&template);
    let whole = exporter.path("whole");
    copy(&template, &whole);
    done(&exporter.import(&second, &whole).await);
    let after = stands(&whole);
    assert!(after.0 > before.0 && after.2 > before.2);
    let moments = [
        "journal.sqlite3.import",
        "journal.sqlite3.import/part.gz",
        "journal.sqlite3.import/part.sqlite3",
        "journal.sqlite3.import/part.sqlite3-wal",
        "files/tmp",
        "files/sha256/ff",
        "journal.sqlite3-wal",
    ];
    let (mut killed, mut olds, mut news) = (0, 0, 0);
    for round in 0..7 {
        let data = exporter.path(&format!("data{round}"));
        copy(&template, &data);
        let args = [
            "bundle",
            "import",
            second.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
            "--upstream",
            "bundle",
        ];
        let moment = data.join(moments[round % moments.len()]);
        // Of the log only what has more than one page tells that the transaction is being written.
        let is_time = || match moment.file_name().unwrap().to_str() {
            Some("journal.sqlite3-wal") => {
                moment.metadata().is_ok_and(|facts| facts.len() > 60_000 * (round as u64))
            }
            _ => moment.exists(),
        };
        killed += usize::from(kill_when(command(&data, &args), is_time).await);
        let found = stands(&data);
        assert!(found == before || found == after, "{found:?} is neither {before:?} nor {after:?}");
        if found == before {
            olds += 1;
        } else {
            news += 1;
        }
        if round % 5 == 0 {
            // A relay starts on it, and tells of the one or of the other.
            let relay = imported(&data).await;
            assert_eq!(last_serial(&relay.url).await, found.0);
            relay.kill().await;
        }
        done(&run_import(&second, &data, &key).await);
        assert_eq!(stands(&data), after);
        assert!(!data.join("journal.sqlite3.import").exists());
        if round % 7 == 6 {
            let relay = imported(&data).await;
            assert_same(&answers(&relay.url, &projects).await, &asked);
            relay.kill().await;
        }
    }
    assert!(killed >= 3 && olds >= 1, "{killed} were killed, {olds} had taken nothing, {news} all");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_killed_leaves_no_bundle() {
    let exporter = Exporter::serving().await;
    answers(exporter.url(), &listed(&exporter.sandbox)).await;
    files(exporter.url(), &exporter.sandbox).await;
    let mut killed = 0;
    for round in 0..6 {
        let to = exporter.path(&format!("b{round}"));
        let made = || {
            std::fs::read_dir(exporter.place.path()).unwrap().any(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_str()
                    .is_some_and(|name| name.starts_with(".cheesewire-bundle-"))
            })
        };
        if kill_when(command(&exporter.data(), &["bundle", "export", "--to", to.to_str().unwrap()]), made)
            .await
        {
            killed += 1;
            assert!(!to.exists());
        }
        for entry in std::fs::read_dir(exporter.place.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
    }
    assert!(killed > 0);
    let whole = exporter.export("whole.bundle", &[]).await;
    done(&exporter.import(&whole, &exporter.path("importer")).await);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

//! Bundles that are not taken, and leave everything as it was.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_and_an_older_bundle_are_refused_with_the_right_since() {
    let exporter = Exporter::serving().await;
    let first = exporter.export("first.bundle", &[]).await;
    let head = last_serial(exporter.url()).await;
    let middle = exporter.publish("carried", "1.0").await;
    let second = exporter.export("second.bundle", &["--since", &head.to_string()]).await;
    let last = exporter.publish("carried", "2.0").await;
    // Nothing of a file that comes with it is taken either.
    get(&format!("{}simple/carried/", exporter.url())).await;
    let carried = exporter.sandbox.project("carried").unwrap();
    let (_, upload) = carried.files().next().unwrap();
    assert_eq!(get(&format!("{}packages/{}", exporter.url(), upload.file.path)).await.status, 200);
    let third = exporter.export("third.bundle", &["--since", &middle.to_string()]).await;
    let data = exporter.path("importer");
    let output = exporter.import(&second, &data).await;
    assert!(refused(&output, 1).contains("made without --since"));
    assert!(!data.exists());
    done(&exporter.import(&first, &data).await);
    let before = contents(&data);
    let output = exporter.import(&third, &data).await;
    assert!(refused(&output, 1).contains(&format!("make it again with --since {head}")));
    assert_eq!(contents(&data), before);
    done(&exporter.import(&second, &data).await);
    done(&exporter.import(&third, &data).await);
    let before = contents(&data);
    for older in [&first, &second] {
        let output = exporter.import(older, &data).await;
        let said = refused(&output, 1);
        assert!(said.contains("older than what is here") && said.contains(&last.to_string()), "{said}");
        assert_eq!(contents(&data), before);
    }
    // The exporter knows no more either.
    let beyond = exporter.path("beyond.bundle");
    let args = ["bundle", "export", "--to", beyond.to_str().unwrap(), "--since", &(last + 1).to_string()];
    let output = run(&exporter.data(), &args).await;
    assert!(refused(&output, 1).contains(&format!("beyond the last serial {last}")));
    assert!(!beyond.exists());
    // Pages come without events, too: of two with one head the one that was made first is the older one.
    let (early, late) = (
        exporter.export("early.bundle", &["--since", &last.to_string()]).await,
        exporter.path("late.bundle"),
    );
    let mut parts = hostile::Parts::read(&early);
    parts.head["taken"] = (parts.head["taken"].as_i64().unwrap() + 60).into();
    parts.write(&late, &exporter.data());
    done(&exporter.import(&early, &data).await);
    done(&exporter.import(&late, &data).await);
    let output = exporter.import(&early, &data).await;
    assert!(refused(&output, 1).contains("older than what is here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_lacks_history_names_the_since_that_it_has() {
    let sandbox = Arc::new(sandbox().await);
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("exporter");
    let relay = Process::start(&data, &sandbox.url(), &QUICK).await;
    until("nothing is known", async || call(&relay.url, "changelog_last_serial", &[]).await.is_ok()).await;
    let known = last_serial(&relay.url).await;
    let serial = sandbox.publish(Publication::new("carried", "1.0")).await.unwrap().0;
    until("it does not follow", async || last_serial(&relay.url).await == serial).await;
    let to = place.path().join("one.bundle");
    let export = ["bundle", "export", "--to", to.to_str().unwrap(), "--since", "5"];
    let output = run(&data, &export).await;
    let said = refused(&output, 1);
    assert!(said.contains(&format!("--since {known} or a higher one")), "{said}");
    assert!(!to.exists());
    let output = run(&data, &["bundle", "export", "--to", to.to_str().unwrap()]).await;
    assert!(done(&output).contains(&format!("--since {serial}")));
}

/// The first three of them, the last two, and one between: all would take minutes.
fn thinned(starts: &[usize]) -> Vec<usize> {
    let all = starts.len();
    let taken = [0, 1, 2, all / 2, all - 2, all - 1];
    taken.into_iter().map(|at| starts[at]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_altered_cut_or_of_another_upstream_changes_nothing() {
    let exporter = Exporter::serving().await;
    get(&format!("{}simple/wire-top/", exporter.url())).await;
    files(exporter.url(), &exporter.sandbox).await;
    let first = exporter.export("first.bundle", &[]).await;
    let data = exporter.path("importer");
    done(&exporter.import(&first, &data).await);
    exporter.publish("carried", "1.0").await;
    let bundle = exporter.export("second.bundle", &[]).await;
    let bytes = std::fs::read(&bundle).unwrap();
    let (before, key) = (contents(&data), exporter.key().await);
    let altered = exporter.path("altered.bundle");
    // A bit in every part, and in the archive's own headers; every cut.
    let parts = hostile::Parts::read(&bundle);
    let (mut flips, mut lengths) = (Vec::new(), Vec::new());
    for start in thinned(parts.starts()) {
        flips.extend([start, start + 156, start + 512, start + 530]);
        lengths.extend([start, start + 100, start + 512, start + 513]);
    }
    lengths.extend([0, bytes.len() - 512, bytes.len() - 1]);
    let refuses = async |what: String| {
        let output = run_import(&altered, &data, &key).await;
        let said = refused(&output, 1);
        assert!(said.contains("nothing of it was taken"), "{what}: {said}");
        assert_eq!(contents(&data), before, "{what}");
    };
    for at in flips {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        std::fs::write(&altered, flipped).unwrap();
        refuses(format!("a bit at {at}")).await;
    }
    for length in lengths {
        std::fs::write(&altered, &bytes[..length]).unwrap();
        refuses(format!("cut at {length}")).await;
    }
    for (what, more) in [("longer", &[0; 512][..]), ("twice", &bytes)] {
        std::fs::write(&altered, [&bytes[..], more].concat()).unwrap();
        refuses(what.to_owned()).await;
    }
    // Another relay's key, and none.
    let other = Exporter::new().await;
    let output = run_import(&bundle, &data, &other.key().await).await;
    assert!(refused(&output, 1).contains("is not signed with the key that is given"));
    let output = run(&data, &["bundle", "import", bundle.to_str().unwrap(), "--upstream", "bundle"]).await;
    assert!(refused(&output, 64).contains("bundle.public_key or --key"));
    let output = run_import(&bundle, &data, &bundle).await;
    assert!(refused(&output, 64).contains("bundle"), "a key that is none");
    // Another upstream's: its address is another one.
    let foreign = other.export("foreign.bundle", &[]).await;
    let output = run_import(&foreign, &data, &other.key().await).await;
    let said = refused(&output, 1);
    assert!(said.contains("belongs to 127.0.0.1") && said.contains("folder of its own"), "{said}");
    assert_eq!(contents(&data), before);
    // A folder whose relay follows an upstream.
    let args = [
        "bundle",
        "import",
        bundle.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--upstream",
        "http://index.test/",
    ];
    let output = run(&data, &args).await;
    assert!(refused(&output, 64).contains("upstream.url = \"bundle\""));
    assert_eq!(contents(&data), before);
    // A folder in which a restore did not end.
    let unfinished = data.join("restore.unfinished");
    std::fs::write(&unfinished, "").unwrap();
    assert!(refused(&run_import(&bundle, &data, &key).await, 1).contains("restore"));
    std::fs::remove_file(unfinished).unwrap();
    assert_eq!(contents(&data), before);
    // And as it is, it is taken; its key by the setting.
    let setting = format!("bundle.public_key={}", key.display());
    let args = ["bundle", "import", bundle.to_str().unwrap(), "--upstream", "bundle", "--set", &setting];
    done(&run(&data, &args).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_events_under_the_same_serials_are_refused() {
    let exporter = Exporter::new().await;
    let bundle = exporter.export("first.bundle", &[]).await;
    let data = exporter.path("importer");
    done(&exporter.import(&bundle, &data).await);
    for change in [
        "UPDATE events SET time = time + 1 WHERE serial = (SELECT serial FROM events ORDER BY serial LIMIT 1 OFFSET 50)",
        "DELETE FROM events WHERE serial = (SELECT serial FROM events ORDER BY serial LIMIT 1 OFFSET 60)",
    ] {
        let (mut parts, other) = (hostile::Parts::read(&bundle), exporter.path("other.bundle"));
        parts.change_journal(change);
        parts.write(&other, &exporter.data());
        let before = contents(&data);
        let output = exporter.import(&other, &data).await;
        assert!(refused(&output, 1).contains("other events than are known here"), "{change}");
        assert_eq!(contents(&data), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_overwritten_and_a_kept_file_that_is_damaged_is_not_exported() {
    let exporter = Exporter::serving().await;
    get(&format!("{}simple/wire-top/", exporter.url())).await;
    files(exporter.url(), &exporter.sandbox).await;
    let to = exporter.path("one.bundle");
    std::fs::write(&to, "somebody's").unwrap();
    let export = ["bundle", "export", "--to", to.to_str().unwrap()];
    assert!(refused(&run(&exporter.data(), &export).await, 1).contains("is there already"));
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "somebody's");
    std::fs::remove_file(&to).unwrap();
    let shard =
        std::fs::read_dir(exporter.data().join("files/sha256")).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read_dir(shard).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&kept).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    let output = run(&exporter.data(), &export).await;
    assert!(refused(&output, 1).contains("is damaged"));
    // No relay of this version has had the journal yet.
    let journal = rusqlite::Connection::open(exporter.data().join("journal.sqlite3")).unwrap();
    journal.pragma_update(None, "user_version", 10).unwrap();
    assert!(refused(&run(&exporter.data(), &export).await, 1).contains("one of an earlier version"));
    let left: Vec<_> =
        std::fs::read_dir(exporter.place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["exporter"], "something is left of it");
}

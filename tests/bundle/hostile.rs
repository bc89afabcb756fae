//! Bundles that are signed with the right key, and are none that a relay makes.

use std::io::{Read as _, Write as _};

use cheesewire::signing::BundleKey;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value as Json, json};
use tar::{Archive, EntryType, Header};

use super::*;

/// A bundle in its parts, which can be changed and signed again.
pub struct Parts {
    pub head: Json,
    /// The journal's part, packed.
    pub journal: Vec<u8>,
    pub files: Vec<(String, Vec<u8>)>,
    starts: Vec<usize>,
}

/// A member of an archive as it is written.
struct Raw {
    name: String,
    kind: EntryType,
    bytes: Vec<u8>,
    /// What its header says.
    size: u64,
}

impl Raw {
    fn new(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            kind: EntryType::Regular,
            bytes: bytes.to_vec(),
            size: bytes.len() as u64,
        }
    }
}

impl Parts {
    pub fn read(path: &Path) -> Self {
        let mut archive = Archive::new(std::fs::File::open(path).unwrap());
        let mut parts = Self { head: Json::Null, journal: vec![], files: vec![], starts: vec![] };
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            parts.starts.push(usize::try_from(entry.raw_header_position()).unwrap());
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            match name.as_str() {
                "bundle.json" => parts.head = serde_json::from_slice(&bytes).unwrap(),
                "journal.sqlite3.gz" => parts.journal = bytes,
                name if name.starts_with("files/") => parts.files.push((name.to_owned(), bytes)),
                _ => {}
            }
        }
        parts
    }

    /// Where its members begin.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Runs SQL on the journal's part, and says what it is then.
    pub fn change_journal(&mut self, sql: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let mut bytes = Vec::new();
        GzDecoder::new(&self.journal[..]).read_to_end(&mut bytes).unwrap();
        std::fs::write(&path, bytes).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        self.set_journal(&std::fs::read(&path).unwrap());
    }

    /// Has a page name a file outside of every folder.
    fn climb(&mut self) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let mut bytes = Vec::new();
        GzDecoder::new(&self.journal[..]).read_to_end(&mut bytes).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let journal = rusqlite::Connection::open(&path).unwrap();
        let (document, mut list): (i64, Vec<u8>) = journal
            .query_row(
                "SELECT document, list FROM file_lists ORDER BY length(list) DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        let slash = list.windows(3).position(|three| three[2] == b'/').unwrap();
        list[slash..slash + 2].copy_from_slice(b"..");
        journal.execute("UPDATE file_lists SET list = ?1 WHERE document = ?2", (list, document)).unwrap();
        drop(journal);
        self.set_journal(&std::fs::read(&path).unwrap());
    }

    pub fn set_journal(&mut self, unpacked: &[u8]) {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(unpacked).unwrap();
        self.journal = packer.finish().unwrap();
        self.head["journal"]["unpacked_bytes"] = unpacked.len().into();
        self.head["journal"]["unpacked_sha256"] = sha2_of(unpacked).into();
        self.claim_journal();
    }

    fn claim_journal(&mut self) {
        self.head["journal"]["bytes"] = self.journal.len().into();
        self.head["journal"]["sha256"] = sha2_of(&self.journal).into();
    }

    fn members(&self, folder: &Path) -> Vec<Raw> {
        let key = BundleKey::of(folder).unwrap();
        let signed = |context: &str, text: &[u8]| key.sign(&[context.as_bytes(), text].concat()).to_vec();
        let head = self.head.to_string().into_bytes();
        let lines = self
            .files
            .iter()
            .fold(String::new(), |lines, (name, bytes)| lines + &format!("{} {}\n", &name[6..], bytes.len()));
        let all: usize = self.files.iter().map(|(_, bytes)| bytes.len()).sum();
        let end = json!({"head": sha2_of(&head), "files": self.files.len(), "bytes": all, "sha256": sha2_of(lines.as_bytes())});
        let end = end.to_string().into_bytes();
        let mut members = vec![
            Raw::new("bundle.json", &head),
            Raw::new("bundle.sig", &signed("cheesewire bundle: head\n", &head)),
            Raw::new("journal.sqlite3.gz", &self.journal),
        ];
        members.extend(self.files.iter().map(|(name, bytes)| Raw::new(name, bytes)));
        members.push(Raw::new("end.json", &end));
        members.push(Raw::new("end.sig", &signed("cheesewire bundle: end\n", &end)));
        members
    }

    /// Writes it, signed with the key of that data folder.
    pub fn write(&self, to: &Path, folder: &Path) {
        write(to, &self.members(folder));
    }
}

fn write(to: &Path, members: &[Raw]) {
    let mut file = std::fs::File::create(to).unwrap();
    for member in members {
        let mut header = Header::new_ustar();
        // Whatever it is.
        header.as_old_mut().name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        header.set_entry_type(member.kind);
        header.set_size(member.size);
        header.set_mode(0o600);
        header.set_mtime(0);
        if member.kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(&member.bytes).unwrap();
        file.write_all(&vec![0; member.bytes.len().next_multiple_of(512) - member.bytes.len()]).unwrap();
    }
    file.write_all(&[0; 1024]).unwrap();
}

type EditMembers<'a> = Box<dyn Fn(&mut Vec<Raw>) + 'a>;
type EditParts<'a> = Box<dyn Fn(&mut Parts) + 'a>;

/// An exporter, a bundle of it with files, and a folder into which an earlier one was imported.
async fn prepared() -> (Exporter, PathBuf, PathBuf, Vec<String>) {
    let exporter = Exporter::serving().await;
    get(&format!("{}simple/wire-top/", exporter.url())).await;
    files(exporter.url(), &exporter.sandbox).await;
    let first = exporter.export("first.bundle", &["--without-files"]).await;
    let data = exporter.path("importer");
    done(&exporter.import(&first, &data).await);
    let bundle = exporter.export("second.bundle", &[]).await;
    let before = contents(&data);
    (exporter, bundle, data, before)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_other_members_is_refused() {
    let (exporter, bundle, data, before) = prepared().await;
    let (parts, key, bad) = (Parts::read(&bundle), exporter.key().await, exporter.path("bad.bundle"));
    assert!(parts.files.len() > 2);
    // As it is, put together again, it is taken: what follows is refused for what it is.
    parts.write(&bad, &exporter.data());
    let scratch = exporter.path("scratch");
    done(&run_import(&bad, &scratch, &key).await);
    let digest = &parts.files[0].0;
    let long = "9".repeat(70_000);
    let cases: Vec<(&str, EditMembers<'_>)> = vec![
        ("climbs", Box::new(|all| all[3].name = "files/../../../x".to_owned())),
        ("absolute", Box::new(|all| all[3].name = "/etc/passwd".to_owned())),
        ("is a link", Box::new(|all| all[3].kind = EntryType::Symlink)),
        ("is a hard link", Box::new(|all| all[3].kind = EntryType::Link)),
        ("is a folder", Box::new(|all| all[3].kind = EntryType::Directory)),
        ("a device", Box::new(|all| all[3].kind = EntryType::Char)),
        ("a long name of GNU's", Box::new(|all| all[3].kind = EntryType::GNULongName)),
        ("a header of pax's", Box::new(|all| all[3].kind = EntryType::XHeader)),
        (
            "is there twice",
            Box::new(|all| {
                let twice = Raw::new(&all[3].name, &all[3].bytes);
                all.insert(4, twice);
            }),
        ),
        ("out of order", Box::new(|all| all.swap(3, 4))),
        ("in capitals", Box::new(|all| all[3].name = digest.to_uppercase().replace("FILES", "files"))),
        ("other bytes", Box::new(|all| all[3].bytes[0] ^= 1)),
        ("a file less", Box::new(|all| drop(all.remove(4)))),
        ("says that it is longer", Box::new(|all| all[3].size += 512)),
        ("says that it is shorter", Box::new(|all| all[3].size -= 1)),
        ("says that it has all bytes that there are", Box::new(|all| all[3].size = u64::MAX)),
        ("a journal that says it is longer", Box::new(|all| all[2].size += 1)),
        ("the end is missing", Box::new(|all| all.truncate(all.len() - 2))),
        ("the end's signature is missing", Box::new(|all| drop(all.pop()))),
        ("something after the end", Box::new(|all| all.push(Raw::new("more", b"more")))),
        ("a text without an end", Box::new(|all| all[0] = Raw::new("bundle.json", long.as_bytes()))),
        (
            "a head for the end",
            Box::new(|all| {
                let (head, signature) = (all[0].bytes.clone(), all[1].bytes.clone());
                let at = all.len() - 2;
                (all[at], all[at + 1]) = (Raw::new("end.json", &head), Raw::new("end.sig", &signature));
            }),
        ),
    ];
    for (what, edit) in cases {
        let mut members = parts.members(&exporter.data());
        edit(&mut members);
        write(&bad, &members);
        let output = run_import(&bad, &data, &key).await;
        let said = refused(&output, 1);
        // What is too long is not even read.
        let complaint = if what == "a text without an end" {
            "is not where it has to be"
        } else {
            "nothing of it was taken"
        };
        assert!(said.contains(complaint), "{what}: {said}");
        assert_eq!(contents(&data), before, "{what}");
    }
    // The end of another bundle, signed by the same key.
    let first = Parts::read(&exporter.path("first.bundle"));
    let mut members = first.members(&exporter.data());
    let at = members.len() - 2;
    let mut others = Parts { files: vec![], ..Parts::read(&bundle) }.members(&exporter.data());
    members.splice(at.., others.drain(others.len() - 2..));
    write(&bad, &members);
    assert!(refused(&run_import(&bad, &data, &key).await, 1).contains("not those that are signed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_no_relay_exports_is_refused() {
    let (exporter, bundle, data, before) = prepared().await;
    let (key, bad) = (exporter.key().await, exporter.path("bad.bundle"));
    for (sql, complaint) in [
        ("UPDATE projects SET name = 'Wire.Top' WHERE name = 'wire-top'", "no normalised name"),
        (
            "UPDATE documents SET project = '../x' WHERE id = (SELECT min(id) FROM documents)",
            "no normalised name",
        ),
        ("INSERT INTO removals VALUES ('A', 1)", "no normalised name"),
        (
            "INSERT INTO tombstones (path, project, filename, kind, reason) VALUES ('../x', 'a', 'x', 0, '')",
            "no path of a file",
        ),
        ("UPDATE file_lists SET list = x'ff00ff'", "list of files is damaged"),
        ("UPDATE names SET normal = 'other' WHERE normal = 'wire-top'", "another normalised name"),
        ("UPDATE facts SET value = value - 1 WHERE name = 'projects_serial'", "its last serial is not"),
        ("UPDATE coverage SET upto = upto + 1", "serials that it has"),
        (
            "UPDATE events SET serial = 2000000000 WHERE serial = (SELECT max(serial) FROM events)",
            "event 2000000000",
        ),
        ("DROP TABLE tombstones", "tombstones"),
        ("PRAGMA application_id = 7", "another program's"),
        ("PRAGMA user_version = 1000", "schema 1000"),
    ] {
        let mut parts = Parts::read(&bundle);
        parts.change_journal(sql);
        parts.write(&bad, &exporter.data());
        let output = run_import(&bad, &data, &key).await;
        let said = refused(&output, 1);
        assert!(said.contains(complaint), "{sql}: {said}");
        assert_eq!(contents(&data), before, "{sql}");
        assert!(!data.join("journal.sqlite3.import").exists(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_not_what_it_says_is_refused() {
    let (exporter, bundle, data, before) = prepared().await;
    let (key, bad) = (exporter.key().await, exporter.path("bad.bundle"));
    let head = Parts::read(&bundle).head["last_serial"].as_i64().unwrap();
    let cases: Vec<(&str, EditParts<'_>, &str)> = vec![
        (
            "goes back",
            Box::new(move |parts| parts.head["since"] = (head + 1).into()),
            "ends before it begins",
        ),
        ("no database", Box::new(|parts| parts.set_journal(&[7; 100_000])), "nothing of it was taken"),
        ("empty", Box::new(|parts| parts.set_journal(b"")), "nothing of it was taken"),
        (
            "not packed",
            Box::new(|parts| {
                parts.journal = vec![7; 1000];
                parts.claim_journal();
            }),
            "once it is unpacked",
        ),
        (
            "longer than it says",
            Box::new(|parts| parts.head["journal"]["unpacked_bytes"] = 4096.into()),
            "once it is unpacked",
        ),
        (
            "another digest",
            Box::new(|parts| parts.head["journal"]["unpacked_sha256"] = sha2_of(b"").into()),
            "once it is unpacked",
        ),
        ("newer", Box::new(|parts| parts.head["form"] = 2.into()), "form 2"),
        ("no number", Box::new(|parts| parts.head["last_serial"] = "x".into()), "nothing of it was taken"),
        ("files out of order", Box::new(|parts| parts.files.swap(0, 1)), "out of order"),
        (
            "a file twice",
            Box::new(|parts| {
                let twice = parts.files[0].clone();
                parts.files.insert(1, twice);
            }),
            "there twice",
        ),
        (
            "lacks what it says it has",
            Box::new(move |parts| {
                parts.head["since"] = (head - 1).into();
                parts.change_journal(&format!(
                    "DELETE FROM events WHERE serial < {head}; DELETE FROM coverage"
                ));
            }),
            "serials that it has",
        ),
        ("a page's path climbs", Box::new(Parts::climb), "no path of a file"),
        (
            "a damaged tree",
            Box::new(|parts| {
                parts.change_journal(
                    "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = \
                     (SELECT rootpage FROM sqlite_schema WHERE name = 'documents') WHERE name = 'prefetch_due'",
                );
            }),
            "nothing of it was taken",
        ),
        ("has no files", Box::new(|parts| parts.head["files"] = false.into()), "does not belong there"),
    ];
    for (what, edit, complaint) in cases {
        let mut parts = Parts::read(&bundle);
        edit(&mut parts);
        parts.write(&bad, &exporter.data());
        let output = run_import(&bad, &data, &key).await;
        assert_ne!(output.status.code(), Some(0), "{what}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(complaint), "{what}: {said}");
        assert_eq!(contents(&data), before, "{what}");
    }
}

/// What unpacks to more than it says is not unpacked: no more is written than that, whatever the bundle has.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_zeroes_is_not_unpacked() {
    let (exporter, bundle, data, before) = prepared().await;
    let (key, bad) = (exporter.key().await, exporter.path("bad.bundle"));
    let mut parts = Parts::read(&bundle);
    // Two gigabytes of zeroes: what is packed ten times over is a packed file, too, of which the first member is read.
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    let zeroes = vec![0; 1 << 20];
    for _ in 0..200 {
        packer.write_all(&zeroes).unwrap();
    }
    parts.journal = packer.finish().unwrap().repeat(10);
    parts.claim_journal();
    parts.write(&bad, &exporter.data());
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -f 65536; exec \"$0\" \"$@\"", BINARY]);
    limited.args([
        "bundle",
        "import",
        bad.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--upstream",
        "bundle",
        "--data",
    ]);
    limited.arg(&data);
    let output = tokio::task::spawn_blocking(move || limited.output().unwrap()).await.unwrap();
    assert!(
        refused(&output, 1).contains("once it is unpacked"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(contents(&data), before);
    // Not signed, it is not even looked at.
    let other = Exporter::new().await;
    assert!(refused(&run_import(&bad, &data, &other.key().await).await, 1).contains("not signed"));
}

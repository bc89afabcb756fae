//! What pip and uv install of an odd index directly, they install through the relay.

use std::path::{Path, PathBuf};

use axum::body::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::odd_pages::{PAGES, Wheel};
use super::{Site, ZIP};
use crate::support::installers::Installer;
use crate::support::programs::{fetch, fresh_environment, run};
use crate::support::{Relay, sandbox};

/// Writes a wheel for each name, and an sdist with another ending for each ending that Python can write.
const MAKE: &str = r#"
import io, lzma, sys, tarfile, zipfile
folder, sdist, names = sys.argv[1], sys.argv[2], sys.argv[3:]
for name in names:
    with zipfile.ZipFile(f"{folder}/{name}-1.0-py3-none-any.whl", "w") as wheel:
        info = f"{name}-1.0.dist-info"
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
source = tarfile.open(sdist)
plain = io.BytesIO()
with tarfile.open(fileobj=plain, mode="w") as tar:
    for member in source.getmembers():
        tar.addfile(member, source.extractfile(member) if member.isfile() else None)
plain = plain.getvalue()
import bz2, gzip
packed = {"tar": plain, "tar.gz": gzip.compress(plain), "tgz": gzip.compress(plain), "tar.bz2": bz2.compress(plain),
          "tbz": bz2.compress(plain), "tar.xz": lzma.compress(plain), "txz": lzma.compress(plain),
          "tar.lzma": lzma.compress(plain, lzma.FORMAT_ALONE), "tlz": lzma.compress(plain, lzma.FORMAT_ALONE)}
for ending, data in packed.items():
    open(f"{folder}/sdist.{ending}", "wb").write(data)
with zipfile.ZipFile(f"{folder}/sdist.zip", "w") as zip:
    for member in source.getmembers():
        if member.isfile():
            zip.writestr(member.name, source.extractfile(member).read())
"#;

const ENDINGS: [&str; 10] =
    ["tar", "tar.gz", "tgz", "tar.bz2", "tbz", "tar.xz", "txz", "tar.lzma", "tlz", "zip"];

/// A virtual environment with the newest pip and uv.
async fn installers(folder: &Path) -> PathBuf {
    let bin = fresh_environment(&folder.join("venv")).await;
    fetch(&bin, &["--upgrade", "pip", "uv"]).await;
    bin
}

/// An index of every odd page, each of a project of its own, and of an sdist with every ending.
async fn index(folder: &Path) -> Site {
    let names: Vec<String> = (0..PAGES.len()).map(|number| format!("odd{number}")).collect();
    let sandbox = sandbox().await;
    let project = sandbox.project("wire-core").unwrap();
    let sources = project.files().filter(|(_, upload)| upload.file.filename.ends_with(".tar.gz"));
    let source = sources.last().unwrap().1.file.clone();
    let sdist = folder.join("source.tar.gz");
    let url = format!("{}packages/{}", sandbox.url(), source.path);
    std::fs::write(&sdist, crate::support::get(&url).await.bytes()).unwrap();
    run(Command::new("python3").args(["-c", MAKE]).arg(folder).arg(&sdist).args(&names)).await;
    let site = Site::default();
    for (name, (_, media_type, page)) in names.iter().zip(PAGES) {
        let filename = format!("{name}-1.0-py3-none-any.whl");
        let bytes = std::fs::read(folder.join(&filename)).unwrap();
        let wheel = Wheel {
            name: name.clone(),
            filename,
            sha256: hex::encode(Sha256::digest(&bytes)),
            size: bytes.len(),
        };
        site.put(&format!("/simple/{name}/"), media_type, page(&wheel));
        for place in [format!("/files/{}", wheel.filename), format!("/simple/{name}/{}", wheel.filename)] {
            site.put(&place, ZIP, Bytes::from(bytes.clone()));
        }
    }
    // One project each: an installer takes one ending of several.
    let stem = source.filename.strip_suffix(".tar.gz").unwrap();
    for (number, ending) in ENDINGS.iter().enumerate() {
        let bytes = std::fs::read(folder.join(format!("sdist.{ending}"))).unwrap();
        let page = format!("<a href='/files/{number}/{stem}.{ending}'>{stem}.{ending}</a>");
        site.put(&format!("/{number}/simple/wire-core/"), "text/html", page);
        site.put(&format!("/files/{number}/{stem}.{ending}"), "application/octet-stream", bytes);
    }
    site
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches the newest pip and uv"]
async fn what_installers_take_of_an_odd_page_they_take_through_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let bin = installers(folder.path()).await;
    let site = index(folder.path()).await;
    let direct = site.serve().await;
    let relay = Relay::start(direct.as_str(), &["follow.enabled=false"]).await;
    let (mut taken, mut wrong) = (Vec::new(), Vec::new());
    for (number, (label, ..)) in PAGES.iter().enumerate() {
        let project = format!("odd{number}");
        for installer in [Installer::Pip, Installer::Uv] {
            let at = |base: &str| format!("{base}simple/");
            let Some(directly) = installer.install(&bin, folder.path(), &at(direct.as_str()), &project).await
            else {
                continue;
            };
            assert_eq!(directly, [format!("{project}-1.0.dist-info")], "{label}");
            taken.push((installer, *label));
            if installer.install(&bin, folder.path(), &at(&relay.url), &project).await != Some(directly) {
                wrong.push((installer, *label));
            }
        }
    }
    let count = |one: Installer| taken.iter().filter(|(installer, _)| *installer == one).count();
    println!("pip takes {} directly, uv {}, of {}", count(Installer::Pip), count(Installer::Uv), PAGES.len());
    assert!(count(Installer::Pip) > PAGES.len() / 2 && count(Installer::Uv) > PAGES.len() / 3, "{taken:?}");
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches the newest pip and uv"]
async fn an_sdist_of_every_ending_that_an_installer_takes_comes_through_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let bin = installers(folder.path()).await;
    let site = index(folder.path()).await;
    let direct = site.serve().await;
    let mut taken = 0;
    for (number, ending) in ENDINGS.iter().enumerate() {
        let base = direct.join(&format!("{number}/")).unwrap();
        let relay = Relay::start(base.as_str(), &["follow.enabled=false"]).await;
        for installer in [Installer::Pip, Installer::Uv] {
            let index = format!("{base}simple/");
            let Some(directly) = installer.install(&bin, folder.path(), &index, "wire-core").await else {
                continue;
            };
            taken += 1;
            let through =
                installer.install(&bin, folder.path(), &format!("{}simple/", relay.url), "wire-core").await;
            assert_eq!(through, Some(directly), "{installer:?} {ending}");
        }
    }
    assert!(taken > ENDINGS.len(), "{taken}");
}

//! Real programs of other hands: what runs them, and the virtual environments that they need.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, LazyLock, Mutex};

use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Settings of this machine that would lead a client to another index, or have it trust others.
const SETTINGS: [&str; 11] = [
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_FIND_LINKS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// A client of the relay, without this machine's settings.
pub fn client_program(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for name in SETTINGS {
        command.env_remove(name);
    }
    for (name, value) in [
        ("PIP_CONFIG_FILE", "/dev/null"),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
        ("NO_PROXY", "*"),
        ("UV_HTTP_RETRIES", "0"),
    ] {
        command.env(name, value);
    }
    command.kill_on_drop(true);
    command
}

/// What a program prints; it must succeed, and a failure shows all of it.
pub async fn run(command: &mut Command) -> String {
    run_whole(command).await.0
}

/// The same with what it prints as errors.
pub async fn run_whole(command: &mut Command) -> (String, String) {
    let Output { status, stdout, stderr } = command.kill_on_drop(true).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&stdout), text(&stderr));
    assert!(status.success(), "{command:?}: {out}\n{errors}");
    (out, errors)
}

/// Makes a virtual environment; the folder of its programs.
pub async fn fresh_environment(path: &Path) -> PathBuf {
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(path)).await;
    path.join("bin")
}

/// Installs packages of real clients from the registry that this machine's pip uses.
pub async fn fetch(bin: &Path, packages: &[&str]) {
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(bin.join("python")).args(pip).args(packages)).await;
}

/// Those that are made, by what is in them.
static MADE: LazyLock<Mutex<HashMap<String, Arc<OnceCell<PathBuf>>>>> = LazyLock::new(Mutex::default);

/// A virtual environment with these packages in exact versions, for programs that change nothing in it: tests share it,
/// and later runs find it. The folder of its programs.
pub async fn environment(packages: &[&str]) -> PathBuf {
    let key = packages.join(" ");
    let made = MADE.lock().unwrap().entry(key.clone()).or_default().clone();
    made.get_or_init(|| make(&key, packages)).await.clone()
}

async fn make(key: &str, packages: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = root.join(format!("environment-{}", hex::encode(&Sha256::digest(key)[..8])));
    // Another run of the tests may be at it.
    let lock = std::fs::File::create(path.with_extension("lock")).unwrap();
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.unwrap().unwrap();
    let (complete, python) = (path.join("complete"), path.join("bin/python"));
    let works = complete.exists()
        && Command::new(&python).args(["-c", ""]).status().await.is_ok_and(|status| status.success());
    let bin = if works { path.join("bin") } else { fresh_environment(&path).await };
    if !works {
        fetch(&bin, packages).await;
        std::fs::write(complete, key).unwrap();
    }
    drop(lock);
    bin
}

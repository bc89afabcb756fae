//! Mirrors of PyPI's first days, under the Python that they are written in, or converted for Python 3.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use super::programs::{client_program, environment, run};

/// Leads every connection to one port of this machine, whatever host a program names: so nothing of the programs is changed,
/// also not the address that they ask.
const ROUTED: &str = "\
def connect(_, timeout=socket._GLOBAL_DEFAULT_TIMEOUT, source_address=None):
    made = socket.socket()
    if timeout is not socket._GLOBAL_DEFAULT_TIMEOUT:
        made.settimeout(timeout)
    made.connect(address)
    return made
socket.create_connection = connect
";

/// What runs a program whose connections are led so.
fn runner(led: &str) -> String {
    format!(
        "\
import os, runpy, socket, sys
address = ('127.0.0.1', int(sys.argv[1]))
{led}sys.argv = sys.argv[2:]
if os.sep in sys.argv[0]:
    runpy.run_path(sys.argv[0], run_name='__main__')
else:
    module, function = sys.argv[0].split(':')
    __import__(module)
    getattr(sys.modules[module], function)()
"
    )
}

/// Where Python 2.7 is: by the variable PYTHON27, as `python2.7`, or among those of pyenv. `None`: nowhere.
pub async fn find() -> Option<PathBuf> {
    let mut candidates: Vec<PathBuf> = std::env::var_os("PYTHON27").map(PathBuf::from).into_iter().collect();
    candidates.push("python2.7".into());
    if let Ok(root) = Command::new("pyenv").arg("root").output().await {
        let root = String::from_utf8_lossy(&root.stdout).trim().to_owned();
        let found = glob::glob(&format!("{root}/versions/2.7*/bin/python2.7")).unwrap();
        candidates.extend(found.filter_map(Result::ok));
    }
    for candidate in candidates {
        let asked = Command::new(&candidate).args(["-c", "import sys; print(sys.executable)"]).output().await;
        if let Ok(asked) = asked
            && asked.status.success()
        {
            return Some(PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim()));
        }
    }
    println!("there is no Python 2.7: the old mirrors themselves are not run");
    None
}

/// The same for programs that open connections in other ways: names are looked up as that address.
const ROUTED_3: &str = "\
socket.getaddrinfo = lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, '', address)]
";

/// Programs and modules for what is converted. `setuptools` has `pkg_resources`, which later ones do not.
const FOR_PYTHON_3: [&str; 7] = [
    "fissix==24.4.24",
    "setuptools==75.8.0",
    "requests==2.32.3",
    "xmlrpc2==0.3.1",
    "python-dateutil==2.9.0.post0",
    "beautifulsoup4==4.12.3",
    "zc.lockfile==3.0.post1",
];

/// A mirror's release: its name, version, and the SHA-256 of its source.
pub struct Release(pub &'static str, pub &'static str, pub &'static str);

/// A mirror in a virtual environment of its own.
pub struct OldMirror {
    python: PathBuf,
    /// Where its programs are, and what leads its connections.
    bin: PathBuf,
}

impl OldMirror {
    /// `packages`: in exact versions, without what they ask for besides. `named`: what a program only wants to find the name and
    /// version of, such as its test tools, which are not to be had any more.
    pub async fn new(python: &Path, packages: &[&str], named: &[(&str, &str)]) -> Self {
        let routed = runner(ROUTED);
        let key = format!("{packages:?} {named:?} {routed}");
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = root.join(format!("python27-{}", hex::encode(&Sha256::digest(key)[..8])));
        // The last one that makes environments for it.
        let virtualenv = environment(&["virtualenv==20.21.1"]).await.join("virtualenv");
        // Another test may be at it.
        let lock = std::fs::File::create(path.with_extension("lock")).unwrap();
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.unwrap().unwrap();
        let bin = path.join("bin");
        if !path.join("complete").exists() {
            run(Command::new(virtualenv).arg("--clear").arg("--python").arg(python).arg(&path)).await;
            let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"];
            run(Command::new(bin.join("python")).args(pip).args(packages)).await;
            for (name, version) in named {
                let file = format!("{}-{version}-py2.7.egg-info", name.replace('-', "_"));
                let text = format!("Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n");
                std::fs::write(path.join("lib/python2.7/site-packages").join(file), text).unwrap();
            }
            std::fs::write(bin.join("routed.py"), routed).unwrap();
            std::fs::write(path.join("complete"), "").unwrap();
        }
        drop(lock);
        Self { python: bin.join("python"), bin }
    }

    /// The same code as `tests/legacy/python3.py` changes it for Python 3, which says how. It is known as `named`.
    pub async fn converted(folder: &Path, release: Release, named: &str) -> Self {
        let Release(name, version, sha256) = release;
        let python = environment(&FOR_PYTHON_3).await.join("python");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/legacy/python3.py");
        // From the index of this machine's pip: with its settings.
        run(Command::new(&python).arg(script).args([name, version, sha256]).arg(folder)).await;
        let text = format!("Metadata-Version: 1.0\nName: {named}\nVersion: {version}\n");
        std::fs::write(folder.join(format!("{named}-{version}.egg-info")), text).unwrap();
        std::fs::write(folder.join("routed.py"), runner(ROUTED_3)).unwrap();
        Self { python, bin: folder.to_owned() }
    }

    /// Its program: a script of its own, or `MODULE:FUNCTION`. All its connections lead to `port`.
    pub fn program(&self, port: u16, program: &str) -> Command {
        let mut command = client_program(&self.python);
        // Read by Python 3 alone, whose files of text are otherwise in the encoding of the machine.
        command.env("PYTHONUTF8", "1");
        command.arg(self.bin.join("routed.py")).arg(port.to_string());
        if program.contains(':') {
            command.arg(program)
        } else {
            command.arg(self.bin.join(program))
        };
        command
    }
}

//! Real clients, unchanged. Each test makes what it needs; all of them need python3 with venv.

use std::path::{Path, PathBuf};
use std::process::Output;

use cheesewire::sandbox::Sandbox;
use tokio::process::Command;

use crate::support::{Relay, sandbox};

/// Runs a program and gives its output; a failure shows all of it.
async fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let (out, errors) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {out}\n{errors}");
    out
}

/// A virtual environment with nothing of this machine's pip settings.
async fn environment(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    run(Command::new("python3").args(["-m", "venv"]).arg(&path)).await;
    path.join("bin")
}

async fn pip_install(bin: &Path, relay: &Relay, project: &str) -> String {
    let mut pip = Command::new(bin.join("pip"));
    pip.args(["install", "--no-cache-dir", "--disable-pip-version-check", "--index-url"]);
    pip.arg(format!("{}simple/", relay.url)).arg(project);
    pip.env("PIP_CONFIG_FILE", "/dev/null").env_remove("PIP_FIND_LINKS").env_remove("PIP_INDEX_URL");
    run(&mut pip).await
}

async fn pair() -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    (sandbox, relay)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv"]
async fn pip_installs_with_dependencies_and_again_without_upstream() {
    let (sandbox, relay) = pair().await;
    let folder = tempfile::tempdir().unwrap();
    let first = environment(folder.path(), "first").await;
    let said = pip_install(&first, &relay, "wire-top").await;
    assert!(said.contains("Successfully installed") && said.contains("wire-core-1.1"), "{said}");
    run(Command::new(first.join("python")).args(["-c", "import wire_top, wire_left, wire_right, wire_core"]))
        .await;
    sandbox.stop().await;
    let second = environment(folder.path(), "second").await;
    let said = pip_install(&second, &relay, "wire-top").await;
    assert!(said.contains("wire-top-2.0") && said.contains("wire-right-1.1"), "{said}");
    run(Command::new(second.join("python")).args(["-c", "import wire_top, wire_left, wire_right, wire_core"])).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3"]
async fn pythons_xmlrpc_client_reads_every_method() {
    let (sandbox, relay) = pair().await;
    let script = r#"
import sys, xmlrpc.client
pypi = xmlrpc.client.ServerProxy(sys.argv[1] + "pypi")
last = pypi.changelog_last_serial()
assert last == int(sys.argv[2]), last
events, since = [], 0
while True:
    page = pypi.changelog_since_serial(since)
    if not page:
        break
    events += page
    since = page[-1][4]
assert since == last and len(events) == int(sys.argv[3]), (since, len(events))
assert all(len(e) == 5 and (e[1] is None or isinstance(e[1], str)) for e in events)
names = pypi.list_packages()
serials = pypi.list_packages_with_serial()
assert set(names) == set(serials) and "Registered.Spelling_x" in serials
for name in names:
    versions = pypi.package_releases(name, True)
    assert pypi.package_releases(name) == ([] if not versions else pypi.package_releases(name)[:1])
    for role, user in pypi.package_roles(name):
        assert role in ("Owner", "Maintainer") and user
    for version in versions[:5]:
        data = pypi.release_data(name, version)
        assert data["name"] == name and data["version"] == version, data
        assert data == pypi.package_data(name, version)
        urls = pypi.release_urls(name, version)
        assert urls == pypi.package_urls(name, version)
        for url in urls:
            assert url["url"].startswith(sys.argv[1] + "packages/"), url
            assert url["upload_time"].timetuple().tm_year > 2000
            assert len(url["digests"]["sha256"]) == 64 and url["has_sig"] is False
assert pypi.release_data("every-field", pypi.package_releases("every-field")[0])["keywords"]
assert "<&]]>" in pypi.release_data("markup-summary", pypi.package_releases("markup-summary")[0])["summary"]
assert pypi.release_urls("no-such-project", "1") == [] and pypi.release_data("no-such-project", "1") == {}
assert "release_data" in pypi.system.listMethods()
for call, code in [(lambda: pypi.no_such_method(), -32601), (lambda: pypi.package_roles(), -32602)]:
    try:
        call()
    except xmlrpc.client.Fault as fault:
        assert fault.faultCode == code, fault
    else:
        raise AssertionError("no fault")
print("all read")
"#;
    let (last, events) =
        (sandbox.last_serial(), sandbox.events_after(cheesewire::model::Serial(0), usize::MAX).len());
    let arguments = [relay.url.clone(), last.to_string(), events.to_string()];
    let said = run(Command::new("python3").args(["-c", script]).args(arguments)).await;
    assert_eq!(said, "all read\n");
}

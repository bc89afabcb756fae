//! Real clients, unchanged. Each test makes what it needs; all of them need python3 with venv.

use std::path::Path;
use std::process::Output;

use cheesewire::sandbox::Sandbox;
use cheesewire::xmlrpc::Value;
use tokio::process::Command;

use crate::support::programs::{client_program, environment, fetch, fresh_environment, run};
use crate::support::{Relay, call, sandbox};

async fn pip_install(bin: &Path, relay: &Relay, project: &str) -> String {
    let mut pip = client_program(bin.join("pip"));
    pip.args(["install", "--no-cache-dir", "--index-url"]);
    pip.arg(format!("{}simple/", relay.url)).arg(project);
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
    let first = fresh_environment(&folder.path().join("first")).await;
    let said = pip_install(&first, &relay, "wire-top").await;
    assert!(said.contains("Successfully installed") && said.contains("wire-core-1.1"), "{said}");
    run(Command::new(first.join("python")).args(["-c", "import wire_top, wire_left, wire_right, wire_core"]))
        .await;
    sandbox.stop().await;
    let second = fresh_environment(&folder.path().join("second")).await;
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches an old pip"]
async fn a_pip_that_stops_at_pep_691s_name_for_metadata_installs() {
    let (_sandbox, relay) = pair().await;
    let folder = tempfile::tempdir().unwrap();
    let bin = fresh_environment(&folder.path().join("old")).await;
    // It stops at digests under `dist-info-metadata`, as PEP 691 has them, in any page of JSON.
    fetch(&bin, &["pip==23.0.1"]).await;
    let said = pip_install(&bin, &relay, "wire-top").await;
    assert!(said.contains("Successfully installed") && said.contains("wire-core-1.1"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches distlib"]
async fn distlibs_locators_find_the_same_by_calls_by_json_and_by_links() {
    let (_sandbox, relay) = pair().await;
    let bin = environment(&["distlib==0.4.4"]).await;
    let script = r#"
import sys
from distlib.locators import PyPIJSONLocator, PyPIRPCLocator, SimpleScrapingLocator
base = sys.argv[1]
calls, documents = PyPIRPCLocator(base + "pypi"), PyPIJSONLocator(base + "pypi")
links = SimpleScrapingLocator(base + "simple/")
assert len(calls.get_distribution_names()) == len(links.get_distribution_names()) > 30
for name, version in [("wire-top", "2.0"), ("many-versions", "1.13.9"), ("Registered.Spelling_x", "1.1"), ("non-ascii", "1.0")]:
    found = [locator.locate(name) for locator in (calls, documents, links)]
    assert [one.version for one in found] == [version] * 3, (name, found)
    called = found[0]
    assert called.digest[0] == "sha256" and called.source_url.startswith(base + "packages/"), called.digest
    # The same file has the same address, whichever way it was found.
    assert found[2].source_url in set().union(*calls.get_project(name)["urls"].values()), name
assert calls.locate("no-files") is None
print("all located")
"#;
    let said = run(Command::new(bin.join("python")).args(["-c", script, &relay.url])).await;
    assert_eq!(said, "all located\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs perl with RPC::XML, and the xmlrpc command of xmlrpc-c"]
async fn clients_in_perl_and_c_read_the_answers() {
    let (sandbox, relay) = pair().await;
    let last = sandbox.last_serial().to_string();
    // RPC::XML dies at an answer that is not strictly formed; it sends `<double>` unless told otherwise.
    let script = r#"
use strict; use warnings; use RPC::XML; use RPC::XML::Client;
my $pypi = RPC::XML::Client->new("$ARGV[0]pypi");
sub text { RPC::XML::string->new(shift) }
sub ask { my $got = $pypi->send_request(@_); ref $got or die "$_[0]: $got"; $got }
print ask("changelog_last_serial")->value, "\n";
print scalar(@{ask("package_releases", "many-versions", RPC::XML::boolean->new(1))->value}), "\n";
print ask("release_data", "wire-top", text("2.0"))->value->{name}, "\n";
print ask("release_urls", "wire-top", text("2.0"))->value->[0]{upload_time} =~ /^\d{8}T\d\d:\d\d:\d\d$/ ? "a time\n" : "none\n";
print ask("no_such_method")->code, "\n";
"#;
    let said = run(Command::new("perl").args(["-e", script, &relay.url])).await;
    assert_eq!(said, format!("{last}\n140\nwire-top\na time\n-32601\n"));
    let address = format!("{}RPC2", relay.url);
    let said = run(Command::new("xmlrpc").args([address.as_str(), "changelog_last_serial"])).await;
    assert!(said.contains(&format!("Integer: {last}")), "{said}");
    let said = run(Command::new("xmlrpc").args([&address, "release_urls", "s/wire-top", "s/2.0"])).await;
    assert!(said.contains("'packagetype'") && said.contains("String: 'sdist'"), "{said}");
    let said = run(Command::new("xmlrpc").args([&address, "list_packages_with_serial"])).await;
    assert!(said.contains("'Registered.Spelling_x'"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches pip 23.2.1"]
async fn pip_searches_names_and_summaries() {
    let (_sandbox, relay) = pair().await;
    let bin = environment(&["pip==23.2.1"]).await;
    let search = async |words: &[&str]| {
        let mut pip = Command::new(bin.join("python"));
        pip.args(["-m", "pip", "--disable-pip-version-check", "search", "--index"]);
        pip.arg(format!("{}pypi", relay.url)).args(words).env("PIP_CONFIG_FILE", "/dev/null");
        pip.output().await.unwrap()
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    // Nothing is known but the names.
    let first = search(&["WIRE_top"]).await;
    assert!(first.status.success() && text(&first).starts_with("wire-top ("), "{first:?}");
    for name in ["wire-core", "non-ascii", "markup-summary"] {
        call(&relay.url, "package_releases", &[Value::from(name)]).await.unwrap();
    }
    let known = text(&search(&["diamond", "käsedraht", "less"]).await);
    for line in
        ["wire-core (1.1)", "non-ascii (1.0)", "markup-summary (1.0)", "The bottom of the diamond", "<&]]>"]
    {
        assert!(known.contains(line), "{line} in {known}");
    }
    // pip's word for no hit.
    assert_eq!(search(&["no-such-thing-anywhere"]).await.status.code(), Some(23));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3"]
async fn pythons_multicall_gets_results_and_faults_in_order() {
    let (_sandbox, relay) = pair().await;
    let script = r#"
import sys, xmlrpc.client
pypi = xmlrpc.client.ServerProxy(sys.argv[1] + "pypi")
several = xmlrpc.client.MultiCall(pypi)
names = pypi.list_packages()
for name in names:
    several.package_releases(name)
several.release_urls("wire-top", "2.0")
several.list_packages_with_serial()
results = list(several())
assert results[:len(names)] == [pypi.package_releases(name) for name in names]
assert results[-2] == pypi.release_urls("wire-top", "2.0") and set(results[-1]) == set(names)
several = xmlrpc.client.MultiCall(pypi)
several.no_such_method()
several.package_hosting_mode("wire-top")
results = several()
try:
    results[0]
except xmlrpc.client.Fault as fault:
    assert fault.faultCode == -32601, fault
else:
    raise AssertionError("no fault")
assert results[1] == "pypi-only"
for _ in range(100):
    several.package_hosting_mode("wire-top")
try:
    several()
except xmlrpc.client.Fault as fault:
    assert (fault.faultCode, fault.faultString) == (1, "multicall too large"), fault
else:
    raise AssertionError("102 calls are answered")
print("all called")
"#;
    let said = run(Command::new("python3").args(["-c", script, &relay.url])).await;
    assert_eq!(said, "all called\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches qypi"]
async fn qypi_browses_and_tells_who_owns_what() {
    let (_sandbox, relay) = pair().await;
    let bin = environment(&["qypi==0.6.1.post1"]).await;
    let index = format!("{}pypi", relay.url);
    let asked = |arguments: &'static [&'static str]| {
        let mut qypi = Command::new(bin.join("qypi"));
        qypi.args(["-i", &index]).args(arguments);
        async move { serde_json::from_str::<serde_json::Value>(&run(&mut qypi).await).unwrap() }
    };
    let found = asked(&["browse", "Topic :: Utilities", "Programming Language :: Python :: 3"]).await;
    let one = |name: &str| serde_json::json!({"name": name, "version": "1.0"});
    assert_eq!(found, serde_json::json!([one("dairy-tools"), one("every-field")]));
    let owner = asked(&["owner", "wire-core"]).await;
    assert_eq!(owner, serde_json::json!({"wire-core": [{"role": "Owner", "user": "alice"}]}));
    let held = asked(&["owned", "bob"]).await;
    let many_hands = serde_json::json!({"package": "many-hands", "role": "Maintainer"});
    assert!(held["bob"].as_array().unwrap().contains(&many_hands), "{held}");
}

/// Starts a Python program whose index is fixed in its source: its code is unchanged, only the address of its calls is
/// another.
async fn redirected(bin: &Path, relay: &Relay, program: &str, arguments: &[&str]) -> String {
    let script = r#"
import runpy, sys, xmlrpc.client
address, program = sys.argv[1:3]
class ServerProxy(xmlrpc.client.ServerProxy):
    def __init__(self, *_, **__):
        super().__init__(address)
xmlrpc.client.ServerProxy = xmlrpc.client.Server = ServerProxy
sys.argv[:3] = [program]
runpy.run_path(program, run_name="__main__")
"#;
    let mut python = Command::new(bin.join("python"));
    python.args(["-c", script, &format!("{}pypi", relay.url)]).arg(bin.join(program)).args(arguments);
    let Output { stdout, stderr, .. } = python.output().await.unwrap();
    // These programs grade or warn by their exit code.
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches pyroma and yolk"]
async fn pyroma_grades_and_yolk_tells_versions_and_metadata() {
    let (_sandbox, relay) = pair().await;
    let bin = environment(&["pyroma==3.1", "yolk3k==0.9", "setuptools<81"]).await;
    let said = redirected(&bin, &relay, "pyroma", &["-p", "every-field"]).await;
    assert!(said.contains("Final rating: ") && !said.contains("Traceback"), "{said}");
    let said = redirected(&bin, &relay, "yolk", &["-V", "wire-core"]).await;
    assert!(said.contains("wire-core 1.1"), "{said}");
    let said = redirected(&bin, &relay, "yolk", &["-M", "every-field"]).await;
    assert!(said.contains("license: Apache-2.0 OR MIT") && said.contains("_pypi_hidden: False"), "{said}");
}

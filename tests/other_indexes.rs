//! Real clients before indexes that are not PyPI: HTML or JSON of static files, and Pulp, which has one serial for
//! everything. All of them install and mirror as from PyPI, also what changed later.

use std::collections::BTreeMap;

use cheesewire::sandbox::{
    Change, Effect, Fault, Odd, Publication, Route, Sandbox, SandboxSettings, Serials, XmlRpc,
};
use cheesewire::xmlrpc::Value;
use futures_util::{StreamExt as _, stream};

use crate::support::bandersnatch::{Bandersnatch, Mirror, pages_of};
use crate::support::devpi::Devpi;
use crate::support::installers::Installer;
use crate::support::programs::environment;
use crate::support::{Relay, call, until};

/// What Pulp states as the serial of everything.
const CONSTANT: i64 = 1_000_000_000;

/// The newest of 2026-11.
const INSTALLERS: [&str; 2] = ["pip==26.3", "uv==0.13.9"];

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// HTML alone, as file servers have it, with an `ETag`; no serials.
    Html,
    /// JSON and HTML without serials and without validators.
    Json,
    /// The same serial in each answer, documents too.
    Pulp,
}

impl Kind {
    /// Such an index of the fixtures. None has XML-RPC.
    async fn start(self) -> Sandbox {
        let settings =
            SandboxSettings { simple_json: !matches!(self, Self::Html), ..SandboxSettings::default() };
        let sandbox = Sandbox::start(settings).await.unwrap();
        sandbox.set_xmlrpc(XmlRpc::Status(404));
        let add = |route, effect| sandbox.faults().add(Fault::on(route, effect)).unwrap();
        for route in [Route::Listing, Route::Page, Route::Json] {
            let pulp = matches!(self, Self::Pulp);
            add(route, Effect::Serials { state: if pulp { Serials::All(CONSTANT) } else { Serials::None } });
            if matches!(self, Self::Json) {
                add(route, Effect::Odd { what: Odd::NoValidator, only: None });
            }
        }
        if !matches!(self, Self::Pulp) {
            add(Route::Json, Effect::Status { code: 404 });
        }
        sandbox
    }
}

/// Such an index and the relay before it.
struct Pair {
    sandbox: Sandbox,
    relay: Relay,
}

impl Pair {
    async fn new(kind: Kind) -> Self {
        let sandbox = kind.start().await;
        let settings =
            ["follow.listing_interval=20ms", "follow.shortest_wait=5ms", "follow.longest_wait=20ms"];
        let relay = Relay::start(&sandbox.url(), &settings).await;
        let known = async || call(&relay.url, "changelog_last_serial", &[]).await.is_ok();
        until("the relay does not know its upstream", known).await;
        Self { sandbox, relay }
    }

    fn simple(&self) -> String {
        format!("{}simple/", self.relay.url)
    }

    async fn last_serial(&self) -> Value {
        call(&self.relay.url, "changelog_last_serial", &[]).await.unwrap()
    }

    /// A new release, a removed one, a new project and a removed one; returns once the relay tells of them all.
    async fn change(&self) {
        let since = self.last_serial().await;
        let (publish, sandbox) = (|name, version| Publication::new(name, version), &self.sandbox);
        sandbox.publish(publish("wire-top", "3.0")).await.unwrap();
        sandbox.publish(publish("brand-new", "0.1")).await.unwrap();
        let (name, version) = ("many-versions".to_owned(), "1.13.9".to_owned());
        sandbox.change(Change::RemoveRelease { name, version }).await.unwrap();
        sandbox.change(Change::RemoveProject { name: "chain-d".to_owned() }).await.unwrap();
        let told = async || {
            let rows = call(&self.relay.url, "changelog_since_serial", std::slice::from_ref(&since)).await;
            let Ok(Value::Array(rows)) = rows else { return false };
            let tells = |name: &str, action: &str| {
                rows.iter().any(|row| {
                    let row = row.as_array().unwrap();
                    row[0] == Value::from(name) && row[3] == Value::from(action)
                })
            };
            tells("wire-top", "new release")
                && tells("brand-new", "create")
                && tells("many-versions", "remove release")
                && tells("chain-d", "remove project")
        };
        until("the relay does not tell what changed", told).await;
    }
}

async fn installers_install(kind: Kind) {
    let pair = Pair::new(kind).await;
    let (folder, bin) = (tempfile::tempdir().unwrap(), environment(&INSTALLERS).await);
    let installs = async |round: &str, expected: &[&str]| {
        for installer in [Installer::Pip, Installer::Uv] {
            let folder = folder.path().join(round);
            let got = installer.install_with(&[], &bin, &folder, &pair.simple(), "wire-top").await;
            let expected: Vec<_> = expected.iter().map(|name| format!("{name}.dist-info")).collect();
            assert_eq!(got, Some(expected), "{installer:?}");
        }
    };
    installs("first", &["wire_core-1.1", "wire_left-1.0", "wire_right-1.1", "wire_top-2.0"]).await;
    pair.change().await;
    // It needs nothing.
    installs("second", &["wire_top-3.0"]).await;
    for installer in [Installer::Pip, Installer::Uv] {
        let got = installer.install(&bin, folder.path(), &pair.simple(), "brand-new").await;
        assert_eq!(got.unwrap(), ["brand_new-0.1.dist-info"]);
        assert_eq!(installer.install(&bin, folder.path(), &pair.simple(), "chain-d").await, None);
        let gone = "many-versions==1.13.9";
        assert_eq!(installer.install(&bin, folder.path(), &pair.simple(), gone).await, None);
    }
}

async fn bandersnatch_mirrors(kind: Kind, bandersnatch: Bandersnatch) {
    let pair = Pair::new(kind).await;
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::new(bandersnatch, folder.path(), &pair.relay).await;
    mirror.run(&pair.sandbox).await;
    assert!(mirror.files().len() > 60, "{}", mirror.files().len());
    pair.change().await;
    let said = mirror.run(&pair.sandbox).await;
    // A listing does not tell of what is gone.
    let asked_for = said.contains("chain-d no longer exists");
    assert_eq!(asked_for, bandersnatch == Bandersnatch::Calls, "{said}");
    let fetched = said.lines().filter(|line| line.contains("Fetching metadata for package: "));
    assert!(fetched.count() <= 4, "it asks for what changed alone: {said}");
    assert!(mirror.pages()["brand-new"].len() == 2);
}

async fn devpi_mirrors(pair: &Pair, devpi: &Devpi, name: &'static str) {
    let index = devpi.mirror(name, &pair.simple()).await;
    let has_all = async || {
        let pages = pages_of(&pair.sandbox);
        let mut names = index.names().await;
        names.retain(|name| name != crate::support::bandersnatch::LARGE);
        assert_eq!(names, pages.keys().cloned().collect::<Vec<_>>(), "{name}");
        let index = &index;
        let check = async |(project, files): (String, BTreeMap<String, String>)| {
            assert_eq!(index.files(&project).await, files, "{name} {project}");
        };
        stream::iter(pages).for_each_concurrent(4, check).await;
    };
    has_all().await;
    pair.change().await;
    index.renew(&["wire-top", "many-versions"]).await;
    has_all().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches pip and uv"]
async fn pip_and_uv_install_of_static_html_and_what_changed_later() {
    installers_install(Kind::Html).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches pip and uv"]
async fn pip_and_uv_install_of_static_json_and_what_changed_later() {
    installers_install(Kind::Json).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches pip and uv"]
async fn pip_and_uv_install_of_pulp_and_what_changed_later() {
    installers_install(Kind::Pulp).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn bandersnatch_mirrors_static_html_and_what_changed_later() {
    bandersnatch_mirrors(Kind::Html, Bandersnatch::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn bandersnatch_mirrors_static_json_and_what_changed_later() {
    bandersnatch_mirrors(Kind::Json, Bandersnatch::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn bandersnatch_mirrors_pulp_and_what_changed_later() {
    bandersnatch_mirrors(Kind::Pulp, Bandersnatch::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.8.0 by pip"]
async fn bandersnatch_that_compares_listings_mirrors_each_of_them_and_what_changed_later() {
    for kind in [Kind::Html, Kind::Json, Kind::Pulp] {
        bandersnatch_mirrors(kind, Bandersnatch::NewestListing).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches devpi-server 6.20.3"]
async fn devpi_mirrors_each_of_them_and_what_changed_later() {
    let folder = tempfile::tempdir().unwrap();
    let devpi = Devpi::start(folder.path()).await;
    for (name, kind) in [("html", Kind::Html), ("json", Kind::Json), ("pulp", Kind::Pulp)] {
        devpi_mirrors(&Pair::new(kind).await, &devpi, name).await;
    }
}

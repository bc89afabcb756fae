//! Upstream is restored from a backup, or states serials that cannot be, in the middle of a run and between two: the
//! mirror ends exact.

use cheesewire::model::Serial;
use cheesewire::sandbox::{Change, Effect, Fault, Publication, Route, Sandbox, Serials};
use cheesewire::xmlrpc::Value;
use tokio::process::Child;

use super::current;
use crate::support::bandersnatch::{Bandersnatch, Mirror, files_of};
use crate::support::{Relay, call, sandbox, until, within};

/// Polls follow each other, and that upstream is lower is believed after a second.
const QUICK: [&str; 5] = [
    "follow.interval=20ms",
    "follow.listing_interval=20ms",
    "follow.calls_doubt=1s",
    "follow.shortest_wait=5ms",
    "follow.longest_wait=20ms",
];

/// A run stops in front of this one, which is in the middle of the alphabet.
const MIDDLE: &str = "many-versions";

/// An upstream, and a mirror of the relay before it.
struct Scene {
    sandbox: Sandbox,
    relay: Relay,
    mirror: Mirror,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new(bandersnatch: Bandersnatch) -> Self {
        let sandbox = sandbox().await;
        let relay = Relay::start(&sandbox.url(), &QUICK).await;
        current(&relay, &sandbox).await;
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::new(bandersnatch, folder.path(), &relay).await;
        Self { sandbox, relay, mirror, _folder: folder }
    }

    async fn publish(&self, name: &str, version: &str) {
        self.sandbox.publish(Publication::new(name, version)).await.unwrap();
    }

    /// What the backup does not have: a release of a project that stays, a project, and that one was removed.
    async fn lose(&self) {
        self.sandbox.back_up().unwrap();
        self.publish("wire-top", "77.0").await;
        self.publish("only-before", "1.0").await;
        self.sandbox.change(Change::RemoveProject { name: "chain-d".to_owned() }).await.unwrap();
        current(&self.relay, &self.sandbox).await;
    }

    /// Upstream has the backup's state, and goes on with numbers that were others'.
    async fn restore(&self) -> Serial {
        let lost = self.sandbox.last_serial();
        self.sandbox.restore().unwrap();
        self.publish("only-after", "1.0").await;
        self.publish("wire-core", "88.0").await;
        assert!(self.sandbox.last_serial() < lost);
        lost
    }

    /// The relay has found out, and tells of all that is another way now than before `head`.
    async fn settled(&self, head: Serial) {
        let told = async || {
            let rows = call(&self.relay.url, "changelog_since_serial", &[Value::Int(head.0)]).await;
            let Ok(Value::Array(rows)) = rows else { return false };
            let tells = |name: &str| {
                rows.iter().any(|row| matches!(row, Value::Array(row) if row[0] == Value::from(name)))
            };
            ["only-after", "only-before", "wire-core", "wire-top", "chain-d"].iter().all(|name| tells(name))
        };
        until("the relay does not tell what was restored", told).await;
    }

    /// A run that stands in front of [`MIDDLE`].
    async fn half_a_run(&self) -> Child {
        let hold = Effect::Delay { millis: 3_600_000 };
        self.sandbox.faults().add(Fault::on(Route::Json, hold).path(MIDDLE)).unwrap();
        let run = self.mirror.begin();
        let path = format!("/pypi/{MIDDLE}/json");
        let asked = async || self.sandbox.requests().path(&path) > 0;
        until("the run does not come to its middle", asked).await;
        run
    }

    /// A run's other half, however it ends.
    async fn other_half(&self, mut run: Child) {
        within("the run does not end", run.wait()).await.unwrap();
    }

    /// Changes go on reaching the mirror.
    async fn goes_on(&self, version: &str) {
        self.publish("wire-left", version).await;
        self.publish("brand-new", version).await;
        let heard = async || {
            let rows =
                call(&self.relay.url, "changelog_since_serial", &[Value::Int(self.mirror.status())]).await;
            rows.is_ok_and(|rows| rows.as_array().is_some_and(|rows| rows.len() > 3))
        };
        until("the relay does not hear what happens", heard).await;
        self.mirror.run(&self.sandbox).await;
        assert!(self.mirror.pages()["wire-left"].keys().any(|name| name.contains(version)));
    }
}

async fn upstream_is_restored_in_the_middle_of_a_run(bandersnatch: Bandersnatch) {
    let scene = Scene::new(bandersnatch).await;
    scene.lose().await;
    let run = scene.half_a_run().await;
    let head = scene.restore().await;
    scene.sandbox.faults().clear();
    scene.other_half(run).await;
    scene.settled(head).await;
    // The half run had all projects before it; what it has of another time is asked for again.
    scene.mirror.run(&scene.sandbox).await;
    scene.goes_on("5.0").await;
}

async fn upstream_is_restored_between_two_runs(bandersnatch: Bandersnatch) {
    let scene = Scene::new(bandersnatch).await;
    scene.mirror.run(&scene.sandbox).await;
    scene.lose().await;
    scene.mirror.run(&scene.sandbox).await;
    assert!(scene.mirror.pages().contains_key("only-before"));
    let head = scene.restore().await;
    scene.settled(head).await;
    let said = scene.mirror.run(&scene.sandbox).await;
    // A listing does not tell of what is gone.
    let asked_for = said.contains("only-before no longer exists");
    assert_eq!(asked_for, bandersnatch == Bandersnatch::Calls, "{said}");
    assert_eq!(scene.mirror.pages()["wire-top"].keys().filter(|name| name.contains("77.0")).count(), 0);
    scene.goes_on("5.0").await;
}

/// Far beyond all serials of the sandbox.
const GARBAGE: i64 = 2_000_000_000;

impl Scene {
    /// From now on upstream states garbage: as its last serial, in a row that its changelog has besides, in every page and
    /// document, and in the listing for one project.
    fn garbage(&self) {
        let project = Serials::Project { name: "wire-top".to_owned(), serial: GARBAGE };
        for (route, state) in [
            (Route::Rpc, Serials::One(GARBAGE)),
            (Route::Page, Serials::All(GARBAGE)),
            (Route::Json, Serials::All(GARBAGE)),
            (Route::Listing, project),
        ] {
            self.sandbox.faults().add(Fault::on(route, Effect::Serials { state })).unwrap();
        }
    }

    /// Upstream has answered so many more calls with garbage.
    async fn polls(&self, more: u64) {
        let asked = || self.sandbox.requests().method("changelog_last_serial");
        let upto = asked() + more;
        until("nothing is polled", async || asked() >= upto).await;
    }
}

async fn garbage_in_the_middle_of_a_run_and_between_two(bandersnatch: Bandersnatch) {
    let scene = Scene::new(bandersnatch).await;
    let run = scene.half_a_run().await;
    scene.garbage();
    scene.polls(3).await;
    scene.sandbox.faults().clear();
    scene.garbage();
    scene.other_half(run).await;
    scene.sandbox.faults().clear();
    scene.publish("wire-top", "3.0").await;
    current(&scene.relay, &scene.sandbox).await;
    scene.mirror.run(&scene.sandbox).await;
    assert_eq!(scene.mirror.status(), scene.sandbox.last_serial().0);
    scene.garbage();
    scene.publish("wire-right", "4.0").await;
    scene.polls(3).await;
    // It may fail, or miss what is not known yet.
    scene.mirror.try_run().await;
    scene.sandbox.faults().clear();
    current(&scene.relay, &scene.sandbox).await;
    scene.mirror.run(&scene.sandbox).await;
    scene.goes_on("5.0").await;
    assert_eq!(scene.mirror.status(), scene.sandbox.last_serial().0);
    assert_eq!(scene.mirror.files(), files_of(&scene.sandbox));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn a_mirror_ends_exact_if_upstream_is_restored_in_the_middle_of_a_run() {
    upstream_is_restored_in_the_middle_of_a_run(Bandersnatch::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.8.0 by pip"]
async fn a_mirror_that_compares_listings_ends_exact_if_upstream_is_restored_in_the_middle_of_a_run() {
    upstream_is_restored_in_the_middle_of_a_run(Bandersnatch::NewestListing).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn a_mirror_ends_exact_if_upstream_is_restored_between_two_runs() {
    upstream_is_restored_between_two_runs(Bandersnatch::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.8.0 by pip"]
async fn a_mirror_that_compares_listings_ends_exact_if_upstream_is_restored_between_two_runs() {
    upstream_is_restored_between_two_runs(Bandersnatch::NewestListing).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn a_mirror_ends_exact_if_upstream_states_garbage_serials_meanwhile() {
    garbage_in_the_middle_of_a_run_and_between_two(Bandersnatch::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.8.0 by pip"]
async fn a_mirror_that_compares_listings_ends_exact_if_upstream_states_garbage_serials_meanwhile() {
    garbage_in_the_middle_of_a_run_and_between_two(Bandersnatch::NewestListing).await;
}

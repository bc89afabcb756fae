//! Upstreams of each kind, what each comes to, and what doctor says of it.

use cheesewire::sandbox::{
    Effect, Fault, Odd, Publication, RateLimit, Route, Sandbox, SandboxSettings, Serials, XmlRpc,
};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::{TOP, answer, cheesewire, faulty, page, status, text};
use crate::support::sandbox;

/// What Pulp states as the serial of everything.
const CONSTANT: i64 = 1_000_000_000;
const GARBAGE: i64 = 2_000_000_000;

/// On every request.
fn everywhere(effect: Effect) -> Fault {
    Fault { route: None, path: None, skip: 0, times: None, effect }
}

fn serials(state: Serials) -> Fault {
    Fault::on(Route::Listing, Effect::Serials { state })
}

/// An index without XML-RPC and without serials, of static files.
async fn of_static_files(simple_json: bool) -> Sandbox {
    let settings = SandboxSettings { simple_json, ..SandboxSettings::default() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    sandbox.set_xmlrpc(XmlRpc::Status(404));
    for route in [Route::Listing, Route::Page] {
        sandbox.faults().add(Fault::on(route, Effect::Serials { state: Serials::None })).unwrap();
    }
    let unvalidated = Effect::Odd { what: Odd::NoValidator, only: None };
    sandbox.faults().add(Fault::on(Route::Listing, unvalidated)).unwrap();
    sandbox.faults().add(status(Route::Json, 404)).unwrap();
    sandbox
}

/// An upstream, and what it should come to.
struct Case {
    upstream: String,
    args: Vec<String>,
    folder: TempDir,
    /// What it consists of.
    parts: Vec<Sandbox>,
    code: i32,
    /// How some of the findings begin, and what the relay says of them.
    lines: Vec<(String, &'static str)>,
    verdict: &'static str,
}

impl Case {
    /// `args` beside those that name the upstream and the folder.
    fn new(sandbox: Sandbox, args: &[&str], code: i32, verdict: &'static str) -> Self {
        Self {
            upstream: sandbox.url(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            folder: tempfile::tempdir().unwrap(),
            parts: vec![sandbox],
            code,
            lines: Vec::new(),
            verdict,
        }
    }

    fn says(mut self, found: impl Into<String>, relay: &'static str) -> Self {
        self.lines.push((found.into(), relay));
        self
    }

    async fn check(&self) {
        let args: Vec<_> = self.args.iter().map(String::as_str).collect();
        let output = cheesewire("doctor", &self.upstream, self.folder.path(), &args).await;
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(self.code), "{said}{}", text(&output.stderr));
        assert_eq!(said.lines().last(), Some(self.verdict), "{said}");
        assert_eq!(text(&output.stderr), "", "all of it is on standard output");
        // One line for each finding.
        let findings = said.replace("\n   ", " ");
        let findings: Vec<String> =
            findings.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for (found, relay) in &self.lines {
            let finding = findings.iter().find(|finding| finding.starts_with(found));
            assert!(finding.is_some_and(|finding| finding.contains(relay)), "{found} … {relay}: {said}");
        }
    }
}

async fn like_pypi() -> Case {
    // Removed there, and answered here.
    let verdict = "fit: clients get everything; what is missing is made up for (package_releases)";
    Case::new(sandbox().await, &TOP, 0, verdict)
        .says("ok changelog_last_serial: lives, ", "polled; callers are answered from the journal")
        .says("-- package_releases: upstream faulted: RuntimeError", "the JSON API has the same")
}

async fn static_html() -> Case {
    let verdict = "fit: clients get everything; what is missing is made up for (listing, serials in the listing, \
                   ETag of the listing, changelog_last_serial, project page, JSON API)";
    Case::new(of_static_files(false).await, &TOP, 0, verdict)
        .says("-- listing: 200 text/html", "HTML is read; it has no serials")
        .says("-- changelog_last_serial: upstream answered 404", "pages are compared every 10m")
}

async fn static_json() -> Case {
    let verdict = "fit: clients get everything; what is missing is made up for (serials in the listing, \
                   ETag of the listing, changelog_last_serial, JSON API)";
    Case::new(of_static_files(true).await, &TOP, 0, verdict)
        .says("-- serials in the listing: none", "changes are found by content")
}

async fn like_pulp() -> Case {
    let sandbox = faulty([serials(Serials::All(CONSTANT))]).await;
    sandbox.set_xmlrpc(XmlRpc::Status(404));
    let verdict = "fit: clients get everything; what is missing is made up for (serials in the listing, \
                   changelog_last_serial)";
    let found = "-- serials in the listing: the same for every project, 1000000000: it says nothing";
    Case::new(sandbox, &TOP, 0, verdict)
        .says(found, "changes are found by content")
        .says("-- changelog_last_serial: ", "pages are compared every 10m")
}

/// Beyond what any client can be told.
async fn serials_that_are_none() -> Case {
    let sandbox = faulty([serials(Serials::All(9_999_999_999))]).await;
    sandbox.set_xmlrpc(XmlRpc::Status(404));
    let verdict = "fit: clients get everything; what is missing is made up for (serials in the listing, \
                   changelog_last_serial)";
    let found = format!("-- serials in the listing: none; {} that are no serials", sandbox.listed().len());
    Case::new(sandbox, &TOP, 0, verdict).says(found, "changes are found by content")
}

async fn a_listing_with_a_garbage_serial() -> Case {
    let sandbox = faulty([serials(Serials::One(GARBAGE))]).await;
    let found = format!("-- last serial: {}, and the listing states {GARBAGE}", sandbox.last_serial());
    let verdict =
        "fit: clients get everything; what is missing is made up for (package_releases, last serial)";
    Case::new(sandbox, &TOP, 0, verdict).says(found, "count as not stated")
}

async fn a_listing_ahead_of_the_changelog() -> Case {
    let sandbox = sandbox().await;
    let last = sandbox.last_serial();
    sandbox.faults().add(serials(Serials::One(last.0 + 5))).unwrap();
    let found = format!("!! last serial: {last}, and the listing states {}", last.0 + 5);
    Case::new(sandbox, &TOP, 1, "fit, with less for clients, or later: last serial")
        .says(found, "one of several servers lags")
}

async fn a_garbage_last_serial() -> Case {
    let garbage = Effect::Serials { state: Serials::One(GARBAGE) };
    let sandbox = faulty([Fault::on(Route::Rpc, garbage).path("changelog_last_serial")]).await;
    let found = format!("!! changelog: nothing up to its own last serial, {GARBAGE}");
    Case::new(sandbox, &TOP, 1, "fit, with less for clients, or later: changelog")
        .says(found, "is not believed")
}

async fn failing() -> Case {
    let sandbox = faulty([everywhere(Effect::Status { code: 503 })]).await;
    Case::new(sandbox, &TOP, 2, "not fit, as it is configured: project page")
        .says("!! listing: 503", "it fails: what has been kept is served")
        .says("!! changelog_last_serial: upstream answered 503", "polls go on with growing waits")
        .says("XX project page: wire-top: 503", "kept pages are served")
}

async fn a_web_site() -> Case {
    let site = "<!DOCTYPE html><title>Welcome</title><a href=\"https://else.test/\">Elsewhere</a>";
    let sandbox = faulty([everywhere(page("text/html", site))]).await;
    Case::new(sandbox, &[], 2, "not fit, as it is configured: project")
        .says("!! listing: 200 text/html", "this is no list of projects")
        .says(
            "!! changelog_last_serial: upstream answered with HTML where XML-RPC",
            "follow.source = listings",
        )
        .says("XX project: no name to look at", "nothing here shows a package index")
}

/// Asked for a project it is no better.
async fn a_web_site_for_every_page() -> Case {
    let site = "<!DOCTYPE html><title>Welcome</title>";
    let sandbox = faulty([everywhere(page("text/html", site))]).await;
    Case::new(sandbox, &TOP, 2, "not fit, as it is configured: project page")
        .says("XX project page: wire-top: 200 text/html", "it cannot be read: HTML that is no index page")
}

async fn an_empty_page_for_everything() -> Case {
    let site = "<!DOCTYPE html><title>Links for wire-top</title>";
    let sandbox = faulty([everywhere(page("text/html", site))]).await;
    Case::new(sandbox, &TOP, 2, "not fit, as it is configured: files")
        .says("XX files: the page names none", "nothing here shows a package index")
}

/// It may be a new index.
async fn a_list_of_one_project_for_everything() -> Case {
    let site = "<!DOCTYPE html><title>wire-top</title><a href=\"wire-top/\">wire-top</a>";
    let sandbox = faulty([everywhere(page("text/html", site))]).await;
    Case::new(sandbox, &[], 1, "fit, with less for clients, or later: changelog_last_serial, JSON API, files")
        .says("!! files: the page names none", "nothing here shows a package index")
}

async fn nothing_there() -> Case {
    let sandbox = faulty([everywhere(Effect::Status { code: 404 })]).await;
    Case::new(sandbox, &[], 2, "not fit, as it is configured: project")
        .says("!! listing: 404", "this is no list of projects")
        .says("!! changelog_last_serial: upstream answered 404", "there has to be a listing to compare")
}

async fn nobody_there() -> (Case, TcpSocket) {
    let bound = TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let upstream = format!("http://{}/", bound.local_addr().unwrap());
    let case = Case::new(sandbox().await, &TOP, 2, "not fit, as it is configured: listing")
        .says("XX listing: upstream cannot be reached: ", "it serves what it has kept, and goes on trying");
    (Case { upstream, ..case }, bound)
}

async fn silent() -> Case {
    let sandbox = faulty([everywhere(Effect::Delay { millis: 3_600_000 })]).await;
    let args = [&TOP[..], &["--set", "upstream.read_timeout=100ms"]].concat();
    Case::new(sandbox, &args, 2, "not fit, as it is configured: listing")
        .says("XX listing: upstream took too long", "goes on trying")
}

async fn slower_than_callers_wait() -> Case {
    let slow = |route| Fault::on(route, Effect::Delay { millis: 50 });
    let sandbox = faulty([slow(Route::Page), slow(Route::Json)]).await;
    let args = [&TOP[..], &["--set", "index.deadline=1ms", "--set", "rpc.deadline=1ms"]].concat();
    Case::new(sandbox, &args, 1, "fit, with less for clients, or later: project page, JSON API")
        .says("!! project page: wire-top: 200", "it takes longer than index.deadline")
        .says("!! JSON API: 200", "it takes longer than rpc.deadline")
}

/// A folder that knows the upstream.
async fn synced(sandbox: &Sandbox) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = cheesewire("sync", &sandbox.url(), folder.path(), &["--until-current"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder
}

async fn restored_from_a_backup() -> Case {
    let sandbox = sandbox().await;
    sandbox.back_up().unwrap();
    sandbox.publish(Publication::new("wire-top", "3.0")).await.unwrap();
    let (folder, before) = (synced(&sandbox).await, sandbox.last_serial());
    let now = sandbox.restore().unwrap();
    let found = format!("!! last serial: {now}, and it was {before} before");
    let case = Case::new(sandbox, &TOP, 1, "fit, with less for clients, or later: last serial")
        .says(found, "if each answer is lower for 10m (follow.calls_doubt), it is taken for restored");
    Case { folder, ..case }
}

async fn far_beyond_what_the_folder_knows() -> Case {
    let sandbox = sandbox().await;
    let folder = synced(&sandbox).await;
    let leapt = sandbox.last_serial().0 + 200_000;
    // With a row that has it.
    let state = Serials::One(leapt);
    sandbox.faults().add(Fault::on(Route::Rpc, Effect::Serials { state })).unwrap();
    let case = Case::new(sandbox, &TOP, 1, "fit, with less for clients, or later: last serial")
        .says(format!("!! last serial: {leapt}, and nothing beyond "), "it is asked again after 5s");
    Case { folder, ..case }
}

async fn as_the_folder_knows_it() -> Case {
    let sandbox = sandbox().await;
    let (folder, last) = (synced(&sandbox).await, sandbox.last_serial());
    let verdict = "fit: clients get everything; what is missing is made up for (package_releases)";
    let found = format!("ok last serial: {last}, and {last} is the last that the data folder has heard of");
    let case = Case::new(sandbox, &TOP, 0, verdict).says(found, "events since then are fetched");
    Case { folder, ..case }
}

async fn a_folder_of_another_upstream() -> Case {
    let (other, sandbox) = (sandbox().await, sandbox().await);
    let folder = synced(&other).await;
    let case = Case::new(sandbox, &TOP, 2, "not fit, as it is configured: data folder")
        .says("XX data folder: ", "serve refuses to start with it");
    Case { folder, ..case }
}

/// Two sandboxes: the first redirects to the second.
async fn redirecting(args: &[&str], code: i32, verdict: &'static str) -> Case {
    let (first, second) = (sandbox().await, sandbox().await);
    for (route, path) in [
        (Route::Listing, "simple/"),
        (Route::Page, "simple/wire-top/"),
        (Route::Json, "pypi/wire-top/json"),
        (Route::Rpc, "pypi"),
    ] {
        let to = format!("{}{path}", second.url());
        first.faults().add(Fault::on(route, answer(301, &[("location", &to)], ""))).unwrap();
    }
    let mut case = Case::new(first, &[&TOP[..], args].concat(), code, verdict);
    case.parts.push(second);
    case
}

async fn a_redirect_to_where_nothing_may_lead() -> Case {
    redirecting(&[], 2, "not fit, as it is configured: listing").await.says(
        "XX listing: the index links to an address that is neither its own",
        "nothing is fetched from there",
    )
}

async fn a_redirect_that_is_followed() -> Case {
    let args = ["--set", "upstream.allowed_hosts=127.0.0.1"];
    redirecting(&args, 1, "fit, with less for clients, or later: changelog_last_serial")
        .await
        .says("-- redirect: http://127.0.0.1:", "give that address to save the requests")
        .says("!! changelog_last_serial: upstream answered 301", "calls follow no redirect")
}

async fn too_many_requests() -> Case {
    let sandbox = faulty([everywhere(answer(429, &[("retry-after", "7")], ""))]).await;
    let verdict =
        "fit, with less for clients, or later: simple index, listing, changelog_last_serial, project";
    Case::new(sandbox, &[], 1, verdict).says("!! listing: 429", "it allows no more requests for 7 s").says(
        "!! changelog_last_serial: upstream can be asked again after a wait of 7 s",
        "it is asked again after that",
    )
}

async fn too_many_calls() -> Case {
    let rate_limit = Some(RateLimit { per_second: 0.001, burst: 2 });
    let settings = SandboxSettings { rate_limit, ..SandboxSettings::default() };
    let sandbox = Sandbox::start(settings).await.unwrap();
    Case::new(sandbox, &TOP, 1, "fit, with less for clients, or later: rate limit")
        .says("ok changelog_since_serial: lives", "polled")
        .says("!! rate limit: \"xmlrpc.client\";r=0;t=2000", "no call is made for ")
}

/// What each upstream is, what is said of it, and the exit code.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_upstream_gets_its_lines_its_verdict_and_its_exit_code() {
    let (nobody, _bound) = nobody_there().await;
    for case in [
        like_pypi().await,
        static_html().await,
        static_json().await,
        like_pulp().await,
        serials_that_are_none().await,
        a_listing_with_a_garbage_serial().await,
        a_listing_ahead_of_the_changelog().await,
        a_garbage_last_serial().await,
        failing().await,
        a_web_site().await,
        a_web_site_for_every_page().await,
        an_empty_page_for_everything().await,
        a_list_of_one_project_for_everything().await,
        nothing_there().await,
        nobody,
        silent().await,
        slower_than_callers_wait().await,
        restored_from_a_backup().await,
        far_beyond_what_the_folder_knows().await,
        as_the_folder_knows_it().await,
        a_folder_of_another_upstream().await,
        a_redirect_to_where_nothing_may_lead().await,
        a_redirect_that_is_followed().await,
        too_many_requests().await,
        too_many_calls().await,
    ] {
        case.check().await;
    }
}

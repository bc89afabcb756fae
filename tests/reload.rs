//! Settings that are read again while a relay runs.

use std::path::{Path, PathBuf};

use cheesewire::sandbox::{Publication, Route, Sandbox};
use cheesewire::xmlrpc::encode_call;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{BINARY, Process};
use crate::support::{get, post_with, sandbox, until, within};

/// A relay whose settings stand in a file.
struct Bench {
    relay: Process,
    file: PathBuf,
    sandbox: Sandbox,
    folder: TempDir,
}

impl Bench {
    async fn start(settings: &str) -> Self {
        let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
        let file = folder.path().join("cheesewire.toml");
        std::fs::write(&file, settings).unwrap();
        let relay = Process::start_by(&file, &folder.path().join("data"), &sandbox.url()).await;
        Self { relay, file, sandbox, folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes the file and gives the order to read it.
    fn set(&self, settings: &str) {
        std::fs::write(&self.file, settings).unwrap();
        self.relay.signal("-HUP");
    }

    /// What `/readyz` tells of the settings.
    async fn state(&self) -> Value {
        let ready = get(&format!("{}readyz", self.relay.url)).await;
        assert_eq!(ready.status, 200, "{}", ready.text());
        serde_json::from_str::<Value>(ready.text()).unwrap()["settings"].clone()
    }

    async fn is_told(&self, wanted: &Value) {
        until(&format!("it never tells {wanted}"), async || self.state().await == *wanted).await;
    }

    /// Whether a call of a client is refused.
    async fn refuses(&self, client: &str) -> bool {
        let fields = [("x-forwarded-for", client)];
        let call = encode_call("system.listMethods", &[]).unwrap();
        let answer = post_with(&format!("{}RPC2", self.relay.url), &fields, call).await;
        answer.text().contains("HTTPTooManyRequests")
    }
}

fn quiet() -> Value {
    json!({"complaint": null, "need_restart": []})
}

/// One call of each client, and then none for a long time.
const ONE_CALL: &str = "clients.calls_per_second = 0.001\nclients.burst = 1\n";

#[tokio::test]
async fn limits_on_clients_are_taken_up_and_what_needs_a_restart_is_named() {
    let bench = Bench::start("clients.trusted_proxies = \"127.0.0.1\"\n").await;
    assert_eq!(bench.state().await, quiet());
    for _ in 0..3 {
        assert!(!bench.refuses("192.0.2.1").await);
    }
    let proxied = format!("clients.trusted_proxies = \"127.0.0.1\"\n{ONE_CALL}");
    let more = "http.drain = \"7s\"\nclients.remembered = 7\n";
    bench.set(&format!("{proxied}{more}"));
    let need_restart = json!({"complaint": null, "need_restart": ["clients.remembered", "http.drain"]});
    bench.is_told(&need_restart).await;
    assert!(!bench.refuses("192.0.2.1").await && bench.refuses("192.0.2.1").await);
    assert!(!bench.refuses("192.0.2.2").await);
    // What is as it was is not taken up once more: it would forget what was used up.
    bench.set(&format!("{proxied}http.drain = \"8s\"\n"));
    bench.is_told(&json!({"complaint": null, "need_restart": ["http.drain"]})).await;
    assert!(bench.refuses("192.0.2.1").await);
    // As it was: nothing needs a restart any more. Whoever forwards is not believed from here on.
    bench.set(ONE_CALL);
    bench.is_told(&quiet()).await;
    assert!(!bench.refuses("192.0.2.3").await && bench.refuses("192.0.2.4").await);
    bench.set("");
    until("the limit stays", async || !bench.refuses("192.0.2.1").await).await;
}

#[tokio::test]
async fn nonsense_leaves_what_was_right_is_logged_and_told_until_it_is_mended() {
    let mut bench = Bench::start(&format!("clients.trusted_proxies = \"127.0.0.1\"\n{ONE_CALL}")).await;
    for (nonsense, words) in [
        ("clients.burst = \"many\"\n", "clients.burst = \"many\" (in "),
        ("clients.bursd = 7\n", "did you mean clients.burst?"),
        ("clients.burst = 7\nhttp.listen", "is not TOML: line 2"),
    ] {
        bench.set(nonsense);
        let complaint = "the settings as they are now cannot be used; the log says why";
        bench.is_told(&json!({"complaint": complaint, "need_restart": []})).await;
        let reason = loop {
            let line = bench.relay.logged().await;
            if line["fields"]["message"] == "the settings cannot be used: those of before stay" {
                break line["fields"]["reason"].as_str().unwrap().to_owned();
            }
        };
        assert!(reason.contains(words), "{reason}");
        // The limit of before, by the client that the proxy names.
        let client = format!("192.0.2.{}", nonsense.len());
        assert!(!bench.refuses(&client).await && bench.refuses(&client).await);
        bench.set(&format!("clients.trusted_proxies = \"127.0.0.1\"\n{ONE_CALL}"));
        bench.is_told(&quiet()).await;
    }
    std::fs::remove_file(&bench.file).unwrap();
    bench.relay.signal("-HUP");
    until("it is not missed", async || bench.state().await["complaint"].is_string()).await;
}

#[tokio::test]
async fn the_log_goes_by_another_filter_and_the_access_log_can_be_switched_on() {
    let mut bench = Bench::start("").await;
    let page = format!("{}simple/", bench.relay.url);
    let levels = async |bench: &mut Bench| {
        get(&page).await;
        // Said at any filter of these: the last line of what this request has logged.
        bench.relay.signal("-HUP");
        let mut found = Vec::new();
        loop {
            let line = bench.relay.logged().await;
            if line["fields"]["signal"] == "SIGHUP" {
                return found;
            }
            found.push(format!("{} {}", line["level"].as_str().unwrap(), line["target"].as_str().unwrap()));
        }
    };
    let has = |found: &[String], begin: &str| found.iter().any(|line| line.starts_with(begin));
    let before = levels(&mut bench).await;
    assert!(!has(&before, "DEBUG") && !has(&before, "INFO cheesewire::access"), "{before:?}");
    bench.set("log.filter = \"info,cheesewire::http=debug\"\nlog.access = true\nlog.format = \"text\"\n");
    // The form of a line is for the next start; the environment says json here, so nothing changes.
    until("no line of the access log comes", async || {
        has(&levels(&mut bench).await, "INFO cheesewire::access")
    })
    .await;
    until("no line at debug comes", async || has(&levels(&mut bench).await, "DEBUG cheesewire::http")).await;
    assert_eq!(bench.state().await, quiet());
}

#[tokio::test]
async fn rules_for_what_is_fetched_in_advance_are_taken_up() {
    let bench = Bench::start("follow.interval = \"20ms\"\n").await;
    bench.set("follow.interval = \"20ms\"\nprefetch.rules = \"wire-top\"\n");
    // What was announced before the rules were taken up is not fetched, and nobody sees when that is.
    let mut release = 2;
    until("nothing is fetched in advance", async || {
        release += 1;
        bench.sandbox.publish(Publication::new("wire-top", format!("{release}.0"))).await.unwrap();
        bench.sandbox.requests().route(Route::File) > 0
    })
    .await;
}

#[tokio::test]
async fn the_command_checks_the_settings_and_tells_the_relay_over_the_folder() {
    let bench = Bench::start("clients.trusted_proxies = \"127.0.0.1\"\n").await;
    let reload = async |file: &Path, data: &Path| {
        let mut command = tokio::process::Command::new(BINARY);
        command.arg("reload").arg("--config").arg(file).arg("--data").arg(data);
        let output = within("it does not end", command.output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    std::fs::write(&bench.file, format!("clients.trusted_proxies = \"127.0.0.1\"\n{ONE_CALL}")).unwrap();
    let (code, said, _) = reload(&bench.file, &bench.data()).await;
    assert_eq!(code, Some(0));
    assert!(said.starts_with(&format!("process {} reads ", bench.relay.pid())), "{said}");
    until("nothing is taken up", async || bench.refuses("192.0.2.1").await).await;
    // Wrong settings are not even told.
    std::fs::write(&bench.file, "clients.burst = \"many\"\n").unwrap();
    let (code, _, complaint) = reload(&bench.file, &bench.data()).await;
    assert!(code == Some(64) && complaint.contains("clients.burst"), "{complaint}");
    assert_eq!(bench.state().await, quiet());
    std::fs::write(&bench.file, "").unwrap();
    let empty = tempfile::tempdir().unwrap();
    for nobody in [empty.path(), &empty.path().join("missing")] {
        let (code, _, complaint) = reload(&bench.file, nobody).await;
        assert!(code == Some(1) && complaint.contains("no relay works on"), "{complaint}");
    }
    let (file, data) = (bench.file.clone(), bench.data());
    let Bench { relay, folder, .. } = bench;
    relay.kill().await;
    let (code, _, complaint) = reload(&file, &data).await;
    assert!(code == Some(1) && complaint.contains("no relay works on"), "{complaint}");
    drop(folder);
}

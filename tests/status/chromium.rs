//! The pages in a real browser, driven by WebDriver: by `chromedriver` (Debian's chromium-driver), or by the program that
//! `CHROMEDRIVER` names.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cheesewire::sandbox::{Change, Publication, Sandbox};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::pair;
use crate::support::programs::environment;
use crate::support::{Relay, client, until};

/// A browser's window, which has to be closed: the browser outlives its driver.
struct Browser {
    /// The session's address at the driver.
    session: String,
    _driver: Child,
}

impl Browser {
    async fn start() -> Self {
        let driver = std::env::var_os("CHROMEDRIVER").unwrap_or_else(|| "chromedriver".into());
        let mut driver = Command::new(driver);
        driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut driver = driver.spawn().expect("no driver of Chromium; Debian has it as chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("the driver ended");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": 300_000, "pageLoad": 300_000},
        }}});
        let base = format!("http://127.0.0.1:{port}/session");
        let made = ask(&base, &wanted).await;
        let session = format!("{base}/{}", made["sessionId"].as_str().unwrap());
        Self { session, _driver: driver }
    }

    async fn ask(&self, command: &str, body: Value) -> Value {
        ask(&format!("{}/{command}", self.session), &body).await
    }

    async fn close(self) {
        client().delete(&self.session).send().await.unwrap();
    }

    async fn open(&self, url: &str) {
        self.ask("url", json!({"url": url})).await;
    }

    /// What a script returns.
    async fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", json!({"script": script, "args": []})).await
    }

    /// Waits until the line above the events begins so.
    async fn says(&self, start: &str) {
        let note = "return document.getElementById('live').textContent";
        until(start, async || self.run(note).await.as_str().unwrap().starts_with(start)).await;
    }

    /// As if the window came to the front, or something else before it.
    async fn seen(&self, seen: bool) {
        let script = format!(
            "Object.defineProperty(document, 'hidden', {{configurable: true, value: {}}}); \
             document.dispatchEvent(new Event('visibilitychange'))",
            !seen
        );
        self.run(&script).await;
    }

    /// A command of the browser's own protocol.
    async fn own(&self, command: &str, params: Value) -> Value {
        self.ask("goog/cdp/execute", json!({"cmd": command, "params": params})).await
    }

    async fn dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.own("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    async fn wide(&self, width: u32) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.own("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Complaints of the browser's, as of scripts that the page's policy forbids.
    async fn complaints(&self) -> Vec<Value> {
        let log = self.ask("se/log", json!({"type": "browser"})).await;
        log.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE").cloned().collect()
    }

    /// Keeps the window as a picture, in the folder that `CHEESEWIRE_PICTURES` names: those of docs/pictures are made so.
    async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("CHEESEWIRE_PICTURES") else { return };
        let shot = self.own("Page.captureScreenshot", json!({"format": "webp", "quality": 80})).await;
        let bytes = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.webp")), bytes).unwrap();
    }
}

async fn ask(url: &str, body: &Value) -> Value {
    let request = client().post(url).header("content-type", "application/json").body(body.to_string());
    let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    assert!(answer["value"]["error"].is_null(), "{url}: {answer}");
    answer["value"].clone()
}

const FIRST: &str = "return document.querySelector('#events tbody tr').innerText";

async fn noted(sandbox: &Sandbox, action: &str) {
    let (name, action) = ("Wire.New".to_owned(), action.to_owned());
    sandbox.change(Change::Note { name, version: None, action }).await.unwrap();
}

async fn started(settings: &[&str]) -> (Sandbox, Relay, Browser) {
    let browser = Browser::start().await;
    let (sandbox, relay) = pair(settings).await;
    sandbox.publish(Publication::new("Wire.New", "1.0")).await.unwrap();
    super::page_with(&relay, "", "Wire.New").await;
    (sandbox, relay, browser)
}

#[tokio::test]
#[ignore = "needs Chromium and its driver"]
async fn new_events_come_on_top_as_text_and_the_table_stays_short() {
    let (sandbox, relay, browser) = started(&[]).await;
    browser.open(&relay.url).await;
    browser.says("Live").await;
    noted(&sandbox, "<img src=x onerror=document.title='gone'>").await;
    until("the event does not come", async || {
        browser.run(FIRST).await.as_str().unwrap().contains("<img src=x")
    })
    .await;
    assert_eq!(
        browser.run("return [document.title, document.images.length]").await,
        json!(["cheesewire", 0])
    );
    let link = browser.run("return document.querySelector('#events tbody a').getAttribute('href')").await;
    assert_eq!(link, "/project/wire-new/");
    for number in 0..110 {
        noted(&sandbox, &format!("note {number}")).await;
    }
    until("the last does not come", async || browser.run(FIRST).await.as_str().unwrap().contains("note 109"))
        .await;
    assert_eq!(browser.run("return document.querySelectorAll('#events tbody tr').length").await, 100);
    assert_eq!(browser.complaints().await, [] as [Value; 0]);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium and its driver"]
async fn a_reader_finds_a_project_from_the_start_page_in_light_in_dark_and_on_a_small_screen() {
    let (_sandbox, relay, browser) = started(&[]).await;
    let back = "return getComputedStyle(document.body).backgroundColor";
    let mut backs = Vec::new();
    for (dark, width, name) in [(false, 1000, "light"), (true, 1000, "dark"), (false, 400, "small")] {
        browser.dark(dark).await;
        browser.wide(width).await;
        browser.open(&relay.url).await;
        backs.push(browser.run(back).await);
        browser.picture(name).await;
        // Nothing has to be moved sideways but tables in their own frames.
        let over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.run(over).await, 0, "{name}");
        let submit =
            "document.getElementById('q').value = 'wire_CORE'; document.querySelector('form button').click()";
        browser.run(submit).await;
        let heading = "return document.querySelector('h1').textContent";
        until("there are no results", async || browser.run(heading).await == "Search").await;
        assert_eq!(browser.run(over).await, 0, "{name}");
        browser.run("document.querySelector('main a').click()").await;
        until("there is no project", async || browser.run(heading).await == "wire-core").await;
        assert_eq!(browser.run(over).await, 0, "{name}");
    }
    assert!(backs[0] == backs[2] && backs[0] != backs[1], "{backs:?}");
    assert_eq!(browser.complaints().await, [] as [Value; 0]);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium and its driver"]
async fn a_page_that_nobody_looks_at_holds_no_feed_and_goes_on_where_it_was() {
    let (sandbox, relay, browser) = started(&[]).await;
    let watched = "Object.defineProperty(document, 'hidden', {configurable: true, value: true}); \
                   window.sources = []; \
                   window.EventSource = class extends window.EventSource { \
                   constructor(url) { super(url); window.sources.push(this); } }";
    browser.own("Page.addScriptToEvaluateOnNewDocument", json!({"source": watched})).await;
    let sources = "return window.sources.length";
    browser.open(&relay.url).await;
    assert_eq!(browser.run(sources).await, 0, "nobody has looked at it yet");
    browser.seen(true).await;
    browser.says("Live").await;
    noted(&sandbox, "before").await;
    until("it does not come", async || browser.run(FIRST).await.as_str().unwrap().contains("before")).await;
    // A name that no project can have, no version, and a time in no year.
    let (last, time) = (sandbox.last_serial().0, 1_000_000_000_000_000_000_i64);
    let odd = json!({"serial": last, "time": time, "name": "<b>/..", "version": null, "action": "odd"});
    browser.run(&format!("window.sources[0].onmessage({{data: JSON.stringify({odd})}})")).await;
    let first = "const row = document.querySelector('#events tbody tr'); \
                 return [Array.from(row.cells, cell => cell.textContent), row.querySelectorAll('a').length]";
    let cells = json!([[last.to_string(), time.to_string(), "<b>/..", "", "odd"], 0]);
    assert_eq!(browser.run(first).await, cells);
    browser.seen(false).await;
    assert_eq!(browser.run("return window.sources.map(source => source.readyState)").await, json!([2]));
    noted(&sandbox, "meanwhile").await;
    super::page_with(&relay, "", "meanwhile").await;
    browser.seen(true).await;
    until("it does not come", async || browser.run(FIRST).await.as_str().unwrap().contains("meanwhile"))
        .await;
    assert_eq!(browser.run(sources).await, 2, "it was loaded again");
    let twice = "return Array.from(document.querySelectorAll('#events tbody tr')) \
                 .filter(row => row.innerText.includes('before')).length";
    assert_eq!(browser.run(twice).await, 1);
    // It was looked at for long, and hidden for a moment.
    let later = "const now = Date.now(); Date.now = () => now + 600001";
    browser.run(later).await;
    browser.seen(false).await;
    browser.seen(true).await;
    assert_eq!(browser.run(sources).await, 3, "it was loaded again");
    // Hidden for long, it begins anew.
    browser.seen(false).await;
    browser.run(later).await;
    browser.seen(true).await;
    until("it is not loaded again", async || browser.run(sources).await == 0).await;
    browser.seen(true).await;
    browser.says("Live").await;
    relay.stop().await;
    browser.says("Not live just now").await;
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium and its driver"]
async fn where_all_feeds_are_taken_the_page_says_so() {
    let (sandbox, relay, browser) = started(&["feed.subscribers=1"]).await;
    let feed = format!("{}journal/events?follow=true&since={}", relay.url, sandbox.last_serial());
    let held = client().get(&feed).send().await.unwrap();
    assert_eq!(held.status(), 200);
    browser.open(&relay.url).await;
    browser.says("Not live: the relay gives no events just now").await;
    drop(held);
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium and its driver"]
async fn without_scripts_the_page_has_the_events_of_when_it_was_loaded() {
    let (_sandbox, relay, browser) = started(&[]).await;
    browser.own("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.own("Page.navigate", json!({"url": relay.url})).await;
    let mut page = String::new();
    until("the page does not come", async || {
        let root = browser.own("DOM.getDocument", json!({})).await["root"]["nodeId"].clone();
        let html = browser.own("DOM.getOuterHTML", json!({"nodeId": root})).await;
        html["outerHTML"].as_str().unwrap().clone_into(&mut page);
        page.contains("</main>")
    })
    .await;
    assert!(
        page.contains("As of the moment when this page was loaded.") && page.contains(">Wire.New<"),
        "{page}"
    );
    browser.close().await;
}

#[tokio::test]
#[ignore = "needs Chromium, its driver, and pip with the network"]
async fn axe_finds_nothing_on_any_page_in_light_and_dark() {
    let (_sandbox, relay, browser) = started(&[]).await;
    let library = environment(&["axe-core-python==0.1.0"]).await.join("../lib");
    let axe = glob(&library, "axe.min.js");
    let axe = std::fs::read_to_string(axe).unwrap();
    for dark in [false, true] {
        browser.dark(dark).await;
        for path in ["", "search/?q=wire", "project/wire-core/", "project/none/"] {
            browser.open(&format!("{}{path}", relay.url)).await;
            browser.run(&axe).await;
            let look = "const done = arguments[arguments.length - 1]; \
                        axe.run().then(found => done(found.violations.map(one => [one.id, one.impact, one.nodes.map(node => node.html)])))";
            let found = browser.ask("execute/async", json!({"script": look, "args": []})).await;
            assert_eq!(found, json!([]), "{path}, dark: {dark}");
        }
    }
    browser.close().await;
}

/// A file of that name, wherever it is below the folder.
fn glob(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.file_name().is_some_and(|own| own == name) {
                return path;
            }
        }
    }
    panic!("{name} is missing");
}

//! A quarantine, its end and that of one release, as upstream shows them, on everything that we serve: with its changelog
//! and without.

use std::collections::BTreeMap;

use cheesewire::sandbox::{Change, Publication, Sandbox, XmlRpc};
use cheesewire::xmlrpc::Value;
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;

use crate::support::{ENDLESS, Relay, call, get_with, sandbox, until};

const NAME: &str = "suspect";
const HTML: &str = "text/html";
const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// What somebody sees, by where.
type Sight = BTreeMap<String, serde_json::Value>;

/// What both we and upstream have by plain HTTP.
async fn pages(base: &str) -> Sight {
    let mut sight = Sight::new();
    let get = async |path: &str, accept: &str| {
        get_with(Method::GET, &format!("{base}{path}"), &[("accept", accept)]).await.unwrap()
    };
    let sorted = |rows: &serde_json::Value, member: &str| {
        let mut texts: Vec<_> = rows.as_array().unwrap().iter().map(|row| row[member].to_string()).collect();
        texts.sort();
        texts
    };
    let list = get("simple/", HTML).await;
    sight.insert("list, HTML".into(), list.text().contains(&format!(">{NAME}<")).into());
    let list = get("simple/", JSON).await.json();
    sight.insert("list, JSON".into(), sorted(&list["projects"], "name").into());
    let page = get(&format!("simple/{NAME}/"), HTML).await;
    let links: Vec<&str> =
        page.text().split("</a>").filter_map(|link| Some(link.rsplit_once('>')?.1)).collect();
    let links: Vec<&str> = links.into_iter().filter(|link| link.starts_with(NAME)).collect();
    let marked = page.text().contains("quarantined");
    sight.insert("page, HTML".into(), json!([page.status, links, marked]));
    let page = get(&format!("simple/{NAME}/"), JSON).await.json();
    let status = &page["project-status"]["status"];
    sight.insert("page, JSON".into(), json!([status, page["versions"], sorted(&page["files"], "filename")]));
    for path in
        [format!("pypi/{NAME}/json"), format!("pypi/{NAME}/1.0/json"), format!("pypi/{NAME}/2.0/json")]
    {
        let answer = get(&path, "*/*").await;
        let files = (answer.status == 200).then(|| sorted(&answer.json()["urls"], "filename"));
        sight.insert(path, json!([answer.status, files]));
    }
    sight
}

/// What else we have.
async fn calls(base: &str) -> Sight {
    let call = async |method: &str, params: &[Value]| call(base, method, params).await.unwrap();
    let has = |answer: Value| answer.as_array().unwrap().contains(&Value::from(NAME));
    let mut sight = Sight::new();
    sight.insert("list_packages".into(), has(call("list_packages", &[]).await).into());
    let serials = call("list_packages_with_serial", &[]).await;
    sight.insert("list_packages_with_serial".into(), serials.get(NAME).is_some().into());
    let page = call("list_packages_page", &[]).await;
    let rows = page.get("packages").unwrap().as_array().unwrap();
    let row = rows.iter().any(|row| row.as_array().unwrap()[0] == Value::from(NAME));
    sight.insert("list_packages_page".into(), row.into());
    let spec = || Value::Struct(vec![("name".to_owned(), Value::from(NAME))]);
    for (method, params) in [("search", vec![spec()]), ("search", vec![spec(), "or".into()])] {
        let hits = call(method, &params).await;
        let hit = hits.as_array().unwrap().iter().any(|hit| hit.get("name") == Some(&Value::from(NAME)));
        sight.insert(format!("{method}, {} arguments", params.len()), hit.into());
    }
    let hidden = [Value::from(NAME), true.into()];
    for params in [&hidden[..1], &hidden] {
        let versions = format!("{:?}", call("package_releases", params).await);
        sight.insert(format!("package_releases, {} arguments", params.len()), versions.into());
    }
    for version in ["1.0", "2.0"] {
        let of = [Value::from(NAME), version.into()];
        let files = call("release_urls", &of).await.as_array().unwrap().len();
        let named = call("release_data", &of).await.get("name").is_some();
        sight.insert(format!("release {version}"), json!([files, named]));
    }
    sight
}

/// The same of what upstream would answer if it still had all methods: Warehouse told nothing of a project in quarantine.
fn expected(listed: bool, files: [usize; 2]) -> Sight {
    let mut sight = Sight::new();
    for list in ["list_packages", "list_packages_with_serial", "list_packages_page"] {
        sight.insert(list.into(), listed.into());
    }
    for arguments in [1, 2] {
        sight.insert(format!("search, {arguments} arguments"), listed.into());
    }
    let there = ["2.0", "1.0"].into_iter().filter(|version| files[usize::from(*version == "2.0")] > 0);
    let all: Value = there.clone().collect();
    let newest: Value = there.take(1).collect();
    sight.insert("package_releases, 1 arguments".into(), format!("{newest:?}").into());
    sight.insert("package_releases, 2 arguments".into(), format!("{all:?}").into());
    for (version, files) in ["1.0", "2.0"].into_iter().zip(files) {
        sight.insert(format!("release {version}"), json!([files, files > 0]));
    }
    sight
}

/// The statuses of GET and HEAD of each file, and GET of its metadata.
async fn files(base: &str, paths: &[String]) -> Vec<[u16; 3]> {
    let mut statuses = Vec::new();
    for path in paths {
        let url = format!("{base}packages/{path}");
        let ask = async |method, url: &str| get_with(method, url, &[]).await.unwrap().status;
        let metadata = ask(Method::GET, &format!("{url}.metadata")).await;
        statuses.push([ask(Method::GET, &url).await, ask(Method::HEAD, &url).await, metadata]);
    }
    statuses
}

fn quarantine(version: Option<&str>, cleared: bool) -> Change {
    Change::Quarantine { name: NAME.to_owned(), version: version.map(str::to_owned), cleared }
}

/// Name, version and action of an event.
type Told = (String, Option<String>, String);

fn named(version: &str, action: &str) -> Told {
    (NAME.to_owned(), Some(version.to_owned()), action.to_owned())
}

fn told(rows: &Value) -> Vec<Told> {
    let cell = |row: &Value, at: usize| row.as_array().unwrap()[at].as_str().map(str::to_owned);
    let told = |row: &Value| (cell(row, 0).unwrap(), cell(row, 1), cell(row, 3).unwrap());
    rows.as_array().unwrap().iter().map(told).collect()
}

async fn agrees(mode: XmlRpc) {
    let sandbox: Sandbox = sandbox().await;
    for version in ["1.0", "2.0"] {
        let files = vec!["sdist".to_owned(), "py3-none-any".to_owned()];
        sandbox.publish(Publication { files, ..Publication::new(NAME, version) }).await.unwrap();
    }
    sandbox.set_xmlrpc(mode.clone());
    let settings = ["follow.interval=5ms", "follow.listing_interval=5ms", "rpc.relayed_max_age=1ms"];
    let relay = Relay::start(&sandbox.url(), &settings).await;
    let paths: Vec<String> =
        sandbox.project(NAME).unwrap().files().map(|(_, upload)| upload.file.path.to_string()).collect();
    let wheel = |path: &String| path.ends_with(".whl");
    let all = async |changed: &str, listed: bool, there: [usize; 2], gone: &dyn Fn(&str) -> bool| {
        let kept: Vec<[u16; 3]> = (paths.iter())
            .map(|path| match (gone(path), wheel(path)) {
                (true, true) => [410; 3],
                (true, false) => [410, 410, 404],
                (false, true) => [200; 3],
                (false, false) => [200, 200, 404],
            })
            .collect();
        let mut wanted = pages(&sandbox.url()).await;
        wanted.extend(expected(listed, there));
        wanted.insert("files".into(), json!(kept));
        let mut differing = Vec::new();
        let agree = async || {
            let mut sight = pages(&relay.url).await;
            sight.extend(calls(&relay.url).await);
            sight.insert("files".into(), json!(files(&relay.url, &paths).await));
            differing = (sight.into_iter())
                .filter(|(place, seen)| wanted[place] != *seen)
                .map(|(place, seen)| format!("{place}: {seen}, not {}", wanted[&place]))
                .collect();
            differing.is_empty()
        };
        let ended = timeout(ENDLESS / 2, until(changed, agree)).await;
        assert!(ended.is_ok(), "{mode:?}, {changed}: {differing:#?}");
    };
    let nothing = |_: &str| false;
    all("before", true, [2, 2], &nothing).await;
    let first = |path: &str| path.contains("-1.0");
    for (changed, change, listed, there, gone) in [
        ("quarantined", quarantine(None, false), false, [0, 0], &(|_: &str| true) as &dyn Fn(&str) -> bool),
        ("cleared", quarantine(None, true), true, [2, 2], &nothing),
        ("release quarantined", quarantine(Some("1.0"), false), true, [0, 2], &first),
        ("release cleared", quarantine(Some("1.0"), true), true, [2, 2], &nothing),
    ] {
        let before = sandbox.last_serial();
        sandbox.change(change).await.unwrap();
        all(changed, listed, there, gone).await;
        let rows = call(&relay.url, "changelog_since_serial", &[Value::Int(before.0)]).await.unwrap();
        // No page says why a release's files are not on it.
        let own = match (changed, &mode) {
            ("release quarantined", XmlRpc::Status(_)) => vec![named("1.0", "remove release")],
            ("release cleared", XmlRpc::Status(_)) => {
                let files = ["source file suspect-1.0.tar.gz", "py3 file suspect-1.0-py3-none-any.whl"];
                let added = files.map(|file| named("1.0", &format!("add {file}")));
                [named("1.0", "new release")].into_iter().chain(added).collect()
            }
            _ => (sandbox.events_after(before, 10).into_iter())
                .map(|event| (event.name, event.version, event.action))
                .collect(),
        };
        assert_eq!(told(&rows), own, "{mode:?}, {changed}");
    }
}

#[tokio::test]
async fn where_the_changelog_is_followed_everything_agrees_with_upstream() {
    agrees(XmlRpc::Live).await;
}

#[tokio::test]
async fn where_listings_are_compared_everything_agrees_with_upstream() {
    agrees(XmlRpc::Status(405)).await;
}

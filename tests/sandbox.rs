//! The sandbox behaves as docs/wire.md sections 7 and 8 say.

use cheesewire::model::Serial;
use cheesewire::sandbox::{Change, Publication, Role, Sandbox, SandboxSettings, Status};
use reqwest::Method;
use sha2::Digest as _;

use crate::support::{call, get, get_with, sandbox};

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

#[tokio::test]
async fn every_file_of_every_page_is_there_and_has_its_digests() {
    let sandbox = sandbox().await;
    assert!(sandbox.projects().len() >= 24);
    let mut files = 0;
    for project in sandbox.projects() {
        let name = project.name.to_lowercase().replace(['_', '.'], "-");
        let url = format!("{}simple/{name}/", sandbox.url());
        let page = get_with(Method::GET, &url, &[JSON]).await.unwrap();
        assert_eq!(page.header("x-pypi-last-serial"), project.last_serial.to_string());
        for file in page.json()["files"].as_array().unwrap() {
            let answer = get(file["url"].as_str().unwrap()).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.bytes().len() as u64, file["size"].as_u64().unwrap());
            let digest = hex::encode(sha2::Sha256::digest(answer.bytes()));
            assert_eq!(file["hashes"]["sha256"], digest, "{}", file["filename"]);
            if let Some(stated) = file["core-metadata"]["sha256"].as_str() {
                let metadata = get(&format!("{}.metadata", file["url"].as_str().unwrap())).await;
                assert_eq!(stated, hex::encode(sha2::Sha256::digest(metadata.bytes())));
            }
            files += 1;
        }
    }
    assert!(files > 150, "{files}");
}

#[tokio::test]
async fn a_publication_shows_everywhere_at_once() {
    let sandbox = sandbox().await;
    let before = sandbox.last_serial();
    let serial = sandbox.publish(Publication::new("New.Project", "1.0")).await.unwrap();
    let events = sandbox.events_after(before, 10);
    let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "create",
            "new release",
            "add source file new_project-1.0.tar.gz",
            "add py3 file new_project-1.0-py3-none-any.whl"
        ]
    );
    assert_eq!(serial, events[3].serial);
    let page = get(&format!("{}simple/new-project/", sandbox.url())).await;
    assert_eq!(page.header("x-pypi-last-serial"), serial.to_string());
    let document = get(&format!("{}pypi/new-project/1.0/json", sandbox.url())).await.json();
    assert_eq!(document["info"]["name"], "New.Project");
    assert_eq!(get(document["urls"][0]["url"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn every_field_of_the_json_api_is_stated_somewhere_and_null_elsewhere() {
    let sandbox = sandbox().await;
    let document = |name: &'static str| {
        let url = format!("{}pypi/{name}/json", sandbox.url());
        async move { get(&url).await.json() }
    };
    let (full, empty, blank) =
        (document("every-field").await, document("all-null").await, document("empty-strings").await);
    let never = ["downloads", "yanked", "yanked_reason", "name", "version", "classifiers"];
    for (key, value) in full["info"].as_object().unwrap() {
        if !never.contains(&key.as_str()) {
            assert!(!value.is_null() && *value != "", "{key}");
            let theirs = &empty["info"][key];
            assert!(theirs.is_null() || key.ends_with("_url"), "{key}: {theirs}");
        }
    }
    assert_eq!(blank["info"]["author"], "");
    let roles =
        serde_json::json!([{"role": "Owner", "user": "alice"}, {"role": "Maintainer", "user": "bob"}]);
    assert_eq!(full["ownership"], serde_json::json!({"organization": "dairy", "roles": roles}));
    let keys: Vec<_> = full.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["info", "last_serial", "ownership", "releases", "urls", "vulnerabilities"]);
    let file = &full["urls"][0];
    assert_eq!(
        (file["packagetype"].as_str(), file["python_version"].as_str()),
        (Some("sdist"), Some("source"))
    );
    assert!(
        file["upload_time_iso_8601"].as_str().unwrap().starts_with(file["upload_time"].as_str().unwrap())
    );
    let one = get(&format!("{}pypi/yanked-one/1.1/json", sandbox.url())).await.json();
    assert_eq!(one["urls"][0]["yanked_reason"], "breaks <everything> & more");
    assert!(one.get("releases").is_none());
    assert_eq!(document("yanked-one").await["info"]["version"], "1.0");
    assert_eq!(document("many-versions").await["releases"].as_object().unwrap().len(), 140);
    assert_eq!(
        document("Registered-Spelling-x".to_lowercase().leak()).await["info"]["name"],
        "Registered.Spelling_x"
    );
    assert!(document("control-chars").await["info"]["summary"].as_str().unwrap().contains('\u{b}'));
    let long = document("long-description").await;
    assert!(long["info"]["description"].as_str().unwrap().len() >= 300 * 1024);
}

#[tokio::test]
async fn pages_say_what_installers_need_in_both_forms() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    let html = get(&format!("{base}simple/yanked-one/")).await;
    assert_eq!(html.header("content-type"), "text/html; charset=UTF-8");
    assert!(html.text().contains(r#"data-yanked="breaks &lt;everything&gt; &amp; more""#));
    assert!(html.text().contains("data-core-metadata=\"sha256="));
    let needs = get(&format!("{base}simple/needs-python/")).await;
    assert!(needs.text().contains(r#"data-requires-python="&gt;=3.8,&lt;4""#));
    let json = |name: &str| {
        let url = format!("{base}simple/{name}/");
        async move { get_with(Method::GET, &url, &[JSON]).await.unwrap() }
    };
    let yanked = json("yanked-one").await;
    assert_eq!(yanked.header("content-type"), JSON.1);
    assert_eq!(yanked.header("vary"), "Accept");
    assert_eq!(yanked.json()["files"][2]["yanked"], "breaks <everything> & more");
    assert_eq!(json("yanked-all").await.json()["files"][0]["yanked"], true);
    assert_eq!(yanked.json()["versions"], serde_json::json!(["1.0", "1.1"]));
    assert_eq!(json("archived-project").await.json()["project-status"]["status"], "archived");
    let quarantined = json("quarantined-project").await.json();
    assert_eq!(
        (quarantined["files"].as_array().unwrap().len(), &quarantined["project-status"]["status"]),
        (0, &"quarantined".into())
    );
    assert_eq!(json("quarantined-release").await.json()["versions"], serde_json::json!(["1.0"]));
    assert_eq!(json("no-files").await.json()["files"], serde_json::json!([]));
    let proven = json("proven").await.json();
    let provenance = get(proven["files"][0]["provenance"].as_str().unwrap()).await;
    assert_eq!(provenance.header("content-type"), "application/vnd.pypi.integrity.v1+json");
    assert!(proven["files"][1]["provenance"].is_null());
    let old = json("old-timer").await.json();
    assert_eq!(old["versions"], serde_json::json!(["2004d-snapshot", "0.1"]));
}

#[tokio::test]
async fn accept_with_weights_chooses_the_form() {
    let sandbox = sandbox().await;
    let url = format!("{}simple/", sandbox.url());
    let json = "application/vnd.pypi.simple.v1+json";
    let cases = [
        (format!("{json}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"), true),
        (format!("text/html, {json};q=0.5"), false),
        (format!("{json};q=0"), false),
        ("application/vnd.pypi.simple.latest+json".to_owned(), true),
        ("*/*".to_owned(), false),
        ("application/json".to_owned(), false),
    ];
    for (accept, is_json) in cases {
        let answer = get_with(Method::GET, &url, &[("accept", &accept)]).await.unwrap();
        assert_eq!(answer.header("content-type") == json, is_json, "{accept}");
    }
}

#[tokio::test]
async fn documents_have_validators_and_files_have_ranges() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    for path in ["simple/", "simple/wire-core/", "pypi/wire-core/json", "pypi/wire-core/1.0/json"] {
        let first = get(&format!("{base}{path}")).await;
        let etag = ("if-none-match", first.header("etag"));
        let again = get_with(Method::GET, &format!("{base}{path}"), &[etag]).await.unwrap();
        assert_eq!((again.status, again.bytes().len()), (304, 0), "{path}");
        assert!(
            !first.header("x-pypi-last-serial").is_empty()
                && first.header("cache-control").contains("max-age")
        );
        let head = get_with(Method::HEAD, &format!("{base}{path}"), &[]).await.unwrap();
        assert_eq!((head.status, head.header("etag"), head.bytes().len()), (200, etag.1, 0));
    }
    let project = sandbox.project("big-wheel").unwrap();
    let file = &project.releases[0].files[0].file;
    let url = sandbox.file_url(file);
    let head = get_with(Method::HEAD, &url, &[]).await.unwrap();
    assert_eq!(head.header("content-length"), file.content.size().to_string());
    assert!(head.header("cache-control").contains("immutable"));
    let size = file.content.size();
    let ranges = [
        ("bytes=0-9".to_owned(), 0, 10),
        ("bytes=67100000-67100099".to_owned(), 67_100_000, 100),
        ("bytes=-5000".to_owned(), size - 5_000, 5_000),
        (format!("bytes={}-", size - 3), size - 3, 3),
    ];
    for (range, from, len) in ranges {
        let part = get_with(Method::GET, &url, &[("range", &range)]).await.unwrap();
        assert_eq!(part.status, 206);
        assert_eq!(part.header("content-range"), format!("bytes {from}-{}/{size}", from + len - 1));
        let mut expected = Vec::new();
        while (expected.len() as u64) < len {
            let at = expected.len() as u64;
            expected.extend_from_slice(&file.content.read(from + at, usize::try_from(len - at).unwrap()));
        }
        assert_eq!(part.bytes(), expected, "{range}");
    }
    let past = ("range", "bytes=99999999-");
    assert_eq!(get_with(Method::GET, &url, &[past]).await.unwrap().status, 416);
    for validator in [head.header("etag"), head.header("last-modified")] {
        let same = [("range", "bytes=0-9"), ("if-range", validator)];
        assert_eq!(get_with(Method::GET, &url, &same).await.unwrap().status, 206);
    }
    let small = sandbox.file_url(&sandbox.project("wire-core").unwrap().releases[0].files[0].file);
    let other = [("range", "bytes=0-9"), ("if-range", "\"other\"")];
    assert_eq!(get_with(Method::GET, &small, &other).await.unwrap().status, 200);
}

#[tokio::test]
async fn other_spellings_are_redirected_and_the_unknown_is_404() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    let moves = [
        ("simple/wire-core", "/simple/wire-core/"),
        ("simple/Registered.Spelling_x/", "/simple/registered-spelling-x/"),
        ("simple/Registered.Spelling_x", "/simple/registered-spelling-x/"),
        ("pypi/Wire_Core/json", "/pypi/wire-core/json"),
        ("pypi/Wire_Core/1.0/json", "/pypi/wire-core/1.0/json"),
    ];
    for (from, to) in moves {
        let answer = get(&format!("{base}{from}")).await;
        assert_eq!((answer.status, answer.header("location")), (301, to));
    }
    let absent = [
        "simple/nobody/",
        "simple/-/",
        "pypi/nobody/json",
        "pypi/wire-core/9/json",
        "pypi/no-releases/json",
        "pypi/quarantined-project/json",
        "packages/aa/bb/cc/x.whl",
        "packages/../x",
        "nothing",
    ];
    for path in absent {
        assert_eq!(get(&format!("{base}{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn files_can_have_another_origin_no_etag_and_clients_have_to_name_themselves() {
    let settings = SandboxSettings {
        files_host: Some("localhost".to_owned()),
        file_etags: false,
        simple_json: false,
        refuse_anonymous: true,
        ..SandboxSettings::default()
    };
    let sandbox = Sandbox::start(settings).await.unwrap();
    let url = format!("{}simple/wire-core/", sandbox.url());
    assert_eq!(get(&url).await.status, 406);
    let agent = ("user-agent", "test (people.test)");
    let page = get_with(Method::GET, &url, &[agent, JSON]).await.unwrap();
    assert_eq!(page.header("content-type"), "text/html; charset=UTF-8");
    let files = format!("http://localhost:{}/packages/", sandbox.address().port());
    assert!(page.text().contains(&files), "{}", page.text());
    let path = &sandbox.project("wire-core").unwrap().releases[0].files[0].file.path;
    let file = get_with(Method::GET, &format!("{}packages/{path}", sandbox.url()), &[agent]).await.unwrap();
    assert_eq!((file.status, file.header("etag")), (200, ""));
}

#[tokio::test]
async fn the_listing_lacks_a_quarantined_project_until_that_is_cleared() {
    let sandbox = sandbox().await;
    let url = format!("{}simple/", sandbox.url());
    // As JSON, as HTML, and as the calls that tell of all projects have it.
    let lists = async |name: &str| {
        let json = get_with(Method::GET, &url, &[JSON]).await.unwrap().json();
        let json = json["projects"].as_array().unwrap().iter().any(|project| project["name"] == name);
        let html = get(&url).await.text().contains(&format!("/simple/{name}/"));
        let calls = call(&sandbox.url(), "list_packages_with_serial", &[]).await.unwrap().get(name).is_some();
        [json, html, calls]
    };
    assert_eq!(lists("quarantined-project").await, [false, false, true]);
    let quarantine = |cleared| Change::Quarantine { name: "wire-core".to_owned(), version: None, cleared };
    assert_eq!(lists("wire-core").await, [true; 3]);
    sandbox.change(quarantine(false)).await.unwrap();
    assert_eq!(lists("wire-core").await, [false, false, true]);
    let page = get_with(Method::GET, &format!("{url}wire-core/"), &[JSON]).await.unwrap();
    assert_eq!((page.status, &page.json()["project-status"]["status"]), (200, &"quarantined".into()));
    assert_eq!(page.json()["files"], serde_json::json!([]));
    sandbox.change(quarantine(true)).await.unwrap();
    assert_eq!(lists("wire-core").await, [true; 3]);
}

/// The page's file names, the project's serial, and the last action.
async fn state(sandbox: &Sandbox, name: &str) -> (Vec<String>, String) {
    let page =
        get_with(Method::GET, &format!("{}simple/{name}/", sandbox.url()), &[JSON]).await.unwrap().json();
    let last = sandbox.events_after(Serial(sandbox.last_serial().0 - 1), 1).remove(0);
    assert_eq!(page["meta"]["_last-serial"], last.serial.0);
    let names =
        page["files"].as_array().unwrap().iter().map(|file| file["filename"].as_str().unwrap().to_owned());
    (names.collect(), last.action)
}

#[tokio::test]
async fn every_change_shows_on_pages_documents_files_and_in_the_journal() {
    let sandbox = sandbox().await;
    let base = sandbox.url();
    let name = || "yanked-one".to_owned();
    let change = |change| sandbox.change(change);
    let project = sandbox.project("yanked-one").unwrap();
    let sdist = project.releases[0].files[0].file.clone();
    let filename = sdist.filename.clone();
    change(Change::RemoveFile { name: name(), filename: filename.clone() }).await.unwrap();
    let (files, action) = state(&sandbox, "yanked-one").await;
    assert_eq!((files.contains(&filename), action), (false, format!("remove file {filename}")));
    assert_eq!(get(&sandbox.file_url(&sdist)).await.status, 404);
    change(Change::Yank { name: name(), version: "1.1".to_owned(), reason: None }).await.unwrap();
    assert_eq!(state(&sandbox, "yanked-one").await.1, "unyank release");
    assert_eq!(get(&format!("{base}pypi/yanked-one/json")).await.json()["info"]["version"], "1.1");
    change(Change::RemoveRelease { name: name(), version: "1.1".to_owned() }).await.unwrap();
    assert_eq!(get(&format!("{base}pypi/yanked-one/1.1/json")).await.status, 404);
    let quarantine = |cleared| Change::Quarantine { name: name(), version: None, cleared };
    change(quarantine(false)).await.unwrap();
    assert_eq!(state(&sandbox, "yanked-one").await, (vec![], "project quarantined".to_owned()));
    assert_eq!(sandbox.project("yanked-one").unwrap().status, Status::Quarantined);
    change(quarantine(true)).await.unwrap();
    assert_eq!(state(&sandbox, "yanked-one").await.0.len(), 1);
    let version = Some("1.0".to_owned());
    change(Change::Quarantine { name: name(), version, cleared: false }).await.unwrap();
    assert_eq!(state(&sandbox, "yanked-one").await, (vec![], "release quarantined".to_owned()));
    let role = Role { role: "Owner".to_owned(), user: "aaron".to_owned() };
    change(Change::AddRole { name: name(), role }).await.unwrap();
    let roles = call(&base, "package_roles", &["yanked-one".into()]).await.unwrap().to_json();
    assert_eq!(roles, serde_json::json!([["Owner", "aaron"], ["Owner", "bob"]]));
    let note = Change::Note { name: name(), version: None, action: "brand new action".to_owned() };
    change(note).await.unwrap();
    assert_eq!(state(&sandbox, "yanked-one").await.1, "brand new action");
    change(Change::RemoveProject { name: name() }).await.unwrap();
    assert_eq!(get(&format!("{base}simple/yanked-one/")).await.status, 404);
    assert!(!get(&format!("{base}simple/")).await.text().contains("yanked-one"));
    assert!(change(Change::RemoveProject { name: name() }).await.is_err());
    let further =
        Publication { files: vec!["cp311-none-any".to_owned()], ..Publication::new("wire-core", "1.1") };
    sandbox.publish(further.clone()).await.unwrap();
    assert_eq!(state(&sandbox, "wire-core").await.1, "add cp311 file wire_core-1.1-cp311-none-any.whl");
    assert!(sandbox.publish(further).await.is_err(), "a file name can be used once");
}

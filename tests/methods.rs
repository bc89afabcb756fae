//! Every method over the fixtures, field by field.

use cheesewire::model::{FileKind, Serial, Stamp, newest_first};
use cheesewire::sandbox::{Effect, Fault, Project, Release, Route, Sandbox, Upload};
use cheesewire::xmlrpc::Value;

use crate::support::{Relay, call, sandbox};

async fn pair() -> (Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    (sandbox, relay)
}

/// What XML 1.0 can carry.
fn xml(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')).collect()
}

fn text(text: Option<&String>) -> Value {
    Value::from(xml(text.map_or("", String::as_str)))
}

fn texts(texts: &[String]) -> Value {
    texts.iter().map(|text| xml(text)).collect()
}

#[tokio::test]
async fn the_changelog_comes_in_slices_that_join_without_gap_or_repeat() {
    let (sandbox, relay) = pair().await;
    let last = call(&relay.url, "changelog_last_serial", &[]).await.unwrap();
    assert_eq!(last, Value::Int(sandbox.last_serial().0));
    let mut got = Vec::new();
    let mut since = 0;
    loop {
        let rows =
            call(&relay.url, "changelog_since_serial", &[Value::Int(since), Value::Int(700)]).await.unwrap();
        let rows = rows.as_array().unwrap().to_vec();
        let Some(newest) = rows.last() else { break };
        since = newest.as_array().unwrap()[4].as_int().unwrap();
        got.extend(rows);
    }
    let expected = sandbox.events_after(Serial(0), usize::MAX).into_iter().map(|event| {
        Value::Array(vec![
            Value::from(event.name),
            event.version.map_or(Value::Nil, Value::from),
            Value::Int(event.time),
            Value::from(event.action),
            Value::Int(event.serial.0),
        ])
    });
    let expected: Vec<Value> = expected.collect();
    assert!(expected.len() >= 5000);
    assert_eq!(got, expected);
}

#[tokio::test]
async fn lists_have_every_project_in_its_registered_spelling() {
    let (sandbox, relay) = pair().await;
    let projects = sandbox.listed();
    let mut names: Vec<Value> = projects.iter().map(|project| Value::from(project.name.as_str())).collect();
    let listed = call(&relay.url, "list_packages", &[]).await.unwrap();
    let mut listed = listed.as_array().unwrap().to_vec();
    let by_text = |value: &Value| value.as_str().unwrap().to_owned();
    names.sort_by_key(by_text);
    listed.sort_by_key(by_text);
    assert_eq!(listed, names);
    let Value::Struct(members) = call(&relay.url, "list_packages_with_serial", &[]).await.unwrap() else {
        panic!("not a struct")
    };
    assert_eq!(members.len(), projects.len());
    for project in projects {
        let serial = members.iter().find(|(name, _)| *name == project.name).map(|(_, serial)| serial);
        assert_eq!(serial, Some(&Value::Int(project.last_serial.0)), "{}", project.name);
    }
}

#[tokio::test]
async fn package_releases_are_the_latest_or_all_newest_first() {
    let (sandbox, relay) = pair().await;
    for project in sandbox.projects() {
        let name = Value::from(project.name.to_uppercase());
        // Of yanked releases alone there is no latest one.
        let latest = project.latest().filter(|release| release.yanked.is_none());
        let latest: Value = latest.map(|release| release.version.as_str()).into_iter().collect();
        assert_eq!(
            call(&relay.url, "package_releases", std::slice::from_ref(&name)).await,
            Ok(latest),
            "{name:?}"
        );
        let mut versions: Vec<&str> = project.shown().map(|release| release.version.as_str()).collect();
        newest_first(&mut versions, |version| version);
        let all = call(&relay.url, "package_releases", &[name.clone(), Value::Bool(true)]).await;
        assert_eq!(all, Ok(versions.into_iter().collect()), "{name:?}");
    }
    for unknown in ["no-such-project", "no name at all", ""] {
        assert_eq!(
            call(&relay.url, "package_releases", &[Value::from(unknown)]).await,
            Ok(Value::Array(vec![]))
        );
    }
}

#[tokio::test]
async fn release_urls_have_every_field_of_every_file() {
    let (sandbox, relay) = pair().await;
    for (project, release) in releases(&sandbox) {
        let params = [Value::from(project.name.as_str()), Value::from(release.version.as_str())];
        let got = call(&relay.url, "release_urls", &params).await.unwrap();
        let expected: Vec<Value> = release.files.iter().map(|upload| file(upload, &relay.url)).collect();
        let mut got = got.as_array().unwrap().to_vec();
        let filename = |value: &Value| value.get("filename").unwrap().as_str().unwrap().to_owned();
        got.sort_by_key(filename);
        let mut expected = expected;
        expected.sort_by_key(filename);
        assert_eq!(got, expected, "{params:?}");
        assert_eq!(
            call(&relay.url, "package_urls", &params).await.unwrap().as_array().unwrap().len(),
            got.len()
        );
    }
    let unknown = [Value::from("wire-top"), Value::from("99")];
    assert_eq!(call(&relay.url, "release_urls", &unknown).await, Ok(Value::Array(vec![])));
}

#[tokio::test]
async fn release_data_has_every_field_of_every_release() {
    let (sandbox, relay) = pair().await;
    for (project, release) in releases(&sandbox) {
        let params = [Value::from(project.name.as_str()), Value::from(release.version.as_str())];
        let got = call(&relay.url, "release_data", &params).await.unwrap();
        for (name, expected) in data(&project, &release) {
            assert_eq!(got.get(name), Some(&expected), "{name} of {params:?}");
        }
        assert_eq!(call(&relay.url, "package_data", &params).await, Ok(got));
    }
    for method in ["release_data", "release_urls"] {
        let answer = async |version: &str| {
            call(&relay.url, method, &[Value::from("wire-core"), Value::from(version)]).await.unwrap()
        };
        let (spelled, other) = (answer("1.0").await, answer("v1.0.0").await);
        assert_eq!(spelled, other, "{method}");
        assert!(!matches!(&spelled, Value::Array(files) if files.is_empty()));
    }
    let unknown = [Value::from("wire-top"), Value::from("99")];
    assert_eq!(call(&relay.url, "release_data", &unknown).await, Ok(Value::Struct(vec![])));
    // What is no version and would lead elsewhere upstream; and the project's document stays.
    for version in ["", ".", ".."] {
        let params = [Value::from("wire-core"), Value::from(version)];
        assert_eq!(call(&relay.url, "release_data", &params).await, Ok(Value::Struct(vec![])), "{version:?}");
    }
}

#[tokio::test]
async fn package_roles_descend_and_their_users_ascend() {
    let sandbox = sandbox().await;
    // Where the changelog is followed, nobody has told of what was in quarantine before the first listing.
    let relay = Relay::start(&sandbox.url(), &["follow.source=listings"]).await;
    for project in sandbox.projects() {
        let roles =
            project.roles.iter().map(|role| Value::from_iter([role.role.as_str(), role.user.as_str()]));
        let got = call(&relay.url, "package_roles", &[Value::from(project.name.as_str())]).await;
        assert_eq!(got, Ok(roles.collect()), "{}", project.name);
    }
    assert_eq!(
        call(&relay.url, "package_roles", &[Value::from("no-such-project")]).await,
        Ok(Value::Array(vec![]))
    );
}

#[tokio::test]
async fn without_following_project_methods_work_and_nothing_is_polled() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["follow.enabled=false", "follow.interval=10ms"]).await;
    let name = Value::from("wire-top");
    assert_eq!(
        call(&relay.url, "package_releases", std::slice::from_ref(&name)).await,
        Ok(Value::from_iter(["2.0"]))
    );
    let data = call(&relay.url, "release_data", &[name, Value::from("2.0")]).await.unwrap();
    assert_eq!(data.get("summary"), Some(&Value::from("The top of the diamond")));
    // Work for which a poller would have had its turn, with 10 ms from one poll to the next.
    for project in sandbox.projects() {
        let params = [Value::from(project.name.as_str())];
        call(&relay.url, "package_releases", &params).await.unwrap();
    }
    let polled: Vec<_> = sandbox
        .requests()
        .last()
        .filter(|seen| seen.path.starts_with("/pypi ") || seen.path == "/simple/")
        .cloned()
        .collect();
    assert_eq!(polled, []);
}

#[tokio::test]
async fn all_methods_are_listed() {
    let (_sandbox, relay) = pair().await;
    let listed = call(&relay.url, "system.listMethods", &[]).await.unwrap();
    let listed: Vec<&str> = listed.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for method in
        ["changelog_last_serial", "list_packages", "package_roles", "release_urls", "system.listMethods"]
    {
        assert!(listed.contains(&method), "{method}");
    }
}

/// Every release that upstream shows.
fn releases(sandbox: &Sandbox) -> Vec<(Project, Release)> {
    let mut all = Vec::new();
    for project in sandbox.projects() {
        all.extend(project.shown().map(|release| ((*project).clone(), release.clone())));
    }
    all
}

fn file(upload: &Upload, relay: &str) -> Value {
    let file = &upload.file;
    let stamp = Stamp::from_unix(upload.time).unwrap();
    let sdist = file.kind == FileKind::Sdist;
    let md5 = Value::from(file.digests.md5.as_str());
    let sha256 = Value::from(file.digests.sha256.to_string());
    let member = |name: &str, value: Value| (name.to_owned(), value);
    Value::Struct(vec![
        member("filename", Value::from(file.filename.as_str())),
        member("packagetype", Value::from(file.kind.packagetype())),
        member("python_version", Value::from(if sdist { "source" } else { file.tag.as_str() })),
        member("size", Value::Int(i64::try_from(file.content.size()).unwrap())),
        member("md5_digest", md5.clone()),
        member("sha256_digest", sha256.clone()),
        member("digests", Value::Struct(vec![member("md5", md5), member("sha256", sha256)])),
        member("has_sig", Value::Bool(false)),
        member("upload_time", Value::from(stamp)),
        member("upload_time_iso_8601", Value::from(stamp.rfc3339_micros())),
        member("comment_text", Value::from(file.comment.as_str())),
        member("downloads", Value::Int(0)),
        member("path", Value::from(file.path.as_str())),
        member("url", Value::from(format!("{relay}packages/{}", file.path))),
    ])
}

fn data<'a>(project: &Project, release: &Release) -> Vec<(&'a str, Value)> {
    let info = &release.info;
    let mut versions: Vec<&str> = project.shown().map(|release| release.version.as_str()).collect();
    newest_first(&mut versions, |version| version);
    let older = versions.len() - 1 - versions.iter().position(|version| *version == release.version).unwrap();
    let download_url = info.download_url.as_ref().filter(|url| !url.is_empty());
    // Upstream's JSON has the home page as a link of that name, declared as one or not.
    let links = info.project_urls.iter();
    let links = links.filter(|(label, url)| *label != "Homepage" || Some(*url) != info.home_page.as_ref());
    let license = info.license.as_ref().filter(|text| !text.is_empty()).or(info.license_expression.as_ref());
    vec![
        ("name", Value::from(project.name.as_str())),
        ("version", Value::from(release.version.as_str())),
        ("stable_version", Value::Nil),
        ("bugtrack_url", text(info.bugtrack_url.as_ref())),
        ("docs_url", text(info.docs_url.as_ref())),
        ("home_page", text(info.home_page.as_ref())),
        ("download_url", download_url.map_or(Value::from("UNKNOWN"), |url| Value::from(url.as_str()))),
        ("project_url", links.map(|(label, url)| format!("{label}, {url}")).collect()),
        ("author", text(info.author.as_ref())),
        ("author_email", text(info.author_email.as_ref())),
        ("maintainer", text(info.maintainer.as_ref())),
        ("maintainer_email", text(info.maintainer_email.as_ref())),
        ("summary", text(info.summary.as_ref())),
        ("description", text(info.description.as_ref())),
        ("license", text(license)),
        ("keywords", text(info.keywords.as_ref())),
        ("platform", text(info.platform.as_ref())),
        ("classifiers", texts(&info.classifiers)),
        ("requires", Value::Array(vec![])),
        ("requires_dist", texts(&info.requires_dist)),
        ("provides", Value::Array(vec![])),
        ("provides_dist", Value::Array(vec![])),
        ("obsoletes", Value::Array(vec![])),
        ("obsoletes_dist", Value::Array(vec![])),
        ("requires_python", text(info.requires_python.as_ref())),
        ("requires_external", Value::Array(vec![])),
        ("_pypi_ordering", Value::Int(i64::try_from(older).unwrap())),
        ("_pypi_hidden", Value::Bool(false)),
        (
            "downloads",
            Value::Struct(
                ["last_day", "last_week", "last_month"].map(|n| (n.to_owned(), Value::Int(0))).to_vec(),
            ),
        ),
        ("cheesecake_code_kwalitee_id", Value::Nil),
        ("cheesecake_documentation_id", Value::Nil),
        ("cheesecake_installability_id", Value::Nil),
    ]
}

#[tokio::test]
async fn an_index_without_documents_of_releases_answers_from_the_projects_document() {
    let (sandbox, relay) = pair().await;
    let missing = Effect::Status { code: 404 };
    sandbox.faults().add(Fault::on(Route::Json, missing).path("/pypi/wire-core/1.")).unwrap();
    let project = sandbox.project("wire-core").unwrap();
    for release in project.shown().filter(|release| release.version.starts_with("1.")) {
        let params = [Value::from("wire-core"), Value::from(release.version.as_str())];
        let urls = call(&relay.url, "release_urls", &params).await.unwrap();
        assert_eq!(urls.as_array().unwrap().len(), release.files.len());
    }
    let data = |version: &'static str| {
        let url = relay.url.clone();
        async move { call(&url, "release_data", &[Value::from("wire-core"), Value::from(version)]).await }
    };
    assert_eq!(data("1.1").await.unwrap().get("version"), Some(&Value::from("1.1")));
    // Made of the page and of the metadata beside a file.
    let old = data("1.0").await.unwrap();
    assert_eq!(old.get("summary"), Some(&Value::from("The bottom of the diamond")));
    assert_eq!(data("1.9").await, Ok(Value::Struct(vec![])));
}

//! Package files over real sockets, against the sandbox.

use cheesewire::blob::StoreSettings;
use cheesewire::model::Sha256;
use cheesewire::relay::RelaySettings;
use cheesewire::sandbox::{Effect, Fault, File, Project, Route};
use futures_util::future::join_all;
use reqwest::Method;
use sha2::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::scripted::serve;
use crate::support::{Answer, Files, Relay, call, client, get, get_with, sandbox};

const BIG: std::ops::Range<u64> = 60_000_000..80_000_000;
const SMALL: std::ops::Range<u64> = 500..20_000;

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

fn etag(file: &File) -> String {
    format!("\"{}\"", file.digests.sha256)
}

async fn with(files: &Files, file: &File, headers: &[(&str, &str)]) -> Answer {
    get_with(Method::GET, &files.url(file.path.as_str()), headers).await.unwrap()
}

/// What the server writes to a request, byte for byte, until it closes the connection.
async fn raw(files: &Files, request: &str) -> String {
    let mut stream = TcpStream::connect(files.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).to_ascii_lowercase()
}

#[tokio::test]
async fn a_file_has_its_headers_on_a_miss_and_on_a_hit() {
    let files = Files::start().await;
    let file = files.file(SMALL);
    let projects = files.sandbox.projects();
    let names = |project: &Project| project.files().any(|(_, upload)| upload.file.path == file.path);
    let newest = projects.iter().find(|project| names(project)).unwrap().last_serial;
    for cache in ["miss", "hit"] {
        let answer = with(&files, &file, &[("accept-encoding", "gzip")]).await;
        assert_eq!((answer.status, answer.header("x-cache")), (200, cache));
        assert_eq!(answer.header("etag"), etag(&file));
        assert_eq!(answer.header("cache-control"), "max-age=365000000, immutable, public");
        // bandersnatch 1.0 takes no file without.
        assert!(answer.header("x-pypi-last-serial").parse::<i64>().unwrap() >= newest.0);
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("content-length"), file.content.size().to_string());
        assert_eq!(answer.header("content-encoding"), "");
        assert_eq!(answer.bytes(), file.content.to_vec());
        files.quiet().await;
    }
    assert_eq!(files.sandbox.requests().route(Route::File), 1);
}

#[tokio::test]
async fn every_form_of_range_is_answered() {
    let files = Files::start().await;
    let file = files.file(SMALL);
    let (all, size) = (file.content.to_vec(), file.content.size());
    let last = size - 1;
    let from_ten = format!("bytes 10-{last}/{size}");
    for (range, place, part) in [
        ("bytes=0-0", format!("bytes 0-0/{size}"), &all[..1]),
        ("bytes=10-19", format!("bytes 10-19/{size}"), &all[10..20]),
        ("bytes=10-", from_ten.clone(), &all[10..]),
        ("bytes=10-99999999", from_ten, &all[10..]),
        ("bytes=-7", format!("bytes {}-{last}/{size}", size - 7), &all[all.len() - 7..]),
    ] {
        let answer = with(&files, &file, &[("range", range)]).await;
        assert_eq!((answer.status, answer.header("content-range")), (206, place.as_str()), "{range}");
        assert_eq!(answer.header("content-length"), part.len().to_string());
        assert_eq!((answer.header("etag"), answer.bytes()), (etag(&file).as_str(), part));
    }
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=9-3", "bytes=x"] {
        let answer = with(&files, &file, &[("range", range)]).await;
        assert_eq!((answer.status, answer.bytes()), (200, &all[..]), "{range}");
    }
    for range in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let answer = with(&files, &file, &[("range", &range)]).await;
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes */{size}"));
        assert_eq!((answer.header("connection"), answer.header("etag")), ("close", ""));
    }
}

#[tokio::test]
async fn conditions_are_answered_by_the_digest() {
    let files = Files::start().await;
    let file = files.file(SMALL);
    let tag = etag(&file);
    for current in [tag.clone(), format!("W/{tag}"), "*".to_owned(), format!("\"x\", {tag}")] {
        let answer = with(&files, &file, &[("if-none-match", &current)]).await;
        assert_eq!((answer.status, answer.bytes().len()), (304, 0), "{current}");
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.header("content-length"), "");
    }
    assert_eq!(files.sandbox.requests().route(Route::File), 0, "a 304 needs no fetch");
    let other = with(&files, &file, &[("if-none-match", "\"x\"")]).await;
    assert_eq!(other.status, 200);
    let part = [("range", "bytes=0-4"), ("if-range", tag.as_str())];
    assert_eq!(with(&files, &file, &part).await.status, 206);
    assert_eq!(with(&files, &file, &[part[0], ("if-range", "\"x\"")]).await.status, 200);
}

#[tokio::test]
async fn head_on_a_miss_asks_nobody_for_the_file() {
    let files = Files::start().await;
    let file = files.file(BIG);
    let url = files.url(file.path.as_str());
    let answer = get_with(Method::HEAD, &url, &[("range", "bytes=0-4")]).await.unwrap();
    assert_eq!((answer.status, answer.header("x-cache")), (200, "miss"));
    assert_eq!(answer.header("content-length"), file.content.size().to_string());
    assert_eq!(answer.header("etag"), etag(&file));
    assert_eq!(files.sandbox.requests().route(Route::File), 0);
}

#[tokio::test]
async fn head_gets_no_body_and_leaves_the_connection_usable() {
    let files = Files::start().await;
    let file = files.file(SMALL);
    let path = &file.path;
    let head = format!("HEAD /packages/{path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let absent = "GET /packages/ab/no-1.whl HTTP/1.1\r\nHost: x\r\n\r\n";
    let text = raw(&files, &format!("{head}{absent}")).await;
    let (_, behind) = text.split_once("\r\n\r\n").unwrap();
    assert!(behind.starts_with("http/1.1 404"), "{text}");
}

#[tokio::test]
async fn an_error_is_text_and_closes_the_connection() {
    let files = Files::start().await;
    for (path, status) in [
        ("ab/cd/no-1.whl", "404"),
        ("..%2f..%2fetc/passwd", "400"),
        ("a/%2e%2e/b", "400"),
        ("a//b", "400"),
        ("%ff", "400"),
        ("", "400"),
    ] {
        // No `Connection` from the client: the answer ends because the server closes.
        let text = raw(&files, &format!("GET /packages/{path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert!(text.starts_with(&format!("http/1.1 {status}")), "{path}: {text}");
        assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
        assert!(text.contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"), "{text}");
    }
    let long = files.url(&"a".repeat(4096));
    assert_eq!(get(&long).await.status, 400);
}

#[tokio::test]
async fn fifty_clients_of_the_largest_file_are_one_request_upstream() {
    let files = Files::start().await;
    let file = files.file(BIG);
    let url = files.url(file.path.as_str());
    let all = join_all((0..50).map(|_| async {
        let mut answer = client().get(&url).send().await.unwrap();
        let mut hasher = sha2::Sha256::new();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            hasher.update(&chunk);
        }
        Sha256(hasher.finalize().into())
    }))
    .await;
    assert!(all.iter().all(|digest| *digest == file.digests.sha256));
    assert_eq!(files.sandbox.requests().route(Route::File), 1);
}

#[tokio::test]
async fn a_wrong_byte_never_leaves_as_a_whole_file() {
    for place in [0, 30_000_000, 67_000_000] {
        let files = Files::start().await;
        let file = files.file(BIG);
        let at = place.min(file.content.size() - 1);
        files.sandbox.faults().add(Fault::on(Route::File, Effect::WrongByte { at })).unwrap();
        let answer = with(&files, &file, &[]).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.is_err(), "a clean end");
        files.quiet().await;
        assert_eq!(files.kept(), 0);
        // Upstream is right again, and so are we.
        files.sandbox.faults().clear();
        assert_eq!(digest(with(&files, &file, &[]).await.bytes()), file.digests.sha256);
    }
}

#[tokio::test]
async fn a_small_wrong_file_is_a_bad_gateway() {
    let files = Files::start().await;
    let file = files.file(SMALL);
    files.sandbox.faults().add(Fault::on(Route::File, Effect::WrongByte { at: 100 })).unwrap();
    let answer = with(&files, &file, &[]).await;
    assert_eq!((answer.status, answer.header("connection")), (502, "close"));
    assert!(answer.text().contains(&file.digests.sha256.to_string()), "{}", answer.text());
    assert_eq!(files.kept(), 0);
}

#[tokio::test]
async fn what_upstream_refuses_is_said_as_it_is() {
    for (effect, status) in [
        (Effect::Status { code: 404 }, 404),
        (Effect::Status { code: 410 }, 404),
        (Effect::Status { code: 500 }, 503),
        (Effect::Longer { by: 10 }, 502),
        (Effect::Shorter { by: 10 }, 502),
    ] {
        let files = Files::start().await;
        let file = files.file(SMALL);
        files.sandbox.faults().add(Fault::on(Route::File, effect.clone())).unwrap();
        let answer = with(&files, &file, &[]).await;
        assert_eq!((answer.status, answer.header("connection")), (status, "close"), "{effect:?}");
        assert_eq!(answer.header("retry-after").is_empty(), status != 503, "{effect:?}");
    }
}

#[tokio::test]
async fn a_transfer_cut_once_is_resumed_and_one_cut_always_is_cut() {
    let files = Files::start().await;
    let file = files.file(BIG);
    let cut = Fault::on(Route::File, Effect::Cut { at: 10_000_000 });
    files.sandbox.faults().add(cut.clone().times(1)).unwrap();
    assert_eq!(digest(with(&files, &file, &[]).await.bytes()), file.digests.sha256);
    let requests = files.sandbox.requests();
    let ranges: Vec<_> = requests.last().map(|seen| seen.range.clone()).collect();
    assert_eq!(ranges.len(), 2);
    assert!(ranges[1].as_deref().is_some_and(|range| range.starts_with("bytes=")), "{ranges:?}");

    let files = Files::start().await;
    let file = files.file(BIG);
    // Always at the same byte of the file: the rest never comes.
    files.sandbox.faults().add(cut).unwrap();
    let rest = Fault::on(Route::File, Effect::Cut { at: 0 });
    files.sandbox.faults().add(rest.after(1)).unwrap();
    assert!(with(&files, &file, &[]).await.body.is_err());
}

#[tokio::test]
async fn twenty_megabytes_arrive_over_a_line_that_breaks_every_three() {
    let relay =
        RelaySettings { resume_pause: std::time::Duration::from_millis(1), ..RelaySettings::default() };
    let files = Files::with(|settings| settings, relay).await;
    let file = files.file(BIG);
    files.sandbox.faults().add(Fault::on(Route::File, Effect::Cut { at: 3_000_000 })).unwrap();
    assert_eq!(digest(with(&files, &file, &[]).await.bytes()), file.digests.sha256);
    assert!(files.sandbox.requests().route(Route::File) > 20);
}

#[tokio::test]
async fn metadata_is_served_and_checked() {
    let files = Files::start().await;
    let projects = files.sandbox.projects();
    let mut uploads = projects.iter().flat_map(|project| project.files());
    let (_, wheel) = uploads.find(|(_, upload)| upload.file.metadata.is_some()).unwrap();
    let url = files.url(&format!("{}.metadata", wheel.file.path));
    let faults = files.sandbox.faults();
    faults.add(Fault::on(Route::Metadata, Effect::WrongByte { at: 3 }).times(1)).unwrap();
    assert_eq!(get(&url).await.status, 502);
    let answer = get(&url).await;
    assert_eq!((answer.status, answer.bytes()), (200, &wheel.file.metadata.clone().unwrap()[..]));
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
}

#[tokio::test]
async fn old_addresses_find_the_file_by_its_name() {
    let files = Files::start().await;
    let projects = files.sandbox.projects();
    let (project, file) = projects
        .iter()
        .find_map(|project| {
            let sdist = project.files().find(|(_, upload)| upload.file.tag == "source")?.1;
            Some((project, sdist.file.clone()))
        })
        .unwrap();
    let initial = &project.name[..1];
    let url = files.url(&format!("source/{initial}/{}/{}", project.name, file.filename));
    let answer = get(&url).await;
    assert_eq!((answer.status, answer.bytes()), (200, &file.content.to_vec()[..]));
    let unknown = files.url(&format!("source/{initial}/{}/none-1.tar.gz", project.name));
    assert_eq!(get(&unknown).await.status, 404);
}

#[tokio::test]
async fn a_full_cache_relays_and_a_bounded_one_evicts_under_load() {
    for max_bytes in [100, 10_000] {
        let bounded = |settings| StoreSettings { max_bytes, hot_bytes: 0, ..settings };
        let files = Files::with(bounded, RelaySettings::default()).await;
        let projects = files.sandbox.projects();
        let all = projects.iter().flat_map(|project| project.files().map(|(_, upload)| &upload.file));
        for file in all.filter(|file| file.content.size() < 100_000) {
            assert_eq!(digest(with(&files, file, &[]).await.bytes()), file.digests.sha256, "{}", file.path);
        }
        files.quiet().await;
        let mut bytes = 0;
        for shard in std::fs::read_dir(files.folder.path().join("files/sha256")).unwrap() {
            for entry in std::fs::read_dir(shard.unwrap().path()).unwrap() {
                bytes += entry.unwrap().metadata().unwrap().len();
            }
        }
        assert!(bytes <= max_bytes && (bytes > 0) == (max_bytes == 10_000), "{bytes} bytes are kept");
    }
}

#[tokio::test]
async fn what_is_kept_is_served_without_upstream() {
    let files = Files::start().await;
    let file = files.file(SMALL);
    assert_eq!(with(&files, &file, &[]).await.status, 200);
    files.quiet().await;
    files.sandbox.pause().await.unwrap();
    assert_eq!(with(&files, &file, &[]).await.bytes(), file.content.to_vec());
    let missing = files.file(BIG);
    assert_eq!(with(&files, &missing, &[]).await.status, 503);
}

#[tokio::test]
async fn an_answer_tells_where_it_comes_from_and_how_old_it_is() {
    let files = Files::start().await;
    let file = files.file(SMALL);
    let miss = with(&files, &file, &[]).await;
    assert_eq!((miss.header("x-cache"), miss.header("age")), ("miss", ""));
    files.quiet().await;
    let url = files.url(file.path.as_str());
    for method in [Method::GET, Method::HEAD] {
        let hit = get_with(method, &url, &[]).await.unwrap();
        assert_eq!(hit.header("x-cache"), "hit");
        // Of the file system that keeps no time of birth nothing is said.
        assert!(hit.header("age").is_empty() || hit.header("age").parse::<u64>().unwrap() < 600);
    }
}

#[tokio::test]
async fn a_file_on_the_word_of_a_page_that_upstream_could_not_confirm_is_stale() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &["index.page_max_age=1ms", "follow.enabled=false"]).await;
    let project = sandbox.project("wire-core").unwrap();
    let (_, upload) = project.files().next().unwrap();
    let url = format!("{}packages/{}", relay.url, upload.file.path);
    assert_eq!(get(&format!("{}simple/wire-core/", relay.url)).await.status, 200);
    assert_eq!(get(&url).await.status, 200);
    sandbox.pause().await.unwrap();
    let answer = get(&url).await;
    assert_eq!((answer.status, answer.bytes()), (200, &upload.file.content.to_vec()[..]));
    assert!(["stale", "joined", "hit"].contains(&answer.header("x-cache")));
    // Kept by now.
    let again = get(&url).await;
    assert_eq!((again.status, again.header("x-cache")), (200, "stale"));
}

#[tokio::test]
async fn a_large_kept_file_that_is_cut_short_while_it_is_sent_ends_in_a_cut() {
    let files = Files::start().await;
    let file = files.file(BIG);
    with(&files, &file, &[]).await;
    files.quiet().await;
    let digits = file.digests.sha256.to_string();
    let entry = files.folder.path().join("files/sha256").join(&digits[..2]).join(&digits);
    let mut stream = TcpStream::connect(files.address).await.unwrap();
    let request = format!("GET /packages/{} HTTP/1.1\r\nHost: x\r\n\r\n", file.path);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut piece = vec![0; 1 << 16];
    stream.read_exact(&mut piece).await.unwrap();
    std::fs::File::options().write(true).open(&entry).unwrap().set_len(8 << 20).unwrap();
    let mut got = piece.len() as u64;
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        got += read as u64;
    }
    assert!(got < file.content.size(), "{got} bytes of a file that is shorter");
    // Alive, and the file is fetched anew.
    assert_eq!(digest(with(&files, &file, &[]).await.bytes()), file.digests.sha256);
}

#[tokio::test]
async fn a_thousand_ranges_and_a_name_of_4_kb_cost_nothing() {
    let files = Files::start().await;
    let file = files.file(SMALL);
    let many = format!("bytes={}", (0..1000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(","));
    let answer = with(&files, &file, &[("range", &many)]).await;
    assert_eq!((answer.status, answer.bytes()), (200, &file.content.to_vec()[..]));
    let long = files.url(&format!("ab/cd/{}.whl", "x".repeat(4096)));
    assert_eq!(get(&long).await.status, 400);
    assert_eq!(files.sandbox.requests().route(Route::File), 1);
}

#[tokio::test]
async fn a_file_is_found_though_nobody_has_asked_for_its_page() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    call(&relay.url, "list_packages", &[]).await.unwrap();
    let projects = sandbox.projects();
    let paths: Vec<_> = (projects.iter())
        .filter(|project| ["wire-top", "Brand.New", "wire-core"].contains(&project.name.as_str()))
        .flat_map(|project| project.files().map(|(_, upload)| upload.file.path.clone()))
        .collect();
    assert!(paths.len() > 4);
    let absent = get(&format!("{}packages/ab/cd/wire_top-1.0-py3-none-any.whl", relay.url)).await;
    assert_eq!(absent.status, 404, "only what the page names");
    for path in paths {
        assert_eq!(get(&format!("{}packages/{path}", relay.url)).await.status, 200, "{path}");
    }
    let before = sandbox.requests().total();
    assert_eq!(get(&format!("{}packages/ab/cd/no_such-1.0.tar.gz", relay.url)).await.status, 404);
    assert_eq!(sandbox.requests().total(), before, "a project that is not listed is not asked for");
    sandbox.pause().await.unwrap();
    let down = get(&format!("{}packages/ab/cd/many_versions-1.0.0.tar.gz", relay.url)).await;
    assert_eq!(down.status, 503, "nobody knows that it is not there");
}

/// A relay before an HTML index that states no sizes, and the address of its one file.
async fn sizeless(file: axum::routing::MethodRouter) -> (Relay, String) {
    let page = format!(
        "<title>Links for a</title><a href='/packages/a-1-py3-none-any.whl#sha256={}'>a-1-py3-none-any.whl</a>",
        digest(b"bytes")
    );
    let html = move || async move { ([("content-type", "text/html")], page) };
    let router = axum::Router::new()
        .route("/simple/a/", axum::routing::get(html))
        .route("/packages/a-1-py3-none-any.whl", file);
    let relay = Relay::start(serve(router).await.as_str(), &["follow.enabled=false"]).await;
    let page = get(&format!("{}simple/a/", relay.url)).await;
    let href = page.text().split("href=\"").nth(1).unwrap().split(['"', '#']).next().unwrap().to_owned();
    let url = format!("{}{}", relay.url, href.trim_start_matches("../"));
    (relay, url)
}

#[tokio::test]
async fn head_on_a_miss_without_a_stated_size_has_upstreams_length_or_promises_no_ranges() {
    let (_relay, url) = sizeless(axum::routing::get(|| async { "bytes" })).await;
    let answer = get_with(Method::HEAD, &url, &[]).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("content-length"), answer.header("accept-ranges")),
        (200, "5", "bytes")
    );
    let part = get_with(Method::GET, &url, &[("range", "bytes=-2")]).await.unwrap();
    assert_eq!((part.status, part.bytes()), (206, &b"es"[..]));

    let chunked = || async {
        axum::body::Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("bytes")]))
    };
    let (_relay, url) = sizeless(axum::routing::get(chunked)).await;
    let answer = get_with(Method::HEAD, &url, &[]).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("content-length"), answer.header("accept-ranges")),
        (200, "", "")
    );
    assert_eq!(get(&url).await.bytes(), b"bytes");
}

#[tokio::test]
async fn a_kept_file_that_is_edited_in_place_between_two_requests_is_fetched_anew() {
    use std::os::unix::fs::FileExt as _;
    let files = Files::with(|store| StoreSettings { hot_file: 1, ..store }, RelaySettings::default()).await;
    let file = files.file(SMALL);
    for cache in ["miss", "hit"] {
        assert_eq!(with(&files, &file, &[]).await.header("x-cache"), cache);
        files.quiet().await;
    }
    let digits = file.digests.sha256.to_string();
    let path = files.folder.path().join("files/sha256").join(&digits[..2]).join(&digits);
    let other: Vec<u8> = file.content.to_vec().iter().map(|byte| !byte).collect();
    std::fs::File::options().write(true).open(path).unwrap().write_all_at(&other, 0).unwrap();
    for cache in ["miss", "hit"] {
        let answer = with(&files, &file, &[]).await;
        assert_eq!((answer.status, answer.header("x-cache")), (200, cache));
        assert_eq!(answer.bytes(), file.content.to_vec());
        files.quiet().await;
    }
}

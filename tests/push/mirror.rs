//! As the mirror: what is asked for, how it comes, and what clients get of it.

use std::sync::atomic::Ordering::SeqCst;

use cheesewire::model::Clock;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::parts::{Form, Index, Master, Mirror, NOON, PATH, begun, content, kept, of_size};
use crate::support::process::Process;
use crate::support::{Relay, call, client, exchange, get, until, within};

#[tokio::test]
async fn a_file_that_upstream_refuses_is_asked_for_once_and_comes_by_the_upload() {
    let mirror = Mirror::start(&[]).await;
    let (first, secret) = mirror.asked().await;
    let others: Vec<_> = (0..5).map(|_| mirror.client()).collect();
    assert_eq!(
        mirror.master.questions(),
        [format!("/pypi?:action=gae_file&host=mirror.test:81&secret={secret}")]
    );
    assert!((22..=128).contains(&secret.len()));
    assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{secret}");

    let session = mirror.session(&secret).await;
    assert_eq!((session.status, session.header("content-type")), (200, "text/plain; charset=utf-8"));
    let lines: Vec<_> = session.text().split_terminator('\n').collect();
    let [path, address] = lines[..] else { panic!("{lines:?}") };
    assert_eq!(path, PATH);
    assert!(address.starts_with("http://mirror.test:81/") && !address.contains('?'), "{address}");
    assert!(!address.contains(&secret), "who sees the address of the upload has not seen the secret");

    let taken = mirror.upload(&secret, &mirror.form(&secret)).await;
    assert_eq!((taken.status(), taken.header("location")), (302, Some("/packages/ab/cd/a-1.0.zip")));
    for client in others.into_iter().chain([first]) {
        let answer = within("a client waits for ever", client).await.unwrap();
        assert_eq!((answer.status, answer.bytes()), (200, &mirror.content[..]));
    }
    assert_eq!((mirror.master.asked(), kept(&mirror.relay)), (1, 1));
    let hit = mirror.client().await.unwrap();
    assert_eq!((hit.status, hit.header("x-cache")), (200, "hit"));
}

#[tokio::test]
async fn what_upstream_gives_is_not_asked_for_and_what_it_lacks_neither() {
    for (status, answered) in [(200, 200), (404, 404), (410, 404)] {
        let index = Index::with(&content(), status, true).await;
        let mirror = Mirror::before(index, content(), &[]).await;
        assert_eq!(mirror.client().await.unwrap().status, answered, "{status}");
        assert_eq!(mirror.master.asked(), 0, "{status}");
    }
}

#[tokio::test]
async fn whatever_else_upstream_answers_to_a_file_it_is_asked_for() {
    for status in [401, 403, 429, 500, 503] {
        let index = Index::with(&content(), status, true).await;
        let mirror = Mirror::before(index, content(), &[]).await;
        let (client, secret) = mirror.asked().await;
        assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302, "{status}");
        assert_eq!(client.await.unwrap().bytes(), &mirror.content[..], "{status}");
    }
}

#[tokio::test]
async fn with_only_no_file_is_fetched_from_upstream() {
    let index = Index::with(&content(), 200, true).await;
    let mirror = Mirror::before(index, content(), &["push.only=true"]).await;
    let (client, secret) = mirror.asked().await;
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302);
    assert_eq!(client.await.unwrap().bytes(), &mirror.content[..]);
    assert_eq!(mirror.index.asked.load(SeqCst), 0);
}

#[tokio::test]
async fn clients_get_the_bytes_as_they_come_but_not_the_last_before_all_of_them_are_right() {
    let file = of_size(600_000);
    let mirror = Mirror::before(Index::refusing(&file).await, file.clone(), &[]).await;
    let (waiting, secret) = mirror.asked().await;
    waiting.abort();
    let url = format!("{}packages/{PATH}", mirror.relay.url);
    let reading = tokio::spawn(async move { client().get(&url).send().await.unwrap() });
    let address = mirror.address(&secret).await;
    let request = mirror.form(&secret).request(&address);
    let almost = request.len() - 300;
    let mut upload = begun(&mirror.relay.url, &request[..almost]).await;
    let mut answer = within("no byte comes", reading).await.unwrap();
    let mut got = 0;
    // All but what is held back.
    while got < file.len() - (64 << 10) - 1000 {
        got += within("the bytes stop", answer.chunk()).await.unwrap().unwrap().len();
    }
    assert!(got <= file.len() - (64 << 10), "{got}");
    upload.write_all(&request[almost..]).await.unwrap();
    while let Some(piece) = within("the rest does not come", answer.chunk()).await.unwrap() {
        got += piece.len();
    }
    assert_eq!(got, file.len());
}

#[tokio::test]
async fn a_client_that_follows_a_wrong_upload_is_cut_and_nothing_is_kept() {
    let file = of_size(600_000);
    let mirror = Mirror::before(Index::refusing(&file).await, file.clone(), &[]).await;
    let (client, secret) = mirror.asked().await;
    let mut wrong = file.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    let refused = mirror.upload(&secret, &Form::present(&secret, PATH, &wrong.into())).await;
    assert_eq!(refused.status(), 400, "{}", refused.0);
    let answer = client.await.unwrap();
    assert!(answer.body.is_err(), "a wrong file was delivered whole");
    mirror.nothing_is_kept().await;
}

/// Upstream breaks off in the middle of a file, and what comes then has to go on where clients are.
#[tokio::test]
async fn what_a_client_has_of_a_broken_transfer_has_to_be_the_beginning_of_the_upload() {
    let file = of_size(600_000);
    for same in [true, false] {
        let index = Index::with(&file, 200, true).await;
        *index.cut.lock().unwrap() = Some(300_000);
        index.wrong.store(!same, SeqCst);
        let settings = ["relay.resumes=0"];
        let mirror = Mirror::before(index, file.clone(), &settings).await;
        let (client, secret) = mirror.asked().await;
        // The upload is right; what upstream sent before was not.
        let posted = mirror.upload(&secret, &mirror.form(&secret)).await;
        let answer = client.await.unwrap();
        assert_eq!(posted.status(), if same { 302 } else { 400 }, "{}", posted.0);
        assert_eq!(answer.body.is_ok(), same, "{same}");
        if same {
            assert_eq!(answer.bytes(), &file[..]);
        }
        assert_eq!(kept(&mirror.relay), usize::from(same));
    }
}

#[tokio::test]
async fn who_waits_too_long_is_told_to_come_back_and_the_upload_is_taken_all_the_same() {
    let mirror = Mirror::start(&["push.wait=50ms"]).await;
    let (client, secret) = mirror.asked().await;
    let answer = client.await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!((1..=60).contains(&answer.header("retry-after").parse().unwrap()), "{answer:?}");
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302);
    let answer = mirror.client().await.unwrap();
    assert_eq!((answer.status, answer.header("x-cache")), (200, "hit"));
    assert_eq!(mirror.master.asked(), 1);
}

#[tokio::test]
async fn a_deleted_file_is_gone_at_once_and_after_a_restart_and_nobody_is_asked_again() {
    let mirror = Mirror::start(&[]).await;
    let (client, secret) = mirror.asked().await;
    let others: Vec<_> = (0..3).map(|_| mirror.client()).collect();
    let posted = mirror.upload(&secret, &Form::deleted(&secret, PATH)).await;
    assert_eq!((posted.status(), posted.header("location")), (302, Some("/packages/ab/cd/a-1.0.zip")));
    for answer in join_all(others.into_iter().chain([client])).await {
        assert_eq!(answer.unwrap().status, 404);
    }
    let asked = mirror.index.asked.load(SeqCst);
    mirror.clock.set(NOON + 40 * 86400);
    let Mirror { relay, master, index, clock, .. } = mirror;
    let folder = relay.stop().await;
    let from = format!("push.from={}", master.url);
    let relay =
        Relay::start_in_at(folder, index.url.as_str(), &[&from, "push.host=mirror.test"], &clock).await;
    for _ in 0..3 {
        let answer = get(&format!("{}packages/{PATH}", relay.url)).await;
        assert_eq!((answer.status, answer.header("x-cache")), (404, "tombstone"), "{}", answer.text());
    }
    assert_eq!((master.asked(), index.asked.load(SeqCst)), (1, asked), "somebody was asked again");
}

/// A master that does nothing: the mirror asks after 1, 2, 4, 8 and 16 minutes, and then no more.
#[tokio::test]
async fn questions_that_bring_nothing_come_after_doubled_delays_and_have_an_end() {
    let mirror = Mirror::start(&["push.wait=10ms"]).await;
    let (client, first) = mirror.asked().await;
    assert_eq!(client.await.unwrap().status, 503);
    let (mut now, mut secrets) = (NOON, vec![first]);
    for (n, delay) in [60, 120, 240, 480, 960].into_iter().enumerate() {
        mirror.clock.set(now + delay - 1);
        for _ in 0..3 {
            assert_eq!(mirror.client().await.unwrap().status, 503);
        }
        // Two looks at the clock later no question has come.
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        assert_eq!(mirror.master.asked(), n + 1, "clients who come meanwhile ask nothing");
        now += delay;
        mirror.clock.set(now);
        secrets.push(mirror.master.secret(n + 2).await);
    }
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), 6, "each question has a secret of its own");
    // By the last one something may come for five minutes.
    mirror.clock.set(now + 299);
    assert_eq!(mirror.client().await.unwrap().status, 503);
    mirror.clock.set(now + 300);
    until("it is asked for for ever", async || mirror.client().await.unwrap().status == 502).await;
    // Upstream is still tried: it may be well again.
    let asked = mirror.index.asked.load(SeqCst);
    mirror.clock.set(now + 300 + 80_000);
    let answer = mirror.client().await.unwrap();
    assert_eq!((answer.status, mirror.master.asked()), (502, 6), "{}", answer.text());
    assert!(mirror.index.asked.load(SeqCst) > asked);
    // A day later it is asked for again.
    mirror.clock.set(now + 300 + 86_400 + 5);
    assert_eq!(mirror.client().await.unwrap().status, 503);
    mirror.master.secret(7).await;
}

#[tokio::test]
async fn the_end_of_questions_outlasts_a_restart() {
    let mirror = Mirror::start(&["push.wait=10ms", "push.attempts=1", "push.secret_lifetime=1s"]).await;
    let (client, _) = mirror.asked().await;
    drop(client);
    mirror.clock.set(NOON + 1);
    until("it is asked for for ever", async || mirror.client().await.unwrap().status == 502).await;
    let Mirror { relay, master, index, clock, .. } = mirror;
    let from = format!("push.from={}", master.url);
    let folder = relay.stop().await;
    let relay =
        Relay::start_in_at(folder, index.url.as_str(), &[&from, "push.host=mirror.test"], &clock).await;
    assert_eq!(get(&format!("{}packages/{PATH}", relay.url)).await.status, 502);
    assert_eq!(master.asked(), 1);
}

#[tokio::test]
async fn a_question_that_is_refused_is_told_at_once_and_repeated_no_sooner_than_the_master_says() {
    let mirror = Mirror::start(&[]).await;
    mirror.master.status.store(503, SeqCst);
    let (client, _) = mirror.asked().await;
    let answer = within("a client waits for what cannot come", client).await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, "60"));
    // It said an hour.
    mirror.clock.set(NOON + 3599);
    assert_eq!(mirror.client().await.unwrap().status, 503);
    assert_eq!(mirror.master.asked(), 1);
    mirror.master.status.store(200, SeqCst);
    mirror.clock.set(NOON + 3600);
    let secret = mirror.master.secret(2).await;
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302, "any 2xx is yes");
}

#[tokio::test]
async fn a_file_without_a_size_comes_as_well_and_one_without_a_digest_is_not_asked_for() {
    let index = Index::with(&content(), 403, false).await;
    let mirror = Mirror::before(index, content(), &[]).await;
    let (client, secret) = mirror.asked().await;
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302);
    assert_eq!(client.await.unwrap().bytes(), &mirror.content[..]);
}

#[tokio::test]
async fn an_upload_counts_on_its_route_and_in_the_metrics_and_passes_no_limit_of_calls() {
    let mirror = Mirror::start(&["http.body_limit=1 KiB", "http.body_timeout=1ms"]).await;
    let (client, secret) = mirror.asked().await;
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302);
    client.await.unwrap();
    let metrics = get(&format!("{}metrics", mirror.relay.url)).await.text().to_owned();
    for line in [
        r#"cheesewire_http_requests_total{route="/mkupload/{secret}",status="302"}"#,
        r#"cheesewire_push_questions_total{outcome="accepted"}"#,
        r#"cheesewire_push_uploads_total{outcome="taken"}"#,
        "cheesewire_push_wanted",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test]
async fn readyz_tells_how_many_files_are_waited_for_and_what_the_last_question_was_answered() {
    let mirror = Mirror::start(&[]).await;
    mirror.master.status.store(403, SeqCst);
    let (client, _) = mirror.asked().await;
    client.await.unwrap();
    let ready = get(&format!("{}readyz", mirror.relay.url)).await;
    assert_eq!((ready.status, &ready.json()["push"]["wanted"]), (200, &1.into()));
    assert!(ready.json()["push"]["last_error"].as_str().unwrap().contains("403"));
}

#[tokio::test]
async fn a_relay_that_is_no_mirror_expects_no_upload() {
    let index = Index::refusing(&content()).await;
    let relay = Relay::start_at(index.url.as_str(), &["upstream.retries=0"], &Clock::standing_at(NOON)).await;
    assert_eq!(get(&format!("{}mkupload/abc", relay.url)).await.status, 404);
    assert_eq!(get(&format!("{}packages/{PATH}", relay.url)).await.status, 502);
    assert!(call(&relay.url, "list_packages", &[]).await.is_ok());
    assert_eq!(get(&format!("{}readyz", relay.url)).await.json().get("push"), None);
}

#[tokio::test]
async fn bytes_of_an_upload_that_is_cut_are_not_kept_and_the_next_one_is_asked_for_later() {
    let mirror = Mirror::start(&[]).await;
    let (client, secret) = mirror.asked().await;
    let address = mirror.address(&secret).await;
    let request = mirror.form(&secret).request(&address);
    let mut upload = begun(&mirror.relay.url, &request[..request.len() - 40_000]).await;
    upload.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = upload.read_to_string(&mut answer).await;
    let answer = within("a client waits for what cannot come", client).await.unwrap();
    assert!(answer.status == 503 || answer.body.is_err(), "{answer:?}");
    mirror.nothing_is_kept().await;
    mirror.clock.set(NOON + 60);
    let secret = {
        let _client = mirror.client();
        mirror.master.secret(2).await
    };
    assert_eq!(mirror.upload(&secret, &mirror.form(&secret)).await.status(), 302);
}

#[tokio::test]
async fn no_log_line_has_the_secret_of_an_upload() {
    let content = content();
    let (index, master, folder) =
        (Index::refusing(&content).await, Master::start().await, tempfile::tempdir().unwrap());
    let from = format!("push.from={}", master.url);
    let settings = [
        "push.host=mirror.test:81",
        "push.hosts=mirror.test",
        "log.access=true",
        "log.filter=debug",
        "upstream.retries=0",
        &from,
    ];
    let relay = Process::start(folder.path(), index.url.as_str(), &settings).await;
    let url = format!("{}packages/{PATH}", relay.url);
    let client = tokio::spawn(async move { get(&url).await });
    let secret = master.secret(1).await;
    let lines = get(&format!("{}mkupload/{secret}", relay.url)).await.text().to_owned();
    let address = lines.lines().nth(1).unwrap().strip_prefix("http://mirror.test:81").unwrap();
    let posted = exchange(&relay.url, &Form::present(&secret, PATH, &content).request(address)).await;
    assert!(posted.starts_with("HTTP/1.1 302"), "{posted}");
    assert_eq!(client.await.unwrap().status, 200);
    // As the master, too.
    assert_eq!(
        get(&format!("{}pypi?:action=gae_file&host=mirror.test&secret=asked-by-another", relay.url))
            .await
            .status,
        204
    );
    relay.terminate();
    let (_, log) = relay.end().await;
    let session = address.rsplit_once('/').unwrap().1;
    assert!(log.iter().any(|line| line.contains("/mkupload/")), "{log:#?}");
    for line in &log {
        assert!(
            ![&*secret, session, "asked-by-another"].iter().any(|secret| line.contains(secret)),
            "{line}"
        );
    }
}

//! `kill -9` at random moments of counting and of sealing, under load.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedReadHalf;

use super::{SMALL, file};
use crate::support::process::Process;
use crate::support::{connect, get, sandbox};

const ROUNDS: u64 = 200;
/// How often it is killed, if not so often: for who changes this test.
const FEWER: &str = "KILLS";
/// Clients at once: together some 2,000 downloads a second, or what the machine gives.
const CLIENTS: u64 = 4;
/// `stats.flush`, and the time that its commit may take on a busy machine: what was received before that is written.
const FLUSH: &str = "stats.flush=100ms";
const WRITTEN_AFTER: Duration = Duration::from_millis(600);

/// What the clients of one relay saw.
#[derive(Default)]
struct Seen {
    asked: AtomicU64,
    /// When whole answers came.
    received: Mutex<Vec<Instant>>,
}

/// Downloads one after the other until the relay dies.
async fn download(relay: String, request: Vec<u8>, seen: Arc<Seen>) {
    let (reader, mut writer) = connect(&relay).await.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        seen.asked.fetch_add(1, Ordering::Relaxed);
        if writer.write_all(&request).await.is_err() || whole_answer(&mut reader).await.is_none() {
            return;
        }
        seen.received.lock().unwrap().push(Instant::now());
    }
}

/// Reads an answer to its end; nothing if it is cut.
async fn whole_answer(reader: &mut BufReader<OwnedReadHalf>) -> Option<()> {
    let (mut length, mut line) = (None, String::new());
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        let field = line.to_ascii_lowercase();
        length = field.strip_prefix("content-length:").map(|n| n.trim().parse().unwrap()).or(length);
    }
    reader.read_exact(&mut vec![0; length?]).await.ok().map(|_| ())
}

/// Rows of a past day: the relay seals it once it runs.
fn add_day(folder: &Path, before: u64) {
    let database = rusqlite::Connection::open(folder.join("statistics.sqlite3")).unwrap();
    database.busy_timeout(Duration::from_mins(1)).unwrap();
    let today = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400).unwrap();
    let day = today - 1 - i64::try_from(before).unwrap();
    let add = "INSERT INTO days (day) VALUES (?1)";
    database.execute(add, [day]).unwrap();
    let add = "INSERT INTO counters SELECT ?1, f.id, a.id, 1 FROM files f, agents a LIMIT 1";
    assert_eq!(database.execute(add, [day]).unwrap(), 1);
}

/// Downloads of today and later, and sealed days with the counters of each.
fn counted(folder: &Path) -> (u64, Vec<(i64, i64)>) {
    let database = rusqlite::Connection::open(folder.join("statistics.sqlite3")).unwrap();
    let today = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 86_400;
    let sql = "SELECT ifnull(sum(count), 0) FROM counters WHERE day >= ?1 - 1";
    let total: i64 = database.query_row(sql, [i64::try_from(today).unwrap()], |row| row.get(0)).unwrap();
    let sql =
        "SELECT d.day, (SELECT sum(count) FROM counters c WHERE c.day = d.day) FROM days d WHERE state = 2";
    let mut days = database.prepare(sql).unwrap();
    let days =
        days.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    (total.unsigned_abs(), days)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "kills a loaded relay 200 times: some minutes"]
async fn after_200_kills_at_random_moments_totals_are_never_above_the_truth_and_below_it_by_a_flush_each() {
    let (sandbox, folder) = (sandbox().await, tempfile::tempdir().unwrap());
    let path = file(&sandbox, SMALL).path.clone();
    let request =
        format!("GET /packages/{path} HTTP/1.1\r\nHost: r.test\r\nUser-Agent: kill/1\r\n\r\n").into_bytes();
    let (mut asked, mut received, mut late, mut dice) = (0, 0, 0, 15_u64);
    let begun = Instant::now();
    let rounds = std::env::var(FEWER).map_or(ROUNDS, |fewer| fewer.parse().unwrap());
    for round in 0..rounds {
        if round > 0 {
            add_day(folder.path(), round);
        }
        let relay = Process::start(folder.path(), &sandbox.url(), &[FLUSH, "stats.seal_after=1ms"]).await;
        let whole = get(&format!("{}packages/{path}", relay.url)).await;
        assert_eq!(whole.status, 200);
        let seen = Arc::new(Seen::default());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(download(relay.url.clone(), request.clone(), seen.clone())))
            .collect();
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Not to wait for something: to be at another place of its work each time.
        tokio::time::sleep(Duration::from_millis(700 + (dice >> 33) % 300)).await;
        let killed = Instant::now();
        relay.kill().await;
        for client in clients {
            client.await.unwrap();
        }
        // And the one before.
        asked += seen.asked.load(Ordering::Relaxed) + 1;
        let times = seen.received.lock().unwrap();
        received += times.len() as u64 + 1;
        late += times.iter().filter(|at| killed.duration_since(**at) < WRITTEN_AFTER).count() as u64;
        let (total, sealed) = counted(folder.path());
        assert!(total <= asked, "round {round}: {total} are counted of {asked} that were asked for");
        assert!(
            total + late >= received,
            "round {round}: {total} are counted of {received}, {late} of them lately"
        );
        assert!(sealed.iter().all(|(_, count)| *count == 1), "round {round}: {sealed:?}");
    }
    let (total, sealed) = counted(folder.path());
    let rate = received / begun.elapsed().as_secs().max(1);
    let days = sealed.len();
    let figures =
        format!("{received} received, {total} counted, {days} days sealed, {rate} a second with starts");
    writeln!(std::io::stdout(), "{figures}").unwrap();
    assert!(sealed.len() as u64 > rounds / 2, "the kills left no time to seal: this test proves little");
}

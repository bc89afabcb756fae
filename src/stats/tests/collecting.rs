//! Other mirrors' days.

use std::io::Write as _;

use super::*;

const SOURCE: &str = "http://mirror.test/";
const MOST: u64 = 1 << 20;

fn packed(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// Takes a day, its bytes in pieces; a failed one is given up.
fn take(bench: &Bench, source: &str, day: Day, bytes: &[u8], piece: usize) -> Result<Taken, TakeError> {
    let collector = Collector::of(&bench.stats).unwrap();
    let mut taking = collector.take(source, day, MOST)?;
    for piece in bytes.chunks(piece) {
        if let Err(error) = taking.feed(piece) {
            taking.abandon().unwrap();
            return Err(error);
        }
    }
    taking.finish()
}

#[tokio::test]
async fn a_collected_day_counts_with_own_ones_and_a_project_is_found_by_any_spelling() {
    let bench = Bench::new().await;
    let day = bench.today();
    bench.count("one-1.zip", "pip/1", 1).await;
    let text = "project,filename,agent,count\r\nOne,one-1.zip,pip/1,10\r\nThe.Two,two-1.zip,Mozilla (a, b),5\r\n\r\ngarbage\r\n";
    let taken = take(&bench, SOURCE, day, &packed(text), 7).unwrap();
    assert_eq!(taken, Taken { lines: 2, left_out: 2, downloads: 15 });
    assert!(Collector::of(&bench.stats).unwrap().has(SOURCE, day).unwrap());
    assert_eq!(bench.stats.top(None).await.unwrap(), [("ONE".to_owned(), 11), ("The.Two".to_owned(), 5)]);
    assert_eq!(bench.stats.recent(&ProjectName::parse("one").unwrap()).await.unwrap().unwrap().last_day, 11);
    // Own days are given out once they are sealed.
    let collected = "ONE,one-1.zip,pip/1,10\r\nThe.Two,two-1.zip,\"Mozilla (a, b)\",5\r\n";
    assert_eq!(bench.published(Period::Day(day)).await.as_deref(), Some(collected));
    assert_eq!(bench.stats.sealed_days().await.unwrap(), []);
    bench.seal(day);
    assert_eq!(bench.report(day).await.as_deref(), Some("ONE,one-1.zip,pip/1,1\r\n"), "own only");
    let all = collected.replace(",10", ",11");
    for period in [Period::Day(day), Period::Month(Month::of(day))] {
        assert_eq!(bench.published(period).await.as_deref(), Some(&*all), "{period}");
    }
    // A month is the sum of its days.
    take(&bench, SOURCE, day.next(), &packed("one,one-1.zip,pip/1,100"), 999).unwrap();
    let month = bench.published(Period::Month(Month::of(day))).await.unwrap();
    assert_eq!(month, all.replace(",11", ",111"));
    assert_eq!(bench.stats.published_days().await.unwrap(), [day, day.next()]);
    assert_eq!(bench.published(Period::Day(day.before(1))).await, None);
}

#[tokio::test]
async fn what_is_cut_or_damaged_or_too_large_is_not_taken_and_can_be_taken_later() {
    let bench = Bench::new().await;
    let day = bench.today();
    let text = lines(5000, |n| format!("one,one-{n}.zip,pip/{n},1\r\n"));
    let whole = packed(&text);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0xff;
    let bomb = packed(vec![b'a'; 10 << 20]);
    let many = packed("one,one-1.zip,a,1\n".repeat(60_000));
    let trailing = [&whole[..], b"garbage"].concat();
    for (what, bytes) in [
        ("empty", &[][..]),
        ("no bzip2", b"<html>not found</html>"),
        ("cut", &whole[..whole.len() - 1]),
        ("cut early", &whole[..20]),
        ("damaged", &damaged),
        ("a bomb of one line", &bomb),
        ("a bomb of many lines", &many),
        ("garbage behind it", &trailing),
    ] {
        for piece in [13, 1 << 20] {
            assert!(take(&bench, SOURCE, day, bytes, piece).is_err(), "{what}");
        }
        assert!(!Collector::of(&bench.stats).unwrap().has(SOURCE, day).unwrap(), "{what}");
        assert_eq!(
            (bench.stats.top(None).await.unwrap(), bench.published(Period::Day(day)).await),
            (vec![], None),
            "{what}"
        );
    }
    assert_eq!(take(&bench, SOURCE, day, &whole, 100).unwrap().lines, 5000);
    assert_eq!(bench.total().await, 5000);
    let day = day.next();
    assert_eq!(
        take(&bench, "http://b.test/", day, &[&whole[..], &whole].concat(), 5000).unwrap().downloads,
        10_000
    );
    assert_eq!(bench.total().await, 15_000);
}

#[tokio::test]
async fn what_a_dead_collector_left_counts_nowhere_and_goes() {
    let bench = Bench::new().await;
    let day = bench.today();
    let text = lines(5000, |n| format!("one,one-{n}.zip,pip/1,1\r\n"));
    {
        let collector = Collector::of(&bench.stats).unwrap();
        let mut taking = collector.take(SOURCE, day, MOST).unwrap();
        taking.feed(&packed(&text)).unwrap();
        // It dies.
    }
    assert_eq!(
        (bench.stats.top(None).await.unwrap(), bench.published(Period::Day(day)).await),
        (vec![], None)
    );
    take(&bench, SOURCE, day, &packed("one,one-1.zip,pip/1,3"), 100).unwrap();
    assert_eq!(bench.total().await, 3);
}

#[tokio::test]
async fn one_collects_at_a_time_and_invented_agents_are_bounded() {
    let few = StatsSettings { agents_a_day: 3, agent_bytes: 8, ..StatsSettings::default() };
    let bench = Bench::over(tempfile::tempdir().unwrap(), few).await;
    let first = Collector::of(&bench.stats).unwrap();
    assert!(matches!(Collector::of(&bench.stats), Err(StatsError::Collecting { .. })));
    drop(first);
    let text = lines(9, |n| format!("one,one-1.zip,{n}{},1\r\n", "x\u{1}".repeat(20)));
    take(&bench, SOURCE, bench.today(), &packed(text), 100).unwrap();
    let report = bench.published(Period::Day(bench.today())).await.unwrap();
    let expected = "one,one-1.zip,0x x x x,1\r\none,one-1.zip,1x x x x,1\r\none,one-1.zip,2x x x x,1\r\none,one-1.zip,other,6\r\n";
    assert_eq!(report, expected);
}

#[tokio::test]
async fn counts_without_measure_do_not_overflow() {
    let bench = Bench::new().await;
    let line = "one,one-1.zip,a,999999999999\n".repeat(30_000);
    take(&bench, SOURCE, bench.today(), &packed(line), 1 << 20).unwrap();
    take(&bench, "http://b.test/", bench.today(), &packed("one,one-1.zip,a,999999999999"), 100).unwrap();
    bench.count("one-1.zip", "a", 1).await;
    let (_, top) = bench.stats.top(None).await.unwrap()[0].clone();
    assert_eq!(top, 9_007_199_254_740_991 + 1);
    assert!(bench.published(Period::Day(bench.today())).await.is_some());
}

#[tokio::test]
async fn an_agent_with_a_line_end_is_one_record_and_its_version_has_no_platform() {
    let bench = Bench::new().await;
    let day = bench.today();
    let text = "one,one-1.0.win-amd64-py2.7.exe,\"a\r\nb, \"\"c\"\"\",3\r\none,one-2.zip,\"open,4\r\n";
    assert_eq!(
        take(&bench, SOURCE, day, &packed(text), 7).unwrap(),
        Taken { lines: 2, left_out: 0, downloads: 7 }
    );
    let mut rows = Vec::new();
    let each = |row: ExportRow| {
        rows.push((row.version, row.agent, row.count));
        Ok(())
    };
    bench.stats.export_rows(day, day, each).unwrap();
    let row = |version: &str, agent: &str, count| (version.to_owned(), agent.to_owned(), count);
    assert_eq!(rows, [row("1.0", "a  b, \"c\"", 3), row("2", "\"open", 4)]);
}

#[tokio::test]
async fn a_bomb_is_found_before_its_stream_ends() {
    let bench = Bench::new().await;
    let bomb = packed(vec![b'a'; 10 << 20]);
    let collector = Collector::of(&bench.stats).unwrap();
    let mut taking = collector.take(SOURCE, bench.today(), MOST).unwrap();
    // Up to the last byte of its one block: ten bytes end the stream.
    let found = taking.feed(&bomb[..bomb.len() - 10]);
    assert!(matches!(found, Err(TakeError::TooLarge(MOST))), "{found:?}");
}

#[tokio::test]
async fn an_agent_that_was_counted_before_is_bounded_like_one_that_is_new() {
    let one = StatsSettings { agents_a_day: 1, ..StatsSettings::default() };
    let bench = Bench::over(tempfile::tempdir().unwrap(), one).await;
    bench.count("one-1.zip", "known", 1).await;
    let day = bench.today().next();
    let text = "one,one-1.zip,first,1\none,one-1.zip,known,2\none,one-1.zip,first,4\n";
    take(&bench, SOURCE, day, &packed(text), 100).unwrap();
    let report = bench.published(Period::Day(day)).await;
    assert_eq!(report.as_deref(), Some("ONE,one-1.zip,first,5\r\nONE,one-1.zip,other,2\r\n"));
}

#[tokio::test]
async fn the_registered_spelling_takes_the_place_of_a_mirrors() {
    let bench = Bench::new().await;
    take(&bench, SOURCE, bench.today(), &packed("oNe,one-1.zip,a,1"), 100).unwrap();
    assert_eq!(bench.stats.top(None).await.unwrap(), [("oNe".to_owned(), 1)]);
    bench.count("one-1.zip", "a", 1).await;
    assert_eq!(bench.stats.top(None).await.unwrap(), [("ONE".to_owned(), 2)]);
}

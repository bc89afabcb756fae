//! Statistics over a folder of the test's own, by a clock that the test sets.

mod collecting;
mod counting;
mod killed;
mod sealing;
mod turning;

use std::io::Read as _;
use std::sync::Arc;

use tempfile::TempDir;

use super::seal::{Sealed, Step, seal};
use super::*;
use crate::model::{Clock, ProjectName};

/// 2011-07-22: a day of the story.
const NOON: i64 = 1_311_336_000;
const DAY: i64 = 86_400;

struct Bench {
    folder: TempDir,
    clock: Clock,
    stats: Stats,
}

impl Bench {
    async fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap(), StatsSettings::default()).await
    }

    /// Over what another one left.
    async fn over(folder: TempDir, settings: StatsSettings) -> Self {
        let clock = Clock::standing_at(NOON);
        let settings = StatsSettings { clock: clock.clone(), ..settings };
        let spell: Spell = Arc::new(|name| {
            Box::pin(
                async move { Some(name.as_str().to_uppercase()).filter(|_| name.as_str() != "unspelled") },
            )
        });
        let stats = Stats::open(folder.path(), settings, spell).await.unwrap();
        Self { folder, clock, stats }
    }

    fn today(&self) -> Day {
        Day::at(self.clock.unix())
    }

    fn file(filename: &str) -> Arc<File> {
        let project = ProjectName::parse(filename.split('-').next().unwrap()).unwrap();
        Arc::new(File { project, filename: filename.into(), version: "1".into() })
    }

    /// Counts and writes.
    async fn count(&self, filename: &str, agent: &str, times: usize) {
        self.count_in_memory(filename, agent, times);
        self.stats.flush().await.unwrap();
    }

    fn count_in_memory(&self, filename: &str, agent: &str, times: usize) {
        let (file, agent) = (Self::file(filename), self.stats.agent(agent.as_bytes()));
        (0..times).for_each(|n| self.stats.whole(n, &file, &agent));
    }

    /// From here on the file takes so many pages, and no fewer than it has: with 1 the disk is full.
    fn pages(&self, most: i64) {
        let most = self.stats.database().write_here(move |t| {
            t.pragma_update_and_check(None, "max_page_count", most, |row| row.get::<_, i64>(0))
        });
        most.unwrap();
    }

    fn seal(&self, day: Day) -> Option<Sealed> {
        seal(self.stats.database(), day, |_| Ok(())).unwrap()
    }

    /// Seals up to a step.
    fn seal_until(&self, day: Day, last: Step) {
        let stopped =
            seal(
                self.stats.database(),
                day,
                |step| if step == last { Err(StatsError::Stopped) } else { Ok(()) },
            );
        assert!(matches!(stopped, Err(StatsError::Stopped)), "{stopped:?}");
    }

    /// A sealed day's bytes.
    async fn packed(&self, day: Day) -> Option<Vec<u8>> {
        let report = self.stats.sealed_report(day).await.unwrap()?;
        let mut bytes = Vec::new();
        for part in 0.. {
            match self.stats.sealed_part(day, part).await.unwrap() {
                Some(part) => bytes.extend(part),
                None => break,
            }
        }
        assert_eq!(bytes.len() as u64, report.length);
        Some(bytes)
    }

    /// A sealed day's lines.
    async fn report(&self, day: Day) -> Option<String> {
        Some(unpacked(&self.packed(day).await?))
    }

    /// The lines of what is given out for a period.
    async fn published(&self, period: Period) -> Option<String> {
        let made = self.stats.published(period).await.unwrap()?;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < made.length {
            bytes.extend(made.read(bytes.len() as u64).await.unwrap());
        }
        Some(unpacked(&bytes))
    }

    /// All that was counted, by the sums and by the rows.
    async fn total(&self) -> u64 {
        let sums = self.stats.top(None).await.unwrap().iter().map(|(_, count)| count).sum::<u64>();
        let sql = "SELECT ifnull((SELECT sum(count) FROM counters), 0) + ifnull((SELECT sum(count) FROM collected), 0)";
        let rows =
            self.stats.database().read(move |c| c.query_row(sql, [], |row| row.get::<_, i64>(0))).await;
        assert_eq!(sums, rows.unwrap().unsigned_abs());
        sums
    }
}

/// A text of so many lines.
fn lines(number: usize, line: impl Fn(usize) -> String) -> String {
    (0..number).map(line).collect::<Vec<_>>().concat()
}

/// By a reader of one stream, as Python 2.7's.
fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut reader = bzip2::bufread::BzDecoder::new(bytes);
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(reader.total_in(), bytes.len() as u64, "it is one stream");
    text
}

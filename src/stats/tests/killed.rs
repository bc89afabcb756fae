//! `kill -9` while a day is sealed, at each of its steps.

use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, getpid, kill_process};
use sha2::Digest as _;

use super::*;

const FOLDER: &str = "CHEESEWIRE_STATS_FOLDER";
const STEP: &str = "CHEESEWIRE_STATS_STEP";

/// The process that is killed: seals the day, and ends at a step.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let (Some(folder), Ok(last)) = (std::env::var_os(FOLDER), std::env::var(STEP)) else { return };
    let database = super::super::database::Database::open(Path::new(&folder)).unwrap();
    let _ = seal(&database, Day::at(NOON), |step| {
        if format!("{step:?}") == last {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        Ok(())
    });
    panic!("no such step");
}

#[tokio::test]
async fn a_kill_at_any_step_loses_and_doubles_nothing_and_the_next_integration_ends() {
    for last in [Step::Frozen, Step::Cleared, Step::Part(1), Step::Part(2), Step::Sealed] {
        let bench = Bench::new().await;
        let day = bench.today();
        for n in 0..12_000_u64 {
            // What does not compress, for two parts.
            let odd = hex::encode(sha2::Sha256::digest(n.to_le_bytes()));
            bench.count_in_memory(&format!("one-{odd}.zip"), &odd, 1);
            if n % 4000 == 0 {
                bench.stats.flush().await.unwrap();
            }
        }
        bench.stats.flush().await.unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "stats::tests::killed::child", "--ignored"]);
        command.env(FOLDER, bench.folder.path()).env(STEP, format!("{last:?}"));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(signal, Some(9), "{last:?}: {output:?}");
        bench.count("one-late.zip", "pip/1", 7).await;
        assert_eq!(bench.seal(day).is_some(), last != Step::Sealed, "{last:?}");
        assert!(bench.seal(day.next()).is_some());
        assert_eq!(bench.report(day).await.unwrap().lines().count(), 12_000, "{last:?}");
        assert_eq!(bench.report(day.next()).await.as_deref(), Some("ONE,one-late.zip,pip/1,7\r\n"));
        assert_eq!(bench.total().await, 12_007);
    }
}

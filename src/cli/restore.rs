//! `cheesewire restore`: makes a data folder of a backup.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::ServeArgs;
use super::backup::{BackupCommandError, contents};
use crate::backup::RestoreJob;
use crate::config::Config;
use crate::model::Serial;

const EXAMPLES: &str = "\
Examples:
  cheesewire restore --from /backup/cheesewire-2026-01-31 --data /var/lib/cheesewire
  # the last answer of changelog_last_serial before the loss is known
  cheesewire restore --from /backup/cheesewire-2026-01-31 --data /var/lib/cheesewire --told 31415926";

/// Make a data folder of a backup.
///
/// The folder has to be a new one, or an empty one. Every part is checked before anything is written, and a journal of an older
/// version is brought up to date. Serials that upstream gives stay; those of the relay's own go on above all that it may have told
/// since the backup, so that no client misses what comes. Needs no network. If it was killed, run it again: until it has ended well no
/// relay starts on the folder.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct RestoreArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// The backup's folder.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The last serial that clients were told [default: the backup's and a million, and 200,000 for each day since]. Needed if a
    /// relay has worked on an earlier restore of this backup.
    #[arg(long, value_name = "SERIAL", value_parser = clap::value_parser!(i64).range(0..))]
    told: Option<i64>,
}

/// Puts it back, and prints what came.
pub fn run(args: &RestoreArgs) -> Result<(), BackupCommandError> {
    let (config, _) = Config::read_offline(args.serve.sources()?)?;
    let job = RestoreJob {
        from: args.from.clone(),
        data: config.data,
        files: config.store.folder,
        upstream: config.journal.upstream,
        told: args.told.map(Serial),
        clock: config.journal.clock,
    };
    let put = job.run()?;
    let numbers = match (put.last_serial, put.told) {
        (Some(last), Some(told)) if last < told => {
            format!(
                "the last serial is {}; should the relay need numbers of its own, they go on above {}",
                last.0, told.0
            )
        }
        (Some(last), _) => format!("the last serial is {}", last.0),
        (None, _) => "no listing was read before it was taken".to_owned(),
    };
    let told = format!("{} holds {}\n{numbers}\n", job.data.display(), contents(&put.manifest, put.files));
    Ok(std::io::stdout().lock().write_all(told.as_bytes())?)
}

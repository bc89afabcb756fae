//! `cheesewire bundle export`.

use std::io::Write as _;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

use super::BundleCommandError;
use crate::bundle::ExportJob;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::model::{Serial, Stamp};

const EXAMPLES: &str = "\
Examples:
  # all that is known and kept
  cheesewire bundle export --data /var/lib/cheesewire --to /media/stick/first.bundle
  # the events after what the importer knows, and again all pages and files
  cheesewire bundle export --since 31415926 --data /var/lib/cheesewire --to /media/stick/second.bundle";

/// Make a bundle, also beside a running relay.
///
/// The events after --since are in it, and all that decides what is answered: the list of projects, kept pages and documents, removals,
/// quarantine, and the kept package files. It needs no network, and for the time of it room for a copy of the journal beside --to. The
/// file is there only once it is whole. Prints the --since of the next bundle.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// The bundle's file, which is made.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Leave the changelog up to this serial out: the importer has it [default: all that is known is in it].
    #[arg(long, value_name = "SERIAL", value_parser = clap::value_parser!(i64).range(0..))]
    since: Option<i64>,
    /// Leave the package files out.
    #[arg(long)]
    without_files: bool,
}

pub(super) fn run(args: &ExportArgs) -> Result<(), BundleCommandError> {
    let (config, _) = Config::read_offline(args.serve.sources()?)?;
    let job = ExportJob {
        data: config.data,
        upstream: config.journal.upstream,
        files: (!args.without_files).then_some(config.store.folder),
        since: args.since.map(Serial),
        to: args.to.clone(),
        clock: config.journal.clock,
    };
    let made = job.run()?;
    let (part, claims) = (&made.part, &made.part.claims);
    let after = claims.since.map_or_else(String::new, |since| format!(" after serial {since}"));
    let files = match made.files {
        _ if args.without_files => "no package files".to_owned(),
        files => format!("{files} package files ({})", ByteSize(made.file_bytes).display().iec()),
    };
    let told = format!(
        "{} holds {} events{after}, {} pages and documents, and {files} of {}, as of {}\nthe last serial is {last}: make the next one \
         with --since {last}\n",
        args.to.display(),
        part.events,
        part.documents,
        claims.upstream,
        when(part.as_of),
        last = claims.last_serial,
    );
    Ok(std::io::stdout().lock().write_all(told.as_bytes())?)
}

/// A moment in words.
pub(super) fn when(as_of: Option<i64>) -> String {
    let stamp = as_of.and_then(Stamp::from_unix);
    stamp.map_or_else(|| "an unknown moment".to_owned(), |stamp| stamp.json_seconds() + "Z")
}

//! `cheesewire bundle import`.

use std::io::Write as _;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;

use super::BundleCommandError;
use super::export::when;
use crate::bundle::ImportJob;
use crate::cli::ServeArgs;
use crate::config::Config;

const EXAMPLES: &str = "\
Examples:
  systemctl stop cheesewire
  cheesewire bundle import /media/stick/second.bundle --config /etc/cheesewire/cheesewire.toml
  systemctl start cheesewire";

/// Take a bundle, while no relay runs on the folder.
///
/// The bundle is read to its end and checked first: one that is not signed with the key that is given, was altered or cut, is older
/// than what is here, is another upstream's, or leaves a gap is refused, and nothing is changed. The error names the right --since. It is
/// taken all or not at all: if the import is killed, run it again. Needs no network.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// The bundle's file. It is read twice.
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The file with the exporter's public key [default: bundle.public_key].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) fn run(args: &ImportArgs) -> Result<(), BundleCommandError> {
    let (config, given) = Config::read_offline(args.serve.sources()?)?;
    if given && !config.upstream.bundled {
        return Err(BundleCommandError::HasUpstream);
    }
    let room = config.store.max_bytes;
    let job = ImportJob {
        from: args.from.clone(),
        key: args.key.clone().or(config.bundle.public_key),
        data: config.data,
        files: config.store.folder,
        journal: config.journal,
    };
    let taken = job.run()?;
    let mut told = format!(
        "{} stands at serial {} of {}, as of {}: {} new events, {} pages and documents, {} new package files ({})\n",
        job.data.display(),
        taken.claims.last_serial,
        taken.claims.upstream,
        when(taken.as_of),
        taken.part.events,
        taken.part.documents,
        taken.files,
        ByteSize(taken.file_bytes).display().iec(),
    );
    if taken.part.evicted > 0 {
        let evicted = taken.part.evicted.to_string();
        told += &evicted;
        told += " pages, documents and answers found no room: raise journal.documents_bytes or journal.answers_bytes, and import \
                 the bundle again\n";
    }
    if taken.file_bytes > room {
        told += "the package files have more bytes than cache.max_bytes, so some will be removed: raise it\n";
    }
    Ok(std::io::stdout().lock().write_all(told.as_bytes())?)
}

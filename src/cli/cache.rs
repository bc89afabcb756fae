//! `cheesewire cache …`: the kept files, for who runs the relay.
//!
//! Each of these works whether or not a relay runs on the folder. Looking needs no lock. What has to go is put in the
//! journal's queue: a running relay takes it out of its memory and its account too; without one it is done here.

mod error;
mod gc;
mod hands;
mod item;
mod ls;
mod place;
mod prefetch;
mod purge;
mod say;
mod select;
mod table;
mod verify;

use clap::{Args, Subcommand};

pub use error::CacheError;
use gc::GcArgs;
use ls::LsArgs;
use prefetch::PrefetchArgs;
use purge::PurgeArgs;
use verify::VerifyArgs;

const EXAMPLES: &str = "\
Examples:
  cheesewire cache ls
  # what takes the room
  cheesewire cache ls --by-project --sort size
  # what to name files by
  cheesewire cache purge --help";

/// Look at the kept files, delete and check them, or fetch some in advance.
///
/// All of it works beside a running relay. The folders are found by the flags and settings of `serve`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    Ls(LsArgs),
    Purge(PurgeArgs),
    Gc(GcArgs),
    Verify(VerifyArgs),
    Prefetch(PrefetchArgs),
}

/// Does it.
pub async fn run(args: CacheArgs) -> Result<(), CacheError> {
    match args.command {
        CacheCommand::Ls(args) => ls::run(args).await,
        CacheCommand::Purge(args) => purge::run(args).await,
        CacheCommand::Gc(args) => gc::run(args).await,
        CacheCommand::Verify(args) => verify::run(args).await,
        CacheCommand::Prefetch(args) => prefetch::run(args).await,
    }
}

//! `cheesewire doctor`: what an upstream can do, found with a few polite requests, and what the relay makes of it.

mod checks;
mod finding;
mod verdict;

use std::io::Write as _;

use clap::Args;

use super::ServeArgs;
use crate::config::ConfigError;
use crate::model::ProjectName;
use crate::upstream::{Upstream, UpstreamError};
use finding::Finding;
use verdict::Verdict;

const EXAMPLES: &str = "\
Examples:
  # what the relay will make of it
  cheesewire doctor --upstream pip --project six
  # before the relay is started again with its settings and its folder
  cheesewire doctor --config cheesewire.toml && systemctl restart cheesewire
  # for programs
  cheesewire doctor --upstream https://index.test/ --json

Exit codes:
  0   clients get everything: as the relay would like it (ok), or made up for (--)
  1   clients get less, or get it later (!!); also if the command could not finish
  2   clients do not get what a relay is there for (XX): nobody there, no index, no
      pages, no files, a folder that is not this upstream's
  64  a setting is wrong; nothing was asked";

/// Tell what an upstream can do, and what the relay makes of it.
///
/// Some ten requests, calls no faster than upstream.calls_per_second. Takes the flags and settings of `serve`, and judges by them and by
/// what the journal in the data folder knows, if there is one; nothing is written. The last line is a verdict.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DoctorArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// The project to look at [default: one that the listing names].
    #[arg(long, value_name = "NAME", value_parser = project)]
    project: Option<ProjectName>,
    /// Also fetch the whole listing and call list_packages_with_serial: some 40 MB each, and 15 s.
    #[arg(long)]
    full: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn project(text: &str) -> Result<ProjectName, String> {
    ProjectName::parse(text).map_err(|error| error.to_string())
}

/// Why nothing was found out, or what was found out is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The upstream settings make no client.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// Standard output takes nothing.
    #[error("the findings can't be printed: {0}")]
    Print(#[from] std::io::Error),
    /// The verdict, which was printed, is not that clients get everything.
    #[error("{says}")]
    Verdict {
        /// The verdict.
        says: String,
        /// [`DoctorError::exit_code`].
        exit_code: u8,
    },
}

impl DoctorError {
    /// 1: clients get less or later, or nothing was found out; 2: they do not get what a relay is there for; 64: the settings
    /// are wrong.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => ConfigError::EXIT_CODE,
            Self::Verdict { exit_code, .. } => *exit_code,
            Self::Upstream(_) | Self::Print(_) => 1,
        }
    }
}

/// Asks, and prints what was found.
pub async fn run(args: DoctorArgs) -> Result<(), DoctorError> {
    let config = args.serve.config_with_upstream()?;
    let upstream = Upstream::new(config.upstream.clone())?;
    let findings = checks::all(&upstream, &config, args.project, args.full).await;
    let verdict = Verdict::of(&findings);
    let text = if args.json {
        format!("{:#}\n", serde_json::json!({ "findings": findings, "verdict": verdict }))
    } else {
        findings.iter().map(Finding::lines).collect::<String>() + &verdict.says + "\n"
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    match verdict.exit_code() {
        0 => Ok(()),
        exit_code => Err(DoctorError::Verdict { says: verdict.says, exit_code }),
    }
}

//! `cheesewire doctor`: what an upstream can do, found with a few polite requests, and what the relay makes of it.

mod checks;

use std::io::Write as _;

use clap::Args;

use super::ServeArgs;
use crate::config::ConfigError;
use crate::upstream::{Upstream, UpstreamError};
use checks::Finding;

const EXAMPLES: &str = "\
Examples:
  # what the relay will make of it
  cheesewire doctor --upstream pip --project six
  # for programs
  cheesewire doctor --upstream https://index.test/ --json";

/// Tell what an upstream can do, and what the relay makes of it.
///
/// Some ten requests, calls no faster than upstream.calls_per_second. Takes the flags and settings of `serve`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DoctorArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// The project to look at [default: one that the listing names].
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Also fetch the whole listing and call list_packages_with_serial: some 40 MB each, and 15 s.
    #[arg(long)]
    full: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Why nothing was found out.
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
}

/// Asks, and prints what was found.
pub async fn run(args: DoctorArgs) -> Result<(), DoctorError> {
    let config = args.serve.config()?;
    let upstream = Upstream::new(config.upstream)?;
    let findings = checks::all(&upstream, args.project.as_deref(), args.full, &config.follow).await;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", serde_json::json!({ "findings": findings }))?;
    } else {
        out.write_all(table(&findings).as_bytes())?;
    }
    Ok(())
}

fn table(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let Finding { check, good, found, milliseconds, relay } = finding;
        let mark = if *good { "ok" } else { "--" };
        let took = milliseconds.map_or_else(String::new, |took| format!(" ({took} ms)"));
        format!("{mark} {check}: {found}{took}\n      {relay}\n")
    };
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_what_was_found_and_what_follows_from_it() {
        let finding = |milliseconds: Option<u64>| Finding {
            check: "a",
            good: milliseconds.is_some(),
            found: "b".to_owned(),
            milliseconds,
            relay: "c".to_owned(),
        };
        assert_eq!(table(&[finding(Some(5)), finding(None)]), "ok a: b (5 ms)\n      c\n-- a: b\n      c\n");
    }
}

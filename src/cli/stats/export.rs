//! `cheesewire stats export`.

use std::path::PathBuf;

use clap::Args;
use tokio::task::spawn_blocking;

use super::error::StatsCommandError;
use super::parquet;
use super::place::StatsFolder;
use super::report::ended;
use super::show::{Form, Rows, unless_left};
use crate::stats::{Day, ExportRow, Stats};

const EXAMPLES: &str = "\
Examples:
  cheesewire stats export --from 2026-01-01 --to 2026-01-31
  cheesewire stats export --parquet downloads.parquet";

/// Every row, with what user agents say of installer, Python and system.
///
/// Day, project, version, file, user agent, downloads, and what the agent says of installer, Python and system,
/// which is empty for collected days. Comma-separated values unless another form is asked for.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    place: StatsFolder,
    /// The first day [default: the first there is].
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// The last day [default: the last there is].
    #[arg(long, value_name = "DAY")]
    to: Option<Day>,
    #[command(flatten)]
    form: Form,
    /// Write a Parquet file instead.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv"])]
    parquet: Option<PathBuf>,
}

pub(super) async fn run(args: ExportArgs) -> Result<(), StatsCommandError> {
    let stats = args.place.stats().await?;
    let days = (args.from.unwrap_or(Day::of(0)), args.to.unwrap_or(Day::of(i64::MAX)));
    let (form, file) = (args.form, args.parquet);
    let export = move || match file {
        Some(file) => parquet::write(&stats, days, &file),
        None => rows(&stats, days, form.or_csv()),
    };
    spawn_blocking(export).await?
}

fn rows(stats: &Stats, (first, last): (Day, Day), form: Form) -> Result<(), StatsCommandError> {
    let mut out = Rows::new(form, ExportRow::COLUMNS);
    let written = stats.export_rows(first, last, |row| {
        out.write([
            row.day.to_string().into(),
            row.project.into(),
            row.version.into(),
            row.filename.into(),
            row.agent.into(),
            row.count.into(),
            row.installer.into(),
            row.installer_version.into(),
            row.python.into(),
            row.system.into(),
        ])
    });
    ended(written)?;
    unless_left(out.end())?;
    Ok(())
}

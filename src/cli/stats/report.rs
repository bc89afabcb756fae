//! `cheesewire stats day` and `cheesewire stats month`.

use clap::Args;
use indicatif::HumanCount;
use tokio::task::spawn_blocking;

use super::chart::bars;
use super::error::StatsCommandError;
use super::place::StatsFolder;
use super::show::{Form, Rows, print, unless_left};
use crate::cli::columns;
use crate::log::escaped;
use crate::stats::{Day, Month, Period, ReportRow, Stats, StatsError};

const DAY_EXAMPLES: &str = "\
Examples:
  cheesewire stats day 2026-01-31
  cheesewire stats day 2026-01-31 --csv";

const MONTH_EXAMPLES: &str = "\
Examples:
  cheesewire stats month 2026-01
  cheesewire stats month 2026-01 --json";

/// What was downloaded on a day.
///
/// Here and from collected mirrors, whether or not the day is sealed.
#[derive(Debug, Args)]
#[command(after_long_help = DAY_EXAMPLES)]
pub(super) struct DayArgs {
    #[command(flatten)]
    place: StatsFolder,
    /// The day, such as 2026-01-31.
    day: Day,
    #[command(flatten)]
    form: Form,
}

/// What was downloaded in a month.
///
/// Here and from collected mirrors: a bar for each day, or all rows for machines.
#[derive(Debug, Args)]
#[command(after_long_help = MONTH_EXAMPLES)]
pub(super) struct MonthArgs {
    #[command(flatten)]
    place: StatsFolder,
    /// The month, such as 2026-01.
    month: Month,
    #[command(flatten)]
    form: Form,
}

pub(super) async fn day(args: DayArgs) -> Result<(), StatsCommandError> {
    let stats = args.place.stats().await?;
    let (day, form) = (Period::Day(args.day), args.form);
    spawn_blocking(move || if form.is_plain() { table(&stats, day) } else { rows(&stats, day, form) }).await?
}

pub(super) async fn month(args: MonthArgs) -> Result<(), StatsCommandError> {
    let stats = args.place.stats().await?;
    let (month, form) = (Period::Month(args.month), args.form);
    spawn_blocking(move || if form.is_plain() { chart(&stats, month) } else { rows(&stats, month, form) })
        .await?
}

fn rows(stats: &Stats, period: Period, form: Form) -> Result<(), StatsCommandError> {
    let mut out = Rows::new(form, ["project", "filename", "agent", "count"]);
    let written = stats.report_rows(period, |row| {
        let ReportRow { project, filename, agent, count } = row;
        out.write([project.into(), filename.into(), agent.into(), count.into()])
    });
    ended(written)?;
    unless_left(out.end())?;
    Ok(())
}

/// A failure, unless whoever reads has read enough.
pub(super) fn ended(written: Result<(), StatsError>) -> Result<(), StatsError> {
    match written {
        Err(StatsError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn table(stats: &Stats, period: Period) -> Result<(), StatsCommandError> {
    let mut total = 0_u64;
    // As wide as the column of numbers.
    let left = columns::width().map(|width| width.saturating_sub(15));
    let written = stats.report_rows(period, |ReportRow { project, filename, agent, count }| {
        total = total.saturating_add(count);
        let (project, filename, agent) = (escaped(&project), escaped(&filename), escaped(&agent));
        let what = format!("{project}  {filename}  {agent}");
        print(&format!("{:>13}  {}\n", HumanCount(count).to_string(), columns::fit(&what, left)))
    });
    ended(written)?;
    print(&format!("{:>13}  downloads on {period}\n", HumanCount(total).to_string()))?;
    Ok(())
}

fn chart(stats: &Stats, period: Period) -> Result<(), StatsCommandError> {
    let (first, last) = period.days();
    let days = stats.by_day(first, last)?;
    let total: u64 = days.iter().map(|(_, count)| count).fold(0, |sum, count| sum.saturating_add(*count));
    let days: Vec<(String, u64)> = days.into_iter().map(|(day, count)| (day.to_string(), count)).collect();
    print(&bars(&days))?;
    print(&format!("{} downloads in {period}\n", HumanCount(total)))?;
    Ok(())
}

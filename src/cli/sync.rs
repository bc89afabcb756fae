//! `cheesewire sync`: fills the journal without serving it.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::ServeArgs;
use crate::config::{Config, ConfigError};
use crate::follow::{self, FollowStatus, History};
use crate::journal::{Journal, JournalError};
use crate::log::escaped;
use crate::upstream::{Upstream, UpstreamError};

/// From one look at the progress to the next.
const TICK: Duration = Duration::from_millis(500);
/// Looks between two lines where there is no terminal to draw on: five seconds.
const TICKS_A_LINE: u32 = 10;

const EXAMPLES: &str = "\
Examples:
  # everything, then end
  cheesewire sync --upstream https://index.test/ --history all --until-current";

/// Fill the journal from upstream without serving it.
///
/// Takes the flags and settings of `serve` and works on the same data folder, so no relay may run on it meanwhile.
/// Stopped at any moment, it goes on from there.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SyncArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// How much of what happened before the first start is fetched [default: follow.history].
    #[arg(long, value_enum)]
    history: Option<HistoryArg>,
    /// End when nothing is missing, instead of following on.
    #[arg(long)]
    until_current: bool,
    /// With --until-current: give up when nothing has come from a failing upstream for so long.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    patience: Duration,
}

/// When a sync ends by itself.
#[derive(Debug, Clone, Copy)]
pub struct Until {
    /// When nothing is missing.
    pub current: bool,
    /// If so, also when nothing has come from a failing upstream for so long.
    pub patience: Duration,
}

/// `--history`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum HistoryArg {
    /// Only news.
    None,
    /// Everything, from the beginning.
    All,
}

/// Why the journal was not filled.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The journal can't be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The upstream settings make no client.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// All of history was asked for, and upstream does not tell it.
    #[error(
        "upstream has no XML-RPC, so what happened before its first listing cannot be had; use --history none"
    )]
    NoHistory,
    /// Upstream does not tell what changes.
    #[error("the projects are listed, but what changes is not known: {0}")]
    Untold(String),
    /// It was stopped before it had what `--until-current` asked for.
    #[error(
        "stopped before the journal was current; what is in it stays, and the next sync goes on from there"
    )]
    Stopped,
    /// Upstream gives nothing.
    #[error(
        "nothing came from upstream for {}: {reason}; what is in the journal stays, and the next sync goes on from \
         there (--patience says how long to wait)",
        humantime::format_duration(*patience)
    )]
    NothingComes {
        /// How long.
        patience: Duration,
        /// What upstream said last.
        reason: String,
    },
    /// The follower ended by itself: a fault of ours.
    #[error("following ended by itself")]
    Ended,
    /// Progress can't be printed.
    #[error("progress can't be written: {0}")]
    Write(#[from] std::io::Error),
}

impl SyncArgs {
    /// The configuration that file, environment and flags make together.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut config = self.serve.config_with_upstream()?;
        // What nothing follows is not filled.
        config.follow.enabled = true;
        match self.history {
            Some(HistoryArg::None) => config.follow.history = History::None,
            Some(HistoryArg::All) => config.follow.history = History::All,
            None => {}
        }
        Ok(config)
    }

    /// When to end.
    pub fn until(&self) -> Until {
        Until { current: self.until_current, patience: self.patience }
    }
}

/// Fills the journal until nothing is missing, if that is the end, or until `stop`.
pub async fn run(config: Config, until: Until, stop: CancellationToken) -> Result<(), SyncError> {
    let until_current = until.current;
    let journal = Journal::open(&config.data, config.journal.clone()).await?;
    let upstream = Upstream::new(config.upstream.clone())?;
    let history = config.follow.history == History::All;
    let (sender, mut status) = watch::channel(FollowStatus::default());
    let cancel = CancellationToken::new();
    let mut task =
        tokio::spawn(follow::run(journal.clone(), upstream, config.follow, sender, cancel.clone()));
    let mut progress = Progress::new();
    let (mut polled, mut filled) = (Change::default(), Change::default());
    let ended = loop {
        let now = status.borrow_and_update().clone();
        let quiet = polled.age((now.events, now.last_success));
        let stuck = filled.age(now.history_missing);
        progress.show(&now, journal.last_serial().map(|serial| serial.0));
        let complete = !history || now.history_missing == Some(0);
        if until_current && history && now.listings {
            break Err(SyncError::NoHistory);
        }
        if let Some(reason) = now.untold.clone().filter(|_| until_current) {
            break Err(SyncError::Untold(reason));
        }
        if until_current && now.current && complete {
            break Ok(());
        }
        let poll_error = now.last_error.filter(|_| now.failures > 0 && quiet >= until.patience);
        let error = poll_error.or(now.history_error.filter(|_| stuck >= until.patience));
        if let Some(reason) = error.filter(|_| until_current) {
            break Err(SyncError::NothingComes { patience: until.patience, reason });
        }
        tokio::select! {
            () = stop.cancelled() => break if until_current { Err(SyncError::Stopped) } else { Ok(()) },
            () = tokio::time::sleep(TICK) => {}
            _ = &mut task => break Err(SyncError::Ended),
            // Without this a small index would be waited for half a second.
            changed = status.changed(), if until_current && !progress.busy() => {
                if changed.is_err() {
                    break Err(SyncError::Ended);
                }
            }
        }
    };
    cancel.cancel();
    // The journal is closed in order also if the task has panicked, which is told already.
    if !task.is_finished() {
        let _ = task.await;
    }
    let last = journal.last_serial();
    journal.close().await;
    ended?;
    progress.end(status.borrow().events, last.map(|serial| serial.0))?;
    Ok(())
}

/// What changes as long as something comes, and when it last did.
struct Change<T>(Option<(T, Instant)>);

impl<T> Default for Change<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Change<T> {
    /// How long it has been as it is now.
    fn age(&mut self, value: T) -> Duration {
        match &self.0 {
            Some((known, since)) if *known == value => since.elapsed(),
            Some(_) | None => {
                self.0 = Some((value, Instant::now()));
                Duration::ZERO
            }
        }
    }
}

/// A bar on a terminal, else a line now and then.
struct Progress {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    ticks: u32,
}

impl Progress {
    fn new() -> Self {
        let plain = !std::io::stderr().is_terminal();
        let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        // A constant template; the default one would do if it were wrong.
        if let Ok(style) = ProgressStyle::with_template("[{bar:40}] {percent:>3}% {msg}, {eta} left") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, plain, started: Instant::now(), ticks: 0 }
    }

    /// Fetches are long enough to be looked at only now and then.
    fn busy(&self) -> bool {
        self.ticks > 20
    }

    fn show(&mut self, status: &FollowStatus, head: Option<i64>) {
        let missing = status.history_missing.unwrap_or(0).max(0).unsigned_abs();
        let head = head.unwrap_or(0).max(0).unsigned_abs();
        self.bar.set_length(head);
        self.bar.set_position(head.saturating_sub(missing));
        let rate = per_second(status.events, self.started.elapsed());
        let events = format!("{} events, {}/s", HumanCount(status.events), HumanCount(rate));
        self.bar.set_message(events.clone());
        if self.plain && self.ticks % TICKS_A_LINE == TICKS_A_LINE - 1 {
            let left = match missing {
                0 => String::new(),
                _ => format!(", {} left", HumanDuration(self.bar.eta())),
            };
            let errors = [&status.last_error, &status.history_error];
            let told = |error: &String| format!(" ({error})");
            let errors: String = errors.into_iter().flatten().map(told).collect();
            let of = format!("{} serials of {} missing", HumanCount(missing), HumanCount(head));
            let line = format!("{events}, {of}{left}{errors}");
            // Nobody may be reading; the work goes on.
            let _ = writeln!(std::io::stderr(), "{}", escaped(&line));
        }
        self.ticks = self.ticks.saturating_add(1);
    }

    fn end(&self, events: u64, last: Option<i64>) -> std::io::Result<()> {
        self.bar.finish_and_clear();
        let took = self.started.elapsed();
        let last = last.map_or_else(|| "none".to_owned(), |last| last.to_string());
        writeln!(
            std::io::stdout(),
            "{} events in {:.1} s ({}/s), last serial {last}",
            HumanCount(events),
            took.as_secs_f64(),
            HumanCount(per_second(events, took))
        )
    }
}

fn per_second(events: u64, took: Duration) -> u64 {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    events.saturating_mul(1_000) / millis
}

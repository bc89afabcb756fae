//! The `cheesewire` command: arguments, logs, configuration, signals, and a drain with a deadline.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use cheesewire::app::{AppError, Orders, Settings};
use cheesewire::cli::backup::BackupCommandError;
use cheesewire::cli::bundle::BundleCommandError;
use cheesewire::cli::cache::CacheError;
use cheesewire::cli::demo::DemoError;
use cheesewire::cli::doctor::DoctorError;
use cheesewire::cli::reload::ReloadError;
use cheesewire::cli::service::{Service, ServiceError};
use cheesewire::cli::stats::StatsCommandError;
use cheesewire::cli::sync::SyncError;
use cheesewire::cli::token::TokenCommandError;
use cheesewire::cli::{self, Cli, Command};
use cheesewire::config::{ConfigError, LogFilter, LogFormat, LogSettings};
use cheesewire::http::ACCESS_LOG;
use cheesewire::journal::JournalError;
use cheesewire::log::{self, LogWriter, SetFilter, escaped};
use cheesewire::model::redacted_lines;
use clap::{CommandFactory as _, Parser as _};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// The system's allocator keeps what each thread once freed: a catch-up peaked at 130 to 250 MB where 85 are in use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a wrong flag is one of the configuration.
            let code = if error.use_stderr() { ConfigError::EXIT_CODE } else { 0 };
            let text = error.render().to_string();
            let shown = redacted_lines(&text);
            if shown == text {
                // With colours.
                error.print().ok();
            } else {
                complain(&shown);
            }
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Our errors name their cause in their own words; the chain would say it twice.
            let configuration = is_of_configuration(&error).then_some(ConfigError::EXIT_CODE);
            let text = error.to_string();
            // Complaints about the configuration have a line each, and say nothing that came over the network.
            let text = if configuration.is_some() { text.into() } else { escaped(&text) };
            // A verdict was printed, with what it comes from.
            if !matches!(error.downcast_ref(), Some(DoctorError::Verdict { .. })) {
                complain(&format!("cheesewire: {text}\n"));
            }
            let own = error.downcast_ref::<CacheError>().map(CacheError::exit_code);
            let own = own.or(error.downcast_ref::<StatsCommandError>().map(StatsCommandError::exit_code));
            let own = own.or(error.downcast_ref::<DoctorError>().map(DoctorError::exit_code));
            ExitCode::from(configuration.or(own).unwrap_or(1))
        }
    }
}

/// Nobody may be reading there, which is no reason to panic.
fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn is_of_configuration(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>()
        || error.is::<ServiceError>()
        || matches!(error.downcast_ref(), Some(DoctorError::Config(_)))
        || matches!(error.downcast_ref(), Some(DemoError::Config(_)))
        || matches!(error.downcast_ref(), Some(ReloadError::Config(_)))
        || error.downcast_ref().is_some_and(BackupCommandError::is_of_configuration)
        || matches!(error.downcast_ref(), Some(AppError::Files(_)))
        || error.downcast_ref().is_some_and(TokenCommandError::is_of_configuration)
        || error.downcast_ref().is_some_and(BundleCommandError::is_of_configuration)
        // Started again with the same settings it would be refused again.
        || matches!(error.downcast_ref(), Some(AppError::Journal(JournalError::OtherUpstream { .. })))
        || matches!(error.downcast_ref(), Some(SyncError::Journal(JournalError::OtherUpstream { .. })))
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => {
            // Before pip is asked for its index, and before the log has a thread.
            let service = Service::of_this_process()?;
            let (config, values) = args.config_with_values()?;
            let (_logs, set_filter) = logs_that_change(&config.log)?;
            // Reading at once as allowed leaves as many threads for everything else.
            let runtime = with_threads(BLOCKING_THREADS.max(2 * config.store.readers))?;
            runtime.block_on(async {
                let settings = Settings {
                    values,
                    reread: Arc::new(move || args.config_with_values()),
                    set_log: Box::new(move |log| {
                        let filter = filter(log).map_err(|error| error.to_string())?;
                        set_filter(filter).map_err(|error| error.to_string())
                    }),
                };
                let orders = Orders { hangups: outlive()?, settings: Some(settings) };
                Ok(cli::serve::run(config, service, orders, stop_signal()?).await?)
            })
        }
        Command::Reload(args) => Ok(cli::reload::run(&args)?),
        Command::Demo(args) => {
            let _logs = logs(&LogSettings::default())?;
            runtime()?.block_on(async { Ok(cli::demo::run(args, stop_signal()?).await?) })
        }
        Command::Sandbox(args) => {
            let _logs = logs(&LogSettings::default())?;
            runtime()?.block_on(async { Ok(cli::sandbox::run(args, stop_signal()?).await?) })
        }
        Command::Sync(args) => {
            let config = args.config()?;
            let _logs = logs(&config.log)?;
            let until = args.until();
            runtime()?.block_on(async {
                outlive()?;
                Ok(cli::sync::run(config, until, stop_signal()?).await?)
            })
        }
        Command::Doctor(args) => runtime()?.block_on(async { Ok(cli::doctor::run(args).await?) }),
        Command::Call(args) => runtime()?.block_on(async { Ok(cli::call::run(args).await?) }),
        Command::Health(args) => runtime()?.block_on(async { Ok(cli::health::run(args).await?) }),
        Command::Cache(args) => {
            let _logs =
                logs(&LogSettings { filter: LogFilter("warn".to_owned()), ..LogSettings::default() })?;
            runtime()?.block_on(async { Ok(cli::cache::run(args).await?) })
        }
        Command::Stats(args) => {
            let _logs =
                logs(&LogSettings { filter: LogFilter("warn".to_owned()), ..LogSettings::default() })?;
            runtime()?.block_on(async { Ok(cli::stats::run(args).await?) })
        }
        Command::Token(args) => Ok(cli::token::run(args)?),
        Command::Adopt(args) => {
            let config = args.config()?;
            let _logs =
                logs(&LogSettings { filter: LogFilter("warn".to_owned()), ..LogSettings::default() })?;
            runtime()?.block_on(async { Ok(cli::adopt::run(config).await?) })
        }
        Command::Backup(args) => {
            let _logs =
                logs(&LogSettings { filter: LogFilter("warn".to_owned()), ..LogSettings::default() })?;
            Ok(cli::backup::run(&args)?)
        }
        Command::Restore(args) => {
            let _logs =
                logs(&LogSettings { filter: LogFilter("warn".to_owned()), ..LogSettings::default() })?;
            Ok(cli::restore::run(&args)?)
        }
        Command::Bundle(args) => {
            let _logs =
                logs(&LogSettings { filter: LogFilter("warn".to_owned()), ..LogSettings::default() })?;
            Ok(cli::bundle::run(&args)?)
        }
        Command::Config(args) => Ok(cli::config::run(&args.template()?)?),
        Command::Completions(args) => Ok(cli::completions::run(&args, Cli::command())?),
        Command::Man(args) => Ok(cli::man::run(args, Cli::command())?),
    }
}

/// Threads for what waits for the disk or takes long. A thousand requests at once would start a hundred and more, each with a
/// stack and a heap of its own, and be answered no sooner by two cores and one disk.
const BLOCKING_THREADS: usize = 32;

fn runtime() -> anyhow::Result<Runtime> {
    with_threads(BLOCKING_THREADS)
}

fn with_threads(blocking: usize) -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .max_blocking_threads(blocking)
        .enable_all()
        .build()
        .map_err(|error| anyhow!("no runtime: {error}"))
}

/// A token that the first SIGTERM or SIGINT cancels; a second one ends the process at once.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = listen("SIGTERM", SignalKind::terminate())?;
    let mut interrupt = listen("SIGINT", SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                // Before anything is said of it.
                cancelled.cancel();
                tracing::info!(
                    signal = name,
                    "stopping; running requests may end, a second signal cuts them"
                );
            } else {
                std::process::exit(1);
            }
        }
    });
    Ok(stop)
}

fn listen(name: &str, kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).map_err(|error| anyhow!("{name} can't be listened for: {error}"))
}

/// From now on no terminal that closes and no limit on the size of files ends the process: SIGHUP, which old habits also
/// send to have settings read, is an order to do that, and a write past the limit fails as one to a
/// full disk does.
fn outlive() -> anyhow::Result<watch::Receiver<u64>> {
    let mut hangup = listen("SIGHUP", SignalKind::hangup())?;
    // Once listened for, it ends nothing for as long as the process lives.
    drop(listen("SIGXFSZ", SignalKind::from_raw(libc::SIGXFSZ))?);
    let (order, orders) = watch::channel(0);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!(signal = "SIGHUP", "going on; certificate, tokens and settings are read again");
            order.send_modify(|count| *count += 1);
        }
    });
    Ok(orders)
}

/// Dropped, it has the last lines written.
fn logs(settings: &LogSettings) -> anyhow::Result<LogWriter> {
    logs_that_change(settings).map(|(writer, _)| writer)
}

/// The same, and what changes its filter.
fn logs_that_change(settings: &LogSettings) -> anyhow::Result<(LogWriter, SetFilter)> {
    let json = settings.format == LogFormat::Json;
    log::start(filter(settings)?, json).map_err(|error| anyhow!("no log: {error}"))
}

fn filter(settings: &LogSettings) -> anyhow::Result<EnvFilter> {
    let filter = EnvFilter::try_new(&settings.filter.0).map_err(|error| anyhow!("log.filter: {error}"))?;
    let level = if settings.access { LevelFilter::INFO } else { LevelFilter::OFF };
    Ok(filter.add_directive(format!("{ACCESS_LOG}={level}").parse()?))
}

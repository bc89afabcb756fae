//! The `cheesewire` command: arguments, logs, configuration, signals, and a drain with a deadline.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::anyhow;
use cheesewire::app::AppError;
use cheesewire::cli::cache::CacheError;
use cheesewire::cli::demo::DemoError;
use cheesewire::cli::doctor::DoctorError;
use cheesewire::cli::sync::SyncError;
use cheesewire::cli::{self, Cli, Command};
use cheesewire::config::{ConfigError, LogFormat, LogSettings};
use cheesewire::journal::JournalError;
use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The system's allocator keeps what each thread once freed: a catch-up peaked at 130 to 250 MB where 85 are in use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a wrong flag is one of the configuration.
            let code = if error.use_stderr() { ConfigError::EXIT_CODE } else { 0 };
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Our errors name their cause in their own words; the chain would say it twice.
            eprintln!("cheesewire: {error}");
            let own = error.downcast_ref::<CacheError>().map(CacheError::exit_code);
            let configuration = is_of_configuration(&error).then_some(ConfigError::EXIT_CODE);
            ExitCode::from(configuration.or(own).unwrap_or(1))
        }
    }
}

fn is_of_configuration(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>()
        || matches!(error.downcast_ref(), Some(DoctorError::Config(_)))
        || matches!(error.downcast_ref(), Some(DemoError::Config(_)))
        // Started again with the same settings it would be refused again.
        || matches!(error.downcast_ref(), Some(AppError::Journal(JournalError::OtherUpstream { .. })))
        || matches!(error.downcast_ref(), Some(SyncError::Journal(JournalError::OtherUpstream { .. })))
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => {
            let config = args.config()?;
            logs(&config.log)?;
            // Reading at once as allowed leaves as many threads for everything else.
            let runtime = with_threads(BLOCKING_THREADS.max(2 * config.store.readers))?;
            runtime.block_on(async { Ok(cli::serve::run(config, stop_signal()?).await?) })
        }
        Command::Demo(args) => {
            logs(&LogSettings::default())?;
            runtime()?.block_on(async { Ok(cli::demo::run(args, stop_signal()?).await?) })
        }
        Command::Sandbox(args) => {
            logs(&LogSettings::default())?;
            runtime()?.block_on(async { Ok(cli::sandbox::run(args, stop_signal()?).await?) })
        }
        Command::Sync(args) => {
            let config = args.config()?;
            logs(&config.log)?;
            let until = args.until();
            runtime()?.block_on(async { Ok(cli::sync::run(config, until, stop_signal()?).await?) })
        }
        Command::Doctor(args) => runtime()?.block_on(async { Ok(cli::doctor::run(args).await?) }),
        Command::Call(args) => runtime()?.block_on(async { Ok(cli::call::run(args).await?) }),
        Command::Cache(args) => {
            logs(&LogSettings { filter: "warn".to_owned(), ..LogSettings::default() })?;
            runtime()?.block_on(async { Ok(cli::cache::run(args).await?) })
        }
        Command::Adopt(args) => {
            let config = args.config()?;
            logs(&LogSettings { filter: "warn".to_owned(), ..LogSettings::default() })?;
            runtime()?.block_on(async { Ok(cli::adopt::run(config).await?) })
        }
        Command::Config(args) => Ok(cli::config::run(&args.template()?)?),
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
                tracing::info!(
                    signal = name,
                    "stopping; running requests may end, a second signal cuts them"
                );
                cancelled.cancel();
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

fn logs(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| anyhow!("log.filter: {error}"))?;
    // Colours are for people: in a file or a journal they are noise.
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match settings.format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

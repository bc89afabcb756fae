//! `cheesewire sandbox`: a miniature index to try clients on.

use std::io::{self, BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::http::socket_address;
use crate::model::Clock;
use crate::sandbox::{RateLimit, Sandbox, SandboxError, SandboxSettings, ScaleSettings, generate_list};

const EXAMPLES: &str = "\
Examples:
  # calls are refused as PyPI refuses them
  cheesewire sandbox --rate-limit 1/10
  # made-up projects
  cheesewire sandbox --generate 1000 > names.tsv; cheesewire sandbox --projects names.tsv --events 50000";

/// Serve only the miniature PyPI, with faults on demand, for testing mirror clients.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct SandboxArgs {
    /// Where to listen; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3142", value_parser = listen_address)]
    listen: SocketAddr,
    /// Serve these projects instead of the fixtures: tab-separated name, version, month, rank, summary
    /// below a header line, gzip or not
    #[arg(long, value_name = "FILE")]
    projects: Option<PathBuf>,
    /// Print a list of so many made-up projects, as --projects reads it, and end
    #[arg(long, value_name = "N", conflicts_with = "projects", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    generate: Option<u64>,
    /// Another list of --generate for each number
    #[arg(long, value_name = "N", requires = "generate", default_value_t = 0)]
    seed: u64,
    /// What time it is: that of the system, or two seconds later with each event from the last of the fixtures on, the
    /// same in every run
    #[arg(long, value_enum, default_value_t = ClockKind::Wall)]
    clock: ClockKind,
    /// How many events the projects of --projects have
    #[arg(long, value_name = "N", requires = "projects", default_value_t = 1_000_000)]
    events: u64,
    /// XML-RPC calls per second, and how many at once after a rest, as 1 or 1/10
    #[arg(long, value_name = "RATE[/BURST]", value_parser = rate_limit)]
    rate_limit: Option<RateLimit>,
    /// How long a method takes, as list_packages_with_serial=12s; repeat for others
    #[arg(long, value_name = "METHOD=TIME", value_parser = delay)]
    delay: Vec<(String, Duration)>,
    /// The host that file addresses name, with the same port, as localhost
    #[arg(long, value_name = "HOST")]
    files_host: Option<String>,
    /// `/simple/` has no JSON form
    #[arg(long)]
    no_simple_json: bool,
    /// Files have no `ETag`
    #[arg(long)]
    no_file_etags: bool,
    /// Refuse requests without a `User-Agent`
    #[arg(long)]
    refuse_anonymous: bool,
}

/// The longest list that is made: ten times what the largest index has.
const MOST: u64 = 10_000_000;

/// What time it is in the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClockKind {
    /// The system's.
    Wall,
    /// That of the last event.
    Stepping,
}

/// Why the command ended early.
#[derive(Debug, thiserror::Error)]
pub enum SandboxCommandError {
    /// The sandbox did not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Nobody reads what is printed.
    #[error("standard output can't be written: {0}")]
    Io(#[from] io::Error),
}

/// Serves until `stop`.
pub async fn run(args: SandboxArgs, stop: CancellationToken) -> Result<(), SandboxCommandError> {
    if let Some(count) = args.generate {
        return Ok(generate_list(count, args.seed, &mut BufWriter::new(io::stdout().lock()))?);
    }
    let clock = match args.clock {
        ClockKind::Wall => Some(Clock::system()),
        ClockKind::Stepping => None,
    };
    let scale = args.projects.map(|projects| ScaleSettings { projects, events: args.events });
    let fixtures = scale.is_none();
    let sandbox = Sandbox::start(SandboxSettings {
        listen: args.listen,
        files_host: args.files_host,
        delays: args.delay,
        rate_limit: args.rate_limit,
        simple_json: !args.no_simple_json,
        file_etags: !args.no_file_etags,
        refuse_anonymous: args.refuse_anonymous,
        clock,
        scale,
        ..SandboxSettings::default()
    })
    .await?;
    let url = sandbox.url();
    writeln!(io::stdout(), "sandbox at {url} (XML-RPC at {url}pypi), last serial {}", sandbox.last_serial())?;
    if fixtures {
        writeln!(io::stdout(), "  pip install --index-url {url}simple/ wire-top")?;
    }
    writeln!(
        io::stdout(),
        "  curl -X POST {url}_sandbox/faults -d '{{\"route\":\"file\",\"effect\":{{\"kind\":\"cut\",\"at\":100}}}}'"
    )?;
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(())
}

fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    socket_address(text).ok_or("expected an address and port such as 127.0.0.1:3142, or a port alone")
}

fn rate_limit(text: &str) -> Result<RateLimit, String> {
    let (rate, burst) = text.split_once('/').unwrap_or((text, "1"));
    let per_second = rate.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    let burst = burst.parse().ok().filter(|burst: &u32| *burst > 0);
    match (per_second, burst) {
        (Some(per_second), Some(burst)) => Ok(RateLimit { per_second, burst }),
        _ => Err("two numbers above 0, as 1/10".to_owned()),
    }
}

fn delay(text: &str) -> Result<(String, Duration), String> {
    let (method, time) = text.split_once('=').ok_or("no `=` between method and time")?;
    let time = humantime::parse_duration(time).map_err(|error| error.to_string())?;
    Ok((method.to_owned(), time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_or_delay_that_makes_no_sense_is_refused() {
        assert_eq!(rate_limit("0.5/10"), Ok(RateLimit { per_second: 0.5, burst: 10 }));
        assert!(["0", "-1", "nan", "1/0", "x"].iter().all(|text| rate_limit(text).is_err()));
        assert_eq!(delay("m=1500ms"), Ok(("m".to_owned(), Duration::from_millis(1_500))));
        assert!(["m", "m=", "m=fast"].iter().all(|text| delay(text).is_err()));
    }
}

//! `cheesewire demo`: the sandbox and the relay before it, in one process.

use std::io::Write as _;
use std::path::Path;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::app::{App, AppError};
use crate::config::{Config, ConfigError, Sources};
use crate::model::Clock;
use crate::sandbox::{Sandbox, SandboxError, SandboxSettings};

const EXAMPLES: &str = "\
Examples:
  cheesewire demo --listen 8080";

/// Serve a miniature PyPI and the relay before it, with lines to try them.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DemoArgs {
    /// Where the relay listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3141")]
    listen: String,
}

/// A fixture project with dependencies.
const PROJECT: &str = "wire-top";

/// Why the demo does not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The sandbox does not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The relay does not start.
    #[error(transparent)]
    Relay(#[from] AppError),
    /// The address is none.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The lines to paste can't be printed, or the demo's folder can't be made.
    #[error("the demo can't write: {0}")]
    Write(#[from] std::io::Error),
}

/// Runs sandbox and relay until `stop`.
pub async fn run(args: DemoArgs, stop: CancellationToken) -> Result<(), DemoError> {
    let sandbox = Sandbox::start(SandboxSettings {
        // Whoever tries it asks by the time of day.
        clock: Some(Clock::system()),
        ..SandboxSettings::default()
    })
    .await?;
    // Journal and cache are gone with the demo.
    let folder = tempfile::Builder::new().prefix("cheesewire-demo-").tempdir()?;
    let app = App::build(&config(args, &sandbox, folder.path())?).await?;
    let relay = app.addresses().first().map_or_else(String::new, |address| format!("http://{address}"));
    std::io::stdout().lock().write_all(lines(&relay, &sandbox.url()).as_bytes())?;
    let ended = app.run(stop).await;
    sandbox.stop().await;
    ended?;
    Ok(folder.close()?)
}

fn config(args: DemoArgs, sandbox: &Sandbox, folder: &Path) -> Result<Config, ConfigError> {
    let mut sources = Sources::default();
    let mut set = |key: &str, value: String| sources.flag("the demo", key, Some(value));
    set("upstream.url", sandbox.url());
    set("http.listen", args.listen);
    set("data.folder", folder.display().to_string());
    // The sandbox is ours: no need to be polite, and what happens in it should be seen soon.
    set("upstream.calls_per_second", "100".to_owned());
    set("follow.interval", "2s".to_owned());
    Config::read(sources)
}

/// What to paste.
fn lines(relay: &str, sandbox: &str) -> String {
    format!(
        r#"
A miniature PyPI is at {sandbox} and the relay before it at {relay}/
Paste any of these in another terminal; Ctrl-C here ends both.

# pip installs a project and its dependencies through the relay
python3 -m venv /tmp/cheesewire-venv
/tmp/cheesewire-venv/bin/pip install --index-url {relay}/simple/ {PROJECT}

# Python asks for what PyPI no longer answers
python3 -c '
import xmlrpc.client
pypi = xmlrpc.client.ServerProxy("{relay}/pypi")
print(pypi.list_packages(), pypi.package_releases("{PROJECT}", True), sep="\n")'

# a call as it is on the wire: where the changelog stands
curl -H 'Content-Type: text/xml' {relay}/pypi -d '<methodCall><methodName>changelog_last_serial</methodName></methodCall>'

"#
    )
}

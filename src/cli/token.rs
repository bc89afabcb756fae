//! `cheesewire token …`: who may ask, for who runs the relay. All of it works beside a running relay.

use std::io::{self, ErrorKind, Write as _};

use clap::{Args, Subcommand};

use super::serve::ServeArgs;
use crate::config::{Config, ConfigError};
use crate::model::Clock;
use crate::tokens::{self, Scope, TokenError, TokenSettings};

const EXAMPLES: &str = "\
Examples:
  # print a token with which pip may read
  cheesewire token add ci --scope read --data /var/lib/cheesewire
  # one that may purge and read the metrics, once a second
  cheesewire token add prometheus --scope admin --rate 1
  cheesewire token list
  cheesewire token revoke ci";

const ADDING: &str = "\
Examples:
  cheesewire token add ci --scope read --data /var/lib/cheesewire
  # no more than five requests a second
  cheesewire token add prometheus --scope admin --rate 5";

const LISTING: &str = "\
Examples:
  cheesewire token list --data /var/lib/cheesewire";

const REVOKING: &str = "\
Examples:
  cheesewire token revoke ci --data /var/lib/cheesewire";

/// Add, list and revoke the tokens by which clients are let in.
///
/// Once there is a file of tokens, reading needs one: clients send it as the password of any user in the index's address, or as a
/// Bearer token. A running relay takes a change up within auth.interval. The file is found by the flags and settings of `serve`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Add(AddArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token and print it, this one time.
///
/// It is kept by its SHA-256 only: who has lost it needs another one.
#[derive(Debug, Args)]
#[command(after_long_help = ADDING)]
struct AddArgs {
    #[command(flatten)]
    place: ServeArgs,
    /// How people call it: 1 to 64 letters, digits, dots, dashes and underscores.
    name: String,
    /// What it is good for: reading; or also the metrics, and PURGE.
    #[arg(long, value_enum)]
    scope: Scope,
    /// Requests a second that it is good for; a multicall counts as its calls [default: any number].
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
}

/// List all tokens, by their names.
#[derive(Debug, Args)]
#[command(after_long_help = LISTING)]
struct ListArgs {
    #[command(flatten)]
    place: ServeArgs,
}

/// Take a token back.
///
/// What is being answered at that moment goes on to its end.
#[derive(Debug, Args)]
#[command(after_long_help = REVOKING)]
struct RevokeArgs {
    #[command(flatten)]
    place: ServeArgs,
    /// The token's name.
    name: String,
}

/// Why a command on tokens did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub enum TokenCommandError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokens cannot be read or changed.
    #[error("{path}: {error}")]
    Tokens {
        /// Their file.
        path: String,
        /// What is wrong.
        error: TokenError,
    },
    /// Standard output failed.
    #[error("{0}")]
    Output(#[from] io::Error),
}

impl TokenCommandError {
    /// Whether it is the settings or the arguments that are wrong.
    pub fn is_of_configuration(&self) -> bool {
        match self {
            Self::Config(_) | Self::Tokens { error: TokenError::Name | TokenError::Rate, .. } => true,
            Self::Tokens { .. } | Self::Output(_) => false,
        }
    }
}

/// Does it.
pub fn run(args: TokenArgs) -> Result<(), TokenCommandError> {
    match args.command {
        TokenCommand::Add(AddArgs { place, name, scope, rate }) => on(&place, |path| {
            let shown = tokens::add(path, &name, scope, rate, Clock::system().unix())?;
            Ok(format!("{shown}\n"))
        }),
        TokenCommand::List(ListArgs { place }) => on(&place, list),
        TokenCommand::Revoke(RevokeArgs { place, name }) => {
            on(&place, |path| tokens::revoke(path, &name).map(|()| String::new()))
        }
    }
}

/// Does something with the file of tokens, and prints what that says.
fn on(
    place: &ServeArgs,
    work: impl FnOnce(&std::path::Path) -> Result<String, TokenError>,
) -> Result<(), TokenCommandError> {
    let (config, _) = Config::read_offline(place.sources()?)?;
    let path = TokenSettings::file(&config.auth, &config.data);
    let failed = |error| TokenCommandError::Tokens { path: path.display().to_string(), error };
    let text = work(&path).map_err(failed)?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

fn list(path: &std::path::Path) -> Result<String, TokenError> {
    let Some(tokens) = tokens::read(path)? else {
        return Ok(
            "there is no file of tokens: nobody needs one, and nobody is an administrator\n".to_owned()
        );
    };
    let width = tokens.0.iter().map(|token| token.name.len()).max().unwrap_or(0).max("NAME".len());
    let line = |name: &str, scope: &str, rate: &str, created: &str| {
        format!("{name:width$}  {scope:5}  {rate:>10}  {created}\n")
    };
    let mut text = line("NAME", "SCOPE", "RATE", "CREATED");
    for token in &tokens.0 {
        let rate = token.rate.map_or_else(|| "any".to_owned(), |rate| format!("{rate}/s"));
        let created = jiff::Timestamp::from_second(token.created).map_err(io::Error::other)?.to_string();
        text += &line(&token.name, &token.scope.to_string(), &rate, &created);
    }
    Ok(text)
}

//! `cheesewire completions SHELL`.

use std::io::{self, Write as _};

use clap::{Args, Command};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  # where bash looks for them
  cheesewire completions bash > /etc/bash_completion.d/cheesewire
  # one directory of zsh's fpath
  cheesewire completions zsh > /usr/local/share/zsh/site-functions/_cheesewire";

/// Print what a shell needs to complete commands and flags.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints it, for a command and all below it.
pub fn run(args: &CompletionsArgs, mut command: Command) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, env!("CARGO_PKG_NAME"), &mut script);
    io::stdout().lock().write_all(&script)
}

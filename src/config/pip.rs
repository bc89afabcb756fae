//! `--upstream pip`: the index that the local pip is set to.

use std::process::Command;

use super::ConfigError;

/// How pip may be called here, first that works.
const COMMANDS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// What a service manager tells this process, and no child of it.
const OF_THE_SERVICE: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Asks the local pip for its index: its environment first, then its configuration, then what its own
/// help names as the default.
pub(super) fn index() -> Result<String, ConfigError> {
    let pip = COMMANDS.iter().find(|command| run(command, &["--version"]).is_some()).ok_or_else(|| {
        let complaint =
            "upstream.url = pip: no pip answers here; install pip, or give the index as --upstream URL";
        ConfigError::one(complaint.to_owned())
    })?;
    let configured = run(pip, &["config", "list"]).and_then(|list| configured(&list));
    let index = configured.or_else(|| run(pip, &["install", "--help"]).and_then(|help| default(&help)));
    index.ok_or_else(|| {
        let complaint = "upstream.url = pip: the local pip names no index; give it as --upstream URL";
        ConfigError::one(complaint.to_owned())
    })
}

fn run(command: &[&str], arguments: &[&str]) -> Option<String> {
    let (program, first) = command.split_first()?;
    // Wide, so that pip's help does not break an address over two lines.
    let mut command = Command::new(program);
    command.args(first).args(arguments).env("COLUMNS", "1000");
    for name in OF_THE_SERVICE {
        command.env_remove(name);
    }
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The strongest `index-url` of `pip config list`: environment, then the install command's, then global.
fn configured(list: &str) -> Option<String> {
    let value = |section: &str| {
        let prefix = format!("{section}.index-url=");
        let text = list.lines().find_map(|line| line.strip_prefix(&prefix))?;
        Some(text.trim().trim_matches(['\'', '"']).to_owned())
    };
    [":env:", "install", "global"].into_iter().find_map(value)
}

/// The default in `-i, --index-url <url>  Base URL of the Python Package Index (default URL).`
fn default(help: &str) -> Option<String> {
    let (_, option) = help.split_once("--index-url")?;
    let (_, default) = option.split_once("(default")?;
    let (address, _) = default.split_once(')')?;
    Some(address.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_command_and_that_over_global() {
        let list = "global.index-url='http://a.test/simple'\ninstall.index-url='http://b.test/simple'\n";
        assert_eq!(configured(list).as_deref(), Some("http://b.test/simple"));
        let list = format!("{list}:env:.index-url='http://c.test/simple'\n");
        assert_eq!(configured(&list).as_deref(), Some("http://c.test/simple"));
        assert_eq!(configured("global.timeout='5'\n"), None);
    }

    #[test]
    fn the_default_is_read_from_the_help() {
        let help = "  -i, --index-url <url>       Base URL of the Python Package Index (default\n      http://d.test/simple). This should";
        assert_eq!(default(help).as_deref(), Some("http://d.test/simple"));
    }
}

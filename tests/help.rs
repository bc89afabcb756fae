//! What the command says of itself: help, completions, manual pages.

use std::process::{Command, Output};

use crate::support::process::BINARY;

fn cheesewire(args: &[&str]) -> Output {
    let output = Command::new(BINARY).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn said(args: &[&str]) -> String {
    String::from_utf8(cheesewire(args).stdout).unwrap()
}

/// All commands that the help of `of` lists.
fn commands(of: &[&str]) -> Vec<String> {
    let help = said(&[of, &["--help"]].concat());
    let listed = help.split_once("Commands:\n").map_or("", |(_, after)| after.split("\n\n").next().unwrap());
    let name = |line: &str| {
        line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split(' ').next().map(str::to_owned)
    };
    listed.lines().filter_map(name).filter(|name| name != "help").collect()
}

#[test]
fn each_command_tells_in_its_help_what_it_does_in_full_and_shows_examples() {
    let all = commands(&[]);
    assert!(all.contains(&"serve".to_owned()), "{all:?}");
    for command in &all {
        let help = said(&[command, "--help"]);
        assert!(
            help.contains("\nExamples:\n") && help.contains(&format!("\n  cheesewire {command}")),
            "{help}"
        );
        for under in commands(&[command]) {
            let help = said(&[command, &under, "--help"]);
            assert!(help.contains(&format!("Usage: cheesewire {command} {under}")), "{help}");
            let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{help}"));
            assert!(examples.contains(&format!("  cheesewire {command} {under}")), "{help}");
        }
    }
    for (command, text) in [
        ("serve", "CHEESEWIRE_HTTP__IDLE_TIMEOUT=30s"),
        ("doctor", "Some ten requests"),
        ("doctor", "Exit codes: 0 clients get everything"),
        ("call", "quote twice"),
        ("cache", "beside a running relay"),
    ] {
        let help = said(&[command, "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(text), "{command}: {help}");
        assert!(!said(&[command, "-h"]).contains("Examples:"), "{command}: -h is the short one");
    }
    // A list of commands has a line for each.
    assert!(
        said(&["stats", "--help"]).contains("  export   Every row, with what user agents say"),
        "{}",
        said(&["stats", "--help"])
    );
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(&["completions", shell]);
        for word in commands(&[]).iter().map(String::as_str).chain(["upstream", "listen", "prefetch"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("cheesewire");
    std::fs::write(&script, said(&["completions", "bash"])).unwrap();
    let asked = "source \"$0\"; COMP_WORDS=(cheesewire ser); COMP_CWORD=1; _cheesewire cheesewire ser cheesewire; echo \"${COMPREPLY[@]}\"";
    let Ok(bash) = Command::new("bash").arg("-c").arg(asked).arg(&script).output() else { return };
    assert_eq!(
        String::from_utf8_lossy(&bash.stdout).trim(),
        "serve",
        "{}",
        String::from_utf8_lossy(&bash.stderr)
    );
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("made/for/them");
    cheesewire(&["man", pages.to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
    assert!(page("cheesewire").contains("cheesewire\\-serve(1)"));
    for command in commands(&[]) {
        assert!(page(&format!("cheesewire-{command}")).contains("Examples:"), "{command}");
        for under in commands(&[&command]) {
            assert!(page(&format!("cheesewire-{command}-{under}")).starts_with(".ie"), "{command} {under}");
        }
    }
    assert!(page("cheesewire-serve").contains("\\-\\-upstream"));
    let refused = Command::new(BINARY).args(["man", "/dev/null/pages"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("can't be written to /dev/null/pages"));
}

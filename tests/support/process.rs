//! The whole binary as a process of its own: for what a process's death, memory and signals show.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_cheesewire");

/// A running `cheesewire serve`. Dropped, it is killed.
pub struct Process {
    /// Its address with a `/` at the end.
    pub url: String,
    child: Child,
    /// `None` once nobody reads it any more.
    log: Option<Lines<BufReader<ChildStderr>>>,
}

impl Process {
    /// Serves over `folder`; returns once it listens.
    pub async fn start(folder: &Path, upstream: &str, settings: &[&str]) -> Self {
        Self::start_of(BINARY, folder, upstream, settings).await
    }

    /// The same by a file of settings.
    pub async fn start_by(file: &Path, folder: &Path, upstream: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--config").arg(file);
        Self::begin(command, folder, upstream, &[]).await
    }

    /// The same of another build.
    pub async fn start_of(binary: &str, folder: &Path, upstream: &str, settings: &[&str]) -> Self {
        let mut command = Command::new(binary);
        command.arg("serve");
        Self::begin(command, folder, upstream, settings).await
    }

    async fn begin(mut command: Command, folder: &Path, upstream: &str, settings: &[&str]) -> Self {
        command.args(["--listen", "127.0.0.1:0", "--upstream", upstream, "--data"]).arg(folder);
        // How much the machine's disk has left decides nothing; index and files may have a port each; no call waits for its turn.
        let always = [
            "cache.free_floor=0",
            "upstream.allowed_hosts=127.0.0.1",
            "upstream.calls_per_second=1000",
            "signing.enabled=false",
        ];
        for setting in always.iter().chain(settings) {
            command.args(["--set", setting]);
        }
        command.env("CHEESEWIRE_LOG__FORMAT", "json").stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        while let Some(line) = log.next_line().await.unwrap() {
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["fields"]["message"] == "listening" {
                let url = format!("http://{}/", entry["fields"]["address"].as_str().unwrap());
                return Self { url, child, log: Some(log) };
            }
            seen.push(line);
        }
        panic!("it ended before it listened: {seen:?}");
    }

    /// The next line of its log; waits for it.
    pub async fn logged(&mut self) -> serde_json::Value {
        let log = self.log.as_mut().expect("nobody reads its log");
        let line = log.next_line().await.unwrap().expect("it has ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// SIGKILL, and wait until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Any signal, as `kill` names it.
    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill").args([name, &self.pid().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Nobody reads its log from here on: the reader is gone.
    pub fn close_log(&mut self) {
        self.log = None;
    }

    /// Waits for its end without reading its log: its exit code.
    pub async fn exit(mut self) -> Option<i32> {
        super::within("it does not end", self.child.wait()).await.unwrap().code()
    }

    /// Lets it write to files up to `most` bytes from here on; `None`: as before.
    pub fn limit_files(&self, most: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap());
        let limit = Rlimit { current: most, maximum: getrlimit(Resource::Fsize).maximum };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }

    /// Waits for its end: its exit code and the rest of its log.
    pub async fn end(mut self) -> (Option<i32>, Vec<String>) {
        let mut rest = Vec::new();
        let all = async {
            if let Some(log) = &mut self.log {
                while let Some(line) = log.next_line().await.unwrap() {
                    rest.push(line);
                }
            }
            self.child.wait().await.unwrap()
        };
        let status = super::within("it does not end", all).await;
        (status.code(), rest)
    }

    /// How long it has worked on a core so far, whatever else the machine had to do.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name of the program stands in brackets before these fields and may hold spaces (man 5 proc).
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks =
            fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>();
        Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap()
    }

    /// The most memory that it has had resident, in MiB.
    pub fn peak_memory(&self) -> u64 {
        self.mebibytes("VmHWM:")
    }

    /// The memory that it has resident, in MiB.
    pub fn memory(&self) -> u64 {
        self.mebibytes("VmRSS:")
    }

    fn mebibytes(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

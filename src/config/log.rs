//! What is logged, and how.

use tracing_subscriber::EnvFilter;

use crate::model::{Setting, setting_by_word, settings};

settings! {
    /// What is logged, and how.
    #[derive(Debug, Clone)]
    pub struct LogSettings in "log" {
        /// text for people, json for machines. Logs go to standard error.
        format: LogFormat = LogFormat::Text,
        /// A level (error, warn, info, debug, trace), or levels by module: info,cheesewire::http=debug.
        filter: LogFilter = LogFilter("info".to_owned()),
        /// The access log: one line for each request, once its answer has left or its client has, whatever log.filter says.
        ///
        /// A busy relay writes thousands of lines a second.
        access: bool = false,
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

setting_by_word! { LogFormat: "text or json", "text" => Text, "json" => Json }

/// Which lines are logged, as `tracing` has it.
#[derive(Debug, Clone)]
pub struct LogFilter(pub String);

impl Setting for LogFilter {
    const EXPECTED: &'static str =
        "a level such as info, or levels by module such as info,cheesewire::http=debug";
    fn read(text: &str) -> Option<Self> {
        EnvFilter::try_new(text).is_ok().then(|| Self(text.to_owned()))
    }
    fn write(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_what_tracing_takes() {
        assert!(LogFilter::read("a=b=c").is_none());
        assert!(LogFilter::read("info,cheesewire::http=debug").is_some());
    }
}

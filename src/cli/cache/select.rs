//! Which kept files are meant.

use std::time::{Duration, SystemTime};

use clap::Args;
use glob::Pattern;

use super::item::{Item, Items};
use crate::model::{ProjectName, Sha256};

/// Kept files by their facts; several kinds of flag narrow each other, several of one kind add up.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Files of this project. May be given more than once.
    #[arg(long, value_name = "NAME", value_parser = project)]
    project: Vec<ProjectName>,
    /// Files of this name. May be given more than once.
    #[arg(long, value_name = "FILENAME")]
    file: Vec<String>,
    /// Files whose name this matches, with * and ?. May be given more than once.
    #[arg(long, value_name = "GLOB", value_parser = Pattern::new)]
    pattern: Vec<Pattern>,
    /// The file with this SHA-256. May be given more than once.
    #[arg(long, value_name = "HEX", value_parser = digest)]
    digest: Vec<Sha256>,
    /// Files that nobody used for so long, such as 30d.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    unused_for: Option<Duration>,
}

fn project(text: &str) -> Result<ProjectName, String> {
    ProjectName::parse(text).map_err(|error| error.to_string())
}

fn digest(text: &str) -> Result<Sha256, String> {
    text.parse::<Sha256>().map_err(|error| error.to_string())
}

impl Selection {
    /// Nothing is narrowed.
    pub(super) fn is_all(&self) -> bool {
        self.project.is_empty()
            && self.file.is_empty()
            && self.pattern.is_empty()
            && self.digest.is_empty()
            && self.unused_for.is_none()
    }

    /// Leaves only what is meant.
    pub(super) fn narrow(&self, items: &mut Items, now: SystemTime) {
        items.items.retain(|item| self.means(item, now));
    }

    fn means(&self, item: &Item, now: SystemTime) -> bool {
        let name = item.name.as_ref();
        let any = |empty: bool, found: Option<bool>| empty || found == Some(true);
        any(self.project.is_empty(), name.map(|name| self.project.contains(&name.project)))
            && any(self.file.is_empty(), name.map(|name| self.file.contains(&name.filename)))
            && any(
                self.pattern.is_empty(),
                name.map(|name| self.pattern.iter().any(|pattern| pattern.matches(&name.filename))),
            )
            && any(self.digest.is_empty(), Some(self.digest.contains(&item.kept.sha256)))
            && self.unused_for.is_none_or(|least| item.is_unused_for(least, now))
    }
}

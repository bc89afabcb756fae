//! Counts of downloads: this relay's own, with what it has collected from other mirrors.

use std::collections::HashMap;

use super::arguments::Arguments;
use super::{Rpc, release};
use crate::model::ProjectName;
use crate::stats::{Recent, StatsError};
use crate::xmlrpc::{Fault, Value};

impl Rpc {
    /// `[filename, count]` of each file of a release; nothing where downloads are not counted.
    pub(super) async fn release_downloads(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let (name, version) = (arguments.text(0), arguments.text(1));
        let Some(counts) = self.downloads_of_files(name).await.map_err(|error| unreadable(&error))? else {
            return Ok(Value::Array(vec![]));
        };
        let Some((document, version)) = self.release_document(name, version).await? else {
            return Ok(Value::Array(vec![]));
        };
        let files = document.files(&version, "").unwrap_or_default();
        let names = files.iter().filter_map(|(file, _, _)| file["filename"].as_str());
        let row = |name| Value::Array(vec![Value::from(name), Value::Int(count_of(&counts, name))]);
        Ok(names.map(row).collect())
    }

    /// `[name, downloads]` of the projects with most; nothing where downloads are not counted.
    pub(super) async fn top_packages(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let num = arguments.int(0).map(u64::try_from).transpose();
        let num = num.map_err(|_| Fault::raised("ValueError", "num must not be negative"))?;
        let top = self.0.stats.top(num).await.map_err(|error| unreadable(&error))?;
        let row = |(name, count): (String, u64)| {
            Value::Array(vec![Value::from(name), Value::Int(release::whole(count))])
        };
        Ok(top.into_iter().map(row).collect())
    }

    async fn downloads_of_files(&self, name: &str) -> Result<Option<HashMap<String, u64>>, StatsError> {
        let Ok(name) = ProjectName::parse(name) else { return Ok(Some(HashMap::new())) };
        self.0.stats.of_files(&name).await
    }

    /// Downloads of a project's files by name; `None` where there is no count: they are not counted, or cannot be read.
    /// What else is known of a release goes out all the same, with -1, which says so (docs/wire.md section 5); an answer
    /// of counts alone is a fault then.
    pub(super) async fn downloads_if_known(&self, name: &str) -> Option<HashMap<String, u64>> {
        self.downloads_of_files(name).await.unwrap_or_else(|error| untold(&error))
    }

    /// A project's downloads lately; `None` as above.
    pub(super) async fn recent_downloads(&self, name: &str) -> Option<Recent> {
        let name = ProjectName::parse(name).ok()?;
        self.0.stats.recent(&name).await.unwrap_or_else(|error| untold(&error))
    }
}

/// A file's downloads.
pub(super) fn count_of(counts: &HashMap<String, u64>, filename: &str) -> i64 {
    counts.get(filename).map_or(0, |count| release::whole(*count))
}

fn untold<T>(error: &StatsError) -> Option<T> {
    tracing::error!(%error, "downloads cannot be read; they are told as -1");
    None
}

fn unreadable(error: &StatsError) -> Fault {
    tracing::error!(%error, "downloads cannot be read");
    Fault::internal()
}

//! The kept files with the names that kept pages have for them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::error::CacheError;
use super::say::note;
use crate::blob::{Inventory, Kept};
use crate::config::Config;
use crate::journal::{JournalError, UnlockedJournal};
use crate::model::{ProjectName, Sha256};

/// A use may lie so far in the future: it came after the command began.
const SKEW: Duration = Duration::from_mins(1);

/// A kept file.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) kept: Kept,
    /// What a kept page calls it; `None` if none names it.
    pub(super) name: Option<Name>,
}

#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) project: ProjectName,
    pub(super) filename: String,
    /// Below `/packages/`.
    pub(super) path: String,
}

/// All there is.
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "items are what it has")]
pub(super) struct Items {
    /// By project and file name; those without a name last.
    pub(super) items: Vec<Item>,
    /// What is no kept file, and not ours.
    pub(super) strangers: Vec<PathBuf>,
    /// There is a journal that could tell names.
    pub(super) named: bool,
}

impl Items {
    /// Looks through the folder and the journal; without a journal no file has a name.
    pub(super) async fn read(config: &Config) -> Result<Self, CacheError> {
        let (folder, data) = (config.store.folder.clone(), config.data.clone());
        let upstream = config.journal.upstream.clone();
        let read = move || {
            let mut found = Self::default();
            for shard in Inventory::of(&folder).shelves() {
                let shard = shard?;
                found.items.extend(shard.kept.into_iter().map(|kept| Item { kept, name: None }));
                found.strangers.extend(shard.strangers);
            }
            match UnlockedJournal::open(&data, upstream.as_ref()) {
                Ok(Some(journal)) => {
                    found.name(&journal)?;
                    found.named = true;
                }
                Ok(None) => note("there is no journal in the data folder: no file has a name")?,
                Err(error @ JournalError::OtherUpstream { .. }) => return Err(error.into()),
                // Looking needs no names; deleting by name then finds none.
                Err(error) => note(&format!("the journal cannot be read, so no file has a name: {error}"))?,
            }
            Ok::<_, CacheError>(found)
        };
        spawn_blocking(read).await?
    }

    fn name(&mut self, journal: &UnlockedJournal) -> Result<(), CacheError> {
        let places = self.items.iter().enumerate().map(|(at, item)| (item.kept.sha256, at));
        let places: HashMap<Sha256, usize> = places.collect();
        journal.files(|file| {
            let Some(&at) = file.sha256.as_ref().and_then(|sha256| places.get(sha256)) else { return };
            let filename = file.path.filename().to_owned();
            let name = Name { project: file.project, filename, path: file.path.as_str().to_owned() };
            self.items[at].name.get_or_insert(name);
        })?;
        self.items.sort_by_cached_key(|item| {
            let name = item.name.as_ref().map(|name| (name.project.clone(), name.filename.clone()));
            (name.is_none(), name, item.kept.sha256)
        });
        Ok(())
    }
}

impl Item {
    /// How long nobody used it, as far as that is known: a use in the future, by a clock that was ahead, tells nothing,
    /// and then it is since it came. `None`: longer than anybody asks for.
    pub(super) fn unused(&self, now: SystemTime) -> Option<Duration> {
        let since = |then: SystemTime| match now.duration_since(then) {
            Ok(age) => Some(age),
            // The relay that runs on the folder used it meanwhile.
            Err(ahead) => (ahead.duration() < SKEW).then_some(Duration::ZERO),
        };
        since(self.kept.used).or_else(|| since(self.kept.came?))
    }

    /// Whether nobody used it for so long.
    pub(super) fn is_unused_for(&self, least: Duration, now: SystemTime) -> bool {
        self.unused(now).is_none_or(|unused| unused >= least)
    }
}

impl Item {
    /// For machines.
    pub(super) fn object(&self) -> Value {
        let name = self.name.as_ref();
        json!({
            "sha256": self.kept.sha256,
            "size": self.kept.size,
            "last_used": unix(self.kept.used),
            "uses": (self.kept.uses * 10.0).round() / 10.0,
            "came": self.kept.came.map(unix),
            "project": name.map(|name| name.project.as_str()),
            "filename": name.map(|name| &name.filename),
            "path": name.map(|name| &name.path),
        })
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Their bytes.
pub(super) fn bytes<'a>(items: impl IntoIterator<Item = &'a Item>) -> u64 {
    items.into_iter().map(|item| item.kept.size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_in_the_future_keeps_no_file() {
        let at = |day: u64| UNIX_EPOCH + Duration::from_hours(24 * day);
        let item = |used, came| Item {
            kept: Kept { sha256: Sha256([0; 32]), size: 1, used, uses: 1.0, came },
            name: None,
        };
        let now = at(100);
        let days = |item: Item| item.unused(now).map(|unused| unused.as_secs() / 86_400);
        assert_eq!(days(item(at(98), Some(at(90)))), Some(2));
        assert_eq!(days(item(at(130), Some(at(90)))), Some(10));
        assert_eq!(days(item(at(130), Some(at(130)))), None);
        assert_eq!(days(item(now + Duration::from_secs(1), Some(at(90)))), Some(0));
        assert!(item(at(130), None).is_unused_for(Duration::from_hours(24 * 365), now));
        assert!(!item(at(98), None).is_unused_for(Duration::from_hours(72), now));
    }
}

//! An event with what its texts mean.

use std::cell::OnceCell;

use crate::model::{Action, Event, ProjectName};

/// An event whose texts are read once, for all who carry something over it, and not before one of them asks.
pub(super) struct ParsedEvent<'a> {
    pub(super) event: &'a Event,
    meaning: OnceCell<Option<(ProjectName, Action<'a>)>>,
}

impl<'a> ParsedEvent<'a> {
    pub(super) fn all(events: &'a [Event]) -> Vec<Self> {
        events.iter().map(|event| Self { event, meaning: OnceCell::new() }).collect()
    }

    /// To which project what happened; `None` if its name is no project's.
    pub(super) fn meaning(&self) -> Option<(&ProjectName, Action<'a>)> {
        let read = || {
            let action = Action::parse(&self.event.action, self.event.version.is_some());
            Some((ProjectName::parse(&self.event.name).ok()?, action))
        };
        self.meaning.get_or_init(read).as_ref().map(|(project, action)| (project, *action))
    }
}

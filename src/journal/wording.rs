//! An action's text in two parts: what many events share, and what is the event's own.
//!
//! `add py3 file NAME` is the most frequent action and half of it is the same every time; with the shared part
//! interned an event is about 13 bytes shorter.

use crate::model::Action;

/// `(verb, object)`; the text is the verb, or with an object both and one space between them.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    let before = |object: &str| &text[..text.len() - object.len() - 1];
    // The version only decides what a bare `remove` means, which has no object either way.
    match Action::parse(text, false) {
        Action::AddFile { filename, .. } | Action::RemoveFile { filename } => {
            (before(filename), Some(filename))
        }
        // Roles end with the user; what the future brings ends with whatever it does.
        Action::Other(_) => text.rsplit_once(' ').map_or((text, None), |(verb, object)| (verb, Some(object))),
        Action::Create
        | Action::NewRelease
        | Action::RemoveRelease
        | Action::RemoveProject
        | Action::YankRelease
        | Action::UnyankRelease
        | Action::ProjectQuarantined
        | Action::ProjectQuarantineCleared
        | Action::ReleaseQuarantined
        | Action::ReleaseQuarantineCleared => (text, None),
    }
}

/// The text again.
pub(super) fn join(verb: &str, object: Option<&str>) -> String {
    object.map_or_else(|| verb.to_owned(), |object| format!("{verb} {object}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_and_users_are_the_events_own() {
        assert_eq!(split("add py3 file a b.whl"), ("add py3 file", Some("a b.whl")));
        assert_eq!(split("remove file a.zip"), ("remove file", Some("a.zip")));
        assert_eq!(split("add Owner alice"), ("add Owner", Some("alice")));
        assert_eq!(split("new release"), ("new release", None));
        assert_eq!(split("docupdate"), ("docupdate", None));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "(add [a-z]{0,3} file|remove file|[a-z ]{0,9})[ a-zé<]{0,12}") {
            let (verb, object) = split(&text);
            prop_assert_eq!(join(verb, object), text);
        }
    }
}

//! What an event's action text means.

/// An action of the changelog (docs/wire.md section 6). Unknown ones pass through as [`Action::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    /// `create`: the project was registered.
    Create,
    /// `new release`.
    NewRelease,
    /// `add TAG file FILENAME`.
    AddFile {
        /// `source`, `py3`, `cp311` …
        tag: &'a str,
        /// The file's name.
        filename: &'a str,
    },
    /// `remove file FILENAME`.
    RemoveFile {
        /// The file's name.
        filename: &'a str,
    },
    /// `remove release`, or an old `remove` with a version.
    RemoveRelease,
    /// `remove project`, or an old `remove` without a version.
    RemoveProject,
    /// `yank release`.
    YankRelease,
    /// `unyank release`.
    UnyankRelease,
    /// `project quarantined`.
    ProjectQuarantined,
    /// `project quarantine cleared`.
    ProjectQuarantineCleared,
    /// `release quarantined`.
    ReleaseQuarantined,
    /// `release quarantine cleared`.
    ReleaseQuarantineCleared,
    /// Roles, old actions (`docupdate`, `rename from …`) and what the future brings.
    Other(&'a str),
}

impl<'a> Action<'a> {
    /// Reads an action's text; `has_version` decides what an old bare `remove` was about.
    pub fn parse(text: &'a str, has_version: bool) -> Self {
        match text {
            "create" => Self::Create,
            "new release" => Self::NewRelease,
            "remove" if has_version => Self::RemoveRelease,
            "remove release" => Self::RemoveRelease,
            "remove" | "remove project" => Self::RemoveProject,
            "yank release" => Self::YankRelease,
            "unyank release" => Self::UnyankRelease,
            "project quarantined" => Self::ProjectQuarantined,
            "project quarantine cleared" => Self::ProjectQuarantineCleared,
            "release quarantined" => Self::ReleaseQuarantined,
            "release quarantine cleared" => Self::ReleaseQuarantineCleared,
            _ => Self::parse_file(text).unwrap_or(Self::Other(text)),
        }
    }

    fn parse_file(text: &'a str) -> Option<Self> {
        if let Some(filename) = text.strip_prefix("remove file ") {
            return Some(Self::RemoveFile { filename });
        }
        let (tag, filename) = text.strip_prefix("add ")?.split_once(" file ")?;
        (!tag.contains(' ')).then_some(Self::AddFile { tag, filename })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_actions_carry_tag_and_name() {
        assert_eq!(
            Action::parse("add cp311 file a-1-cp311-none-any.whl", true),
            Action::AddFile { tag: "cp311", filename: "a-1-cp311-none-any.whl" }
        );
        assert_eq!(
            Action::parse("remove file a-1.tar.gz", true),
            Action::RemoveFile { filename: "a-1.tar.gz" }
        );
    }

    #[test]
    fn an_old_remove_is_about_what_its_version_says() {
        assert_eq!(Action::parse("remove", true), Action::RemoveRelease);
        assert_eq!(Action::parse("remove", false), Action::RemoveProject);
    }

    #[test]
    fn roles_and_unknown_actions_pass_through() {
        for text in ["add Owner file", "add Owner alice", "docupdate", "rename from x"] {
            assert_eq!(Action::parse(text, false), Action::Other(text));
        }
    }
}

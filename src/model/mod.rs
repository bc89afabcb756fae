//! Pure facts of the field: names, versions, serials, file names, digests, times. Nothing async, and no I/O
//! but the question what time it is.

mod action;
mod cause;
mod clock;
mod digest;
mod event;
mod file;
mod file_version;
mod hasher;
mod location;
mod name;
mod path;
mod public_address;
mod redact;
mod setting;
mod stamp;
mod term;
mod upstream_identity;
mod version;

pub use action::Action;
pub use cause::innermost;
pub use clock::{Clock, is_near, is_younger};
pub use digest::{Algorithm, Digest, DigestError, Sha256};
pub use event::{Event, Serial};
pub use file::{FileKind, FileNameError, wheel_tag, wheel_tags};
pub use file_version::{project_of, projects_of, version_of};
pub use hasher::FileHasher;
pub use location::{FilePaths, NamedBy, paths_of};
pub use name::{NameError, ProjectName};
pub use path::{FilePath, PathError};
pub use public_address::is_public;
pub use redact::{LEFT_OUT, redacted, redacted_lines};
pub use setting::{Kind, Setting, SettingReader};
pub(crate) use setting::{kinds, setting_by_text, setting_by_word, settings};
pub use stamp::Stamp;
pub use term::{Closeness, NameTerm, words};
pub use upstream_identity::UpstreamIdentity;
#[cfg(test)]
pub(crate) use version::READ;
pub use version::{AskedVersions, KnownVersions, LONGEST_VERSION, latest, newest_first, same_version};

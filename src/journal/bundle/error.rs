//! Why a journal makes no part of a bundle, or takes none.

use crate::journal::JournalError;
use crate::model::{Serial, UpstreamIdentity};

/// Why a journal makes no part of a bundle, or takes none. Nothing is changed by any of it.
#[derive(Debug, thiserror::Error)]
pub enum BundlePartError {
    /// The journal can't be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nothing to export.
    #[error(
        "the journal knows no list of projects yet, so there is nothing to export; fill it with cheesewire sync or serve first"
    )]
    NothingKnown,
    /// Nobody knows whose packages it tells of.
    #[error(
        "the journal belongs to no upstream yet, so nobody can tell what a bundle of it is of; start cheesewire serve on it once"
    )]
    NoUpstream,
    /// No relay of this version has opened the journal yet.
    #[error("the journal is one of an earlier version; start cheesewire serve of this version on it once")]
    EarlierSchema,
    /// More is asked for than is known.
    #[error(
        "--since {since} is beyond the last serial {head} that is known here; leave --since out, or give it that number or a lower one"
    )]
    Beyond {
        /// What was asked for.
        since: Serial,
        /// What is known.
        head: Serial,
    },
    /// History is missing here.
    #[error(
        "not all events after {since} are known here, only those after {from}; use --since {from} or a higher one, or leave \
         --since out for all that is known"
    )]
    Unknown {
        /// What was asked for.
        since: Serial,
        /// After which serial everything is known.
        from: Serial,
    },
    /// A bundle with a beginning, for a folder that has nothing.
    #[error(
        "the bundle has the events after serial {since}, and nothing is known here yet; import one first that was made \
         without --since"
    )]
    Empty {
        /// Where the bundle begins.
        since: Serial,
    },
    /// There is a gap between what is known and the bundle.
    #[error(
        "the bundle has the events after serial {since}, and those after {head} are missing here; make it again with --since {head}"
    )]
    Gap {
        /// Where the bundle begins.
        since: Serial,
        /// What is known.
        head: Serial,
    },
    /// More is known here than in the bundle.
    #[error(
        "the bundle is older than what is here: it ends with serial {last} of {taken}, and here it is {head}; import a newer one"
    )]
    Older {
        /// The bundle's last serial.
        last: Serial,
        /// When it was made.
        taken: String,
        /// What is known.
        head: Serial,
    },
    /// Another index's.
    #[error(
        "the bundle is of the upstream {of}, and this folder belongs to {belongs_to}; give each upstream a folder of its own (--data)"
    )]
    OtherUpstream {
        /// Whose packages the bundle tells of.
        of: UpstreamIdentity,
        /// Whose folder it is.
        belongs_to: UpstreamIdentity,
    },
    /// The exporter gave a serial to another event.
    #[error(
        "the bundle tells of other events than are known here for the same serials, such as {serial}: it comes from a relay \
         with other numbers; use bundles of one relay only, or import one without --since into an empty folder"
    )]
    OtherHistory {
        /// One of them.
        serial: Serial,
    },
    /// A newer cheesewire made it.
    #[error(
        "the bundle's journal has schema {found}, and this cheesewire knows up to {known}; use a cheesewire as new as the exporter's"
    )]
    Newer {
        /// Its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// It is signed, and all the same not what a relay exports.
    #[error("the bundle's journal is not one that a relay exports: {0}; nothing of it was taken")]
    Misshapen(String),
}

//! Why a sandbox does not start, or does not do what it is told.

use std::io;
use std::net::SocketAddr;

use super::scale::{ListError, ScaleSettings};

/// A sandbox's error. None is helped by a retry.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A file in `fixtures/` is wrong: a fault of the build.
    #[error("fixtures/{file}: {reason}")]
    Fixture {
        /// The file.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A wheel or sdist cannot be made, as with a name too long for tar.
    #[error("cannot pack a file of {project}")]
    Pack {
        /// The project.
        project: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A change to what is not there.
    #[error("no such project, release or file: {0}")]
    Absent(String),
    /// A file name can be used once.
    #[error("there is a file of that name: {0}")]
    FileExists(String),
    /// The list of projects is no list.
    #[error(transparent)]
    List(#[from] ListError),
    /// More events than serials.
    #[error("{0} events; at most {most} keep serials below 2^31", most = ScaleSettings::MOST_EVENTS)]
    TooManyEvents(u64),
    /// There is nothing to go back to.
    #[error("nothing was backed up")]
    NoBackup,
    /// Nothing happens in a large index.
    #[error("an index made with --projects cannot be changed")]
    Unchangeable,
    /// It has been stopped.
    #[error("the sandbox has stopped")]
    Stopped,
}

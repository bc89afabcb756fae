//! Files that one relay pushes to another (docs/push.md, docs/wire.md section 10).
//!
//! As the mirror ([`Mirror`], `push.from`): a file that upstream refuses or cannot give is asked for at another relay, the master, which
//! comes back and uploads it. As the master ([`Master`], `push.hosts`): whoever is listed may ask, and is sent the file, or the word
//! that it was deleted.

mod form;
mod host;
mod master;
mod mirror;
mod rate;
mod secret;
mod settings;

pub use form::{Form, FormError, Part};
pub use host::{HostPort, Hosts};
pub use master::{Master, Question};
pub use mirror::{Mirror, Refusal, Taken, UploadHead, Wants};
pub use rate::LeastRate;
pub use settings::PushSettings;

/// Where an uploader asks what to upload, and where it uploads it: `/mkupload/SECRET`, `/mkupload/SESSION`.
pub const UPLOADS: &str = "/mkupload/";

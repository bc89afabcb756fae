//! The one door to the index upstream: its addresses, its headers, its manners (docs/wire.md section 8).
//!
//! What comes back is checked for being what was asked for (type, size, range) but not for being true:
//! digests and serials are judged by who keeps the answer. [`ProjectPage`] is the one reader of simple pages.

mod addresses;
mod allowed_hosts;
mod changelog;
mod classifiers;
mod client;
mod coding;
mod error;
mod file;
mod html;
mod links;
mod listing;
mod locate;
mod mirror;
mod order;
mod pace;
mod page;
mod pairs;
mod peer;
mod probe;
mod redirects;
mod rests;
mod room;
mod settings;
mod skipped;
mod text;
mod throttle;
mod tls;
mod transport;
mod turns;
mod validators;

pub use allowed_hosts::{AllowedHosts, AllowedHostsError};
pub use changelog::ChangelogPart;
pub use client::{Document, Fetched, Upstream};
pub use error::{Refusal, UpstreamError};
pub use file::{Coding, FileHead, FileResponse, Resume};
pub use html::{Anchor, HtmlElement, elements};
pub use listing::{Listed, ListedProject, Listing};
pub use page::{
    CoreMetadata, Others, PageFile, ProjectPage, ProjectStatus, Stated, Yanked, metadata_path, serial_member,
    stated, strongest, whole_number,
};
pub use peer::{Peer, PeerError};
pub use probe::{Probed, Target};
pub use room::Share;
pub use settings::UpstreamSettings;
pub use skipped::Skipped;
pub use text::{Format, MEMBER, TABLE, lenient_json};
pub use turns::{Turn, Turns};
pub use validators::Validators;

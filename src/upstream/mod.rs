//! The one door to the index upstream: its addresses, its headers, its manners (WIRE.md section 8).
//!
//! What comes back is checked for being what was asked for (type, size, range) but not for being true:
//! digests and serials are judged by who keeps the answer. [`ProjectPage`] is the one reader of simple pages.

mod addresses;
mod changelog;
mod client;
mod error;
mod file;
mod html;
mod listing;
mod page;
mod pairs;
mod places;
mod probe;
mod read_html;
mod read_json;
mod settings;
mod throttle;
mod transport;

pub use changelog::Slice;
pub use client::{Document, Fetched, Upstream};
pub use error::UpstreamError;
pub use file::{Coding, FileResponse, Resume};
pub use html::{Anchor, HtmlElement, elements};
pub use listing::{Listed, ListedProject, Listing};
pub use page::{CoreMetadata, PageFile, ProjectPage, ProjectStatus, Yanked, metadata_path};
pub use probe::{Probed, Target};
pub use settings::UpstreamSettings;

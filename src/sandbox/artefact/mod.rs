//! Real wheels and sdists, the same bytes every time.

mod content;
mod digests;
mod file;
mod metadata;
mod noise;
mod recipe;
mod sdist;
mod wheel;
mod zip;

pub use content::Content;
pub use digests::Digests;
pub use file::File;
pub(super) use noise::mix;
pub(super) use recipe::{Bulk, Recipe, stem};

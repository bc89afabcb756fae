//! A project's simple page, whatever form upstream gave it in.
//!
//! One reader for all: what the index serves, what the follower compares, what `doctor` looks at. It is as lenient as pip
//! and uv: what is odd about a member or a file costs that member or that file, never the page. It is strict where another
//! reading could be wrong: another major version, a document that ends early, a list of files that is none. A
//! file whose digest cannot be one is listed, but matches no bytes.

mod html;
mod json;
mod json_file;
mod member;
mod model;
mod paths;
mod pieces;
mod weight;

use url::Url;

use super::text::{Format, first};
use crate::model::ProjectName;

pub use member::{Stated, serial_member, stated, whole_number};
pub use model::{CoreMetadata, Others, PageFile, ProjectPage, ProjectStatus, Yanked};
pub use paths::{metadata_path, strongest};

pub(super) use html::{base_of, is_index_title};
pub(super) use json::api_minor;
pub(super) use member::{Raw, read_members, value as member_value};

impl ProjectPage {
    /// Reads a page of `media_type` (lower case, no parameters) that came from `url`. The error says what is wrong and
    /// where, and has none of the bytes. A page that would take more than `most` bytes of memory is refused before it does.
    pub fn read(
        name: &ProjectName,
        media_type: &str,
        body: &[u8],
        url: &Url,
        most: usize,
    ) -> Result<Self, String> {
        match Format::of(media_type, first(body)) {
            Some(format) => Self::read_as(format, name, body, url, most),
            None => Err("neither JSON nor HTML".to_owned()),
        }
    }

    /// The same, whatever its type.
    pub fn read_as(
        format: Format,
        name: &ProjectName,
        body: &[u8],
        url: &Url,
        most: usize,
    ) -> Result<Self, String> {
        match format {
            Format::Json => json::read(name, body, url, most),
            Format::Html => html::read(name, body, url, most),
        }
    }
}

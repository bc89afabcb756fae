//! What a request is about.

use serde::{Deserialize, Serialize};

/// The kinds of request that are counted and faulted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// `/simple/`.
    Listing,
    /// `/simple/NAME/`.
    Page,
    /// `/pypi/NAME/json`, `/pypi/NAME/VERSION/json`.
    Json,
    /// `/packages/…`.
    File,
    /// `/packages/….metadata`.
    Metadata,
    /// `/integrity/…/provenance`.
    Provenance,
    /// A call.
    Rpc,
    /// `/_sandbox/…`; never faulted, never counted.
    Control,
    /// Anything else.
    Other,
}

impl Route {
    /// Whether upstream lets pages of any site read the answers.
    pub(super) fn is_open(self) -> bool {
        match self {
            Self::Listing | Self::Page | Self::Json | Self::File | Self::Metadata => true,
            Self::Provenance | Self::Rpc | Self::Control | Self::Other => false,
        }
    }

    /// By path and method.
    pub(super) fn of(path: &str, post: bool) -> Self {
        match path {
            "/pypi" | "/pypi/" | "/RPC2" if post => Self::Rpc,
            "/simple/" => Self::Listing,
            _ if path.starts_with("/_sandbox/") => Self::Control,
            _ if path.starts_with("/simple/") => Self::Page,
            _ if path.starts_with("/pypi/") && path.trim_end_matches('/').ends_with("/json") => Self::Json,
            _ if path.starts_with("/packages/") && path.ends_with(".metadata") => Self::Metadata,
            _ if path.starts_with("/packages/") => Self::File,
            _ if path.starts_with("/integrity/") => Self::Provenance,
            _ => Self::Other,
        }
    }
}

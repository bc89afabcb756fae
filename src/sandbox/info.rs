//! A release's metadata: what the JSON API's `info` and a wheel's `METADATA` are written from.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Metadata of a release. `None` is `null` in the JSON API, as Warehouse has it for what was not stated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
// The fields are core metadata's own.
#[allow(missing_docs)]
pub struct Info {
    pub summary: Option<String>,
    pub description: Option<String>,
    pub description_content_type: Option<String>,
    pub author: Option<String>,
    pub author_email: Option<String>,
    pub maintainer: Option<String>,
    pub maintainer_email: Option<String>,
    pub license: Option<String>,
    pub license_expression: Option<String>,
    pub license_files: Vec<String>,
    pub keywords: Option<String>,
    pub platform: Option<String>,
    pub home_page: Option<String>,
    pub download_url: Option<String>,
    pub bugtrack_url: Option<String>,
    pub docs_url: Option<String>,
    pub requires_python: Option<String>,
    pub classifiers: Vec<String>,
    pub dynamic: Vec<String>,
    pub provides_extra: Vec<String>,
    pub requires_dist: Vec<String>,
    /// Label → address, in the labels' order.
    pub project_urls: BTreeMap<String, String>,
}

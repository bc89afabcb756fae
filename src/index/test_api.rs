//! Readers and writers of pages without an index around them: for tests that feed them whatever bytes there are.

use bytes::Bytes;
use url::Url;

use super::{Form, JsonDocument, ProjectPage, write_html, write_json};
use crate::model::ProjectName;
use crate::upstream::Format;

/// Reads a project page that came from `url`. The error says what is wrong, and has none of the bytes.
pub fn read_page(form: Form, name: &ProjectName, body: &[u8], url: &Url) -> Result<ProjectPage, String> {
    let format = match form {
        Form::Json => Format::Json,
        Form::Html | Form::Md5Html => Format::Html,
    };
    ProjectPage::read_as(format, name, body, url, usize::MAX)
}

/// Writes a project page for a client that knows us at `origin`.
pub fn write_page(form: Form, page: &ProjectPage, origin: &str) -> serde_json::Result<Bytes> {
    match form {
        Form::Json => Ok(write_json::write(page, page.last_serial)?.whole(origin)),
        Form::Html | Form::Md5Html => Ok(write_html::write(page, page.last_serial, None).into()),
    }
}

/// Reads a document of the JSON API that came from `url`, as one of the project that it says it is about.
pub fn read_document(body: &[u8], url: &Url) -> Result<JsonDocument, String> {
    let value = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let name = value["info"]["name"].as_str().unwrap_or("unnamed");
    let name = ProjectName::parse(name).or_else(|_| ProjectName::parse("unnamed"));
    JsonDocument::parse(&name.map_err(|error| error.to_string())?, body, url.clone(), usize::MAX)
}

/// Writes it for a client that knows us at `origin`.
pub fn write_document(document: &JsonDocument, origin: &str) -> serde_json::Result<Bytes> {
    Ok(document.write(document.last_serial)?.whole(origin))
}

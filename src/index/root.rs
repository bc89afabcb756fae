//! The list of all projects, streamed from the journal's table.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;

use super::write_html::{attribute, close, escape, open};
use super::{Form, Index, IndexError};
use crate::journal::{Chunks, JournalError, Project};
use crate::model::{ProjectName, Serial};

/// The minor of `api-version` 1.x: what upstream says today.
const API_MINOR: u32 = 4;

/// The list on its way.
pub struct RootListing {
    /// For `X-PyPI-Last-Serial`; `None` only if upstream states no serials.
    pub last_serial: Option<Serial>,
    /// The strong validator, with its quotes: the list says the same as long as serial and version of its table are.
    pub etag: String,
    /// The list in pieces of some 50 KB, in the order of normalised names.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, JournalError>> + Send>>,
}

type Piece = Result<Bytes, JournalError>;

#[derive(Serialize)]
struct Row<'a> {
    #[serde(rename = "_last-serial", skip_serializing_if = "Option::is_none")]
    serial: Option<Serial>,
    name: &'a str,
}

impl Index {
    /// The list in a form. If there is none yet, upstream is asked for it, and this waits at most for the
    /// settings' `deadline`. A list that is older than it should be goes out if upstream fails.
    pub async fn root(&self, form: Form) -> Result<RootListing, IndexError> {
        let journal = &self.inner.shared.journal;
        if let Err(wanted) = journal.projects_known() {
            let answer = tokio::time::timeout(self.inner.shared.settings.deadline, wanted.done()).await;
            let failure = match answer {
                Ok(Ok(())) => None,
                Ok(Err(error)) => {
                    let retry = error.retry.unwrap_or(self.inner.shared.settings.deadline);
                    Some(IndexError::NotYet { retry })
                }
                Err(_) => Some(IndexError::NotYet { retry: self.inner.shared.settings.deadline }),
            };
            if let Some(failure) = failure.filter(|_| journal.projects_serial().is_none()) {
                return Err(failure);
            }
        }
        let last_serial = journal.projects_serial();
        let rows = journal.projects();
        let (body, word): (Pin<Box<dyn Stream<Item = Piece> + Send>>, _) = match form {
            // It names no files.
            Form::Html | Form::Md5Html => (html(rows, last_serial).boxed(), "html"),
            Form::Json => (json(rows, last_serial).boxed(), "json"),
        };
        let (serial, version) = (last_serial.map_or(0, |serial| serial.0), journal.projects_version());
        let etag = format!("\"list-{word}-{serial}-{version}\"");
        Ok(RootListing { last_serial, etag, body })
    }
}

/// The list as PEP 503 has it; links are relative to `/simple/`.
fn html(rows: Chunks<Project>, serial: Option<Serial>) -> impl Stream<Item = Piece> {
    let (mut head, mut tail) = (String::new(), String::new());
    open(&mut head, "Simple index", API_MINOR, |_| {});
    close(&mut tail, serial);
    let rows = rows.map(|rows| {
        let mut out = String::new();
        for row in rows? {
            // The table has names only.
            let Ok(name) = ProjectName::parse(&row.spelling) else { continue };
            out.push_str("    <a");
            attribute(&mut out, "href", &format!("{name}/"));
            out.push('>');
            escape(&mut out, &row.spelling);
            out.push_str("</a><br/>\n");
        }
        Ok(out.into())
    });
    stream::iter([Ok(head.into())]).chain(rows).chain(stream::iter([Ok(tail.into())]))
}

/// The list as PEP 691 has it.
fn json(rows: Chunks<Project>, serial: Option<Serial>) -> impl Stream<Item = Piece> {
    let serial = serial.map_or_else(String::new, |serial| format!("\"_last-serial\":{serial},"));
    let head = format!("{{\"meta\":{{{serial}\"api-version\":\"1.{API_MINOR}\"}},\"projects\":[");
    let mut first = true;
    let rows = rows.map(move |rows| {
        let mut out = Vec::new();
        for row in rows? {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            let row = Row { serial: row.serial, name: &row.spelling };
            // A struct of a number and a string always has a form, and a Vec takes it.
            let _ = serde_json::to_writer(&mut out, &row);
        }
        Ok(out.into())
    });
    stream::iter([Ok(head.into())]).chain(rows).chain(stream::iter([Ok("]}".into())]))
}

//! Lists of projects, and who owns them.

use futures_util::StreamExt as _;

use super::answer::{self, Pieces, StreamError, written};
use super::arguments::Arguments;
use super::rendered::{Key, Subject};
use super::{Answer, Ask, Rpc, release};
use crate::index::IndexError;
use crate::journal::{AnswerKey, Journal, Project};
use crate::model::{ProjectName, Serial};
use crate::xmlrpc::{Encoder, Fault, TooWide, Value};

impl Rpc {
    /// All names, or with `serials` a struct of them.
    pub(super) async fn list_packages(&self, serials: bool, ask: Ask<'_>) -> Result<Answer, Fault> {
        self.projects_known().await?;
        let (journal, wide) = (self.0.journal.clone(), ask.wide);
        // Listings without a new event are the same unless upstream's listing itself was read again.
        let subject = Subject::Packages { serials, version: journal.projects_version() };
        let key = Key { subject, head: journal.projects_serial(), wide };
        self.0.renderings.answer(key, ask.coder, move || list(&journal, serials, wide)).await
    }

    pub(super) async fn list_packages_page(
        &self,
        arguments: &Arguments,
        ask: Ask<'_>,
    ) -> Result<Answer, Fault> {
        let limit = self.limit(arguments.member(0, "limit").and_then(Value::as_int))?;
        let after = arguments.member(0, "after").and_then(Value::as_str).filter(|after| !after.is_empty());
        let after = after.map(ProjectName::parse).transpose();
        let after = after.map_err(|error| Fault::raised("ValueError", &format!("after: {error}")))?;
        self.projects_known().await?;
        let last = self.0.journal.projects_serial().unwrap_or_default();
        Answer::streamed(page(&self.0.journal, after, limit, last, ask.wide)).await
    }

    /// Waits until the project table is filled.
    pub(super) async fn projects_known(&self) -> Result<(), Fault> {
        loop {
            match self.0.journal.projects_known() {
                Ok(()) => return Ok(()),
                Err(wanted) => wanted.done().await?,
            }
        }
    }

    pub(super) async fn package_roles(&self, arguments: &Arguments, ask: Ask<'_>) -> Result<Answer, Fault> {
        let Ok(name) = ProjectName::parse(arguments.text(0)) else {
            return Answer::value(&Value::Array(vec![]), ask.wide);
        };
        let document = match self.0.index.json(&name, None).await {
            Ok(document) => Some(document),
            // Upstream's own answer, which it need not be asked for.
            Err(IndexError::NoSuchProject) => return Answer::value(&Value::Array(vec![]), ask.wide),
            // One without a release, or in quarantine.
            Err(IndexError::NoSuchRelease) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(roles) = document.and_then(|document| release::roles(&document.value)) {
            return Answer::value(&roles, ask.wide);
        }
        let key = AnswerKey { method: "package_roles", argument: name.as_str().to_owned() };
        self.relayed(key, ask).await
    }
}

fn list(journal: &Journal, serials: bool, wide: bool) -> Pieces {
    let mut encoder = answer::encoder(wide);
    encoder.open_response();
    if serials {
        encoder.open_struct();
    } else {
        encoder.open_array();
    }
    written(encoder, journal.projects(), move |mut chunks, mut encoder| async move {
        let Some(chunk) = chunks.next().await.transpose().map_err(StreamError::from)? else {
            if serials {
                encoder.close_struct();
            } else {
                encoder.close_array();
            }
            encoder.close_response();
            return Ok((encoder, None));
        };
        for project in &chunk {
            if serials {
                encoder.open_member(&project.spelling);
                encoder.int(serial(project))?;
                encoder.close_member();
            } else {
                encoder.string(&project.spelling);
            }
        }
        Ok((encoder, Some(chunks)))
    })
}

/// An index that tells no serials has none that a client could compare with.
fn serial(project: &Project) -> i64 {
    project.serial.map_or(0, |serial| serial.0)
}

/// `{packages, next_after, has_more, last_serial}`.
fn page(journal: &Journal, after: Option<ProjectName>, limit: usize, last: Serial, wide: bool) -> Pieces {
    let mut encoder = answer::encoder(wide);
    encoder.open_response();
    encoder.open_struct();
    encoder.open_member("packages");
    encoder.open_array();
    let chunks = journal.projects_from(after.as_ref());
    let reached = after.map_or_else(String::new, |after| after.as_str().to_owned());
    written(
        encoder,
        (chunks, reached, limit),
        move |(mut chunks, mut reached, mut left), mut encoder| async move {
            let chunk = chunks.next().await.transpose().map_err(StreamError::from)?;
            let Some(chunk) = chunk else {
                close(&mut encoder, &reached, false, last)?;
                return Ok((encoder, None));
            };
            for project in &chunk {
                // One row past the limit tells that there is more.
                if left == 0 {
                    close(&mut encoder, &reached, true, last)?;
                    return Ok((encoder, None));
                }
                left -= 1;
                encoder.open_array();
                encoder.string(&project.spelling);
                encoder.int(serial(project))?;
                encoder.close_array();
                reached.clone_from(&project.spelling);
            }
            Ok((encoder, Some((chunks, reached, left))))
        },
    )
}

fn close(encoder: &mut Encoder, reached: &str, more: bool, last: Serial) -> Result<(), TooWide> {
    encoder.close_array();
    encoder.close_member();
    encoder.open_member("next_after");
    encoder.string(reached);
    encoder.close_member();
    encoder.open_member("has_more");
    encoder.boolean(more);
    encoder.close_member();
    encoder.open_member("last_serial");
    encoder.int(last.0)?;
    encoder.close_member();
    encoder.close_struct();
    encoder.close_response();
    Ok(())
}

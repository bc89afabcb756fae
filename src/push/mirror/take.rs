//! Who was asked for a file comes back: is told what to upload and where, and uploads it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use metrics::counter;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::Mirror;
use super::want::{Progress, Want};
use super::wants::Wants;
use crate::journal::KnownFile;
use crate::metric;
use crate::model::FilePath;
use crate::push::form::{Form, FormError, Part};
use crate::push::rate::measured;
use crate::push::{UPLOADS, secret};
use crate::relay::{self, FetchError, NotTaken, Uploader};

/// Bytes of a form beside the file.
const BESIDE: u64 = 64 << 10;
/// The longest path of a file in a form.
const LONGEST_PATH: usize = 1024;
/// How long an upload waits for a flight to take a piece of it, or to keep it: the disk is slow, or upstream is still asked.
const NOT_TAKEN: Duration = Duration::from_mins(2);

/// What an upload's head says.
#[derive(Debug, Clone, Copy)]
pub struct UploadHead<'a> {
    /// `Content-Type`.
    pub content_type: &'a str,
    /// `Content-Length`.
    pub length: Option<u64>,
}

/// An upload that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The file that it was about.
    pub path: FilePath,
}

/// Why an upload is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such session: unknown, used, or too late.
    #[error("no upload is expected here")]
    Unknown,
    /// The secret or the path is not the session's.
    #[error("the {0} is not that of this upload")]
    Forbidden(&'static str),
    /// It is not the form that belongs here, or not the file that the index promises.
    #[error("{0}")]
    Malformed(String),
    /// More bytes than the file has, and a form around it.
    #[error("an upload of this file has at most {0} bytes")]
    TooLarge(u64),
    /// Less than the least rate.
    #[error("the upload came too slowly")]
    TooSlow,
    /// Ours: it cannot be kept now.
    #[error("{0}")]
    Unkept(String),
}

/// A session as an upload finds it.
struct Opened {
    file: KnownFile,
    secret: String,
}

/// An upload that has begun; when it is over the file may be asked for again.
struct Begun<'a> {
    wants: &'a Wants,
    path: FilePath,
}

impl Mirror {
    /// What `GET /mkupload/SECRET` answers: the path of the file that was asked for by that secret, below `/packages/`, and the
    /// address of the upload, each with a line end.
    pub fn session(&self, secret: &str) -> Option<String> {
        let (now, settings) = (self.wants.now(), &self.wants.settings);
        let host = settings.host.as_ref()?;
        let mut found = None;
        for want in self.wants.lock().values_mut() {
            want.expire(now, settings);
            // All are compared: how long that takes tells nothing.
            for session in &want.sessions {
                if secret::same(&session.secret, secret) {
                    found = Some(format!("{}\nhttp://{host}{UPLOADS}{}\n", want.file.path, session.id));
                }
            }
        }
        found
    }

    /// Takes what is uploaded to a session. What is not taken leaves nothing behind.
    pub async fn take<E>(
        &self,
        id: &str,
        head: UploadHead<'_>,
        body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<Taken, Refusal>
    where
        E: std::error::Error,
    {
        let taken = self.try_take(id, head, body).await;
        let outcome = match &taken {
            Ok((outcome, _)) => outcome,
            Err(Refusal::Unknown) => "unknown",
            Err(Refusal::Forbidden(_)) => "forbidden",
            Err(Refusal::Malformed(_)) => "malformed",
            Err(Refusal::TooLarge(_)) => "too_large",
            Err(Refusal::TooSlow) => "too_slow",
            Err(Refusal::Unkept(_)) => "unkept",
        };
        counter!(metric::PUSH_UPLOADS_TOTAL, "outcome" => outcome).increment(1);
        match taken {
            Ok((outcome, path)) => {
                info!(%path, outcome, "an upload was taken");
                Ok(Taken { path })
            }
            Err(refusal) => {
                warn!(%refusal, "an upload was refused");
                Err(refusal)
            }
        }
    }

    async fn try_take<E>(
        &self,
        id: &str,
        head: UploadHead<'_>,
        body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<(&'static str, FilePath), Refusal>
    where
        E: std::error::Error,
    {
        let Opened { file, secret } = self.wants.opened(id).ok_or(Refusal::Unknown)?;
        let limit = file.size.unwrap_or(self.relay.largest_file()).saturating_add(BESIDE);
        if head.length.is_some_and(|length| length > limit) {
            return Err(Refusal::TooLarge(limit));
        }
        let mut form = Form::new(head.content_type, measured(body, limit, self.wants.settings.least))?;
        let given = next(&mut form, "secret").await?.text(secret::LONGEST).await?;
        if !secret::same(&given, &secret) {
            return Err(Refusal::Forbidden("secret"));
        }
        // From here on it is spent, whatever comes.
        let begun = self.wants.begin(id)?;
        if next(&mut form, "path").await?.text(LONGEST_PATH).await? != file.path.as_str() {
            return Err(Refusal::Forbidden("path"));
        }
        let presence = form.part().await?.ok_or_else(|| missing("present or deleted"))?;
        let deleted = match presence.name() {
            "present" => false,
            "deleted" => true,
            _ => return Err(missing("present or deleted")),
        };
        if presence.text(1).await? != "1" {
            return Err(Refusal::Malformed("present and deleted have the value 1".to_owned()));
        }
        let content = next(&mut form, "file").await?;
        if deleted {
            nothing(content).await?;
            form.end().await?;
            self.delete(&file).await?;
            return Ok(("deleted", file.path));
        }
        self.keep(&file, &begun, &mut form, content).await?;
        Ok(("taken", file.path))
    }

    /// Remembers that the file was deleted, before anybody hears that it was.
    async fn delete(&self, file: &KnownFile) -> Result<(), Refusal> {
        let reason = format!("{} was deleted, says the relay that was asked for it", file.path.filename());
        let noted = self.wants.journal.note_deleted(&file.path, &file.project, reason).await;
        noted.map_err(|error| {
            Refusal::Unkept(format!("that it was deleted cannot be remembered: {}", error.reason()))
        })?;
        self.wants.end(&file.path, Progress::Deleted);
        Ok(())
    }

    /// Hands the bytes to the flight of the file, and waits until it is kept.
    async fn keep(
        &self,
        file: &KnownFile,
        begun: &Begun<'_>,
        form: &mut Form<'_>,
        content: Part<'_>,
    ) -> Result<(), Refusal> {
        let (uploader, upload) = relay::upload();
        begun.hand_over(upload);
        let busy = |error: relay::RelayError| Refusal::Unkept(error.to_string());
        self.relay.receive(file).map_err(busy)?;
        let sent = send(&uploader, form, content).await;
        let ended = match sent {
            Ok(Ok(())) => timeout(NOT_TAKEN, uploader.end()).await,
            // It does not want the rest, and says why.
            Ok(Err(NotTaken)) => timeout(NOT_TAKEN, uploader.verdict()).await,
            Err(refusal) => return Err(refusal),
        };
        match ended {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(error.into()),
            // It came from elsewhere meanwhile.
            Ok(Err(NotTaken)) if self.relay.is_kept(file).await => Ok(()),
            Ok(Err(NotTaken)) | Err(_) => Err(Refusal::Unkept("the file was not taken in".to_owned())),
        }
    }
}

/// Hands all of a part over; whether it was taken.
async fn send(
    uploader: &Uploader,
    form: &mut Form<'_>,
    mut content: Part<'_>,
) -> Result<Result<(), NotTaken>, Refusal> {
    while let Some(bytes) = content.bytes().await? {
        match timeout(NOT_TAKEN, uploader.send(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(NotTaken)) => return Ok(Err(NotTaken)),
            Err(_) => return Err(Refusal::Unkept("the file was not taken in".to_owned())),
        }
    }
    drop(content);
    form.end().await?;
    Ok(Ok(()))
}

/// The next part, which has that name.
async fn next<'r>(form: &mut Form<'r>, name: &str) -> Result<Part<'r>, Refusal> {
    let part = form.part().await?.filter(|part| part.name() == name);
    part.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Refusal {
    Refusal::Malformed(format!(
        "the form has secret, path, present or deleted, and file, in this order: {name} is missing"
    ))
}

/// Fails if the part has bytes.
async fn nothing(mut content: Part<'_>) -> Result<(), Refusal> {
    while let Some(bytes) = content.bytes().await? {
        if !bytes.is_empty() {
            return Err(Refusal::Malformed("a deleted file has no bytes".to_owned()));
        }
    }
    Ok(())
}

impl Wants {
    /// The session with that address, if it is open.
    fn opened(&self, id: &str) -> Option<Opened> {
        let now = self.now();
        let mut found = None;
        for want in self.lock().values_mut() {
            want.expire(now, &self.settings);
            for session in want.sessions.iter().filter(|session| secret::same(&session.id, id)) {
                found = Some(Opened { file: want.file.clone(), secret: session.secret.clone() });
            }
        }
        found
    }

    /// Spends the session, if nobody has: one upload begins by it.
    fn begin(&self, id: &str) -> Result<Begun<'_>, Refusal> {
        let mut wants = self.lock();
        let has = |want: &&mut Want| want.sessions.iter().any(|session| session.id == id);
        let want = wants.values_mut().find(has).ok_or(Refusal::Unknown)?;
        if want.uploading {
            return Err(Refusal::Unkept("another upload of this file is on its way".to_owned()));
        }
        want.sessions.retain(|session| session.id != id);
        want.uploading = true;
        Ok(Begun { wants: self, path: want.file.path.clone() })
    }
}

impl Begun<'_> {
    /// Gives the upload to the flight that waits for it.
    fn hand_over(&self, upload: relay::Upload) {
        if let Some(want) = self.wants.lock().get_mut(&self.path) {
            want.upload = Some(upload);
            want.tell(Progress::Open);
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(want) = self.wants.lock().get_mut(&self.path) {
            want.uploading = false;
            // Nobody has taken it.
            want.upload = None;
            want.tell(Progress::Open);
        }
        debug!(path = %self.path, "an upload is over");
        self.wants.due.notify_one();
    }
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Malformed(reason) => Self::Malformed(reason),
            FormError::TooLarge(limit) => Self::TooLarge(limit),
            FormError::TooSlow => Self::TooSlow,
            FormError::Cut => Self::Malformed(error.to_string()),
        }
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Digest { .. }
            | FetchError::Size { .. }
            | FetchError::TooLarge(_)
            | FetchError::OtherBytes
            | FetchError::Cut => Self::Malformed(error.to_string()),
            FetchError::Upstream(_)
            | FetchError::Awaited { .. }
            | FetchError::Deleted
            | FetchError::Unsent
            | FetchError::NoDigest
            | FetchError::Unkept(_)
            | FetchError::Slow
            | FetchError::Lost => Self::Unkept(error.to_string()),
        }
    }
}

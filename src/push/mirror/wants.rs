//! The files that are wanted, and what flights of the relay get of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use metrics::gauge;
use tokio::sync::{Notify, watch};
use url::Url;

use super::want::{Progress, Want};
use crate::journal::{Journal, KnownFile};
use crate::metric;
use crate::model::FilePath;
use crate::push::PushSettings;
use crate::relay::{Bringer, FetchError, Upload};
use crate::upstream::Upstream;

/// Files that are wanted at once, each with some 2 KiB: as many as flights.
const MOST: usize = 1024;
/// When to come back if there are so many.
const FULL: Duration = Duration::from_secs(30);
/// The longest time after which a client is told to come back: what is asked for again then may come from elsewhere before.
const LONGEST_RETRY: Duration = Duration::from_mins(1);
/// From one look at the clock to the next while something is waited for: it may be set.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// The files that are wanted; shared by who asks, who takes uploads, and the relay's flights.
#[derive(Debug)]
pub struct Wants {
    pub(super) settings: PushSettings,
    /// Who is asked.
    pub(super) master: Url,
    pub(super) journal: Journal,
    pub(super) upstream: Upstream,
    files: Mutex<HashMap<FilePath, Want>>,
    /// Something may be due.
    pub(super) due: Notify,
    last_error: Mutex<Option<String>>,
}

impl Wants {
    /// The files that a mirror wants, if it is one (`push.from`).
    pub fn new(settings: PushSettings, journal: Journal, upstream: Upstream) -> Option<Arc<Self>> {
        let master = settings.from.clone()?;
        let (files, due, last_error) = (Mutex::default(), Notify::new(), Mutex::default());
        Some(Arc::new(Self { settings, master, journal, upstream, files, due, last_error }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<FilePath, Want>> {
        // Whole entries only.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which secrets expire and questions are due, in milliseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.settings.clock.unix_millis()
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note_error(&self, error: Option<String>) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Wants a file, if it is not wanted already.
    fn enter(&self, file: &KnownFile) -> Result<watch::Receiver<Progress>, FetchError> {
        let mut wants = self.lock();
        // Another file at that path by now: what was asked for is not it.
        if wants.get(&file.path).is_some_and(|want| want.file.digest != file.digest) {
            wants.remove(&file.path);
        }
        if wants.len() >= MOST && !wants.contains_key(&file.path) {
            return Err(FetchError::Awaited { retry: FULL });
        }
        let want = wants.entry(file.path.clone()).or_insert_with(|| Want::new(file.clone()));
        let progress = want.progress.subscribe();
        gauge!(metric::PUSH_WANTED).set(count(wants.len()));
        drop(wants);
        self.due.notify_one();
        Ok(progress)
    }

    /// Ends a want: whoever waits for it hears why.
    pub(super) fn end(&self, path: &FilePath, why: Progress) {
        let mut wants = self.lock();
        let ended = wants.remove(path);
        gauge!(metric::PUSH_WANTED).set(count(wants.len()));
        drop(wants);
        if let Some(want) = ended {
            want.tell(why);
        }
    }

    /// The upload that has begun, if one has; or when to come back, if none comes before that.
    fn look(&self, file: &KnownFile) -> Result<Option<Upload>, FetchError> {
        let now = self.now();
        let mut wants = self.lock();
        let Some(want) = wants.get_mut(&file.path) else { return Ok(None) };
        want.expire(now, &self.settings);
        if let Some(upload) = want.upload.take() {
            return Ok(Some(upload));
        }
        if want.may_come(now, &self.settings) {
            return Ok(None);
        }
        let retry = want.until_next(now).clamp(Duration::from_secs(1), LONGEST_RETRY);
        Err(FetchError::Awaited { retry })
    }

    /// Why a file is not asked for at all, as the journal remembers it.
    pub(super) async fn is_asked_for(&self, file: &KnownFile) -> Result<(), FetchError> {
        if file.digest.is_none() {
            return Err(FetchError::NoDigest);
        }
        let lost = |error| {
            tracing::error!(%error, "what became of a file that was asked for cannot be looked up");
            FetchError::Lost
        };
        if self.journal.tombstone(&file.path).await.map_err(lost)?.is_some() {
            return Err(FetchError::Deleted);
        }
        if self.journal.is_unsent(&file.path).await.map_err(lost)? {
            return Err(FetchError::Unsent);
        }
        Ok(())
    }

    async fn next_upload(&self, file: &KnownFile) -> Result<Upload, FetchError> {
        let mut progress = self.enter(file)?;
        loop {
            match *progress.borrow_and_update() {
                Progress::Open => {}
                Progress::Deleted => return Err(FetchError::Deleted),
                Progress::Unsent => return Err(FetchError::Unsent),
                // By another path: who comes back finds it.
                Progress::Arrived => return Err(FetchError::Awaited { retry: Duration::from_secs(1) }),
            }
            if let Some(upload) = self.look(file)? {
                return Ok(upload);
            }
            // An error is told by the last word.
            let _ = tokio::time::timeout(LOOK, progress.changed()).await;
        }
    }
}

impl Bringer for Wants {
    fn brings_all(&self) -> bool {
        self.settings.only
    }

    fn wait(&self) -> Duration {
        self.settings.wait
    }

    fn has_upload(&self, file: &KnownFile) -> bool {
        self.lock().get(&file.path).is_some_and(|want| want.upload.is_some())
    }

    fn check(self: Arc<Self>, file: KnownFile) -> BoxFuture<'static, Result<(), FetchError>> {
        async move { self.is_asked_for(&file).await }.boxed()
    }

    fn upload(self: Arc<Self>, file: KnownFile) -> BoxFuture<'static, Result<Upload, FetchError>> {
        async move { self.next_upload(&file).await }.boxed()
    }

    fn arrived(&self, file: &KnownFile) {
        self.end(&file.path, Progress::Arrived);
    }
}

fn count(files: usize) -> f64 {
    u32::try_from(files).map_or(f64::MAX, f64::from)
}

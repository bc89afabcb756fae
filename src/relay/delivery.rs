//! A located file on its way to a client: from the store, from a flight, or straight through.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::conditions::Conditions;
use super::direct::Direct;
use super::flight::Fetcher;
use super::flights::{Flights, Joined};
use super::pump::{ByteSource, Pump};
use super::range::RangeRequest;
use super::resources::Resources;
use super::served::{Content, FileAnswer, Served};
use super::source::Source;
use super::stage::Flight;
use super::target::Target;
use super::{FetchError, RelayError};
use crate::blob::Blob;
use crate::memo::{FillError, Memo};
use crate::model::{Digest, Sha256};

/// Files whose size is remembered, each with some 300 bytes.
const SIZES: u64 = 10_000;
/// For so long. It never changes; an upstream that could not say it may be able to later.
const SIZES_LAST: Duration = Duration::from_mins(10);

/// What upstream said of a file's size, and when.
#[derive(Debug, Clone, Copy)]
struct StatedSize {
    size: Option<u64>,
    at: Instant,
}

/// The ways of bytes, and the flights that there are.
#[derive(Debug)]
pub(super) struct Delivery {
    resources: Arc<Resources>,
    flights: Flights,
    tasks: TaskTracker,
    /// What upstream said of the sizes of files that are not here, by their address.
    sizes: Memo<Arc<str>, StatedSize, FetchError>,
}

impl Delivery {
    pub(super) fn new(resources: Arc<Resources>, tasks: TaskTracker) -> Self {
        let flights = Flights::default();
        let sizes = Memo::new(SIZES, |_, _| 1);
        Self { resources, flights, tasks, sizes }
    }

    /// Answers for a file. A body's first bytes are awaited, so that a fetch that fails before them has an
    /// error's status instead of a cut.
    pub(super) async fn serve(&self, mut target: Target, want: &Conditions) -> Result<Served, RelayError> {
        target.sha256 = self.resources.content_of(&target).await;
        let aged = |source, size, age, answer| Served {
            path: target.path.clone(),
            project: target.project.clone(),
            sha256: target.sha256,
            size,
            source,
            stale: false,
            age,
            answer,
        };
        let served = |source, size, answer| aged(source, size, None, answer);
        if want.is_met_by(target.sha256) {
            return Ok(served(Source::Hit, target.size, FileAnswer::NotModified));
        }
        if want.head {
            return Ok(match self.resources.kept(&target).await {
                Some(blob) => {
                    aged(Source::Hit, Some(blob.size()), self.resources.store.age(&blob), FileAnswer::Head)
                }
                None => served(Source::Miss, self.stated_size(&target).await?, FileAnswer::Head),
            });
        }
        let (source, size, origin) = self.source(&target, want).await?;
        let age = match &origin {
            ByteSource::Kept(blob) => self.resources.store.age(blob),
            ByteSource::Flight(_) | ByteSource::Direct(_) => None,
        };
        let asked = want.asked(target.sha256, size);
        let range = match &asked {
            RangeRequest::Whole => 0..size.unwrap_or(u64::MAX),
            RangeRequest::Part(range) => range.clone(),
            RangeRequest::Unsatisfiable => return Ok(served(source, size, FileAnswer::Unsatisfiable)),
        };
        if let (ByteSource::Kept(blob), Some(sha256)) = (&origin, target.sha256) {
            self.resources.store.used(sha256, share(&range, blob.size()));
        }
        let (size_now, content) = match self.at_hand(&origin, range.clone())? {
            Some(bytes) => (size, Content::ready(bytes, source, &self.resources)),
            None => Pump::new(&self.resources, &target, source, origin, range.clone(), size).prime().await?,
        };
        let answer = match asked {
            RangeRequest::Part(_) => FileAnswer::Part(range, content),
            RangeRequest::Whole | RangeRequest::Unsatisfiable => FileAnswer::Whole(content),
        };
        Ok(aged(source, size.or(size_now), age, answer))
    }

    /// The size of a file that is not here: the index's word, else upstream's, which is asked once for all who want it.
    async fn stated_size(&self, target: &Target) -> Result<Option<u64>, FetchError> {
        let brought = self.resources.bringer.as_ref().is_some_and(|bringer| bringer.brings_all());
        if target.size.is_some() || brought {
            return Ok(target.size);
        }
        if let Some(stated) = self.sizes.get(&target.url)
            && stated.at.elapsed() < SIZES_LAST
        {
            return Ok(stated.size);
        }
        let upstream = self.resources.upstream.clone();
        let address = target.url(&upstream)?;
        let ask = async move {
            let size = upstream.file_size(&address).await?;
            Ok(StatedSize { size, at: Instant::now() })
        };
        match self.sizes.fill(&target.url, ask).await {
            Ok(stated) => Ok(stated.size),
            Err(FillError::Failed(error)) => Err(error),
            Err(FillError::Lost) => Err(FetchError::Lost),
        }
    }

    /// A whole range that is in memory, if it is short enough to be one piece.
    fn at_hand(&self, origin: &ByteSource, range: Range<u64>) -> Result<Option<Bytes>, RelayError> {
        let ByteSource::Kept(blob) = origin else { return Ok(None) };
        let range = range.start..range.end.min(blob.size());
        match blob {
            Blob::Hot(hot) => {
                let index = |at| usize::try_from(at).map_err(std::io::Error::other);
                Ok(Some(hot.bytes().slice(index(range.start)?..index(range.end)?)))
            }
            Blob::Mapped(map) if range.end - range.start <= self.resources.settings.window => {
                Ok(map.ready(range)?)
            }
            Blob::Mapped(_) | Blob::File(..) => Ok(None),
        }
    }

    /// Where the bytes are to come from, and the file's size if it is known: of what is not here, as upstream announces
    /// it. What the index states may be wrong although the file is right.
    async fn source(
        &self,
        target: &Target,
        want: &Conditions,
    ) -> Result<(Source, Option<u64>, ByteSource), RelayError> {
        let Some(digest) = target.digest else {
            if self.resources.bringer.as_ref().is_some_and(|bringer| bringer.brings_all()) {
                return Err(FetchError::NoDigest.into());
            }
            let direct = Direct::start(&self.resources, target).await?;
            return Ok((Source::Relayed, direct.size(), ByteSource::Direct(Box::new(direct))));
        };
        if let Some(blob) = self.resources.kept(target).await {
            return Ok((Source::Hit, Some(blob.size()), ByteSource::Kept(blob)));
        }
        let (source, mut flight) = self.join(target, digest)?;
        let mut size = flight.size().await?;
        if flight.left_nothing() {
            let direct = Direct::start(&self.resources, target).await?;
            return Ok((Source::Relayed, direct.size(), ByteSource::Direct(Box::new(direct))));
        }
        if size.is_none() && want.range.is_some() {
            // To say which part it is takes the size.
            size = flight.end().await?;
        }
        Ok((source, size, ByteSource::Flight(flight)))
    }

    pub(super) fn join(&self, target: &Target, digest: Digest) -> Result<(Source, Flight), RelayError> {
        match self.flights.join(digest, target.sha256, self.resources.settings.flights)? {
            Joined::Running(stage) => {
                let flight = Flight(stage);
                let source = if flight.is_whole() { Source::Hit } else { Source::Joined };
                Ok((source, flight))
            }
            Joined::New(start) => {
                let flight = Flight(start.stage.subscribe());
                let (resources, target) = (Arc::clone(&self.resources), target.clone());
                self.tasks.spawn(Fetcher { resources, target, digest, start }.fly());
                Ok((Source::Miss, flight))
            }
        }
    }

    /// A file with this digest is on its way.
    pub(super) fn arriving(&self, sha256: Sha256) -> bool {
        self.flights.arriving(sha256)
    }

    /// Waits until no file with this digest is on its way: it is kept now, if it could be.
    pub(super) async fn landed(&self, digest: &Digest) {
        while let Some(mut flight) = self.flights.of(digest) {
            // An error is the flight's end.
            while flight.changed().await.is_ok() {}
        }
    }
}

/// The part of a file that a range is; an empty file is all of it.
fn share(range: &Range<u64>, size: u64) -> f64 {
    let bytes = range.end.min(size).saturating_sub(range.start);
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    if size == 0 { 1.0 } else { bytes as f64 / size as f64 }
}

//! The flights there are: at most one a file, however many wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::RelayError;
use super::stage::Stage;
use crate::metric;
use crate::model::{Digest, Sha256};
use crate::requester::Requesters;

/// The table of what is in the air.
#[derive(Debug, Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Digest, Running>>>);

/// A flight.
#[derive(Debug)]
struct Running {
    stage: watch::Receiver<Stage>,
    /// What the file will be kept under, as far as it is known.
    sha256: Option<Sha256>,
    /// Who began and joined it.
    requesters: Arc<Requesters>,
}

/// What a request finds.
pub(super) enum Joined {
    /// A flight of another request's.
    Running(watch::Receiver<Stage>),
    /// Nothing: the caller has to fly.
    New(FetchStart),
}

/// The duty to fly. Dropped, the flight is out of the table, whatever became of it.
pub(super) struct FetchStart {
    flights: Flights,
    digest: Digest,
    /// Where the flight reports.
    pub(super) stage: watch::Sender<Stage>,
    /// On whose behalf it is.
    pub(super) requesters: Arc<Requesters>,
}

impl Flights {
    /// Joins the flight of a file or makes one, if there are fewer than `most`.
    pub(super) fn join(
        &self,
        digest: Digest,
        sha256: Option<Sha256>,
        most: usize,
    ) -> Result<Joined, RelayError> {
        let mut flights = self.lock();
        if let Some(running) = flights.get(&digest) {
            // Whether it still waits, the stage's receivers tell.
            drop(running.requesters.join());
            return Ok(Joined::Running(running.stage.clone()));
        }
        if flights.len() >= most {
            return Err(RelayError::Busy);
        }
        let (stage, follower) = watch::channel(Stage::Asking);
        let requesters = Arc::new(Requesters::default());
        drop(requesters.join());
        flights.insert(digest, Running { stage: follower, sha256, requesters: Arc::clone(&requesters) });
        metrics::gauge!(metric::FILE_TRANSFERS).increment(1);
        Ok(Joined::New(FetchStart { flights: self.clone(), digest, stage, requesters }))
    }

    /// The flight of that digest.
    pub(super) fn of(&self, digest: &Digest) -> Option<watch::Receiver<Stage>> {
        self.lock().get(digest).map(|running| running.stage.clone())
    }

    /// A flight is known to end under that name, by whatever digest. The table is short.
    pub(super) fn arriving(&self, sha256: Sha256) -> bool {
        self.lock().values().any(|running| running.sha256 == Some(sha256))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FetchStart {
    /// Gives the flight up if nobody follows it; whether it did. Nobody can join in between: joining takes the
    /// same lock, and who comes next starts anew.
    pub(super) fn given_up(&self) -> bool {
        let mut flights = self.flights.lock();
        // The table's own is one.
        let alone = self.stage.receiver_count() <= 1;
        if alone {
            remove(&mut flights, &self.digest);
        }
        alone
    }

    /// Ends the flight: out of the table first, so that who sees the end and asks again starts anew.
    pub(super) fn end(self, stage: Stage) {
        let report = self.stage.clone();
        drop(self);
        report.send_replace(stage);
    }
}

impl Drop for FetchStart {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // Not one that began after this was given up.
        if flights
            .get(&self.digest)
            .is_some_and(|running| self.stage.subscribe().same_channel(&running.stage))
        {
            remove(&mut flights, &self.digest);
        }
    }
}

fn remove(flights: &mut HashMap<Digest, Running>, digest: &Digest) {
    if flights.remove(digest).is_some() {
        metrics::gauge!(metric::FILE_TRANSFERS).decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::relay::FetchError;

    fn begun(flights: &Flights) -> FetchStart {
        let digest = Sha256([7; 32]).into();
        match flights.join(digest, None, 9) {
            Ok(Joined::New(start)) => start,
            _ => panic!("there is one already, or no room"),
        }
    }

    #[test]
    fn each_fetch_is_counted_once_until_it_is_out_of_the_table_whatever_became_of_it() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        let told = || {
            let shown = shown.render();
            // It is the only metric here.
            let mut values = shown.lines().filter(|line| !line.starts_with('#'));
            values.find_map(|line| line.split(' ').nth(1)?.parse::<i64>().ok())
        };
        metrics::with_local_recorder(&recorder, || {
            let flights = Flights::default();
            let first = begun(&flights);
            assert!(matches!(flights.join(Sha256([7; 32]).into(), None, 9), Ok(Joined::Running(_))));
            assert_eq!(told(), Some(1));
            assert!(first.given_up());
            assert_eq!(told(), Some(0));
            // Another one has begun before the first is gone.
            let second = begun(&flights);
            drop(first);
            assert_eq!(told(), Some(1));
            second.end(Stage::Failed(FetchError::Slow));
            assert_eq!(told(), Some(0));
            drop(begun(&flights));
            assert_eq!(told(), Some(0));
        });
    }
}

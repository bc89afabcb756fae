//! The list of classifiers.

use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::OldAddresses;
use crate::index::IndexError;
use crate::journal::AnswerKey;
use crate::revalidate::{Unanswered, Wait};
use crate::rpc::relayed::CLASSIFIERS;
use crate::upstream::UpstreamError;

impl OldAddresses {
    /// All classifiers, sorted, one a line: upstream's list, kept as the answer to a relayed call is, or where upstream has
    /// none those of known documents.
    pub async fn classifiers(&self) -> Result<Bytes, IndexError> {
        let key = AnswerKey { method: CLASSIFIERS, argument: String::new() };
        let deadline = self.0.rpc.0.settings.deadline;
        let wait = Wait { slow_after: deadline / 2, deadline };
        let entry = self.0.rpc.0.relayed.current(&key, wait).await.map_err(failed)?;
        let packed = entry.packed.clone();
        let whole = spawn_blocking(move || packed.pieces().collect::<Result<Vec<_>, _>>());
        let pieces = whole.await.map_err(|_| IndexError::Lost)?.map_err(|_| IndexError::Lost)?;
        Ok(pieces.concat().into())
    }
}

fn failed(error: Unanswered<UpstreamError>) -> IndexError {
    match error {
        Unanswered::Failed(error) => error.into(),
        Unanswered::Absent => Unanswered::<IndexError>::Absent.into(),
        Unanswered::Late => Unanswered::<IndexError>::Late.into(),
        Unanswered::Silent(silence) => Unanswered::<IndexError>::Silent(silence).into(),
        Unanswered::BeforeRemoval(retry) => Unanswered::<IndexError>::BeforeRemoval(retry).into(),
        Unanswered::Lost => IndexError::Lost,
    }
}

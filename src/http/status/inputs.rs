//! What the status pages are told by parts that the edge does not know.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::index::{About, Tombstone};
use crate::model::{Event, ProjectName, Sha256};

/// How long a page waits for an answer. Past it the page says so: whoever looks at it because something is wrong should see the
/// rest.
const READING: Duration = Duration::from_secs(5);

type Answering<A> = Pin<Box<dyn Future<Output = Result<A, String>> + Send>>;

/// A question whose answer takes a moment, and which a page can do without. The error is for people: it names no path.
pub struct Ask<Q, A>(Box<dyn Fn(Q) -> Answering<A> + Send + Sync>);

impl<Q, A> Ask<Q, A> {
    /// One that is answered so.
    pub fn new<F>(answer: impl Fn(Q) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<A, String>> + Send + 'static,
    {
        Self(Box::new(move |question| Box::pin(answer(question))))
    }

    /// The answer, or that it takes longer than five seconds.
    pub(super) async fn of(&self, question: Q) -> Result<A, String> {
        let late = |_| Err(format!("not within {} s", READING.as_secs()));
        tokio::time::timeout(READING, self.0(question)).await.unwrap_or_else(late)
    }
}

/// What the status pages ask; the parts are named by the composition root.
pub struct StatusInputs {
    /// The newest events, at most so many, the newest first. It must not scan.
    pub newest_events: Ask<usize, Vec<Event>>,
    /// The projects with most downloads lately, at most so many; `None` where nothing is counted. It must not scan.
    pub top_lately: Option<Ask<usize, Vec<(String, u64)>>>,
    /// How much is kept.
    pub kept_files: Arc<dyn Fn() -> KeptFiles + Send + Sync>,
    /// Which of these files are kept, by digest and size.
    pub are_kept: Ask<Vec<(Sha256, Option<u64>)>, Vec<bool>>,
    /// Whether reading needs a token.
    pub is_closed: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What a project is.
    pub about: Ask<ProjectName, About>,
    /// What was taken of a project away.
    pub removals: Ask<ProjectName, Removals>,
}

/// How many bytes of package files are kept, and may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptFiles {
    /// Bytes that are kept, as far as they are counted.
    pub bytes: u64,
    /// The most that may be.
    pub max_bytes: u64,
    /// All are counted.
    pub counted: bool,
}

/// What is known of what upstream took of a project away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    /// The list of projects has it.
    pub listed: bool,
    /// It is in quarantine.
    pub quarantined: bool,
    /// The last event that took something away.
    pub last: Option<Event>,
    /// Files that are not to be had, by their names, the newest first.
    pub files: Vec<(String, Tombstone)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_not_waited_for() {
        let hangs = Ask::new(|()| std::future::pending::<Result<(), String>>());
        assert_eq!(hangs.of(()).await, Err("not within 5 s".to_owned()));
        let answers = Ask::new(async |number| Ok(number + 1));
        assert_eq!(answers.of(1).await, Ok(2));
    }
}

//! The rules, over a source in memory and tokio's paused clock.

mod age;
mod script;
mod standing;
mod trouble;

use Got::{Fresh, Nothing, Stale};
use script::{Script, Then};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// What a caller gets.
#[derive(Debug, Clone, PartialEq)]
enum Got {
    Fresh(&'static str),
    Stale(&'static str),
    Nothing(Unanswered<&'static str>),
}

/// An engine whose times are all different, so that none can stand for another.
struct World {
    engine: Engine<Script>,
}

impl World {
    fn new() -> Self {
        Self::over(Script::new())
    }

    /// As after a restart: nothing in memory.
    fn restarted(self) -> Self {
        Self::over(self.engine.source().clone())
    }

    fn over(script: Script) -> Self {
        let policy = Policy {
            max_age: 1_000 * SECOND,
            stale_if_error: 5_000 * SECOND,
            failure_pause: 10 * SECOND,
            behind_pauses: vec![2 * SECOND, 3 * SECOND],
            behind_pause: 60 * SECOND,
            older_after: 2_000 * SECOND,
            absent_max_age: 100 * SECOND,
            absent_entries: 10,
        };
        Self { engine: Engine::new(script, policy, Memory::<Script>::new(100, |_, _| 1)) }
    }

    fn script(&self) -> &Script {
        self.engine.source()
    }

    async fn get(&self) -> Got {
        self.get_within(4 * SECOND, 9 * SECOND).await
    }

    async fn get_within(&self, slow_after: Duration, deadline: Duration) -> Got {
        match self.engine.current(&"key", Wait { slow_after, deadline }).await {
            Ok(entry) if entry.stale => Stale(**entry),
            Ok(entry) => Fresh(**entry),
            Err(error) => Nothing(error),
        }
    }

    /// What a caller gets, and how often upstream was asked for it, by what upstream says each time.
    async fn asked(&self, says: &[Then]) -> (Got, usize) {
        let before = self.script().asked();
        self.script().say(says);
        let got = self.get().await;
        (got, self.script().asked() - before)
    }

    /// Upstream is asked, and has this.
    async fn holds(&self, text: &'static str, serial: i64) {
        assert_eq!(self.asked(&[Then::Text(text, serial)]).await, (Fresh(text), 1));
    }
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

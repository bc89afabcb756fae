//! Asks for what is wanted: at once, then after delays that double, and in the end no more.

use std::time::Duration;

use metrics::counter;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::Mirror;
use super::want::Progress;
use super::wants::{LOOK, Wants};
use crate::journal::KnownFile;
use crate::metric;
use crate::push::secret;
use crate::upstream::PeerError;

/// Questions on their way at once.
const AT_ONCE: usize = 16;
/// The longest time for one. Whoever is asked answers before it does anything.
const LONGEST: Duration = Duration::from_secs(20);
/// How long a file that was asked for in vain is not asked for.
const IN_VAIN: Duration = Duration::from_hours(24);

/// A question that is to be asked.
struct Question {
    file: KnownFile,
    secret: String,
}

/// Whether whoever was asked has heard it.
enum Heard {
    /// It has, or may have.
    Yes,
    /// It has not, or does not want to; it may after so long.
    Refused(Duration),
}

impl Mirror {
    /// Asks for what is due, until it is dropped.
    pub async fn ask_for_ever(self) {
        // Those of a run before this one have ended with it.
        for want in self.wants.lock().values_mut() {
            want.asking = false;
        }
        let mut asking = JoinSet::new();
        loop {
            for question in self.due(AT_ONCE - asking.len().min(AT_ONCE)) {
                let mirror = self.clone();
                asking.spawn(async move { mirror.wants.ask(question).await });
            }
            self.wants.give_up().await;
            let nothing = self.wants.count() == 0;
            tokio::select! {
                () = self.wants.due.notified() => {}
                Some(_) = asking.join_next() => {}
                () = tokio::time::sleep(LOOK), if !nothing => {}
            }
        }
    }

    /// Begins as many questions as may be on their way.
    fn due(&self, most: usize) -> Vec<Question> {
        let (now, settings) = (self.wants.now(), &self.wants.settings);
        let mut questions = Vec::new();
        for want in self.wants.lock().values_mut() {
            want.expire(now, settings);
            if questions.len() >= most || !want.is_due(now, settings) {
                continue;
            }
            let (secret, id) = match (secret::fresh(), secret::fresh()) {
                (Ok(secret), Ok(id)) => (secret, id),
                (Err(error), _) | (_, Err(error)) => {
                    warn!(%error, "the system gives no chance for a secret; files are not asked for");
                    break;
                }
            };
            want.ask(now, settings, secret.clone(), id);
            questions.push(Question { file: want.file.clone(), secret });
        }
        questions
    }
}

impl Wants {
    /// Asks one question.
    async fn ask(&self, question: Question) {
        let Question { file, secret } = question;
        // It may have been removed since it was wanted.
        if self.is_asked_for(&file).await.is_err() {
            return self.end(&file.path, Progress::Deleted);
        }
        let path = &file.path;
        let (outcome, heard) = match self.upstream.ask_peer(&self.address(&secret), LONGEST).await {
            Ok(()) => {
                debug!(%path, "asked for a file");
                self.note_error(None);
                ("accepted", Heard::Yes)
            }
            Err(cause) => {
                warn!(%path, %cause, "a file could not be asked for at push.from");
                self.note_error(Some(cause.to_string()));
                match cause {
                    PeerError::Status { retry, .. } => ("refused", Heard::Refused(retry.unwrap_or_default())),
                    // It may have heard all the same.
                    PeerError::TimedOut => ("failed", Heard::Yes),
                    PeerError::Unreachable(_) | PeerError::TooLarge(_) | PeerError::Settings(_) => {
                        ("failed", Heard::Refused(Duration::ZERO))
                    }
                }
            }
        };
        counter!(metric::PUSH_QUESTIONS_TOTAL, "outcome" => outcome).increment(1);
        if let Some(want) = self.lock().get_mut(path) {
            match heard {
                Heard::Yes => want.heard(),
                Heard::Refused(retry) => want.refused(&secret, retry),
            }
        }
        self.due.notify_one();
    }

    /// `PUSH.FROM/pypi?:action=gae_file&host=HOST&secret=SECRET`, with the colon as old masters know it.
    fn address(&self, secret: &str) -> url::Url {
        let mut address = self.master.clone();
        address.set_path(&format!("{}/pypi", self.master.path().trim_end_matches('/')));
        // The configuration sees to it that there is a host.
        let host = self.settings.host.as_ref().map(ToString::to_string).unwrap_or_default();
        address.set_query(Some(&format!(":action=gae_file&host={host}&secret={secret}")));
        address
    }

    /// Gives up what was asked for often enough, and has not come.
    async fn give_up(&self) {
        let now = self.now();
        let mut in_vain = Vec::new();
        for want in self.lock().values_mut() {
            want.expire(now, &self.settings);
            if want.is_in_vain(&self.settings) {
                in_vain.push(want.file.clone());
            }
        }
        for file in in_vain {
            info!(path = %file.path, attempts = self.settings.attempts, "a file was asked for in vain: for a day it is not");
            counter!(metric::PUSH_GIVEN_UP_TOTAL).increment(1);
            if let Err(error) = self.journal.note_unsent(&file.path, &file.project, IN_VAIN).await {
                tracing::error!(path = %file.path, %error, "that a file was asked for in vain cannot be remembered");
            }
            self.end(&file.path, Progress::Unsent);
        }
    }
}

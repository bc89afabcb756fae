//! `changelog_page`: what a page is asked for with, and which rows it takes.

use super::arguments::Arguments;
use super::cursor::Scan;
use super::rendered::{Key, Subject};
use super::scan::{PagePlan, page};
use super::{Answer, Ask, Rpc, cursor};
use crate::journal::Found;
use crate::model::{ProjectName, Serial};
use crate::xmlrpc::{Fault, Value};

impl Rpc {
    pub(super) async fn changelog_page(&self, arguments: &Arguments, ask: Ask<'_>) -> Result<Answer, Fault> {
        let given = Given::read(arguments);
        let limit = self.limit(given.limit)?;
        let scan = self.scan(&given).await?;
        let rows = if scan.is_plain() { limit } else { self.0.settings.page_rows };
        let journal = &self.0.journal;
        loop {
            let slice = match journal.slice_after(scan.after, rows).await? {
                Found::Slice(slice) => Some(slice),
                Found::Nothing => None,
                Found::NotCovered(wanted) => {
                    wanted.done().await?;
                    continue;
                }
            };
            let Some(last) = journal.last_serial() else { return Err(Fault::internal()) };
            let step = i64::try_from(self.0.settings.times.step_back.as_secs()).unwrap_or(i64::MAX);
            // One dated in the future tells nothing of those that follow.
            let not_yet = journal.clock().unix().saturating_add(step);
            let end = scan.until.map(|until| until.saturating_add(step).saturating_add(1)..not_yet);
            let wanted = PagePlan { scan: scan.clone(), slice, limit, last, end };
            let key = Key { subject: Subject::Page { scan, limit }, head: Some(last), wide: ask.wide };
            let (journal, wide) = (journal.clone(), ask.wide);
            if slice.is_none() {
                return Answer::streamed(page(&journal, wanted, wide)).await;
            }
            let make = move || page(&journal, wanted.clone(), wide);
            return self.0.renderings.answer(key, ask.coder, make).await;
        }
    }

    /// Where to start and what to look for.
    async fn scan(&self, given: &Given<'_>) -> Result<Scan, Fault> {
        let wrong = |message: &str| Fault::raised("ValueError", message);
        if let Some(text) = given.cursor {
            if given.since.is_some()
                || given.since_serial.is_some()
                || given.until.is_some()
                || given.name.is_some()
            {
                return Err(wrong(
                    "a cursor has since, since_serial, until and name in it; give only limit with it",
                ));
            }
            return cursor::open(text, self.0.journal.identity());
        }
        let name = given.name.map(ProjectName::parse).transpose();
        let name = name.map_err(|error| wrong(&format!("name: {error}")))?;
        let (since, until) = (given.since, given.until);
        match (given.since_serial, since) {
            (Some(serial), None) => Ok(Scan { after: Serial(serial.max(0)), since: None, until, name }),
            (None, Some(time)) => loop {
                match self.0.journal.serial_before(time, self.0.settings.times).await? {
                    Ok(after) => return Ok(Scan { after, since, until, name }),
                    Err(wanted) => wanted.done().await?,
                }
            },
            (Some(_), Some(_)) | (None, None) => {
                Err(wrong("give exactly one of since, since_serial and cursor"))
            }
        }
    }
}

/// The members of the parameter.
struct Given<'a> {
    since: Option<i64>,
    since_serial: Option<i64>,
    cursor: Option<&'a str>,
    until: Option<i64>,
    limit: Option<i64>,
    name: Option<&'a str>,
}

impl<'a> Given<'a> {
    fn read(arguments: &'a Arguments) -> Self {
        let int = |name| arguments.member(0, name).and_then(Value::as_int);
        let text = |name| arguments.member(0, name).and_then(Value::as_str);
        Self {
            since: int("since"),
            since_serial: int("since_serial"),
            cursor: text("cursor"),
            until: int("until"),
            limit: int("limit"),
            name: text("name"),
        }
    }
}

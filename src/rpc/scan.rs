//! Pages of the changelog by serial, with a filter: `changelog_page` (docs/wire.md section 6).

use std::ops::{ControlFlow, Range};

use super::answer::{self, Pieces, StreamError, written};
use super::cursor::{self, Scan};
use super::rows::{ROWS, event};
use crate::journal::{EventRow, Identity, Journal, ReadPosition, Slice};
use crate::model::{ProjectName, Serial};
use crate::xmlrpc::{Encoder, TooWide};

/// What a page is made of.
#[derive(Debug, Clone)]
pub(super) struct PagePlan {
    pub(super) scan: Scan,
    /// The rows that are looked at.
    pub(super) slice: Option<Slice>,
    /// The most events in it.
    pub(super) limit: usize,
    /// Our last serial.
    pub(super) last: Serial,
    /// An event of one of these times ends the scan: none within `until` follows.
    pub(super) end: Option<Range<i64>>,
}

/// A page being written.
struct Writing {
    encoder: Encoder,
    scan: Scan,
    left: usize,
    end: Option<Range<i64>>,
    stop: Stop,
}

/// Why no further row is looked at.
enum Stop {
    Not,
    Full,
    Ended,
    TooWide(TooWide),
}

impl Scan {
    fn has(&self, row: &EventRow<'_>) -> bool {
        self.since.is_none_or(|since| row.time > since)
            && self.until.is_none_or(|until| row.time <= until)
            && self.name.as_ref().is_none_or(|name| ProjectName::parse(row.name).as_ref() == Ok(name))
    }
}

/// `{events, next_cursor, has_more, last_serial}`.
pub(super) fn page(journal: &Journal, page: PagePlan, wide: bool) -> Pieces {
    let mut encoder = answer::encoder(wide);
    encoder.open_response();
    encoder.open_struct();
    encoder.open_member("events");
    encoder.open_array();
    let place = page.slice.map(Slice::start);
    let journal = journal.clone();
    written(encoder, (page, place), move |(page, place), encoder| {
        let journal = journal.clone();
        async move { some(&journal, page, place, encoder).await }
    })
}

type State = (PagePlan, Option<ReadPosition>);

async fn some(
    journal: &Journal,
    mut page: PagePlan,
    place: Option<ReadPosition>,
    mut encoder: Encoder,
) -> Result<(Encoder, Option<State>), StreamError> {
    let (Some(slice), Some(place)) = (page.slice, place) else {
        close(&mut encoder, &page, false, journal.identity())?;
        return Ok((encoder, None));
    };
    let writing =
        Writing { encoder, scan: page.scan, left: page.limit, end: page.end.clone(), stop: Stop::Not };
    let read = journal.read_rows(slice, place, ROWS, writing, Writing::row).await?;
    let writing = read.sink;
    encoder = writing.encoder;
    (page.scan, page.limit) = (writing.scan, writing.left);
    let ended = match writing.stop {
        Stop::TooWide(error) => return Err(error.into()),
        Stop::Ended => true,
        Stop::Not if read.next.is_some() => return Ok((encoder, Some((page, read.next)))),
        Stop::Not | Stop::Full => false,
    };
    close(&mut encoder, &page, !ended, journal.identity())?;
    Ok((encoder, None))
}

impl Writing {
    fn row(&mut self, row: &EventRow<'_>) -> ControlFlow<()> {
        if self.end.as_ref().is_some_and(|end| end.contains(&row.time)) {
            self.stop = Stop::Ended;
            return ControlFlow::Break(());
        }
        self.scan.after = row.serial;
        if !self.scan.has(row) {
            return ControlFlow::Continue(());
        }
        if let Err(error) = event(&mut self.encoder, row, true) {
            self.stop = Stop::TooWide(error);
            return ControlFlow::Break(());
        }
        self.left -= 1;
        if self.left == 0 {
            self.stop = Stop::Full;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

fn close(encoder: &mut Encoder, page: &PagePlan, open: bool, identity: Identity) -> Result<(), TooWide> {
    encoder.close_array();
    encoder.close_member();
    encoder.open_member("next_cursor");
    encoder.string(&cursor::seal(&page.scan, identity));
    encoder.close_member();
    encoder.open_member("has_more");
    encoder.boolean(open && page.scan.after < page.last);
    encoder.close_member();
    encoder.open_member("last_serial");
    encoder.int(page.last.0)?;
    encoder.close_member();
    encoder.close_struct();
    encoder.close_response();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_enough_ends_a_scan_and_what_is_dated_in_the_future_does_not() {
        let scan = Scan { after: Serial(0), since: None, until: Some(20), name: None };
        let mut writing =
            Writing { encoder: Encoder::new(true), scan, left: 10, end: Some(30..100), stop: Stop::Not };
        for (serial, time) in [(1, 10), (2, 2_000_000_000), (3, 25), (4, 20)] {
            let row = EventRow {
                serial: Serial(serial),
                name: "a",
                version: None,
                time,
                verb: "create",
                object: None,
            };
            assert!(writing.row(&row).is_continue(), "{serial}");
        }
        assert_eq!((writing.left, writing.scan.after), (8, Serial(4)));
        let row =
            EventRow { serial: Serial(5), name: "a", version: None, time: 30, verb: "create", object: None };
        assert!(writing.row(&row).is_break() && matches!(writing.stop, Stop::Ended));
        assert_eq!(writing.scan.after, Serial(4));
    }
}

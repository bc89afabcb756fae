//! Events from the journal's rows to bytes: no value and no text is made on the way.

use std::ops::ControlFlow;

use super::answer::{self, Pieces, StreamError, written};
use crate::journal::{EventRow, Journal, ReadPosition, Slice};
use crate::xmlrpc::{Encoder, TooWide};

/// Rows of one reading: about a millisecond, and some 270 KB of answer.
pub(super) const ROWS: u32 = 1000;

/// An array of a slice's events.
pub(super) fn events(journal: &Journal, slice: Slice, serials: bool, wide: bool) -> Pieces {
    let mut encoder = answer::encoder(wide);
    encoder.open_response();
    encoder.open_array();
    let journal = journal.clone();
    written(encoder, slice.start(), move |place, encoder| {
        let journal = journal.clone();
        async move { some_events(&journal, slice, place, serials, encoder).await }
    })
}

async fn some_events(
    journal: &Journal,
    slice: Slice,
    place: ReadPosition,
    serials: bool,
    encoder: Encoder,
) -> Result<(Encoder, Option<ReadPosition>), StreamError> {
    let each = move |(encoder, wrong): &mut (Encoder, Option<TooWide>), row: &EventRow<'_>| match event(
        encoder, row, serials,
    ) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            *wrong = Some(error);
            ControlFlow::Break(())
        }
    };
    let read = journal.read_rows(slice, place, ROWS, (encoder, None), each).await?;
    let (mut encoder, wrong) = read.sink;
    if let Some(error) = wrong {
        return Err(error.into());
    }
    if read.next.is_none() {
        encoder.close_array();
        encoder.close_response();
    }
    Ok((encoder, read.next))
}

/// `[name, version or nil, timestamp, action, serial]` (docs/wire.md section 4).
pub(super) fn event(encoder: &mut Encoder, row: &EventRow<'_>, serial: bool) -> Result<(), TooWide> {
    encoder.open_array();
    encoder.string(row.name);
    match row.version {
        Some(version) => encoder.string(version),
        None => encoder.nil(),
    }
    encoder.int(row.time)?;
    encoder.joined(row.verb, row.object);
    if serial {
        encoder.int(row.serial.0)?;
    }
    encoder.close_array();
    Ok(())
}

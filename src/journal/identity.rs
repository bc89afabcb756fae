//! What tells this journal from every other: a random number made with it, and kept as long as it is.

use rusqlite::Connection;

use super::facts;

/// The two halves, as facts.
const HALVES: [&str; 2] = ["identity_high", "identity_low"];

/// A journal's own secret number.
#[derive(Clone, Copy)]
pub struct Identity([i64; 2]);

impl Identity {
    /// The number of the journal behind `connection`, made if it has none yet.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mut halves = [0; 2];
        for (half, name) in halves.iter_mut().zip(HALVES) {
            *half = match facts::get(connection, name)? {
                Some(kept) => kept,
                None => {
                    // SQLite's generator is seeded by the system.
                    let made = connection.query_row("SELECT random()", [], |row| row.get(0))?;
                    facts::set(connection, name, made)?;
                    made
                }
            };
        }
        Ok(Self(halves))
    }

    /// As bytes.
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (place, half) in bytes.chunks_exact_mut(8).zip(self.0) {
            place.copy_from_slice(&half.to_be_bytes());
        }
        bytes
    }
}

//! How often which file was downloaded, by day and user agent: counted in memory, written each second, sealed a day at a
//! time. The only code that knows this SQL; the database is its own, so that counting never waits for the journal.

mod agent;
pub mod backup;
mod collect;
mod commit;
mod counts;
mod database;
mod day;
mod days;
mod error;
mod facade;
mod foreign;
mod intern;
mod mirrors;
mod numbers;
mod parts;
mod past;
mod published;
mod records;
mod report;
mod rows;
mod schema;
mod seal;
mod settings;
mod sums;
mod tend;

#[cfg(test)]
mod tests;

pub use agent::Agent;
pub use collect::{Collector, TakeError, Taken, Taking};
pub use counts::File;
pub use day::{DateError, Day, Month};
pub use error::StatsError;
pub use facade::{Spell, Stats, StatsState};
pub use mirrors::{Mirror, Mirrors};
pub use numbers::{LEADERS, Recent};
pub use published::{MadeReport, Period, SealedReport};
pub use report::csv;
pub use rows::{ExportRow, ReportRow};
pub use settings::StatsSettings;

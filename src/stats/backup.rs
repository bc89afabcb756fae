//! A copy of the statistics for a backup.

use std::path::Path;

use rusqlite::OpenFlags;

use super::StatsError;
use super::database::Database;
use super::schema::SCHEMA;
use crate::sqlite_file::Schema;

/// The name of the database in the data folder.
pub const FILE: &str = super::database::DATABASE;

/// Copies the statistics in `folder`, which a relay may be writing, into the folder `to` as they were after one commit;
/// `false` if there are none. Blocking.
pub fn copy(folder: &Path, to: &Path) -> Result<bool, StatsError> {
    let (from, to) = (Database::path_in(folder), Database::path_in(to));
    if !from.exists() {
        return Ok(false);
    }
    let source = SCHEMA.connect(&from, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let source = source.map_err(|error| StatsError::sqlite(&from, error))?;
    SCHEMA.check(&source).map_err(|defect| StatsError::sqlite(&from, defect))?;
    Schema::copy(&source, &to).map_err(|defect| StatsError::sqlite(&to, defect))?;
    Ok(true)
}

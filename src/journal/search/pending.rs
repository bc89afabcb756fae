//! Of which projects a document should be read yet.

use rusqlite::params;

use crate::journal::{Journal, JournalError};
use crate::model::ProjectName;

/// Rows that one reading looks through: a few milliseconds.
const ROWS: i64 = 5_000;

impl Journal {
    /// Projects of which no document has told, or only one from before their last event: those among the next rows after
    /// a name, and the last of these rows; `None` for that at the end of the table.
    pub async fn untold_after(
        &self,
        after: &str,
    ) -> Result<(Vec<ProjectName>, Option<String>), JournalError> {
        let after = after.to_owned();
        self.read(move |connection| {
            let sql = "SELECT p.name, ifnull(l.told IS NULL OR l.told < p.serial, FALSE) \
                       FROM projects p LEFT JOIN learned l ON l.project = p.name \
                       WHERE p.name > ?1 ORDER BY p.name LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![after, ROWS])?;
            let (mut untold, mut last) = (Vec::new(), None);
            while let Some(row) = rows.next()? {
                let name: String = row.get(0)?;
                if row.get(1)? {
                    untold.extend(ProjectName::parse(&name));
                }
                last = Some(name);
            }
            Ok((untold, last))
        })
        .await
    }

    /// Whether a project of the table is such a one.
    pub async fn has_no_current_document(&self, project: &ProjectName) -> Result<bool, JournalError> {
        let project = project.clone();
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM projects p LEFT JOIN learned l ON l.project = p.name \
                       WHERE p.name = ?1 AND (l.told IS NULL OR l.told < p.serial))";
            connection.prepare_cached(sql)?.query_row([project.as_str()], |row| row.get(0))
        })
        .await
    }
}

//! Texts that many rows share, as numbers.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::Agent;

/// A project. `spelling`: the registered one, if it is known; a known one takes the place of what was there.
pub(super) fn project(connection: &Connection, name: &str, spelling: Option<&str>) -> rusqlite::Result<i64> {
    let mut known = connection.prepare_cached("SELECT id, spelling FROM projects WHERE name = ?1")?;
    let found = known.query_row([name], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).optional()?;
    match (found, spelling) {
        (Some((id, kept)), Some(spelling)) if kept != spelling => {
            let mut update = connection.prepare_cached("UPDATE projects SET spelling = ?2 WHERE id = ?1")?;
            update.execute(params![id, spelling])?;
            Ok(id)
        }
        (Some((id, _)), _) => Ok(id),
        (None, spelling) => {
            let insert = "INSERT INTO projects (name, spelling) VALUES (?1, ?2)";
            connection.prepare_cached(insert)?.insert(params![name, spelling.unwrap_or(name)])
        }
    }
}

/// A file of a project.
pub(super) fn file(
    connection: &Connection,
    project: i64,
    filename: &str,
    version: &str,
) -> rusqlite::Result<i64> {
    let mut known = connection.prepare_cached("SELECT id FROM files WHERE project = ?1 AND filename = ?2")?;
    if let Some(id) = known.query_row(params![project, filename], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let insert = "INSERT INTO files (project, filename, version) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(insert)?.insert(params![project, filename, version])
}

/// An agent, if it is there.
pub(super) fn known_agent(connection: &Connection, agent: &Agent) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT id FROM agents WHERE text = ?1 AND installer = ?2 AND installer_version = ?3 AND python = ?4 \
               AND system = ?5";
    let Agent { text, installer, installer_version, python, system } = agent;
    let columns = params![text, installer, installer_version, python, system];
    connection.prepare_cached(sql)?.query_row(columns, |row| row.get(0)).optional()
}

/// An agent.
pub(super) fn agent(connection: &Connection, agent: &Agent) -> rusqlite::Result<i64> {
    if let Some(id) = known_agent(connection, agent)? {
        return Ok(id);
    }
    let sql =
        "INSERT INTO agents (text, installer, installer_version, python, system) VALUES (?1, ?2, ?3, ?4, ?5)";
    let Agent { text, installer, installer_version, python, system } = agent;
    connection.prepare_cached(sql)?.insert(params![text, installer, installer_version, python, system])
}

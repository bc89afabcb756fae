-- What comparisons keep.

-- Projects in quarantine. Upstream's listing lacks them (docs/wire.md section 8), so the table of projects does too. spelling:
-- NULL if only a page told of it. serial: of the last event, as far as told. looked: Unix seconds of when a comparison last
-- asked for the page.
CREATE TABLE quarantined (
    project TEXT PRIMARY KEY, spelling TEXT, serial INTEGER, looked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO quarantined (project, spelling, serial)
SELECT project, spelling, serial FROM hidden LEFT JOIN projects ON projects.name = hidden.project;
DELETE FROM projects WHERE name IN (SELECT project FROM quarantined);
DROP TABLE hidden;

-- Projects of the table that the last listing lacked, as long as no page confirms it. taken, etag: of the first listing
-- that lacked them. looked: as above.
CREATE TABLE absences (
    project TEXT PRIMARY KEY, taken INTEGER NOT NULL, etag TEXT, looked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

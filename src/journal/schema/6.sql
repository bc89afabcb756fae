-- The serial of the last event that took something of a project away, for pages from before it. Also of projects that
-- are no more.
CREATE TABLE removals (project TEXT PRIMARY KEY, serial INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Of events that are there already, those of the last 30 days (see removal.rs): to look through all would take
-- minutes.
INSERT INTO removals
SELECT normal, max(serial) FROM (
    SELECT names.normal AS normal, events.serial AS serial
    FROM events JOIN names ON names.id = events.name JOIN verbs ON verbs.id = events.verb
    WHERE events.time > (SELECT max(time) FROM events) - 2592000
    AND verbs.text IN
        ('remove', 'remove file', 'remove release', 'remove project', 'project quarantined', 'release quarantined')
    UNION ALL
    SELECT project, serial FROM tombstones WHERE serial IS NOT NULL
)
WHERE normal IS NOT NULL GROUP BY normal;

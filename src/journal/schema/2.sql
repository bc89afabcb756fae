-- Projects' pages as the comparison of listings last saw them, packed; only of projects that changed since the
-- first listing.
CREATE TABLE sightings (project TEXT PRIMARY KEY, size INTEGER NOT NULL, body BLOB NOT NULL) STRICT, WITHOUT ROWID;

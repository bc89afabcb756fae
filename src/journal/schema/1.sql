-- Numbers that stand alone, by name: see the modules that use them.
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Documents without their bodies, so that a 304 rewrites a short row.
-- kind: 0 a project's simple page, 1 JSON. version: '' is the JSON document of the whole project.
-- bytes: what the document weighs, with its body and its files.
CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    project TEXT NOT NULL,
    version TEXT NOT NULL,
    content_type TEXT NOT NULL,
    etag TEXT,
    last_serial INTEGER,
    url TEXT NOT NULL,
    checked INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    UNIQUE (project, kind, version)
) STRICT;
CREATE INDEX documents_checked ON documents (checked);

-- size: of the body before compression.
CREATE TABLE bodies (
    document INTEGER PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    size INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- A file is known as long as the document that named it is kept.
CREATE TABLE files (
    path TEXT PRIMARY KEY,
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    filename TEXT NOT NULL,
    url TEXT NOT NULL,
    sha256 BLOB,
    size INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX files_document ON files (document, filename);

-- The weight of all documents, so that nobody has to sum them up.
INSERT INTO facts VALUES ('documents_bytes', 0);
CREATE TRIGGER document_in AFTER INSERT ON documents BEGIN
    UPDATE facts SET value = value + new.bytes WHERE name = 'documents_bytes';
END;
CREATE TRIGGER document_out AFTER DELETE ON documents BEGIN
    UPDATE facts SET value = value - old.bytes WHERE name = 'documents_bytes';
END;

-- Spellings of names as events have them; normal is NULL for what is no project name.
CREATE TABLE names (id INTEGER PRIMARY KEY, spelling TEXT NOT NULL UNIQUE, normal TEXT) STRICT;
-- What actions say besides the file or user that they end with.
CREATE TABLE verbs (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
-- The action's text is the verb's, then, if object is not NULL, a space and the object.
CREATE TABLE events (
    serial INTEGER PRIMARY KEY,
    name INTEGER NOT NULL,
    version TEXT,
    time INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    object TEXT
) STRICT;
CREATE INDEX events_time ON events (time);

-- Serials in (after, upto] are known to be complete. Rows neither overlap nor touch.
CREATE TABLE coverage (after INTEGER PRIMARY KEY, upto INTEGER NOT NULL) STRICT;

-- By normalised name. serial: of the project's last event, as far as told.
CREATE TABLE projects (name TEXT PRIMARY KEY, spelling TEXT NOT NULL, serial INTEGER) STRICT, WITHOUT ROWID;

-- The files that a document names, in one value: see journal::file_list. As rows they cost the writer twenty times as much.
CREATE TABLE file_lists (
    document INTEGER PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    list BLOB NOT NULL
) STRICT;

-- Which document a file belongs to. key: of its path, see journal::file_list::key.
CREATE TABLE paths (
    key INTEGER PRIMARY KEY,
    document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX paths_document ON paths (document);

-- A document is written over where it is, and what has not changed of it is not written.
CREATE TRIGGER document_changed AFTER UPDATE OF bytes ON documents WHEN new.bytes <> old.bytes BEGIN
    UPDATE facts SET value = value + new.bytes - old.bytes WHERE name = 'documents_bytes';
END;

-- The table `files` has those of documents that were kept before: they move when the document is read next. A large journal
-- has tens of millions of such rows, so they do not move all at once.
INSERT OR IGNORE INTO earlier_paths SELECT id FROM documents;

-- Documents whose files have the paths of the versions before: once such a document is read, its files get those of today.
CREATE TABLE IF NOT EXISTS earlier_paths (
    document INTEGER PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE
) STRICT;
INSERT OR IGNORE INTO earlier_paths SELECT id FROM documents;

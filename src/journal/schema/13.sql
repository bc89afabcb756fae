-- The digest that decides of a file, where that is not its SHA-256: "sha512:HEX".
ALTER TABLE files ADD COLUMN digest TEXT;
CREATE INDEX files_digest ON files (digest) WHERE digest IS NOT NULL;

-- The SHA-256, which files are kept under, of those that were fetched by such a digest.
CREATE TABLE contents (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, sha256 BLOB NOT NULL) STRICT;

-- Documents of before have no such digests: those that may state some are fetched whole when they are asked for again.
UPDATE documents SET etag = NULL
WHERE id IN (SELECT document FROM files WHERE sha256 IS NULL AND filename NOT LIKE '%.metadata');

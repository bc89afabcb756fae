-- For the MD5s of a page's files, and for all digests of one content.
CREATE INDEX IF NOT EXISTS contents_sha256 ON contents (sha256);

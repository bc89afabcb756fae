-- What is known of a project besides its name, for search. told: the serial of the JSON document that told it; NULL if
-- only events did. versions: all known ones, a line each.
-- id: the serial * 2^20 and a number that makes it unique, so that the order of ids is that of recency.
CREATE TABLE learned (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL UNIQUE,
    told INTEGER,
    version TEXT NOT NULL,
    summary TEXT NOT NULL,
    versions TEXT NOT NULL
) STRICT;

-- Its texts by words, under the id. The texts themselves are not kept. Words come folded and in ASCII or beyond it:
-- the tokenizer only cuts endings off and splits at spaces.
CREATE VIRTUAL TABLE texts USING fts5(
    summary, keywords, author, author_email, maintainer, maintainer_email, home_page, license, description, platform,
    download_url,
    content = '', contentless_delete = 1, detail = column, tokenize = 'porter ascii'
);
CREATE TRIGGER learned_out AFTER DELETE ON learned BEGIN
    DELETE FROM texts WHERE rowid = old.id;
END;

-- Quarantined projects: they stay in the list of projects, and are not found.
CREATE TABLE hidden (project TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

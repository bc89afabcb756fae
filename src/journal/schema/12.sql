-- When a file was noted as absent or put off, in Unix seconds: what was noted in the future, by a clock that was ahead,
-- holds no more. NULL is from before there was this column: that is as good as passed.
ALTER TABLE tombstones ADD COLUMN noted INTEGER;
ALTER TABLE prefetch ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX prefetch_noted ON prefetch (noted);

-- Which upstream the folder belongs to: one row, once a relay has opened it. identity: see model::UpstreamIdentity.
CREATE TABLE upstream_identity (one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL) STRICT;

-- When which serial became known here, for questions by time: at the moment (Unix milliseconds, by our clock) everything
-- up to the serial was committed, as far as answers go. Both only rise from row to row.
CREATE TABLE known_since (serial INTEGER PRIMARY KEY, moment INTEGER NOT NULL) STRICT;
CREATE INDEX known_since_moment ON known_since (moment);

-- Of a journal that has events already, nobody knows when they became known: those of its last day count as news to
-- whoever asked before this schema.
INSERT INTO facts
SELECT 'known_from', serial FROM events WHERE time <= (SELECT max(time) FROM events) - 86400
ORDER BY time DESC, serial DESC LIMIT 1;

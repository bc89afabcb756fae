-- A project by its normal form, with the registered spelling, and all that was ever counted of it.
CREATE TABLE projects (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    spelling TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX projects_by_count ON projects (count DESC);

-- The same of a file.
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    project INTEGER NOT NULL,
    filename TEXT NOT NULL,
    version TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project, filename)
);

-- A user agent as reports have it, and what its whole text says. Two whole texts may have one beginning.
CREATE TABLE agents (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL,
    installer TEXT NOT NULL,
    installer_version TEXT NOT NULL,
    python TEXT NOT NULL,
    system TEXT NOT NULL,
    UNIQUE (text, installer, installer_version, python, system)
);

-- Days since 1970-01-01 under which something was counted here. state 0: open, 1: frozen, 2: sealed.
CREATE TABLE days (
    day INTEGER PRIMARY KEY,
    state INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER,
    sha256 BLOB
);

-- The bytes of a sealed day's report, in order; those of a frozen day are on their way.
CREATE TABLE report_parts (
    day INTEGER NOT NULL,
    part INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (day, part)
);

-- What was counted here.
CREATE TABLE counters (
    day INTEGER NOT NULL,
    file INTEGER NOT NULL,
    agent INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, file, agent)
) WITHOUT ROWID;

-- Sums by project and day, of what was counted here and of what was collected.
CREATE TABLE project_days (
    project INTEGER NOT NULL,
    day INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (project, day)
) WITHOUT ROWID;

-- Another mirror's days. What is not done counts nowhere.
CREATE TABLE collections (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    day INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    UNIQUE (source, day)
);
CREATE INDEX collections_by_day ON collections (day);
CREATE TABLE collected (
    collection INTEGER NOT NULL,
    file INTEGER NOT NULL,
    agent INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (collection, file, agent)
) WITHOUT ROWID;

//! The metrics: the name of each, its labels, and what it says. `/metrics` and `docs/metrics.md` show what stands here.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in seconds, sorted into buckets.
    Histogram,
}

/// A metric of the relay.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name: that of its constant, after `cheesewire_` unless every program has it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    help: &'static str,
}

impl Metric {
    /// One line on what it counts or measures.
    pub fn help(&self) -> &'static str {
        // A doc comment begins with a space.
        self.help.trim_start()
    }
}

/// Gives the recorder the help texts. Called once it is installed.
pub fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help()),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help()),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help()),
        }
    }
}

/// Makes a constant with the name of each metric, and the table of all.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $kind:ident $constant:ident = $name:literal [$($label:literal),*];)+) => {
        $($(#[doc = $help])+ pub const $constant: &str = $name;)+

        /// All of them.
        pub const ALL: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: concat!($($help),+),
        }),+];
    };
}

metrics! {
    /// 1, with the version of the program.
    Gauge BUILD_INFO = "cheesewire_build_info" ["version"];
    /// Requests that were refused because of their token: none where one is needed (`missing`), a wrong one (`wrong`, or `guesses` past
    /// `auth.failures`), or more than it is good for (`rate`).
    Counter AUTH_REFUSALS_TOTAL = "cheesewire_auth_refusals_total" ["reason"];
    /// Bytes of package files that are kept.
    Gauge CACHE_BYTES = "cheesewire_cache_bytes" [];
    /// Kept files that were deleted to make room for others.
    Counter CACHE_EVICTIONS_TOTAL = "cheesewire_cache_evictions_total" [];
    /// Package files that are kept.
    Gauge CACHE_FILES = "cheesewire_cache_files" [];
    /// Bytes of package files that may be kept (`cache.max_bytes`).
    Gauge CACHE_MAX_BYTES = "cheesewire_cache_max_bytes" [];
    /// Kept files that were deleted because upstream removed them, a command asked for it, or their bytes were wrong.
    Counter CACHE_REMOVALS_TOTAL = "cheesewire_cache_removals_total" [];
    /// Wrong kept files that were to be fetched again, by whether that worked (`repaired`, `failed`).
    Counter CACHE_REPAIRS_TOTAL = "cheesewire_cache_repairs_total" ["outcome"];
    /// Kept files that were not as the relay left them and were thrown away.
    Counter CACHE_UNSOUND_TOTAL = "cheesewire_cache_unsound_total" [];
    /// Calls and feeds that were refused because their client has reached a limit, by the setting's name.
    Counter CLIENT_REFUSALS_TOTAL = "cheesewire_client_refusals_total" ["limit"];
    /// Fetches of files whose bytes did not have the digest that the index states.
    Counter DIGEST_MISMATCHES_TOTAL = "cheesewire_digest_mismatches_total" [];
    /// Bytes of files that were sent to clients, by where the files came from.
    Counter FILE_BYTES_TOTAL = "cheesewire_file_bytes_total" ["source"];
    /// Times that a broken transfer of a file from upstream was taken up again.
    Counter FILE_RESUMES_TOTAL = "cheesewire_file_resumes_total" [];
    /// Fetches of files that were given up because every client had left.
    Counter FILES_GIVEN_UP_TOTAL = "cheesewire_files_given_up_total" [];
    /// Answers with a file, by where it came from (`hit`, `miss`, `joined`, `relayed` without being kept, `tombstone`) and how
    /// the answer ended (`complete`, `left` by the client, `failed`, `gone`).
    Counter FILES_TOTAL = "cheesewire_files_total" ["source", "outcome"];
    /// Files that are being fetched from upstream.
    Gauge FILE_TRANSFERS = "cheesewire_file_transfers" [];
    /// Files that were fetched and served but could not be kept.
    Counter FILES_UNKEPT_TOTAL = "cheesewire_files_unkept_total" [];
    /// Seconds since the last question to upstream after whose answer the relay had everything, over restarts; none before the first.
    Gauge FOLLOW_AGE_SECONDS = "cheesewire_follow_age_seconds" [];
    /// Events that were made by comparing listings and pages.
    Counter FOLLOW_DERIVED_EVENTS_TOTAL = "cheesewire_follow_derived_events_total" [];
    /// Projects that the listing lacks and whose absence is not believed yet.
    Gauge FOLLOW_DOUBTED_ABSENCES = "cheesewire_follow_doubted_absences" [];
    /// Serials of upstream's history that are still to be fetched.
    Gauge FOLLOW_HISTORY_MISSING_SERIALS = "cheesewire_follow_history_missing_serials" [];
    /// Seconds since the relay last had everything that upstream had.
    Gauge FOLLOW_LAG_SECONDS = "cheesewire_follow_lag_seconds" [];
    /// Pages that stayed older than the listing that names them.
    Counter FOLLOW_OLD_PAGES_TOTAL = "cheesewire_follow_old_pages_total" [];
    /// Polls of upstream, by how they ended (`current`, `more` to fetch, or the kind of failure).
    Counter FOLLOW_POLLS_TOTAL = "cheesewire_follow_polls_total" ["outcome"];
    /// Times that upstream was found to be restored from a backup.
    Counter FOLLOW_RESTORES_TOTAL = "cheesewire_follow_restores_total" [];
    /// Serials of upstream that were not believed, by what stated them (`last`, `row`, `listed`, `document`).
    Counter FOLLOW_UNBELIEVED_TOTAL = "cheesewire_follow_unbelieved_total" ["what"];
    /// 1 while upstream's last serial is lower than the relay's.
    Gauge FOLLOW_UPSTREAM_BEHIND = "cheesewire_follow_upstream_behind" [];
    /// Questions that needed something from upstream, by what it was and how that ended.
    Counter FOLLOW_WANTS_TOTAL = "cheesewire_follow_wants_total" ["want", "outcome"];
    /// Connections of clients that are open.
    Gauge HTTP_CONNECTIONS = "cheesewire_http_connections" [];
    /// Connections of HTTP/2 that were closed because their client broke off far more answers than it took.
    Counter HTTP_BROKEN_OFF_TOTAL = "cheesewire_http_broken_off_total" [];
    /// Time from a request's head to the head of its answer.
    Histogram HTTP_FIRST_BYTE_SECONDS = "cheesewire_http_first_byte_seconds" ["route"];
    /// Requests that were answered, by route and status.
    Counter HTTP_REQUESTS_TOTAL = "cheesewire_http_requests_total" ["route", "status"];
    /// Connections that were closed to make room for others when the limit was reached.
    Counter HTTP_SENT_AWAY_TOTAL = "cheesewire_http_sent_away_total" [];
    /// Pages and documents of which upstream's copy was older than the journal says.
    Counter INDEX_BEHIND_TOTAL = "cheesewire_index_behind_total" [];
    /// Requests for pages and documents, by how they were answered (`hit`, `renewed` by upstream, `slow`: a kept one went
    /// out while upstream was asked, `late`: the client was told to come back).
    Counter INDEX_REQUESTS_TOTAL = "cheesewire_index_requests_total" ["outcome"];
    /// Kept pages and documents that were served because upstream failed.
    Counter INDEX_STALE_TOTAL = "cheesewire_index_stale_total" [];
    /// Pages and documents that could not be written to the journal.
    Counter INDEX_UNKEPT_TOTAL = "cheesewire_index_unkept_total" [];
    /// Requests for projects that are not known, by what was done (`asked` upstream, `denied` without asking, `refused`
    /// because too many wait to be asked for).
    Counter INDEX_UNKNOWN_TOTAL = "cheesewire_index_unknown_total" ["outcome"];
    /// 1 once the journal was found to be damaged.
    Gauge JOURNAL_DAMAGED = "cheesewire_journal_damaged" [];
    /// Bytes of pages and documents that the journal keeps.
    Gauge JOURNAL_DOCUMENTS_BYTES = "cheesewire_journal_documents_bytes" [];
    /// Relayed answers that the journal dropped to make room for others.
    Counter JOURNAL_EVICTED_ANSWERS_TOTAL = "cheesewire_journal_evicted_answers_total" [];
    /// Pages and documents that the journal dropped to make room for others.
    Counter JOURNAL_EVICTED_DOCUMENTS_TOTAL = "cheesewire_journal_evicted_documents_total" [];
    /// Commits of the journal that failed.
    Counter JOURNAL_FAILED_COMMITS_TOTAL = "cheesewire_journal_failed_commits_total" [];
    /// Pieces of work that wait for the journal's one writer.
    Gauge JOURNAL_JOBS_WAITING = "cheesewire_journal_jobs_waiting" [];
    /// The last serial that the relay knows.
    Gauge JOURNAL_LAST_SERIAL = "cheesewire_journal_last_serial" [];
    /// Jobs of the journal that ended in a panic and were rolled back.
    Counter JOURNAL_PANICS_TOTAL = "cheesewire_journal_panics_total" [];
    /// Events that came to the journal, by what was done with them (`added`, `derived`, `repeated`, `changed`, `outside`
    /// the range of serials that was asked for).
    Counter JOURNAL_ROWS_TOTAL = "cheesewire_journal_rows_total" ["outcome"];
    /// Names in listings that are no project names and were skipped.
    Counter JOURNAL_UNREADABLE_NAMES_TOTAL = "cheesewire_journal_unreadable_names_total" [];
    /// 1 while the journal cannot be written.
    Gauge JOURNAL_UNWRITABLE = "cheesewire_journal_unwritable" [];
    /// Log lines that were lost because standard error was closed or too slow.
    Counter LOG_LINES_LOST_TOTAL = "cheesewire_log_lines_lost_total" [];
    /// Panics, on any thread and in any task.
    Counter PANICS_TOTAL = "cheesewire_panics_total" [];
    /// Bytes that were fetched in advance.
    Counter PREFETCH_BYTES_TOTAL = "cheesewire_prefetch_bytes_total" [];
    /// Files that a prefetch rule wants, by what was done about them.
    Counter PREFETCH_FILES_TOTAL = "cheesewire_prefetch_files_total" ["outcome"];
    /// Files that are to be fetched in advance.
    Gauge PREFETCH_WAITING = "cheesewire_prefetch_waiting" [];
    /// Seconds of processor time that the process took.
    Counter PROCESS_CPU_SECONDS_TOTAL = "process_cpu_seconds_total" [];
    /// Files and sockets that the process may have open.
    Gauge PROCESS_MAX_FDS = "process_max_fds" [];
    /// Files and sockets that it has open.
    Gauge PROCESS_OPEN_FDS = "process_open_fds" [];
    /// Bytes of memory that it has, mapped files among them.
    Gauge PROCESS_RESIDENT_MEMORY_BYTES = "process_resident_memory_bytes" [];
    /// Unix seconds of its start.
    Gauge PROCESS_START_TIME_SECONDS = "process_start_time_seconds" [];
    /// Its threads.
    Gauge PROCESS_THREADS = "process_threads" [];
    /// Bytes of addresses that it has.
    Gauge PROCESS_VIRTUAL_MEMORY_BYTES = "process_virtual_memory_bytes" [];
    /// Files that were asked for at another relay as often as may be, and have not come.
    Counter PUSH_GIVEN_UP_TOTAL = "cheesewire_push_given_up_total" [];
    /// Questions for files at another relay, by how it answered (`accepted`, `refused`, `failed`).
    Counter PUSH_QUESTIONS_TOTAL = "cheesewire_push_questions_total" ["outcome"];
    /// Questions of other relays for files, by the answer (`accepted`, `malformed`, `forbidden`, `full`).
    Counter PUSH_REQUESTS_TOTAL = "cheesewire_push_requests_total" ["outcome"];
    /// Transfers to other relays, by how they ended (`sent`, `deleted`, `refused`, `unreachable`, `private`, `malformed`,
    /// `other_host`, `no_file`, `too_slow`).
    Counter PUSH_TRANSFERS_TOTAL = "cheesewire_push_transfers_total" ["outcome"];
    /// Uploads from another relay, by what became of them (`taken`, `deleted`, `unknown`, `forbidden`, `malformed`, `too_large`,
    /// `too_slow`, `unkept`).
    Counter PUSH_UPLOADS_TOTAL = "cheesewire_push_uploads_total" ["outcome"];
    /// Transfers to other relays that wait for others.
    Gauge PUSH_WAITING = "cheesewire_push_waiting" [];
    /// Files that were asked for at another relay, and have not come yet.
    Gauge PUSH_WANTED = "cheesewire_push_wanted" [];
    /// Calls, by method and how they ended (`ok`, or the code of the fault).
    Counter RPC_CALLS_TOTAL = "cheesewire_rpc_calls_total" ["method", "outcome"];
    /// Time until a call's answer was there, or its first part.
    Histogram RPC_SECONDS = "cheesewire_rpc_seconds" ["method"];
    /// Kept answers of relayed methods that were served because upstream failed.
    Counter RPC_STALE_TOTAL = "cheesewire_rpc_stale_total" ["method"];
    /// Requests that the sandbox of this process received.
    Counter SANDBOX_REQUESTS_TOTAL = "cheesewire_sandbox_requests_total" [];
    /// Documents that were read for search, by how that ended (`learned`, `absent`, `unreadable`, `failed`).
    Counter SEARCH_DOCUMENTS_TOTAL = "cheesewire_search_documents_total" ["outcome"];
    /// Projects that search did not learn about because too many waited to be read.
    Counter SEARCH_LEFT_TOTAL = "cheesewire_search_left_total" [];
    /// Fetches of files whose length was not the stated one.
    Counter SIZE_MISMATCHES_TOTAL = "cheesewire_size_mismatches_total" [];
    /// Days of other mirrors that were to be collected, by whether they were (`taken`, `left` to be tried again).
    Counter STATS_COLLECTED_DAYS_TOTAL = "cheesewire_stats_collected_days_total" ["outcome"];
    /// Downloads that are counted, once they are written.
    Counter STATS_DOWNLOADS_TOTAL = "cheesewire_stats_downloads_total" [];
    /// Attempts to write counts that failed; the counts stay in memory.
    Counter STATS_FAILED_COMMITS_TOTAL = "cheesewire_stats_failed_commits_total" [];
    /// Downloads that are not counted because too many waited to be written.
    Counter STATS_LOST_DOWNLOADS_TOTAL = "cheesewire_stats_lost_downloads_total" [];
    /// Downloads that count as those of `other` user agents because the day has too many different ones.
    Counter STATS_OTHER_AGENTS_TOTAL = "cheesewire_stats_other_agents_total" [];
    /// Downloads in several parts of which some have gone out.
    Gauge STATS_PARTS = "cheesewire_stats_parts" [];
    /// Days that were sealed.
    Counter STATS_SEALED_DAYS_TOTAL = "cheesewire_stats_sealed_days_total" [];
    /// Downloads that could not be written yet.
    Gauge STATS_UNCOMMITTED = "cheesewire_stats_uncommitted" [];
    /// 1 while a background task waits to be started again.
    Gauge TASK_DOWN = "cheesewire_task_down" ["task"];
    /// Times that a background task ended by itself.
    Counter TASK_FAILURES_TOTAL = "cheesewire_task_failures_total" ["task"];
    /// When the certificate that clients are shown expires, in seconds since 1970.
    Gauge TLS_CERTIFICATE_EXPIRES = "cheesewire_tls_certificate_expires" [];
    /// Encrypted connections that were begun, by how that ended (`done`, `failed`, `late`, `clear_text`: the client spoke no TLS).
    Counter TLS_HANDSHAKES_TOTAL = "cheesewire_tls_handshakes_total" ["outcome"];
    /// Bytes that came from upstream, by the kind of request.
    Counter UPSTREAM_BYTES_TOTAL = "cheesewire_upstream_bytes_total" ["kind"];
    /// Transfers from upstream that were dropped because they were slow, by whose turn they took and why (`nobody_waits`
    /// for them, `needed`: another one had to have the turn, `slow` for too long).
    Counter UPSTREAM_DROPPED_TOTAL = "cheesewire_upstream_dropped_total" ["pool", "reason"];
    /// Links of upstream that were not followed, by the reason (`private` address, `port`, `clear_text`).
    Counter UPSTREAM_REFUSED_LINKS_TOTAL = "cheesewire_upstream_refused_links_total" ["why"];
    /// Requests that got no turn to ask upstream, by whose turn it was and why (`full`: too many wait, `late`: waited too
    /// long).
    Counter UPSTREAM_REFUSED_TOTAL = "cheesewire_upstream_refused_total" ["pool", "reason"];
    /// Requests to upstream, by kind and how they ended.
    Counter UPSTREAM_REQUESTS_TOTAL = "cheesewire_upstream_requests_total" ["kind", "outcome"];
    /// Time of a request to upstream, its answer's last byte included.
    Histogram UPSTREAM_SECONDS = "cheesewire_upstream_seconds" ["kind"];
    /// Parts of upstream's answers that could not be read and were skipped, by what was wrong.
    Counter UPSTREAM_SKIPPED_ROWS_TOTAL = "cheesewire_upstream_skipped_rows_total" ["reason"];
    /// Transfers from upstream that fell below the least rate, by whose turn they took.
    Counter UPSTREAM_SLOW_TOTAL = "cheesewire_upstream_slow_total" ["pool"];
    /// Requests that wait for their turn to ask upstream.
    Gauge UPSTREAM_WAITING = "cheesewire_upstream_waiting" ["pool"];
}

//! Who is asked for files, and who may ask.

use std::time::Duration;

use url::Url;

use super::{HostPort, Hosts, LeastRate};
use crate::model::{Clock, settings};

settings! {
    /// Who is asked for files, and who may ask.
    #[derive(Debug, Clone)]
    pub struct PushSettings in "push" {
        /// As a mirror: the address of the relay that is asked for files which upstream refuses or cannot give, such as
        /// `http://master.test/`. Empty: none is asked.
        from: Option<Url> = None,
        /// As a mirror: HOST or HOST:PORT by which that relay reaches this one over plain HTTP. Unset: that of http.public_url. Required
        /// with push.from.
        host: Option<HostPort> = None,
        /// As a mirror: fetch no file from upstream, ask for all of them.
        ///
        /// For a machine that may download nothing large, or nothing at all but the index.
        only: bool = false,
        /// As a mirror: how long a client waits for the first byte of a file that was asked for; then it is told to come back.
        ///
        /// pip waits 15 s for a byte, five times, and uv 30 s.
        wait: Duration = Duration::from_secs(30),
        /// As a mirror: how long after a question its secret may begin an upload.
        ///
        /// The other relay may have to fetch the file itself, and others may be before it.
        secret_lifetime: Duration = Duration::from_mins(5),
        /// As a mirror: how often one file is asked for. Then it is not for a day, or until the index names it anew.
        ///
        /// With the default delay within half an hour.
        attempts: u32 as Count = 6,
        /// As a mirror: how long after a question without effect the next one comes; it doubles each time.
        retry_delay: Duration = Duration::from_mins(1),
        /// As a master: the mirrors that may ask this relay to push files to them, each HOST or HOST:PORT exactly as it names itself;
        /// with commas between them. A mirror at a private or loopback address has to be listed by that address.
        hosts: Hosts = Hosts::default(),
        /// As a master, for each mirror: files that are pushed to it at once.
        at_once: usize as Count = 4,
        /// As a master, for each mirror: further files that may wait for that; with one more it is told to come back.
        queue: usize = 64,
        /// What counts as too slow: as upstream's.
        least: LeastRate as Internal = LeastRate::default(),
        /// What time it is.
        clock: Clock as Internal = Clock::system(),
    }
}

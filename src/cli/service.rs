//! What a service manager such as systemd gives to a process and wants to hear of it: sockets that listen already, that it is
//! ready, signs of life, and that it stops (sd_listen_fds(3), sd_notify(3)). Without one nothing of it happens.

use std::env;
use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// The descriptor of the first socket, by sd_listen_fds(3).
const FIRST: usize = 3;
/// More sockets than anybody has addresses for; a number beyond it is a mistake.
const MOST_SOCKETS: usize = 64;
/// What ending takes besides the drain time.
const LAST_STEPS: Duration = Duration::from_secs(10);

/// Why what the service manager hands over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A descriptor is no TCP socket that listens.
    #[error(
        "descriptor {descriptor} of the service manager is no TCP socket that listens: {error}; in its socket unit, use \
         ListenStream=ADDRESS:PORT and nothing else"
    )]
    Socket {
        /// Its number, from 3 on in the order of the unit's lines.
        descriptor: usize,
        /// What the system says, or what it is.
        error: io::Error,
    },
    /// `LISTEN_FDS` is no number, or too large.
    #[error(
        "the service manager hands over LISTEN_FDS={0} sockets, which is no number up to {MOST_SOCKETS}; give its socket unit \
         at most that many ListenStream= lines"
    )]
    Count(String),
}

/// What the service manager gave to this process.
#[derive(Debug)]
pub struct Service {
    /// In the order of the unit's `ListenStream=` lines; none if the process has to listen by itself.
    pub(super) sockets: Vec<TcpListener>,
    pub(super) manager: Manager,
}

impl Service {
    /// Reads it off the environment, and takes the sockets out of it. To be called before there is another thread, which could
    /// be reading the environment, or a child, which would inherit the sockets. Fails if what was handed over are not sockets
    /// that can be listened on.
    pub fn of_this_process() -> Result<Self, ServiceError> {
        Ok(Self { sockets: sockets()?, manager: Manager::of_this_process() })
    }
}

fn sockets() -> Result<Vec<TcpListener>, ServiceError> {
    let (process, count) = (env::var("LISTEN_PID"), env::var("LISTEN_FDS"));
    // They are for the process that is named, which may have passed on its environment.
    let (Ok(process), Ok(count)) = (process, count) else { return Ok(Vec::new()) };
    if process.parse() != Ok(std::process::id()) {
        return Ok(Vec::new());
    }
    let wanted = count.parse().ok().filter(|&count| count <= MOST_SOCKETS);
    let wanted: usize = wanted.ok_or(ServiceError::Count(count))?;
    let mut handed = ListenFd::from_env();
    let mut take = |place: usize| {
        let socket = handed.take_tcp_listener(place)?.ok_or(io::ErrorKind::NotFound)?;
        if !socket_acceptconn(&socket)? {
            return Err(io::Error::other("it is connected, or nobody listens on it"));
        }
        Ok(socket)
    };
    let named = |place, taken: io::Result<_>| {
        taken.map_err(|error| ServiceError::Socket { descriptor: FIRST + place, error })
    };
    (0..wanted).map(|place| named(place, take(place))).collect()
}

/// Who wants to hear how this process is.
#[derive(Debug, Clone, Default)]
pub(super) struct Manager {
    /// `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    socket: Option<OsString>,
    /// A process that has given no sign of life for so long is taken for one that hangs.
    watchdog: Option<Duration>,
}

impl Manager {
    fn of_this_process() -> Self {
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let other = number("WATCHDOG_PID").is_some_and(|process| process != u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|&limit| limit > 0 && !other);
        Self { socket: env::var_os("NOTIFY_SOCKET"), watchdog: watchdog.map(Duration::from_micros) }
    }

    /// Runs `work`, and tells the manager that it is ready once that waits for requests, that it lives, and once `stopping` is
    /// set that it stops and how long that may take: `drain` and a little.
    ///
    /// All in one task: a sign of life is given only if the task that accepts connections had its turn, and only by the
    /// runtime's timer, which stands still if all worker threads hang.
    pub(super) async fn attend<T>(
        &self,
        work: impl Future<Output = T>,
        stopping: &CancellationToken,
        drain: Duration,
    ) -> T {
        let longest = drain.saturating_add(LAST_STEPS).as_micros();
        let stops = format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={longest}");
        let said = AtomicBool::new(false);
        let end = async {
            stopping.cancelled().await;
            self.tell(&stops).await;
            said.store(true, Ordering::Relaxed);
        };
        let told = async {
            self.tell("READY=1").await;
            tokio::join!(end, self.live());
            pending().await
        };
        tokio::select! {
            // In this order: it takes requests before that is said.
            biased;
            ended = work => {
                // Without a running request it has ended before the others had their turn.
                if stopping.is_cancelled() && !said.load(Ordering::Relaxed) {
                    self.tell(&stops).await;
                }
                ended
            }
            never = told => never,
        }
    }

    /// Gives signs of life as often as the manager wants them (`WatchdogSec=`). For ever.
    async fn live(&self) {
        let Some(limit) = self.watchdog else { return };
        let mut ticks = tokio::time::interval(limit / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell("WATCHDOG=1").await;
        }
    }

    async fn tell(&self, what: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = send(socket, what).await {
            tracing::warn!(%error, ?socket, what, "the service manager cannot be told; it may take this process for one that hangs");
        }
    }
}

/// Waits while the manager's queue is full, as anything else on the reactor does.
async fn send(socket: &OsString, what: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        _ => return Err(io::Error::other("NOTIFY_SOCKET is neither a path nor @ and a name")),
    };
    let sender = UnixDatagram::unbound()?;
    sender.connect_addr(&address)?;
    sender.set_nonblocking(true)?;
    tokio::net::UnixDatagram::from_std(sender)?.send(what.as_bytes()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Arc, Barrier};
    use std::thread;

    use tokio::runtime::Runtime;

    use super::*;

    /// No sign for so long means that none comes; they are due every few milliseconds.
    const QUIET: Duration = Duration::from_millis(300);
    /// More than any queue of the system's holds.
    const MANY: usize = 5000;
    const WORKERS: usize = 2;

    /// A manager that the test stands for, and its end of the socket.
    fn manager(test: &str) -> (Manager, UnixDatagram) {
        let name = format!("cheesewire-{test}-{}", std::process::id());
        let heard = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let watchdog = Some(Duration::from_millis(9));
        (Manager { socket: Some(format!("@{name}").into()), watchdog }, heard)
    }

    fn hear(heard: &UnixDatagram) -> io::Result<String> {
        let mut buffer = [0; 64];
        let length = heard.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    fn assert_lives(heard: &UnixDatagram) {
        heard.set_read_timeout(None).unwrap();
        // The first ones may have waited in the queue.
        for _ in 0..MANY / 100 {
            assert_eq!(hear(heard).unwrap(), "WATCHDOG=1");
        }
    }

    fn assert_quiet(heard: &UnixDatagram) {
        heard.set_read_timeout(Some(QUIET)).unwrap();
        let signs = (0..MANY).take_while(|_| hear(heard).is_ok()).count();
        assert!(signs < MANY, "signs of life of a process that hangs");
    }

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap()
    }

    #[tokio::test]
    async fn that_it_stops_is_told_once_however_soon_it_has_ended() {
        let (manager, heard) = manager("soon");
        let manager = Manager { watchdog: None, ..manager };
        for _ in 0..9 {
            let stop = CancellationToken::new();
            stop.cancel();
            manager.attend(stop.cancelled(), &stop, Duration::from_secs(1)).await;
            assert_eq!(hear(&heard).unwrap(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=11000000");
        }
        // Who ends without an order has failed.
        manager.attend(async {}, &CancellationToken::new(), Duration::from_secs(1)).await;
        heard.set_nonblocking(true).unwrap();
        assert!(hear(&heard).is_err());
        // While a request still runs it is told, and not again.
        let stop = CancellationToken::new();
        stop.cancel();
        let work = async {
            while !hear(&heard).is_ok_and(|word| word.starts_with("STOPPING=1")) {
                tokio::task::yield_now().await;
            }
        };
        manager.attend(work, &stop, Duration::from_secs(1)).await;
        assert!(hear(&heard).is_err());
    }

    /// Not just before the time is over: a sign that is late would end the process.
    #[tokio::test(start_paused = true)]
    async fn signs_of_life_come_more_than_twice_as_often_as_they_have_to() {
        let (manager, heard) = manager("often");
        let manager = Manager { watchdog: Some(Duration::from_mins(1)), ..manager };
        let (work, stop) = (tokio::time::sleep(Duration::from_secs(59)), CancellationToken::new());
        manager.attend(work, &stop, Duration::ZERO).await;
        heard.set_nonblocking(true).unwrap();
        let told: Vec<String> = std::iter::from_fn(|| hear(&heard).ok()).collect();
        assert_eq!(told, ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    }

    #[test]
    fn no_sign_of_life_comes_while_all_workers_hang() {
        let (manager, heard) = manager("workers");
        let (runtime, stop) = (runtime(), CancellationToken::new());
        thread::scope(|scope| {
            let _stop = stop.clone().drop_guard();
            scope.spawn(|| runtime.block_on(manager.attend(stop.cancelled(), &stop, Duration::ZERO)));
            assert_eq!(hear(&heard).unwrap(), "READY=1");
            assert_lives(&heard);
            let all_hang = Arc::new(Barrier::new(WORKERS + 1));
            let free: Vec<_> = (0..WORKERS)
                .map(|_| {
                    let (all_hang, (free, freed)) = (all_hang.clone(), channel::<()>());
                    runtime.spawn(async move {
                        all_hang.wait();
                        let _ = freed.recv();
                    });
                    free
                })
                .collect();
            all_hang.wait();
            assert_quiet(&heard);
            drop(free);
            assert_lives(&heard);
        });
    }

    #[test]
    fn no_sign_of_life_comes_while_the_task_that_accepts_hangs() {
        let (manager, heard) = manager("task");
        let (runtime, stop, hang) = (runtime(), CancellationToken::new(), CancellationToken::new());
        let (hangs, has_hung) = channel();
        let (free, freed): (_, Receiver<()>) = channel();
        thread::scope(|scope| {
            let (stop, hang, manager, runtime) = (&stop, &hang, &manager, &runtime);
            let (_stop, free) = ([stop, hang].map(|end| end.clone().drop_guard()), free);
            scope.spawn(move || {
                let work = async {
                    hang.cancelled().await;
                    hangs.send(()).unwrap();
                    let _ = freed.recv();
                    stop.cancelled().await;
                };
                runtime.block_on(manager.attend(work, stop, Duration::ZERO));
            });
            assert_eq!(hear(&heard).unwrap(), "READY=1");
            assert_lives(&heard);
            hang.cancel();
            has_hung.recv().unwrap();
            assert_quiet(&heard);
            drop(free);
            assert_lives(&heard);
        });
    }
}

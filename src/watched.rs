//! Files that are read again when they change: what was read last and was right stays until something right takes its place.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// What tells one state of a file from another. The time of change is that of the inode, so a new mode or owner shows too.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// `None`: the file cannot be looked at.
type Stamps = Vec<Option<Stamp>>;

type Read<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// What was read of some files.
pub struct Watched<T> {
    /// For the log.
    what: &'static str,
    files: Vec<PathBuf>,
    read: Read<T>,
    current: RwLock<Arc<T>>,
    state: Mutex<State>,
}

struct State {
    seen: Stamps,
    /// Why what lies there now is not used.
    complaint: Option<String>,
}

/// What a look at the files brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// They are as they were.
    Same,
    /// They were read again.
    Taken,
    /// What lies there cannot be used: what was read before stays.
    Refused,
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watched({}, {:?})", self.what, self.files)
    }
}

impl<T> Watched<T> {
    /// Reads the files for the first time. `what` they are together, for the log.
    pub fn open<E: fmt::Display>(
        what: &'static str,
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // Looked at first: what changes meanwhile is read once more, never once less.
        let seen = stamps(&files);
        let current = RwLock::new(Arc::new(read()?));
        let read = Box::new(move || read().map_err(|error| error.to_string()));
        Ok(Self { what, files, read, current, state: Mutex::new(State { seen, complaint: None }) })
    }

    /// What was read last and was right.
    pub fn current(&self) -> Arc<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why what lies in the files now is not used, if it is not.
    pub fn complaint(&self) -> Option<String> {
        self.state().complaint.clone()
    }

    /// Looks whether the files have changed, and reads them if so, if what lies there was no good the last time, or `anyway`.
    /// Blocks.
    pub fn look(&self, anyway: bool) -> Looked {
        let seen = stamps(&self.files);
        let is_same = |state: &State| seen == state.seen && state.complaint.is_none();
        if !anyway && is_same(&self.state()) {
            return Looked::Same;
        }
        // Without the lock: a disk that hangs must not keep those waiting who ask for the complaint.
        let read = (self.read)();
        let mut state = self.state();
        match read {
            Ok(read) => {
                if !is_same(&state) {
                    tracing::info!("{} changed and is in use", self.what);
                }
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                *state = State { seen, complaint: None };
                Looked::Taken
            }
            Err(complaint) => {
                if state.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(
                        reason = complaint,
                        "{} cannot be used: what was read before stays",
                        self.what
                    );
                }
                *state = State { seen, complaint: Some(complaint) };
                Looked::Refused
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole states only.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Looks at the files for as long as it is polled: at every `interval`, and at once and in any case when `orders` change.
    /// `taken` is told what was read.
    pub async fn keep_current(
        self: Arc<Self>,
        interval: Duration,
        mut orders: watch::Receiver<u64>,
        taken: impl Fn(Arc<T>),
    ) {
        loop {
            let anyway = tokio::select! {
                () = sleep(interval) => false,
                () = ordered(&mut orders) => true,
            };
            let watched = Arc::clone(&self);
            // It fails only while the runtime ends.
            let looked = spawn_blocking(move || watched.look(anyway)).await;
            if looked.is_ok_and(|looked| looked == Looked::Taken) {
                taken(self.current());
            }
        }
    }
}

/// Ready at the next order; never if there will be none.
async fn ordered(orders: &mut watch::Receiver<u64>) {
    if orders.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn stamps(files: &[PathBuf]) -> Stamps {
    let stamp = |file: &PathBuf| -> io::Result<Stamp> { Ok(Stamp::of(&std::fs::metadata(file)?)) };
    files.iter().map(|file| stamp(file).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn watched(file: &Path) -> Result<Watched<u32>, String> {
        let path = file.to_owned();
        let read = move || {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            text.parse().map_err(|_| format!("no number: {text}"))
        };
        Watched::open("a number", vec![file.to_owned()], read)
    }

    #[test]
    fn what_was_right_stays_until_something_right_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        assert!(watched(&file).is_err());
        std::fs::write(&file, "1").unwrap();
        let number = watched(&file).unwrap();
        assert_eq!((number.look(false), *number.current()), (Looked::Same, 1));
        assert_eq!(number.look(true), Looked::Taken);
        std::fs::write(&file, "half").unwrap();
        assert_eq!((number.look(false), *number.current()), (Looked::Refused, 1));
        assert_eq!(number.complaint().as_deref(), Some("no number: half"));
        std::fs::remove_file(&file).unwrap();
        assert_eq!((number.look(false), *number.current()), (Looked::Refused, 1));
        std::fs::write(&file, "22").unwrap();
        assert_eq!((number.look(false), *number.current()), (Looked::Taken, 22));
        assert_eq!((number.complaint(), number.look(false)), (None, Looked::Same));
    }

    /// It may depend on something else than its files.
    #[test]
    fn what_was_no_good_is_read_again_though_nothing_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        std::fs::write(&file, "1").unwrap();
        let is_good = Arc::new(Mutex::new(true));
        let asked = is_good.clone();
        let read = move || if *asked.lock().unwrap() { Ok(1) } else { Err("not now") };
        let number = Watched::open("a number", vec![file], read).unwrap();
        for (good, looked) in [(false, Looked::Refused), (true, Looked::Taken)] {
            *is_good.lock().unwrap() = good;
            assert_eq!(number.look(!good), looked);
        }
        assert_eq!((number.complaint(), number.look(false)), (None, Looked::Same));
    }

    #[test]
    fn a_new_mode_and_another_file_in_its_place_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("number"), folder.path().join("other"));
        std::fs::write(&file, "1").unwrap();
        let number = watched(&file).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(number.look(false), Looked::Taken);
        std::fs::write(&other, "2").unwrap();
        std::fs::rename(&other, &file).unwrap();
        assert_eq!((number.look(false), *number.current()), (Looked::Taken, 2));
    }
}

//! Signs, once there is a key.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::file;
use super::key::Key;
use crate::memo::{FillError, Memo};
use crate::model::settings;

settings! {
    /// Signatures for mirrors of PyPI's first days.
    #[derive(Debug, Clone)]
    pub struct SigningSettings in "signing" {
        /// Whether pages are signed for old mirrors (/serverkey, /serversig/NAME/). The key is made once, in the background, when a
        /// relay first starts on a data folder.
        ///
        /// pep381client and bandersnatch before 2.0 mirror nothing without. Making the key takes some seconds of one core.
        enabled: bool = true,
        /// Signatures in memory.
        ///
        /// A mirror asks for those of all projects: 8 MiB are some 40,000; each is made in some milliseconds.
        cached_bytes: u64 as Bytes = 8 << 20,
    }
}

/// The pause after a key could not be read or kept, such as on a full disk.
const AGAIN: Duration = Duration::from_secs(30);

/// Of a thread, as `nice` counts.
#[cfg(target_os = "linux")]
const LOWEST_PRIORITY: i32 = 19;

/// What a signature takes in a cache besides its bytes: its key, and what the cache keeps of each.
const OVERHEAD: usize = 128;

/// Why there is no signature, or no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// Nothing is signed here.
    #[error("this relay signs no pages (signing.enabled)")]
    Disabled,
    /// The key is being made.
    #[error("the key is not made yet")]
    NotYet,
    /// The key cannot be read or kept; the log says why.
    #[error("the key cannot be had")]
    Broken,
    /// A task died.
    #[error("a task that was to sign has died")]
    Lost,
}

impl From<FillError<Self>> for Unsigned {
    fn from(error: FillError<Self>) -> Self {
        match error {
            FillError::Failed(error) => error,
            FillError::Lost => Self::Lost,
        }
    }
}

/// Signs. Clones share the key and what was signed with it.
#[derive(Debug, Clone)]
pub struct Signer {
    state: watch::Receiver<Result<Arc<Ready>, Unsigned>>,
    /// By the SHA-256 of what is signed.
    signed: Memo<[u8; 32], Bytes, Unsigned>,
}

#[derive(Debug)]
struct Ready {
    key: Key,
    public: Bytes,
}

impl Signer {
    /// Takes the key of a data folder, and makes it there if there is none, beside everything else. Nothing waits for it, also
    /// not the end of the process: what is not whole then is made the next time.
    pub fn start(folder: &Path, settings: &SigningSettings) -> Self {
        let begin = if settings.enabled { Unsigned::NotYet } else { Unsigned::Disabled };
        let (state, seen) = watch::channel(Err(begin));
        if settings.enabled {
            let folder = folder.to_owned();
            let made = thread::Builder::new().name("server-key".to_owned()).spawn(move || {
                // Everything else goes first on a busy core. Elsewhere than on Linux it would be the priority of the process.
                #[cfg(target_os = "linux")]
                if let Err(error) = rustix::process::setpriority_process(None, LOWEST_PRIORITY) {
                    tracing::debug!(%error, "the key is made at the usual priority");
                }
                have(&folder, &state, || thread::sleep(AGAIN));
            });
            if let Err(error) = made {
                tracing::error!(%error, "no thread to make the key that pages are signed with");
            }
        }
        let weigh =
            |_: &[u8; 32], signature: &Bytes| u32::try_from(signature.len() + OVERHEAD).unwrap_or(u32::MAX);
        Self { state: seen, signed: Memo::new(settings.cached_bytes, weigh) }
    }

    /// The public part in PEM.
    pub fn public_key(&self) -> Result<Bytes, Unsigned> {
        self.ready().map(|ready| ready.public.clone())
    }

    /// The signature, in DER, of what has this SHA-256; `sha1` tells its SHA-1, off the reactor. What was signed is not
    /// signed again as long as it is remembered.
    pub async fn sign(
        &self,
        sha256: [u8; 32],
        sha1: impl FnOnce() -> [u8; 20] + Send + 'static,
    ) -> Result<Bytes, Unsigned> {
        let ready = self.ready()?;
        if let Some(signature) = self.signed.get(&sha256) {
            return Ok(signature);
        }
        let fill = async move {
            let signed = spawn_blocking(move || ready.key.sign(&sha1())).await.map_err(|_| Unsigned::Lost)?;
            signed.map(Bytes::from).map_err(|error| {
                tracing::error!(%error, "a page cannot be signed");
                Unsigned::Lost
            })
        };
        Ok(self.signed.fill(&sha256, fill).await?)
    }

    fn ready(&self) -> Result<Arc<Ready>, Unsigned> {
        self.state.borrow().clone()
    }
}

/// Has the key, and tells of it. Ends when that is so, or when nobody is there to be told. A key that is there and is none is
/// never replaced, because mirrors know it: it is looked at again after each `pause`, until it is put back or removed.
fn have(folder: &Path, state: &watch::Sender<Result<Arc<Ready>, Unsigned>>, pause: impl Fn()) {
    let mut told = String::new();
    while !state.is_closed() {
        match take(folder) {
            Ok(ready) => {
                let _ = state.send_replace(Ok(Arc::new(ready)));
                return;
            }
            Err(error) => {
                if error != told {
                    tracing::error!(folder = %folder.display(), %error, "pages cannot be signed");
                    told = error;
                }
                let _ = state.send_replace(Err(Unsigned::Broken));
                pause();
            }
        }
    }
}

/// The key that is there, or a new one where there is none.
fn take(folder: &Path) -> Result<Ready, String> {
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    if let Some(ready) = kept(folder)? {
        return Ok(ready);
    }
    let key = Key::generate().map_err(|error| failed("no key can be made", &error))?;
    let text = key.private_pem().map_err(|error| failed("the key cannot be written", &error))?;
    keep(folder, &text)
}

/// Keeps a new key, unless one was put there meanwhile, which then is the key.
fn keep(folder: &Path, text: &str) -> Result<Ready, String> {
    if file::write(folder, file::NAME, text).map_err(|error| format!("the key cannot be kept: {error}"))? {
        tracing::info!("the key that pages are signed with was made");
    }
    kept(folder)?.ok_or_else(|| "serverkey.pem was removed as soon as it was there".to_owned())
}

/// The key that is there.
fn kept(folder: &Path) -> Result<Option<Ready>, String> {
    let text =
        file::read(folder, file::NAME).map_err(|error| format!("serverkey.pem cannot be read: {error}"))?;
    let Some(text) = text else { return Ok(None) };
    let key = Key::read(&text).map_err(|error| {
        format!(
            "serverkey.pem: {error}; put back the file as it was, or remove it to have another key made, which mirrors then \
             have to fetch"
        )
    })?;
    let public = key.public_pem().map_err(|error| format!("the public key cannot be written: {error}"))?;
    Ok(Some(Ready { key, public: public.into() }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// With a key of OpenSSL's.
    async fn signer() -> (tempfile::TempDir, Signer) {
        let folder = tempfile::tempdir().unwrap();
        file::write(folder.path(), file::NAME, include_str!("../../tests/legacy/serverkey.pem")).unwrap();
        let signer = Signer::start(folder.path(), &SigningSettings::default());
        let mut state = signer.state.clone();
        assert!(state.wait_for(Result::is_ok).await.is_ok());
        (folder, signer)
    }

    #[tokio::test]
    async fn what_has_not_changed_is_not_signed_twice() {
        let (_folder, signer) = signer().await;
        let made = Arc::new(AtomicUsize::new(0));
        let sign = async |sha256: u8| {
            let made = made.clone();
            let sha1 = move || {
                made.fetch_add(1, Ordering::Relaxed);
                [7; 20]
            };
            signer.sign([sha256; 32], sha1).await.unwrap()
        };
        let first = sign(1).await;
        for _ in 0..10 {
            assert_eq!(sign(1).await, first);
        }
        assert_eq!(made.load(Ordering::Relaxed), 1);
        sign(2).await;
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    const KEY: &str = include_str!("../../tests/legacy/serverkey.pem");
    /// A key of another kind, as OpenSSL writes it.
    const ED25519: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINN0okvqA5UiMHKNgTW3LUrxu84a0fdlqwSWp+/e0MQo\n\
                           -----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_that_is_none_stays_as_it_is_and_counts_once_it_is_put_back() {
        let public = Key::read(KEY).unwrap().public_pem().unwrap();
        let old_form = KEY.replace("PRIVATE", "DSA PRIVATE");
        let cut = &KEY[..KEY.len() / 2];
        let two = format!("{}{}", &KEY[..KEY.len() / 2], KEY);
        for damaged in [
            b"".as_slice(),
            b"\n",
            b"\xff\xfe\0",
            cut.as_bytes(),
            ED25519.as_bytes(),
            public.as_bytes(),
            old_form.as_bytes(),
            two.as_bytes(),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("serverkey.pem");
            std::fs::write(&path, damaged).unwrap();
            let (state, seen) = watch::channel(Err(Unsigned::NotYet));
            let pauses = AtomicUsize::new(0);
            have(folder.path(), &state, || {
                assert!(matches!(*seen.borrow(), Err(Unsigned::Broken)));
                assert_eq!(std::fs::read(&path).unwrap(), damaged);
                if pauses.fetch_add(1, Ordering::Relaxed) == 1 {
                    std::fs::write(&path, KEY).unwrap();
                }
            });
            assert_eq!(pauses.load(Ordering::Relaxed), 2, "{}", String::from_utf8_lossy(damaged));
            assert_eq!(seen.borrow().as_ref().unwrap().public, public);
        }
    }

    #[test]
    fn a_key_that_was_put_there_while_one_was_made_is_the_key() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("serverkey.pem"), KEY).unwrap();
        let ready = keep(folder.path(), ED25519).unwrap();
        assert_eq!(ready.public, Key::read(KEY).unwrap().public_pem().unwrap());
    }

    #[test]
    fn what_cannot_be_read_or_kept_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serverkey.pem");
        std::fs::create_dir(&path).unwrap();
        let (state, seen) = watch::channel(Err(Unsigned::NotYet));
        have(folder.path(), &state, || {
            std::fs::remove_dir(&path).unwrap();
            std::fs::write(&path, KEY).unwrap();
        });
        assert!(seen.borrow().is_ok());
    }
}

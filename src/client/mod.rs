//! A typed client of a relay, for `cheesewire call`, `cheesewire cache prefetch` and other people's programs.
//!
//! ```no_run
//! # async fn example() -> Result<(), cheesewire::client::ClientError> {
//! use cheesewire::client::Client;
//!
//! let relay = Client::new("http://127.0.0.1:3141/")?;
//! let newest = relay.package_releases("sampleproject", false).await?;
//! let mut changes = relay.changelog(relay.changelog_last_serial().await?);
//! loop {
//!     let event = changes.next().await?;
//!     println!("{} {}: {}", event.serial, event.name, event.action);
//! }
//! # }
//! ```
//!
//! It knows nothing of how a relay works inside: what it reads and writes is dxr's, not the relay's own codec, so each test that
//! uses it also checks the one against the other.

mod calls;
mod changelog;
mod error;
mod files;
mod http;
mod settings;
mod types;
mod wire;

pub use calls::Client;
pub use changelog::Changelog;
pub use dxr::{DateTime, TryFromValue, TryToParams, TryToValue, Value};
pub use error::{ClientError, Reason};
pub use files::{Body, Files, ProjectFile, ProjectPage};
pub use settings::ClientSettings;
pub use types::{Digests, ReleaseData, ReleaseUrl, Whole};

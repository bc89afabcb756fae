//! A sandbox of one's own.

use cheesewire::sandbox::{Sandbox, SandboxSettings};

/// A sandbox with the default settings.
pub async fn sandbox() -> Sandbox {
    Sandbox::start(SandboxSettings::default()).await.unwrap()
}

//! Why something failed, for people.

use std::error::Error;

/// The last cause: what the layers above it add are words like "error sending request".
pub fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

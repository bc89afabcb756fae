//! Counts of downloads. This relay counts none yet, so all of them are empty: never a number that nobody counted.

use super::arguments::Arguments;
use crate::xmlrpc::{Fault, Value};

/// `[filename, count]` of each file of a release that was counted.
pub(super) fn release_downloads() -> Value {
    Value::Array(vec![])
}

/// `[name, downloads]` of the projects that were counted most.
pub(super) fn top_packages(arguments: &Arguments) -> Result<Value, Fault> {
    if arguments.int(0).is_some_and(|num| num < 0) {
        return Err(Fault::raised("ValueError", "num must not be negative"));
    }
    Ok(Value::Array(vec![]))
}

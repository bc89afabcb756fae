//! The decoder of calls.

use cheesewire::xmlrpc::{Call, decode_call, encode_call};

use super::{LIMITS, WRITTEN};

/// Any bytes are a call or an error; a call can be written, and what was written once reads back the same.
pub fn call(data: &[u8]) {
    let Ok(read) = decode_call(data, LIMITS) else { return };
    // The first writing drops what XML forbids and a lenient reader takes.
    let Some(once) = again(&read) else { return };
    assert_eq!(once.params.len(), read.params.len());
    assert_eq!(again(&once).as_ref().map(|twice| &twice.params), Some(&once.params));
}

fn again(call: &Call) -> Option<Call> {
    // A double that is not finite cannot be written.
    let written = encode_call(&call.method, &call.params).ok()?;
    assert!(written.is_ascii());
    Some(decode_call(&written, WRITTEN).expect("our own call"))
}

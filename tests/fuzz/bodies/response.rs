//! The decoders of answers: the whole, and item by item.

use cheesewire::xmlrpc::{Value, decode_items, decode_response};

use super::LIMITS;

/// Both decoders say the same of any bytes, as far as both say something.
pub fn response(data: &[u8]) {
    let whole = decode_response(data, LIMITS);
    let mut items = Vec::new();
    let listed = decode_items(data, LIMITS, |item| items.push(item));
    match (&whole, &listed) {
        // NaN is not equal to itself: the texts are compared.
        (Ok(Ok(Value::Array(whole))), Ok(Ok(true))) => assert_eq!(format!("{whole:?}"), format!("{items:?}")),
        (Ok(Ok(Value::Array(_))), Ok(other)) => panic!("an array, and {other:?}"),
        (Ok(Err(fault)), Ok(Err(other))) => assert_eq!(fault, other),
        (Ok(Err(fault)), other) => panic!("{fault:?}, and {other:?}"),
        (other, Ok(Ok(true) | Err(_))) => panic!("{other:?}, and {listed:?}"),
        (Ok(Ok(_)) | Err(_), Ok(Ok(false)) | Err(_)) => {}
    }
}

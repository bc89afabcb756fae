//! The encoder, read back by our decoder and by another's.

use arbitrary::Unstructured;
use cheesewire::xmlrpc::{
    Fault, Value, decode_call, decode_items, decode_response, encode_call, encode_fault, encode_response,
};

use super::value::{any, foreign, has_return, is_wide};
use super::{LIMITS, WRITTEN};

/// Any value is written so that dxr and we read it back, and what dxr writes we read.
pub fn round_trip(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(value) = any(&mut data, 12) else { return };
    answer(&value);
    call(&value);
    if let Value::String(text) = value {
        let fault = Fault { code: -32500, string: text };
        assert_eq!(decode_response(&encode_fault(&fault), LIMITS), Ok(Err(fault)));
    }
}

fn answer(value: &Value) {
    assert_eq!(encode_response(value, false).is_err(), is_wide(value), "{value:?}");
    let written = encode_response(value, true).expect("every value is finite");
    assert!(written.is_ascii());
    assert_eq!(decode_response(&written, WRITTEN).as_ref(), Ok(&Ok(value.clone())));
    let text = std::str::from_utf8(&written).expect("ASCII");
    let theirs = dxr::MethodResponse::from_xml(text).expect("our answer, to dxr");
    assert_eq!(theirs.value, foreign(value), "{text}");
    if let Value::Array(rows) = value {
        let mut items = Vec::new();
        assert_eq!(decode_items(&written, WRITTEN, |item| items.push(item)), Ok(Ok(true)));
        assert_eq!(&items, rows);
    }
    // dxr writes carriage returns as they are, which means line feeds.
    if !has_return(value) {
        let written = theirs.to_xml().expect("dxr's answer");
        assert_eq!(
            decode_response(written.as_bytes(), WRITTEN).as_ref(),
            Ok(&Ok(value.clone())),
            "{written}"
        );
    }
}

fn call(value: &Value) {
    let params = [value.clone(), Value::Nil, value.clone()];
    let written = encode_call("list_packages", &params).expect("every value is finite");
    let ours = decode_call(&written, WRITTEN).expect("our own call");
    assert_eq!(
        (ours.method.as_str(), &ours.params[..], ours.wide),
        ("list_packages", &params[..], is_wide(value))
    );
    let text = std::str::from_utf8(&written).expect("ASCII");
    let theirs = dxr::MethodCall::from_xml(text).expect("our call, to dxr");
    assert_eq!((&*theirs.name, theirs.params), ("list_packages", params.iter().map(foreign).collect()));
}

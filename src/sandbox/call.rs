//! Calls and short answers by dxr's codec: what the relay writes is read, and what it reads is written, by another's.
//!
//! Bulk answers are written by our own ([`super::rpc`]): dxr builds a tree of each.

use dxr::{FaultResponse, MethodCall, MethodResponse, Value};

use crate::xmlrpc::{Fault, TooWide};

/// A call as it came.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) params: Vec<Value>,
    /// The caller sent an `<i8>`, so it reads them (docs/wire.md section 2).
    wide: bool,
}

impl Call {
    pub(super) fn read(body: &[u8]) -> Result<Self, Fault> {
        // It nests as deeply as the library's reader allows, 128 elements.
        let call = std::str::from_utf8(body).ok();
        let call = call.and_then(|text| MethodCall::from_xml(text).ok()).ok_or_else(Fault::parse_error)?;
        let wide = call.params.iter().any(has_long);
        Ok(Self { method: call.name.into_owned(), params: call.params, wide })
    }

    /// Whether the answer may have numbers past 32 bits.
    pub(super) fn is_wide(&self) -> bool {
        self.wide
    }

    /// A number for this caller.
    pub(super) fn number(&self, number: i64) -> Result<Value, Fault> {
        match i32::try_from(number) {
            Ok(number) => Ok(Value::Integer(number)),
            Err(_) if self.wide => Ok(Value::Long(number)),
            Err(_) => Err(TooWide.into()),
        }
    }
}

/// The number, whichever size it was sent in.
pub(super) fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some((*number).into()),
        Value::Long(number) => Some(*number),
        _ => None,
    }
}

/// An answer's bytes.
pub(super) fn written(value: Value) -> Result<String, Fault> {
    MethodResponse { value }.to_xml().map(|document| declared(&document)).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Fault::internal()
    })
}

/// A fault's bytes; `None` if it cannot be written.
pub(super) fn refused(fault: &Fault) -> Option<String> {
    let fault = dxr::Fault::new(fault.code, fault.string.clone());
    FaultResponse { fault }.to_xml().map(|document| declared(&document)).ok()
}

fn declared(document: &str) -> String {
    format!("<?xml version='1.0'?>\n{document}")
}

fn has_long(value: &Value) -> bool {
    match value {
        Value::Long(_) => true,
        Value::Array(items) => items.iter().any(has_long),
        Value::Struct(members) => members.values().any(has_long),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call_of(param: &str) -> Result<Call, Fault> {
        let param = format!("<params><param>{param}</param></params>");
        let call = format!("<?xml version='1.0'?><methodCall><methodName>m</methodName>{param}</methodCall>");
        Call::read(call.as_bytes())
    }

    #[test]
    fn a_call_is_read_and_what_is_none_or_would_break_the_stack_is_refused() {
        let call =
            call_of("<value><array><data><value><i8>5000000000</i8></value></data></array></value>").unwrap();
        assert!(call.method == "m" && call.is_wide());
        assert_eq!(call.number(1 << 40).unwrap(), Value::Long(1 << 40));
        let call = call_of("<value><int>7</int></value>").unwrap();
        assert_eq!(as_integer(&call.params[0]), Some(7));
        assert!(call.number(1 << 40).is_err() && !call.is_wide());
        let deep = |levels: usize| {
            let (open, close) = ("<value><array><data>", "</data></array></value>");
            call_of(&format!("{}<value><nil/></value>{}", open.repeat(levels), close.repeat(levels)))
        };
        assert!(deep(30).is_ok());
        assert_eq!(deep(100_000).unwrap_err(), Fault::parse_error());
        assert_eq!(Call::read(b"<methodCall>").unwrap_err(), Fault::parse_error());
        assert_eq!(Call::read(b"\xff").unwrap_err(), Fault::parse_error());
    }

    #[test]
    fn answers_and_faults_are_documents() {
        assert!(written(Value::Nil).unwrap().starts_with("<?xml version='1.0'?>\n<methodResponse>"));
        let refused = refused(&Fault::raised("ValueError", "a <b> & c")).unwrap();
        let read = FaultResponse::from_xml(&refused).unwrap().fault;
        assert_eq!((read.code(), read.string()), (-32500, "ValueError: a <b> & c"));
    }
}

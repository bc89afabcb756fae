//! Calls and answers as dxr writes and reads them.

use dxr::{FaultResponse, MethodCall, MethodResponse, TryFromValue, TryToParams};

use super::Reason;

/// A call's bytes.
pub(super) fn write(method: &str, params: &impl TryToParams) -> Result<String, Reason> {
    let written =
        params.try_to_params().and_then(|params| MethodCall { name: method.into(), params }.to_xml());
    written
        .map_err(|error| Reason::Unusable(format!("arguments that XML-RPC cannot carry: {}", short(&error))))
}

/// An answer's value, or its fault. Blocks: 50,000 events take 100 ms.
pub(super) fn read<R: TryFromValue>(text: &str) -> Result<R, Reason> {
    // In a value `<` is written otherwise, so that this is a fault or, at worst, a comment.
    if text.contains("<fault")
        && let Ok(FaultResponse { fault }) = FaultResponse::from_xml(text)
    {
        return Err(Reason::Fault { code: fault.code(), words: fault.string().to_owned() });
    }
    let answer = MethodResponse::from_xml(text)
        .map_err(|_| Reason::Unexpected("XML that is no answer of XML-RPC".to_owned()))?;
    R::try_from_value(&answer.value)
        .map_err(|error| Reason::Unexpected(format!("another value: {}", short(&error))))
}

/// dxr's complaint, unless it is the whole input.
fn short(error: &dxr::Error) -> String {
    if error.is_invalid_data() { "not readable".to_owned() } else { error.to_string() }
}

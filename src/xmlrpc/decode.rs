//! Bytes → values, by the reading rules of docs/wire.md section 1: what real clients write is read, within limits.

mod items;
mod parser;
#[cfg(test)]
mod tests;

use super::{Fault, Value};
pub use items::items;
use parser::Parser;
pub use parser::{DecodeError, Limits};

/// A decoded `methodCall`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `methodName`.
    pub method: String,
    /// The parameters in order.
    pub params: Vec<Value>,
    /// The call has an `<i8>`, so its sender reads one (docs/wire.md section 2, rule 4).
    pub wide: bool,
}

/// Reads a `methodCall`.
pub fn call(document: &[u8], limits: Limits) -> Result<Call, DecodeError> {
    let mut parser = Parser::new(document, limits)?;
    parser.expect_root("methodCall", "not a methodCall")?;
    let mut method = None;
    let mut params = None;
    while let Some(tag) = parser.next_child()? {
        match tag.name {
            "methodName" if method.is_none() => method = Some(parser.text(&tag)?.trim().to_owned()),
            "params" if params.is_none() => params = Some(parser.params(&tag)?),
            _ => return Err(parser.fail("unexpected element in methodCall")),
        }
    }
    parser.end()?;
    let method = method.ok_or_else(|| parser.fail("no methodName"))?;
    let params = params.unwrap_or_else(Vec::new);
    Ok(Call { method, params, wide: parser.wide })
}

/// Reads a `methodResponse`: the inner result is the value or the fault that the server sent.
pub fn response(document: &[u8], limits: Limits) -> Result<Result<Value, Fault>, DecodeError> {
    let mut parser = Parser::new(document, limits)?;
    parser.expect_root("methodResponse", "not a methodResponse")?;
    let mut result = None;
    while let Some(tag) = parser.next_child()? {
        match tag.name {
            "params" if result.is_none() => {
                let mut params = parser.params(&tag)?;
                let value = params.pop().filter(|_| params.is_empty());
                result = Some(Ok(value.ok_or_else(|| parser.fail("not exactly one param"))?));
            }
            "fault" if result.is_none() => {
                let value = parser.only_value(&tag)?;
                result = Some(Err(parser.fault(&value)?));
            }
            _ => return Err(parser.fail("unexpected element in methodResponse")),
        }
    }
    parser.end()?;
    result.ok_or_else(|| parser.fail("an empty methodResponse"))
}

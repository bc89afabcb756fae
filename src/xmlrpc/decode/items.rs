//! A response that is one long array, item by item: a changelog page has 50,000, and its tree of values would take
//! four times the memory of the page.

use super::parser::{DecodeError, Limits, Parser};
use crate::xmlrpc::{Fault, Value};

/// Reads a `methodResponse` and hands out the items of the array that it holds, as they are read. The inner result
/// is the fault that the server sent, or whether the answer was an array.
///
/// If the document turns out not to be well-formed further on, the items handed out so far are worth nothing.
pub fn items(
    document: &[u8],
    limits: Limits,
    mut each: impl FnMut(Value),
) -> Result<Result<bool, Fault>, DecodeError> {
    let mut parser = Parser::new(document, limits)?;
    parser.expect_root("methodResponse", "not a methodResponse")?;
    let Some(tag) = parser.next_child()? else { return Err(parser.fail("an empty methodResponse")) };
    let result = match tag.name {
        "params" => {
            parser.pending_empty = tag.empty;
            let array =
                parser.descend("param")? && parser.descend("value")? && parser.item_array(&mut each)?;
            if !array {
                // It is something else: whether it is well-formed matters no more.
                return Ok(Ok(false));
            }
            for _ in ["value", "param", "params"] {
                if parser.next_child()?.is_some() {
                    return Err(parser.fail("more than one value"));
                }
            }
            Ok(true)
        }
        "fault" => {
            let value = parser.only_value(&tag)?;
            Err(parser.fault(&value)?)
        }
        _ => return Err(parser.fail("unexpected element in methodResponse")),
    };
    if parser.next_child()?.is_some() {
        return Err(parser.fail("unexpected element in methodResponse"));
    }
    parser.end()?;
    Ok(result)
}

impl Parser<'_> {
    /// Opens the next element if it has this name.
    fn descend(&mut self, name: &str) -> Result<bool, DecodeError> {
        let Some(tag) = self.next_child()? else { return Ok(false) };
        self.pending_empty = tag.empty;
        Ok(tag.name == name)
    }

    /// Reads an array to its end, if one comes.
    fn item_array(&mut self, each: &mut impl FnMut(Value)) -> Result<bool, DecodeError> {
        if !self.descend("array")? {
            return Ok(false);
        }
        self.each_item(each)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xmlrpc::{encode_fault, encode_response};

    const LIMITS: Limits = Limits { depth: 16 };

    fn read(document: &[u8]) -> Result<Result<(bool, Vec<Value>), Fault>, DecodeError> {
        let mut found = Vec::new();
        let read = items(document, LIMITS, |item| found.push(item))?;
        Ok(read.map(|array| (array, found)))
    }

    #[test]
    fn items_are_those_of_the_whole() {
        for rows in [
            vec![],
            vec![Value::Nil, Value::Array(vec![Value::from("a<&\u{e9}"), 5.into()]), Value::from("")],
        ] {
            let document = encode_response(&Value::Array(rows.clone()), false).unwrap();
            assert_eq!(read(&document).unwrap().unwrap(), (true, rows));
        }
    }

    #[test]
    fn what_is_no_array_is_told_from_an_empty_one() {
        for other in [Value::from("x"), Value::Struct(vec![])] {
            assert!(!read(&encode_response(&other, false).unwrap()).unwrap().unwrap().0);
        }
        let fault = Fault::parse_error();
        assert_eq!(read(&encode_fault(&fault)).unwrap().unwrap_err(), fault);
    }

    #[test]
    fn a_document_that_is_cut_anywhere_is_an_error() {
        let rows = Value::Array(vec![Value::Array(vec![1.into()]), Value::from("b")]);
        let document = encode_response(&rows, false).unwrap().to_vec();
        let document = document.trim_ascii_end();
        for end in 0..document.len() {
            let cut = read(&document[..end]);
            assert!(cut.is_err(), "{end}");
        }
        let more = [document, b"<x/>"].concat();
        assert!(read(&more).is_err());
    }
}

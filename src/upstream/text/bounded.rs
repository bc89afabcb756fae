//! A tree of values of JSON that takes a bounded part of memory.
//!
//! A value takes 72 bytes there, and `[]` three on the wire: a document of 60 MB of such would take over a gigabyte.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What an object with members takes beside these: the least table of hashes.
pub const TABLE: usize = 48;
/// What a member takes beside its name and its value: its hash, and its places in the table, which is half full.
pub const MEMBER: usize = 40;
/// The least room that a list makes when it grows.
const FIRST: usize = 4;

/// Reads a text of which the values, with all that lists and objects hold, take at most `most` bytes in memory. Only an error
/// about that is one of data ([`serde_json::Error::is_data`]).
pub(in crate::upstream) fn tree(text: &[u8], most: usize) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let mut left = most;
    let value = Bounded { most, left: &mut left }.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// What is said of a page or document that would take more memory than it may.
pub(in crate::upstream) fn over<E: serde::de::Error>(most: usize) -> E {
    E::custom(format_args!("it would take more than {most} bytes of memory (upstream.document_memory)"))
}

struct Bounded<'a> {
    most: usize,
    left: &'a mut usize,
}

impl Bounded<'_> {
    fn again(&mut self) -> Bounded<'_> {
        Bounded { most: self.most, left: self.left }
    }

    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.need(bytes)?;
        *self.left -= bytes;
        Ok(())
    }

    fn need<E: Error>(&self, bytes: usize) -> Result<(), E> {
        if bytes > *self.left { Err(over(self.most)) } else { Ok(()) }
    }

    /// Makes room for one more. While a list grows it is there twice.
    fn grow<T, E: Error>(&mut self, list: &mut Vec<T>) -> Result<(), E> {
        if list.len() == list.capacity() {
            let more = list.capacity().max(FIRST);
            self.need((list.capacity() + more) * size_of::<T>())?;
            self.take(more * size_of::<T>())?;
            list.reserve_exact(more);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<Value, E> {
        self.take(value.len())?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self.again())? {
            self.grow(&mut values)?;
            values.push(value);
        }
        *self.left += (values.capacity() - values.len()) * size_of::<Value>();
        values.shrink_to_fit();
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        // Their number is known at their end only, and a map that grows has room for half as many more.
        let mut members: Vec<(String, Value)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            self.take(key.capacity() + MEMBER)?;
            let value = map.next_value_seed(self.again())?;
            self.grow(&mut members)?;
            members.push((key, value));
        }
        if members.is_empty() {
            return Ok(Map::new().into());
        }
        // Those of the list and those of the map are there at once for a moment.
        self.need(members.len() * size_of::<(String, Value)>() + TABLE)?;
        self.take(TABLE)?;
        *self.left += (members.capacity() - members.len()) * size_of::<(String, Value)>();
        let mut object = Map::with_capacity(members.len());
        object.extend(members);
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_tree_of_the_library_as_long_as_it_takes_no_more_than_it_may() {
        let text = r#"{"a":[1,-2,1.5,1e300,18446744073709551616,true,null,"é\n"],"b":{},"a":{"x":[]},"c":"\ud83d\ude00"}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(tree(text.as_bytes(), 10_000).unwrap().to_string(), value.to_string());
        for bad in ["", "{", "[1,]", "1 2", "{\"a\":1e999}"] {
            assert!(!tree(bad.as_bytes(), 10_000).unwrap_err().is_data(), "{bad}");
        }
    }

    #[test]
    fn a_tree_is_refused_before_it_takes_more_than_it_may() {
        const MOST: usize = 1 << 20;
        let list = |item: &str, count: usize| format!("[{}0]", format!("{item},").repeat(count - 1));
        let members =
            |count: usize| (0..count).map(|at| format!("\"{at:06}\":0,")).collect::<Vec<_>>().concat();
        let value = size_of::<Value>();
        let member = value + size_of::<String>() + MEMBER + 6;
        // Each with how many fit whatever the lists' growth, and how many do not fit at all.
        for (text, least, most) in [
            (&(|count| list("[]", count)) as &dyn Fn(usize) -> String, MOST / value / 3, MOST / value + 1),
            (&|count| list("{}", count), MOST / value / 3, MOST / value + 1),
            (&|count| list("\"xxxxxxxxxx\"", count), MOST / (value + 10) / 3, MOST / (value + 10) + 1),
            (&|count| list("[0]", count), MOST / value / 10, MOST / value / 2 + 1),
            (&|count| list("{\"a\":0}", count), MOST / value / 10, MOST / value / 2 + 1),
            (&|count| format!("{{{}\"z\":0}}", members(count)), MOST / member / 4, MOST / member + 1),
            (&|count| format!("\"{}\"", "x".repeat(count)), MOST, MOST + 1),
            (&|count| format!("{{\"{}\":0}}", "x".repeat(count)), MOST / 3, MOST + 1),
        ] {
            assert!(tree(text(least).as_bytes(), MOST).is_ok(), "{}", &text(2));
            let error = tree(text(most).as_bytes(), MOST).unwrap_err();
            assert!(error.is_data() && error.to_string().contains("more than 1048576 bytes"), "{error}");
        }
    }
}

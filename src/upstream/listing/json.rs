//! A listing in JSON (PEP 691), read while it comes: of 886 thousand rows there is one at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::page::{Raw, api_minor, member_value, read_members, serial_member};
use super::super::text::Repaired;
use super::model::{ListedProject, Listing, too_many};
use crate::model::{ProjectName, Serial};
use crate::upstream::{Skipped, UpstreamError};

/// Bytes that are read at a time.
const BUFFER: usize = 64 << 10;

/// Reads a listing. What of a row cannot be used costs that row or that member; a listing that ends early, or of which no
/// row can be used, is an error.
pub(super) fn read(text: impl BufRead, most: usize) -> Result<Listing, UpstreamError> {
    let text = BufReader::with_capacity(BUFFER, Repaired::new(text));
    let mut json = serde_json::Deserializer::from_reader(text);
    let read = json.deserialize_any(PageVisitor { most }).and_then(|reading| json.end().map(|()| reading));
    let reading =
        read.map_err(|error| unexpected(&format!("a JSON listing that cannot be read: {error}")))?;
    let Reading { mut meta, projects, mut skipped } = reading;
    api_minor(&mut meta, &mut skipped).map_err(unexpected)?;
    let last_serial = meta.remove("_last-serial").and_then(|raw| serial(&raw));
    let projects = projects.ok_or_else(|| unexpected("a JSON listing without projects"))?;
    if projects.is_empty() && skipped.entries > 0 {
        return Err(unexpected("a JSON listing of which no project can be read"));
    }
    Ok(Listing { last_serial, projects, skipped, ..Listing::default() })
}

fn unexpected(what: &str) -> UpstreamError {
    UpstreamError::Unexpected(what.to_owned())
}

/// A serial that is none says as little as a missing one.
fn serial(raw: &Raw) -> Option<Serial> {
    member_value(raw.get()).as_ref().and_then(serial_member)
}

#[derive(Default)]
struct Reading {
    meta: BTreeMap<String, Raw>,
    projects: Option<Vec<ListedProject>>,
    skipped: Skipped,
}

struct PageVisitor {
    most: usize,
}

impl<'de> Visitor<'de> for PageVisitor {
    type Value = Reading;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a listing")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reading, A::Error> {
        let mut reading = Reading::default();
        let mut rows = Skipped::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "meta" => {
                    let meta: Raw = map.next_value()?;
                    reading.meta = read_members(meta.get()).unwrap_or_else(|| {
                        reading.skipped.member("", "meta");
                        BTreeMap::new()
                    });
                }
                "projects" => {
                    // Of a member that is repeated the last one counts, as in Python.
                    rows = Skipped::default();
                    reading.projects = map.next_value_seed(Rows { skipped: &mut rows, most: self.most })?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        reading.skipped.add(rows);
        Ok(reading)
    }

    // What serde says of it would have upstream's text in it.
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Reading, E> {
        Err(E::custom("a text"))
    }
}

struct Rows<'a> {
    skipped: &'a mut Skipped,
    most: usize,
}

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = Option<Vec<ListedProject>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = Option<Vec<ListedProject>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of projects")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut projects = Vec::new();
        while let Some(row) = list.next_element_seed(Row)? {
            match row {
                (Some(name), serial) if ProjectName::parse(&name).is_ok() => {
                    if projects.len() == self.most {
                        return Err(A::Error::custom(too_many(self.most)));
                    }
                    projects.push(ListedProject { name, serial });
                }
                (Some(name), _) => self.skipped.entry(&name, "no name of a project"),
                (None, _) => self.skipped.entry("", "a project without a name"),
            }
        }
        Ok(Some(projects))
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("projects are a text"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom("projects are an object"))
    }
}

/// A row, of any type: its name, if it has one, and its serial.
struct Row;

impl<'de> DeserializeSeed<'de> for Row {
    type Value = (Option<String>, Option<Serial>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Row {
    type Value = (Option<String>, Option<Serial>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => row.0 = map.next_value_seed(Text)?,
                "_last-serial" => row.1 = serial(&map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(row)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok((None, None))
    }

    /// A bare name.
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((Some(name.to_owned()), None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok((None, None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok((None, None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok((None, None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok((None, None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok((None, None))
    }
}

/// A text; none where there is something else.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // The row's visitor knows what to do with each type; a text within a row is a name as well.
        Row.deserialize(deserializer).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (Option<i64>, Vec<(String, Option<i64>)>, u64);

    fn told(body: &str) -> Result<Told, UpstreamError> {
        let listing = read(body.as_bytes(), usize::MAX)?;
        let number = |serial: Option<Serial>| serial.map(|serial| serial.0);
        let rows = listing.projects.into_iter().map(|project| (project.name, number(project.serial)));
        Ok((number(listing.last_serial), rows.collect(), listing.skipped.entries))
    }

    #[test]
    fn a_listing_has_serials() {
        let body = r#"{"meta":{"_last-serial":9,"api-version":"1.4"},"projects":[{"_last-serial":3,"name":"A.b"},{"name":"c","x":[]}]}"#;
        assert_eq!(told(body), Ok((Some(9), vec![("A.b".to_owned(), Some(3)), ("c".to_owned(), None)], 0)));
    }

    #[test]
    fn odd_rows_and_odd_members_hide_nothing() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let body = format!(
            r#"{{"meta":{{"_last-serial":[9],"api-version":1.1}},"x":{deep},"projects":[{{"name":null}},{{}},null,3,-1,1.5,[1],true,{{"name":{{}}}},{{"name":"-"}},
               {{"name":"a","_last-serial":"x"}},{{"name":"b","_last-serial":-1}},{{"name":"c","_last-serial":"7"}},{{"name":"x","name":"d","_last-serial":1e999}},
               {{"name":"e","_last-serial":NaN,"x":"\ud800"}},{{"name":"f","x":{deep}}},"g"],"name":""}}"#
        );
        let row = |name: &str, serial| (name.to_owned(), serial);
        let rows = vec![
            row("a", None),
            row("b", None),
            row("c", Some(7)),
            row("d", None),
            row("e", None),
            row("f", None),
            row("g", None),
        ];
        assert_eq!(told(&body), Ok((None, rows, 10)));
    }

    #[test]
    fn a_listing_of_more_projects_than_it_may_have_is_refused() {
        let body = r#"{"projects":[{"name":"a"},[],{"name":"b"},{"name":"c"}]}"#;
        assert_eq!(read(body.as_bytes(), 3).unwrap().projects.len(), 3);
        let refused = read(body.as_bytes(), 2).unwrap_err().to_string();
        assert!(refused.contains("upstream.listing_projects"), "{refused}");
    }

    #[test]
    fn a_listing_is_whole_or_an_error() {
        let whole = r#"{"projects":[{"name":"a"},{"name":"b"}],"meta":null}"#;
        assert_eq!(told(whole).map(|(_, rows, _)| rows.len()), Ok(2));
        for end in 0..whole.len() {
            assert!(told(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        for none in [
            "{}",
            r#"{"projects":null}"#,
            r#"{"projects":{"a":1}}"#,
            r#"{"projects":"a"}"#,
            r#"{"projects":[{}]}"#,
            r#"{"projects":[],"meta":{"api-version":"2.0"}}"#,
            r#"{"projects":[]}{}"#,
            r#""projects""#,
        ] {
            assert!(told(none).is_err(), "{none}");
        }
        assert_eq!(told(r#"{"meta":{},"projects":[]}"#), Ok((None, vec![], 0)));
    }
}

//! PEP 691 pages → the model.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use url::Url;

use super::super::text::repaired;
use super::json_file::{file, member};
use super::member::{Raw, read as read_member, serial_member, text};
use super::{Others, PageFile, ProjectPage, ProjectStatus, Skipped};
use crate::model::ProjectName;

/// The newest minor of `api-version` 1.x that we know the rules of.
const KNOWN_MINOR: u32 = 4;

/// Reads a page that came from `url`. The error says where, never what.
pub(super) fn read(name: &ProjectName, body: &[u8], url: &Url) -> Result<ProjectPage, String> {
    let once = parse(name, body, url);
    match once {
        Ok(page) => page,
        Err(error) => match repaired(body).map(|body| parse(name, &body, url)) {
            Some(Ok(page)) => page,
            Some(Err(_)) | None => Err(format!("a JSON page that cannot be read: {error}")),
        },
    }
}

/// The outer error is one of syntax.
fn parse(name: &ProjectName, body: &[u8], url: &Url) -> serde_json::Result<Result<ProjectPage, String>> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let reading = json.deserialize_any(PageVisitor { name, url })?;
    json.end()?;
    Ok(reading.finish(name))
}

/// A page while it is read.
#[derive(Default)]
struct Reading {
    meta: BTreeMap<String, Raw>,
    /// `None` if there are none, or null.
    files: Option<Vec<PageFile>>,
    versions: Option<Raw>,
    status: Option<Raw>,
    other: Others,
    skipped: Skipped,
    files_skipped: Skipped,
}

struct PageVisitor<'a> {
    name: &'a ProjectName,
    url: &'a Url,
}

impl<'de> Visitor<'de> for PageVisitor<'_> {
    type Value = Reading;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reading, A::Error> {
        let mut reading = Reading::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "meta" => {
                    let meta: Raw = map.next_value()?;
                    reading.meta = read_member(meta.get()).unwrap_or_else(|| {
                        reading.skipped.member("", "meta");
                        BTreeMap::new()
                    });
                }
                "files" => {
                    // Of a member that is repeated the last one counts, as in Python.
                    let mut skipped = Skipped::default();
                    reading.files = map.next_value_seed(FilesSeed {
                        name: self.name,
                        url: self.url,
                        skipped: &mut skipped,
                    })?;
                    reading.files_skipped = skipped;
                }
                "versions" => reading.versions = Some(map.next_value()?),
                "project-status" => reading.status = Some(map.next_value()?),
                // The normal form of what was asked for; not passed on among the others.
                "name" => drop(map.next_value::<IgnoredAny>()?),
                _ => reading.other.insert(key, map.next_value()?),
            }
        }
        Ok(reading)
    }

    // What serde says of it would have upstream's text in it.
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Reading, E> {
        Err(E::custom("a text"))
    }
}

/// The files are read one by one, so that of the text there is one at a time.
struct FilesSeed<'a> {
    name: &'a ProjectName,
    url: &'a Url,
    skipped: &'a mut Skipped,
}

impl<'de> serde::de::DeserializeSeed<'de> for FilesSeed<'_> {
    type Value = Option<Vec<PageFile>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FilesSeed<'_> {
    type Value = Option<Vec<PageFile>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut files = Vec::new();
        while let Some(raw) = list.next_element::<Raw>()? {
            files.extend(file(raw.get(), self.name, self.url, self.skipped));
        }
        Ok(Some(files))
    }

    // What serde says of these would have upstream's text in it.
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("files are a text"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom("files are an object"))
    }
}

impl Reading {
    fn finish(mut self, name: &ProjectName) -> Result<ProjectPage, String> {
        self.skipped.add(std::mem::take(&mut self.files_skipped));
        let api_minor = api_minor(&mut self.meta, &mut self.skipped)?;
        let last_serial = match self.meta.remove("_last-serial") {
            Some(raw) => self.member("", "_last-serial", &raw, serial_member),
            None => None,
        };
        let versions = self.versions.take().and_then(|raw| self.member("", "versions", &raw, list));
        let versions = versions.map(|versions| self.texts(versions));
        let status = self.status.take().and_then(|raw| self.member("", "project-status", &raw, status));
        let quarantined = status.as_ref().is_some_and(|status| status.status == "quarantined");
        // A quarantined project's page has no files, and has to be believed whatever it looks like otherwise.
        let files = match self.files {
            None if quarantined => Vec::new(),
            files => files.ok_or("a JSON page without files")?,
        };
        let mut meta = Others::default();
        for (key, raw) in self.meta {
            meta.insert(key, raw);
        }
        Ok(ProjectPage {
            name: name.clone(),
            api_minor,
            versions,
            files,
            last_serial,
            status,
            other: self.other,
            meta,
            skipped: self.skipped,
        })
    }

    fn member<T>(
        &mut self,
        of: &str,
        name: &str,
        raw: &Raw,
        meaning: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        member(&mut self.skipped, of, name, Some(raw), meaning)
    }

    fn texts(&mut self, values: Vec<Value>) -> Vec<String> {
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::String(text) => texts.push(text),
                _ => self.skipped.member("", "versions: one that is no text"),
            }
        }
        texts
    }
}

fn list(value: &Value) -> Option<Vec<Value>> {
    value.as_array().cloned()
}

fn status(value: &Value) -> Option<ProjectStatus> {
    // A plain text was PEP 792's first form.
    let status = text(&value["status"]).or_else(|| text(value))?.to_owned();
    Some(ProjectStatus { status, reason: text(&value["reason"]).map(str::to_owned) })
}

/// The minor of `api-version` 1.x, at most the one that is known; 0 if none can be read. Another major must not be read as
/// if it were this one (PEP 691).
pub(in crate::upstream) fn api_minor(
    meta: &mut BTreeMap<String, Raw>,
    skipped: &mut Skipped,
) -> Result<u32, &'static str> {
    let Some(raw) = meta.remove("api-version") else { return Ok(0) };
    let stated = member(skipped, "", "api-version", Some(&raw), |value| match value {
        Value::String(text) => version(text),
        Value::Number(number) => version(&number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    });
    match stated {
        Some((2.., _)) => Err("a page of an unknown api-version"),
        Some((_, minor)) => Ok(minor.min(KNOWN_MINOR)),
        None => Ok(0),
    }
}

/// Major and minor.
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    Some((major, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

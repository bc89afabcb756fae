//! PEP 691 pages → the model.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::super::Skipped;
use super::super::text::repaired;
use super::json_file::{file, member};
use super::member::{Raw, read as read_member, serial_member, text};
use super::model::{Others, PageFile, ProjectPage, ProjectStatus};
use super::pieces::Pieces;
use super::weight::{NODE, Weight, listed, members};
use crate::model::ProjectName;

/// The newest minor of `api-version` 1.x that we know the rules of.
const KNOWN_MINOR: u32 = 4;

/// Reads a page that came from `url` and takes at most `most` bytes in memory. The error says where, never what.
pub(super) fn read(name: &ProjectName, body: &[u8], url: &Url, most: usize) -> Result<ProjectPage, String> {
    let once = parse(name, body, url, most);
    match once {
        Ok(page) => page,
        // It takes too much memory, or is something else than a page: not a matter of spelling.
        Err(error) if error.is_data() => Err(format!("a JSON page that cannot be read: {error}")),
        Err(error) => match repaired(body).map(|body| parse(name, &body, url, most)) {
            Some(Ok(page)) => page,
            Some(Err(_)) | None => Err(format!("a JSON page that cannot be read: {error}")),
        },
    }
}

/// The outer error is one of syntax, or says that it would take too much memory.
fn parse(
    name: &ProjectName,
    body: &[u8],
    url: &Url,
    most: usize,
) -> serde_json::Result<Result<ProjectPage, String>> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let reading = json.deserialize_any(PageVisitor { name, url, most })?;
    json.end()?;
    Ok(reading.finish(name))
}

/// A page while it is read.
#[derive(Default)]
struct Reading {
    meta: BTreeMap<String, Raw>,
    /// `None` if there are none, or null.
    files: Option<Vec<PageFile>>,
    versions: Option<Vec<String>>,
    status: Option<Raw>,
    other: Others,
    skipped: Skipped,
    files_skipped: Skipped,
    versions_skipped: Skipped,
    weight: Weight,
}

struct PageVisitor<'a> {
    name: &'a ProjectName,
    url: &'a Url,
    /// The most bytes that it may take in memory.
    most: usize,
}

impl<'de> Visitor<'de> for PageVisitor<'_> {
    type Value = Reading;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Reading, A::Error> {
        let mut reading = Reading { weight: Weight::new(self.most), ..Reading::default() };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "meta" => {
                    let meta: Raw = map.next_value()?;
                    reading.weight.add(members(meta.get()))?;
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
                        weight: &mut reading.weight,
                    })?;
                    reading.files_skipped = skipped;
                }
                "versions" => {
                    // Not copied, and of its texts there is one at a time.
                    let raw: &'de RawValue = map.next_value()?;
                    reading.versions_skipped = Skipped::default();
                    reading.versions = reading.texts(raw.get())?;
                }
                "project-status" => reading.status = Some(map.next_value()?),
                // The normal form of what was asked for; not passed on among the others.
                "name" => drop(map.next_value::<IgnoredAny>()?),
                _ => {
                    let value: Raw = map.next_value()?;
                    reading.weight.add(NODE + key.len() + value.get().len())?;
                    reading.other.insert(key, value);
                }
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
    weight: &'a mut Weight,
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
        let mut files = Pieces::new();
        while let Some(raw) = list.next_element::<Raw>()? {
            self.weight.needs(members(raw.get()))?;
            if let Some(file) = file(raw.get(), self.name, self.url, self.skipped) {
                self.weight.add(file.weight())?;
                files.push(file);
                // At the end the list is there twice.
                self.weight.needs(files.bytes_to_join())?;
            }
        }
        Ok(Some(files.joined()))
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
        self.skipped.add(std::mem::take(&mut self.versions_skipped));
        let versions = self.versions.take();
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

    /// The texts of a list; `None` if it is none.
    fn texts<E: serde::de::Error>(&mut self, raw: &str) -> Result<Option<Vec<String>>, E> {
        if raw == "null" {
            return Ok(None);
        }
        let list = TextsVisitor { weight: &mut self.weight, skipped: &mut self.versions_skipped };
        let read = serde_json::Deserializer::from_str(raw).deserialize_seq(list);
        match read {
            Ok(texts) => Ok(Some(texts)),
            Err(_) if self.weight.is_over() => self.weight.needs(0).map(|()| None),
            Err(_) => {
                self.versions_skipped.member("", "versions");
                Ok(None)
            }
        }
    }
}

struct TextsVisitor<'a> {
    weight: &'a mut Weight,
    skipped: &'a mut Skipped,
}

impl<'de> Visitor<'de> for TextsVisitor<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut texts = Pieces::new();
        while let Some(raw) = list.next_element::<&'de RawValue>()? {
            let text = Some(raw.get()).filter(|raw| raw.starts_with('"')).and_then(read_member::<String>);
            if let Some(text) = text {
                self.weight.add(listed(&text))?;
                texts.push(text);
                self.weight.needs(texts.bytes_to_join())?;
            } else {
                self.skipped.member("", "versions: one that is no text");
            }
        }
        Ok(texts.joined())
    }
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

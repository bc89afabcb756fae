//! A file of a PEP 691 page → the model.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::Url;

use super::super::Skipped;
use super::member::{Digests, Raw, Stated, digests, flag, read as read_member, text, value, whole_number};
use super::model::{CoreMetadata, Others, PageFile, Yanked};
use super::paths::{located, unescape};
use crate::model::{Algorithm, FilePath, FilePaths, ProjectName, Stamp};

/// What a member says, if it is there; `meaning` gives none where it says nothing that can be used.
pub(super) fn member<T>(
    skipped: &mut Skipped,
    of: &str,
    name: &str,
    raw: Option<&Raw>,
    meaning: impl FnOnce(&Value) -> Option<T>,
) -> Option<T> {
    let raw = raw.filter(|raw| raw.get() != "null")?;
    let found = value(raw.get()).as_ref().and_then(meaning);
    if found.is_none() {
        skipped.member(of, name);
    }
    found
}

/// A file's members as upstream wrote them.
struct Members(BTreeMap<String, Raw>);

impl Members {
    fn take(&mut self, name: &str) -> Option<Raw> {
        self.0.remove(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        let value = value(self.0.get(name)?.get())?;
        text(&value).map(str::to_owned)
    }
}

/// A file; none, and a note, if it has no address or no name, or if either leads elsewhere.
pub(super) fn file(raw: &str, name: &ProjectName, base: &Url, skipped: &mut Skipped) -> Option<PageFile> {
    let Some(mut members) = read_member(raw).map(Members) else {
        skipped.entry("", "a file that is no object");
        return None;
    };
    let stated = members.text("filename");
    let address = members.text("url");
    let named = stated.as_deref().or(address.as_deref()).unwrap_or_default();
    let mut leave = |why: &str| {
        skipped.entry(named, why);
        None::<PageFile>
    };
    let Some(mut url) = address.as_deref().and_then(|address| base.join(address).ok()) else {
        return leave("no address");
    };
    let fragment = url.fragment().map(str::to_owned);
    url.set_fragment(None);
    unescape(&mut url);
    // pip looks at nothing else, so a page without names is one that pip reads.
    let last = || percent_decode_str(url.path().rsplit('/').next()?).decode_utf8().ok().map(String::from);
    let Some(filename) = stated.clone().or_else(last).filter(|name| FilePath::is_filename(name)) else {
        return leave("no name of a file");
    };
    // What cannot be read at all is no object either.
    let stated = members.take("hashes");
    let stated = stated.map_or(Value::Null, |raw| value(raw.get()).unwrap_or(Value::Bool(true)));
    let mut digests = digests(&stated);
    let fragment = fragment_parts(fragment.as_deref().unwrap_or_default(), &mut digests);
    let Stated { hashes, odd, unmatchable } = digests.finish();
    if odd {
        skipped.member(&filename, "hashes");
    }
    let mut take = |name: &str, meaning: &dyn Fn(&Value) -> Option<Value>| {
        let raw = members.take(name);
        member(skipped, &filename, name, raw.as_ref(), meaning)
    };
    let as_text = |value: &Value| text(value).map(Value::from);
    let string = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
    // An empty one demands nothing.
    let any_text = |value: &Value| value.as_str().map(Value::from);
    let requires_python = string(take("requires-python", &any_text)).filter(|text| !text.is_empty());
    let yanked = match take("yanked", &yanked_value) {
        None | Some(Value::Bool(false)) => Yanked::No,
        Some(Value::String(reason)) => Yanked::Yes(Some(reason)),
        Some(_) => Yanked::Yes(None),
    };
    // One thing with three names: PEP 714's, PEP 691's, PyPI's.
    let spellings = ["core-metadata", "dist-info-metadata", "data-dist-info-metadata"];
    let advertised =
        spellings.map(|name| take(name, &|value| Some(value.clone()))).into_iter().flatten().next();
    let size = take("size", &|value| whole_number(value).map(Value::from)).and_then(|size| size.as_u64());
    let upload_time = string(take("upload-time", &|value| {
        as_text(value).filter(|text| text.as_str().and_then(Stamp::parse).is_some())
    }));
    let gpg_sig = take("gpg-sig", &|value| flag(value).map(Value::from)).and_then(|flag| flag.as_bool());
    let provenance = string(take("provenance", &as_text));
    let core_metadata = match advertised.map(|value| core_metadata(&value)) {
        Some(Some(found)) => found,
        None => CoreMetadata::No,
        Some(None) => {
            skipped.member(&filename, "core-metadata");
            CoreMetadata::No
        }
    };
    let Some((FilePaths { path, earlier }, core_metadata)) =
        located(&url, (name, base), (&hashes, unmatchable), core_metadata)
    else {
        skipped.entry(&filename, "no address of a file");
        return None;
    };
    for known in ["filename", "url"] {
        members.take(known);
    }
    Some(PageFile {
        filename,
        url,
        fragment,
        path,
        earlier,
        hashes,
        unmatchable,
        requires_python,
        yanked,
        core_metadata,
        size,
        upload_time,
        gpg_sig,
        provenance,
        other: Others(members.0),
    })
}

/// As pip has it: a text is a reason, and anything else but nothing is a yes.
fn yanked_value(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) | Value::Bool(_) => Some(value.clone()),
        Value::Number(number) => Some(Value::Bool(number.as_f64() != Some(0.0))),
        Value::Array(list) => Some(Value::Bool(!list.is_empty())),
        Value::Object(members) => Some(Value::Bool(!members.is_empty())),
        Value::Null => None,
    }
}

/// Whether metadata is advertised; `None` if that cannot be told: an installer can do without it, but not with an address
/// where there is none, nor with a digest that is none.
fn core_metadata(value: &Value) -> Option<CoreMetadata> {
    let stated = match value {
        Value::Object(_) => digests(value),
        Value::String(text) if text.contains('=') => {
            let mut digests = Digests::default();
            fragment_parts(text, &mut digests);
            digests
        }
        other if flag(other)? => Digests::default(),
        _ => return Some(CoreMetadata::No),
    };
    let Stated { hashes, odd, .. } = stated.finish();
    (!odd).then_some(CoreMetadata::Yes(hashes))
}

/// Takes the digests out of a fragment: `sha256=HEX` and the like, joined with `&`. Gives the rest, if there is one.
pub(super) fn fragment_parts(fragment: &str, digests: &mut Digests) -> Option<String> {
    let mut rest = Vec::new();
    for part in fragment.split('&').filter(|part| !part.is_empty()) {
        let stated = part.split_once('=').filter(|(name, _)| Algorithm::parse(name).is_some());
        match stated {
            Some((name, digest)) => digests.insert(name, digest),
            None => rest.push(part),
        }
    }
    (!rest.is_empty()).then(|| rest.join("&"))
}

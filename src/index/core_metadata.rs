//! Core metadata (PEP 345, 566, 639 …) in the words of the JSON API's `info`.

use mailparse::MailHeader;
use serde_json::{Map, Value};

/// Fields that come once at most.
const SINGLE: [(&str, &str); 14] = [
    ("Name", "name"),
    ("Version", "version"),
    ("Summary", "summary"),
    ("Description-Content-Type", "description_content_type"),
    ("Keywords", "keywords"),
    ("Home-page", "home_page"),
    ("Download-URL", "download_url"),
    ("Author", "author"),
    ("Author-email", "author_email"),
    ("Maintainer", "maintainer"),
    ("Maintainer-email", "maintainer_email"),
    ("License", "license"),
    ("License-Expression", "license_expression"),
    ("Requires-Python", "requires_python"),
];

/// Fields that may come several times.
const LISTS: [(&str, &str); 11] = [
    ("Classifier", "classifiers"),
    ("Requires-Dist", "requires_dist"),
    ("Provides-Dist", "provides_dist"),
    ("Obsoletes-Dist", "obsoletes_dist"),
    ("Requires-External", "requires_external"),
    ("Provides-Extra", "provides_extra"),
    ("License-File", "license_files"),
    ("Dynamic", "dynamic"),
    ("Requires", "requires"),
    ("Provides", "provides"),
    ("Obsoletes", "obsoletes"),
];

/// Reads a `METADATA` or `PKG-INFO`. What it does not state is null, as in the JSON API. The error has none of its
/// bytes.
pub(super) fn info(metadata: &[u8]) -> Result<Map<String, Value>, String> {
    let (headers, body) = mailparse::parse_headers(metadata)
        .map_err(|error| format!("metadata that cannot be read: {error}"))?;
    let all = |field: &str| -> Vec<String> {
        headers.iter().filter(|header| header.get_key_ref().eq_ignore_ascii_case(field)).map(text).collect()
    };
    let one = |field: &str| all(field).into_iter().next();
    if one("Name").is_none() || one("Version").is_none() {
        return Err("metadata without name or version".to_owned());
    }
    let mut info = Map::new();
    for (field, key) in SINGLE {
        info.insert(key.to_owned(), one(field).map_or(Value::Null, Value::from));
    }
    for (field, key) in LISTS {
        let values = all(field);
        // Of these alone the JSON API has an empty list.
        let none = values.is_empty() && key != "classifiers";
        info.insert(key.to_owned(), if none { Value::Null } else { values.into() });
    }
    let platforms = all("Platform");
    info.insert("platform".to_owned(), platforms.join(",").into());
    let links = all("Project-URL").into_iter().filter_map(|link| {
        let (label, address) = link.split_once(',')?;
        Some((label.trim().to_owned(), Value::from(address.trim())))
    });
    info.insert("project_urls".to_owned(), Value::Object(links.collect()));
    // The body since metadata 2.1, a field before.
    let body = String::from_utf8_lossy(metadata.get(body..).unwrap_or_default());
    let description =
        if body.trim().is_empty() { one("Description").unwrap_or_default() } else { body.into_owned() };
    info.insert("description".to_owned(), description.into());
    Ok(info)
}

/// A field's text. It is UTF-8 as it stands, whatever mail says of header fields; continuation lines are indented by
/// eight blanks, or seven and a bar.
fn text(header: &MailHeader<'_>) -> String {
    let raw = String::from_utf8_lossy(header.get_value_raw());
    let lines = raw.lines().enumerate().map(|(at, line)| {
        if at == 0 {
            return line;
        }
        line.strip_prefix("       |")
            .or_else(|| line.strip_prefix("        "))
            .unwrap_or_else(|| line.trim_start_matches([' ', '\t']))
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lists_links_and_the_body_are_read() {
        let text = "Metadata-Version: 2.4\nName: a.B\nVersion: 1.0\nSummary: Käse <&>: ja\nPlatform: x\nPlatform: y\n\
            Classifier: One\nclassifier: Two\nProject-URL: Docs, https://a.test/, b\nLicense: one\n        two\n\
            Requires-Dist: c>=1 ; extra == 'd'\n\n# Title\n\nText: é\n";
        let info = info(text.as_bytes()).unwrap();
        assert_eq!(info["name"], "a.B");
        assert_eq!(info["summary"], "Käse <&>: ja");
        assert_eq!(info["platform"], "x,y");
        assert_eq!(info["classifiers"], serde_json::json!(["One", "Two"]));
        assert_eq!(info["project_urls"]["Docs"], "https://a.test/, b");
        assert_eq!(info["license"], "one\ntwo");
        assert_eq!(info["requires_dist"], serde_json::json!(["c>=1 ; extra == 'd'"]));
        assert_eq!(info["description"], "# Title\n\nText: é\n");
        assert_eq!((&info["author"], &info["provides_extra"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn an_old_description_is_a_field_with_bars() {
        let text = "Metadata-Version: 1.1\nName: a\nVersion: 1\nDescription: One\n       |\n       |  Two\n        Three\n";
        assert_eq!(info(text.as_bytes()).unwrap()["description"], "One\n\n  Two\nThree");
    }

    #[test]
    fn what_is_no_metadata_says_so() {
        for bad in [&b""[..], b"<html>", b"Name: a\n", b"\xff\xfe\x00"] {
            assert!(info(bad).is_err());
        }
    }
}

//! A release as the removed methods gave it, from documents of the JSON API (docs/wire.md section 5). Pure.

use std::cmp::Reverse;

use serde_json::Value as Json;

use crate::model::Stamp;
use crate::stats::Recent;
use crate::upstream::whole_number;
use crate::xmlrpc::Value;

/// Fields of `release_data` that are strings and that the JSON API has under the same name.
const STRINGS: [&str; 14] = [
    "bugtrack_url",
    "package_url",
    "release_url",
    "docs_url",
    "home_page",
    "author",
    "author_email",
    "maintainer",
    "maintainer_email",
    "summary",
    "description",
    "keywords",
    "platform",
    "requires_python",
];

/// Fields that are arrays of strings. The JSON API has dropped most; what it has is passed on.
const ARRAYS: [&str; 8] = [
    "classifiers",
    "requires",
    "requires_dist",
    "provides",
    "provides_dist",
    "obsoletes",
    "obsoletes_dist",
    "requires_external",
];

/// The struct of `release_data`. `ordering` counts the project's older releases; `downloads` are the project's, `None` where
/// they are not counted.
pub(super) fn data(info: &Json, ordering: i64, downloads: Option<Recent>) -> Value {
    let mut members = vec![member("name", text(info, "name")), member("version", text(info, "version"))];
    members.push(member("stable_version", Value::Nil));
    members.extend(STRINGS.iter().map(|name| member(name, text(info, name))));
    members.extend(ARRAYS.iter().map(|name| member(name, strings(&info[*name]))));
    members.push(member("download_url", or_unknown(info, "download_url")));
    members.push(member("license", license(info)));
    members.push(member("project_url", project_url(info)));
    members.push(member("_pypi_ordering", Value::Int(ordering)));
    members.push(member("_pypi_hidden", Value::Bool(false)));
    members.push(member("downloads", recent(downloads)));
    for name in ["code_kwalitee_id", "documentation_id", "installability_id"] {
        members.push(member(&format!("cheesecake_{name}"), Value::Nil));
    }
    Value::Struct(members)
}

/// The struct of one file in `release_urls`. `path` is the file's below `/packages/` on our side, `url` its
/// whole address there. `downloads` is -1 where they are not counted.
pub(super) fn file(file: &Json, path: &str, url: String, downloads: i64) -> Value {
    let digest = |kind: &str| text(&file["digests"], kind);
    let sdist = file["packagetype"] == "sdist";
    // What stdeb and pip look for; old uploads gave an interpreter's version here.
    let python = if sdist { Value::from("source") } else { text(file, "python_version") };
    let time = |name: &str| file[name].as_str().and_then(|text| Some((text, Stamp::parse(text)?)));
    // As our JSON has it: whole seconds have a fraction or not, as upstream writes them.
    let (time, iso) = match (time("upload_time_iso_8601"), time("upload_time")) {
        (Some((text, stamp)), _) => (Value::from(stamp), Value::from(text)),
        (None, Some((_, stamp))) => (Value::from(stamp), Value::from(stamp.rfc3339_micros())),
        // vanity and others calculate with it: a text would end them.
        (None, None) => (Value::from(Stamp::EPOCH), Value::from(Stamp::EPOCH.rfc3339_micros())),
    };
    Value::Struct(vec![
        member("filename", text(file, "filename")),
        member("packagetype", text(file, "packagetype")),
        member("python_version", python),
        member("size", Value::Size(size(&file["size"]))),
        member("md5_digest", digest("md5")),
        member("sha256_digest", digest("sha256")),
        member(
            "digests",
            Value::Struct(vec![member("md5", digest("md5")), member("sha256", digest("sha256"))]),
        ),
        member("has_sig", Value::Bool(false)),
        member("upload_time", time),
        member("upload_time_iso_8601", iso),
        member("comment_text", text(file, "comment_text")),
        member("downloads", Value::Int(downloads)),
        member("path", Value::from(path)),
        member("url", Value::from(url)),
    ])
}

/// Bytes; -1 if upstream states none that can be one.
fn size(stated: &Json) -> i64 {
    whole_number(stated).and_then(|size| i64::try_from(size).ok()).unwrap_or(-1)
}

/// `[role, user]` pairs of a document's `ownership`: roles descending, then users without case (docs/wire.md section 8).
/// `None` if upstream does not tell.
pub(super) fn roles(document: &Json) -> Option<Value> {
    let roles = document["ownership"]["roles"].as_array()?;
    let mut pairs: Vec<(&str, &str)> =
        roles.iter().filter_map(|role| Some((role["role"].as_str()?, role["user"].as_str()?))).collect();
    pairs.sort_by_cached_key(|(role, user)| (Reverse(*role), user.to_lowercase(), *user));
    Some(pairs.into_iter().map(|(role, user)| Value::from_iter([role, user])).collect())
}

fn member(name: &str, value: Value) -> (String, Value) {
    (name.to_owned(), value)
}

/// Null and missing are `''`: three clients crash on nil (docs/wire.md section 2, rule 5).
fn text(object: &Json, name: &str) -> Value {
    Value::from(object[name].as_str().unwrap_or(""))
}

fn strings(array: &Json) -> Value {
    array.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

fn or_unknown(info: &Json, name: &str) -> Value {
    Value::from(info[name].as_str().filter(|text| !text.is_empty()).unwrap_or("UNKNOWN"))
}

/// Uploads of today state an SPDX expression instead of the old field.
fn license(info: &Json) -> Value {
    let stated = ["license", "license_expression"]
        .iter()
        .find_map(|name| info[*name].as_str().filter(|t| !t.is_empty()));
    Value::from(stated.unwrap_or(""))
}

/// "Label, URL" of each link that was declared. In the JSON API's `project_urls` upstream repeats the home page and the
/// download address under labels of its own.
fn project_url(info: &Json) -> Value {
    let repeated = |label: &str, url: &str| match label {
        "Homepage" => info["home_page"] == url,
        "Download" => info["download_url"] == url,
        _ => false,
    };
    let links = info["project_urls"].as_object().into_iter().flatten();
    let links = links.filter_map(|(label, url)| Some((label, url.as_str()?)));
    links.filter(|(label, url)| !repeated(label, url)).map(|(label, url)| format!("{label}, {url}")).collect()
}

fn recent(downloads: Option<Recent>) -> Value {
    let number = |of: fn(Recent) -> u64| Value::Int(downloads.map_or(-1, |recent| whole(of(recent))));
    Value::Struct(vec![
        member("last_day", number(|recent| recent.last_day)),
        member("last_week", number(|recent| recent.last_week)),
        member("last_month", number(|recent| recent.last_month)),
    ])
}

/// A number of downloads as an `<int>`, which ends at 32 bits: whoever reads more than two thousand million sees no difference.
pub(super) fn whole(downloads: u64) -> i64 {
    i64::from(i32::try_from(downloads).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nulls_are_empty_texts_and_only_four_fields_are_nil() {
        let Value::Struct(members) = data(&json!({"name": "a", "version": "1", "summary": null}), 3, None)
        else {
            panic!("not a struct")
        };
        let nil: Vec<_> =
            members.iter().filter(|(_, value)| *value == Value::Nil).map(|(name, _)| name).collect();
        assert_eq!(
            nil,
            [
                "stable_version",
                "cheesecake_code_kwalitee_id",
                "cheesecake_documentation_id",
                "cheesecake_installability_id"
            ]
        );
        let get = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        assert_eq!(get("summary"), Some(Value::from("")));
        assert_eq!(get("download_url"), Some(Value::from("UNKNOWN")));
        assert_eq!(get("_pypi_ordering"), Some(Value::Int(3)));
        assert_eq!(get("downloads").unwrap().get("last_month"), Some(&Value::Int(-1)));
        let counted = Recent { last_day: 0, last_week: 7, last_month: 3_000_000_000 };
        let told = recent(Some(counted));
        assert_eq!(
            ["last_day", "last_week"].map(|name| told.get(name).cloned()),
            [0, 7].map(|n| Some(Value::Int(n)))
        );
        assert_eq!(told.get("last_month"), Some(&Value::Int(2_147_483_647)));
    }

    #[test]
    fn an_sdist_says_source_and_its_time_is_a_date() {
        let object = json!({"filename": "a-1.zip", "packagetype": "sdist", "python_version": "2.7",
            "upload_time": "2026-01-31T23:59:59", "size": 5, "digests": {"md5": "m", "sha256": "s"}});
        let value = file(&object, "ab/a-1.zip", "http://127.0.0.1/packages/ab/a-1.zip".to_owned(), 7);
        assert_eq!(value.get("python_version"), Some(&Value::from("source")));
        assert_eq!(value.get("upload_time"), Some(&Value::DateTime("20260131T23:59:59".to_owned())));
        assert_eq!(value.get("sha256_digest"), Some(&Value::from("s")));
    }

    #[test]
    fn only_declared_links_are_told() {
        let links = |home: &str, download: &str| {
            project_url(&json!({"home_page": home, "download_url": download, "project_urls":
                {"Download": "http://a.test/d", "Homepage": "http://a.test/", "Docs": "http://a.test/", "Odd": 1}}))
        };
        let (download, home, docs) =
            ("Download, http://a.test/d", "Homepage, http://a.test/", "Docs, http://a.test/");
        assert_eq!(links("http://a.test/", "http://a.test/d"), Value::from_iter([docs]));
        assert_eq!(links("http://b.test/", ""), Value::from_iter([download, home, docs]));
        assert_eq!(project_url(&json!({"home_page": null, "project_urls": null})), Value::Array(vec![]));
    }

    #[test]
    fn the_time_in_iso_8601_is_upstreams_text() {
        let times = |object: &Json| {
            let value = file(object, "a", String::new(), -1);
            ["upload_time", "upload_time_iso_8601"].map(|name| value.get(name).unwrap().clone())
        };
        let date = || Value::DateTime("20260131T23:59:59".to_owned());
        for text in ["2026-01-31T23:59:59Z", "2026-01-31T23:59:59.175000Z", "2026-02-01T00:59:59+01:00"] {
            let object = json!({"upload_time_iso_8601": text, "upload_time": "2026-01-31T23:59:59"});
            assert_eq!(times(&object), [date(), text.into()]);
        }
        for odd in [Json::Null, "x".into()] {
            let object = json!({"upload_time_iso_8601": odd, "upload_time": "2026-01-31T23:59:59"});
            assert_eq!(times(&object), [date(), "2026-01-31T23:59:59.000000Z".into()]);
        }
        for unreadable in [json!({}), json!({"upload_time": 5, "upload_time_iso_8601": "yesterday"})] {
            let epoch = Value::DateTime("19700101T00:00:00".to_owned());
            assert_eq!(times(&unreadable), [epoch, "1970-01-01T00:00:00.000000Z".into()]);
        }
    }

    #[test]
    fn roles_descend_and_users_ascend_without_case() {
        let document = json!({"ownership": {"roles": [
            {"role": "Maintainer", "user": "b"}, {"role": "Owner", "user": "Zoe"}, {"role": "Owner", "user": "ab"},
            {"role": "Owner", "user": "Aa"}, {"role": "Owner", "user": "zoe"}]}});
        let pair = |role: &str, user: &str| Value::from_iter([role, user]);
        let owners = ["Aa", "ab", "Zoe", "zoe"].map(|user| pair("Owner", user));
        let expected: Value = owners.into_iter().chain([pair("Maintainer", "b")]).collect();
        assert_eq!(roles(&document), Some(expected));
        assert_eq!(roles(&json!({})), None);
    }
}

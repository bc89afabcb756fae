//! Odd pages.

use super::super::{CoreMetadata, Yanked};
use super::*;

const HEX: &str = "abababababababababababababababababababababababababababababababab";

fn page(body: &str) -> Result<ProjectPage, String> {
    let url = "https://index.test/simple/a/".parse().unwrap();
    read(&ProjectName::parse("a").unwrap(), body.as_bytes(), &url, usize::MAX)
}

/// The page of one file with a further member.
fn with(member: &str) -> ProjectPage {
    let file =
        format!(r#"{{"filename":"a-1.zip","url":"../a-1.zip","hashes":{{"sha256":"{HEX}"}},{member}}}"#);
    page(&format!(r#"{{"meta":{{"api-version":"1.4"}},"files":[{file}]}}"#)).unwrap()
}

#[test]
fn an_odd_member_costs_itself_and_is_named() {
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let deep = format!("\"size\":{deep}");
    for (member, skipped) in [
        (r#""size":-1"#, "size"),
        (r#""size":1.5"#, "size"),
        (r#""size":1e999"#, "size"),
        (r#""size":{}"#, "size"),
        (deep.as_str(), "size"),
        (r#""upload-time":1700000000"#, "upload-time"),
        (r#""upload-time":"yesterday""#, "upload-time"),
        (r#""requires-python":[">=3"]"#, "requires-python"),
        (r#""gpg-sig":"perhaps""#, "gpg-sig"),
        (r#""provenance":5"#, "provenance"),
        (r#""core-metadata":[1]"#, "core-metadata"),
        (r#""core-metadata":{"sha256":"x"}"#, "core-metadata"),
        (r#""core-metadata":"sha256=x""#, "core-metadata"),
        (r#""hashes":"sha256""#, "hashes"),
    ] {
        let page = with(member);
        let file = &page.files[0];
        assert_eq!((page.skipped.entries, page.skipped.members), (0, 1), "{member}");
        assert_eq!(page.skipped.named, [format!("a-1.zip: {skipped}")], "{member}");
        assert_eq!((file.size, &file.upload_time, &file.requires_python), (None, &None, &None), "{member}");
        assert_eq!((file.gpg_sig, &file.provenance), (None, &None), "{member}");
        assert_eq!((&file.yanked, &file.core_metadata), (&Yanked::No, &CoreMetadata::No), "{member}");
    }
}

#[test]
fn what_can_be_understood_is() {
    let yes = |reason: Option<&str>| Yanked::Yes(reason.map(str::to_owned));
    for (member, yanked) in [
        (r#""yanked":null"#, Yanked::No),
        (r#""yanked":0"#, Yanked::No),
        (r#""yanked":[]"#, Yanked::No),
        (r#""yanked":1"#, yes(None)),
        (r#""yanked":{"reason":"x"}"#, yes(None)),
        (r#""yanked":"true""#, yes(Some("true"))),
        (r#""yanked":"""#, yes(Some(""))),
        (r#""yanked":"\ud800 bad""#, yes(Some("\u{fffd} bad"))),
        (r#""yanked":true,"yanked":false"#, Yanked::No),
    ] {
        assert_eq!(with(member).files[0].yanked, yanked, "{member}");
    }
    for (member, size) in
        [(r#""size":"1290""#, 1290), (r#""size":1290.0"#, 1290), (r#""size":1,"size":2"#, 2)]
    {
        let page = with(member);
        assert_eq!((page.files[0].size, page.skipped.is_empty()), (Some(size), true), "{member}");
    }
    let metadata = |pairs: &[(&str, &str)]| {
        CoreMetadata::Yes(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    };
    for (member, advertised) in [
        (r#""core-metadata":"true""#.to_owned(), metadata(&[])),
        (r#""core-metadata":1"#.to_owned(), metadata(&[])),
        (r#""core-metadata":{}"#.to_owned(), metadata(&[])),
        (format!(r#""core-metadata":{{"sha256":"{}"}}"#, HEX.to_uppercase()), metadata(&[("sha256", HEX)])),
        (format!(r#""core-metadata":"sha256={HEX}""#), metadata(&[("sha256", HEX)])),
        (
            format!(r#""core-metadata":null,"dist-info-metadata":{{"sha256":"{HEX}"}}"#),
            metadata(&[("sha256", HEX)]),
        ),
        (r#""core-metadata":false,"dist-info-metadata":true"#.to_owned(), CoreMetadata::No),
        (r#""core-metadata":"false""#.to_owned(), CoreMetadata::No),
    ] {
        let page = with(&member);
        assert_eq!((&page.files[0].core_metadata, page.skipped.is_empty()), (&advertised, true), "{member}");
    }
    let page = with(
        r#""gpg-sig":"false","upload-time":"2026-01-31T23:59:59Z","x":[1e999,"\ud800"],"requires-python":"""#,
    );
    let file = &page.files[0];
    assert_eq!((file.gpg_sig, &file.requires_python), (Some(false), &None));
    assert_eq!(serde_json::to_string(&file.other).unwrap(), r#"{"x":[1e999,"\ud800"]}"#);
}

#[test]
fn a_bad_file_hides_no_other() {
    for bad in [
        r#"{"filename":"x","url":"http://[","hashes":{}}"#,
        r#"{"filename":"a-2.zip","hashes":{}}"#,
        r#"{"filename":"a-2.zip","url":5,"hashes":{}}"#,
        r#"{"filename":"a-2.zip","url":"file:///packages/a-2.zip","hashes":{}}"#,
        r#"{"filename":"../a-2.zip","url":"https://files.test/packages/a-2.zip","hashes":{}}"#,
        r#"{"url":"https://files.test/packages/","hashes":{}}"#,
        "null",
        "7",
        r#""a-2.zip""#,
        "[]",
    ] {
        let good = r#"{"filename":"a-1.zip","url":"https://files.test/packages/a-1.zip","hashes":{}}"#;
        let page = page(&format!(r#"{{"meta":{{"api-version":"1.1"}},"name":"a","files":[{bad},{good}]}}"#))
            .unwrap();
        let names: Vec<_> = page.files.iter().map(|file| file.filename.as_str()).collect();
        assert_eq!((names, page.skipped.entries), (vec!["a-1.zip"], 1), "{bad}");
    }
}

#[test]
fn a_file_needs_only_an_address() {
    for (file, name, hash) in [
        (
            format!(r#"{{"url":"/packages/a-1%2Bx.zip#sha256={}"}}"#, HEX.to_uppercase()),
            "a-1+x.zip",
            Some(HEX),
        ),
        (r#"{"filename":null,"url":"a-1.zip","hashes":null}"#.to_owned(), "a-1.zip", None),
        (
            r#"{"filename":5,"url":"//files.test/a-1.zip?sig=1","hashes":{"sha256":null}}"#.to_owned(),
            "a-1.zip",
            None,
        ),
    ] {
        let page = page(&format!(r#"{{"files":[{file}]}}"#)).unwrap();
        let [file] = &page.files[..] else { panic!("{:?}", page.skipped) };
        assert_eq!((file.filename.as_str(), file.hashes.get("sha256").map(String::as_str)), (name, hash));
    }
}

#[test]
fn what_a_fragment_says_beside_digests_stays() {
    let page = page(&format!(r#"{{"files":[{{"url":"b.zip#sha256={HEX}&egg=a-1&x"}}]}}"#)).unwrap();
    assert_eq!(page.files[0].fragment.as_deref(), Some("egg=a-1&x"));
    assert_eq!(page.files[0].url.as_str(), "https://index.test/simple/a/b.zip");
}

#[test]
fn odd_members_of_the_page_cost_themselves() {
    for (head, minor, versions, members) in [
        (r#""meta":null"#, 0, None, 1),
        (r#""meta":{"api-version":"1"}"#, 0, None, 0),
        (r#""meta":{"api-version":1.1}"#, 1, None, 0),
        (r#""meta":{"api-version":1}"#, 0, None, 0),
        (r#""meta":{"api-version":["1.1"]}"#, 0, None, 1),
        (r#""meta":{"api-version":"1.99","_last-serial":"x"}"#, KNOWN_MINOR, None, 1),
        (r#""versions":null"#, 0, None, 0),
        (r#""versions":["1",2,null,"3"]"#, 0, Some(vec!["1", "3"]), 2),
        (r#""versions":{"1":1}"#, 0, None, 1),
        (r#""name":[],"x":NaN,"project-status":7"#, 0, None, 1),
    ] {
        let page = page(&format!(r#"{{{head},"files":[{{"url":"a-1.zip"}}]}}"#)).unwrap();
        assert_eq!((page.files.len(), page.api_minor), (1, minor), "{head}");
        assert_eq!(
            page.versions.as_deref().map(|list| list.iter().map(String::as_str).collect()),
            versions,
            "{head}"
        );
        assert_eq!(page.skipped.members, members, "{head}: {:?}", page.skipped);
    }
    for status in [r#"{"status":"quarantined","reason":5}"#, r#""quarantined""#] {
        let page = page(&format!(r#"{{"project-status":{status}}}"#)).unwrap();
        assert!(page.is_quarantined() && page.files.is_empty());
    }
    let repeated = page(r#"{"files":[{},{"url":"a-1.zip"}],"files":[{"url":"a-2.zip"}]}"#).unwrap();
    assert_eq!((repeated.files[0].filename.as_str(), repeated.skipped.entries), ("a-2.zip", 0));
}

#[test]
fn a_page_is_whole_or_an_error() {
    let whole = r#"{"files":[{"url":"a-1.zip"},{"url":"a-2.zip","size":NaN}],"meta":{}}"#;
    assert_eq!(page(whole).unwrap().files.len(), 2);
    for end in 0..whole.len() {
        assert!(page(&whole[..end]).is_err(), "{}", &whole[..end]);
    }
    for none in [
        "{}",
        "[]",
        r#""secret""#,
        r#"{"files":null}"#,
        r#"{"files":"secret"}"#,
        r#"{"files":{"secret":1}}"#,
        r#"{"files":[]}}"#,
        r#"{"files":[],"meta":{"api-version":"2.0"}}"#,
        r#"{"files":[],"meta":{"api-version":2}}"#,
    ] {
        let error = page(none).unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_digest_that_cannot_be_one_leaves_a_file_that_nothing_matches() {
    for file in [r#""url":"a-1.zip","hashes":{"sha256":"ab"}"#, r#""url":"a-1.zip#sha256=zz""#] {
        let page = page(&format!(r#"{{"files":[{{{file}}}]}}"#)).unwrap();
        assert!(page.files[0].unmatchable && page.files[0].hashes.is_empty(), "{file}");
        assert_eq!(page.skipped.named, ["a-1.zip: hashes"], "{file}");
    }
}

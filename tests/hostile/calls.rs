//! Documents that are meant to blow a reader up.

use std::time::Duration;

use cheesewire::xmlrpc::Value;

use super::{CALL, NO_METHOD, NOT_WELL_FORMED, Victim, fault, status, with_param};
use crate::support::call;

#[tokio::test]
async fn a_billion_laughs_are_refused_at_the_document_type() {
    let victim = Victim::start(&[]).await;
    let entity = |n: usize| format!("<!ENTITY l{n} '{}'>", format!("&l{};", n - 1).repeat(10));
    let entities = format!("<!ENTITY l0 'ha'>{}", (1..10).map(entity).collect::<Vec<_>>().concat());
    let document = format!(
        "<?xml version='1.0'?><!DOCTYPE x [{entities}]>{}",
        with_param("<value><string>&l9;</string></value>")
    );
    assert_eq!(fault(&victim.answer_to_call("", document.as_bytes()).await), NOT_WELL_FORMED);
}

#[tokio::test]
async fn an_external_entity_is_not_fetched() {
    let victim = Victim::start(&[]).await;
    for address in ["file:///etc/passwd".to_owned(), victim.sandbox.url()] {
        let document = format!(
            "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM '{address}'>]>{}",
            with_param("<value>&e;</value>")
        );
        let answer = victim.answer_to_call("", document.as_bytes()).await;
        assert_eq!(fault(&answer), NOT_WELL_FORMED);
        assert!(!answer.contains("root:"), "{answer}");
    }
    assert_eq!(victim.sandbox.requests().path("/"), 0);
}

#[tokio::test]
async fn parameter_entities_and_undeclared_ones_are_refused() {
    let victim = Victim::start(&[]).await;
    for head in [
        "<!DOCTYPE x [<!ENTITY % p '<!ENTITY q \"z\">'> %p;]>",
        "<!DOCTYPE x SYSTEM 'http://index.test/x.dtd'>",
        "<!DOCTYPE x [<!ATTLIST value a CDATA 'b'>]>",
        "",
    ] {
        let document = format!("{head}{}", with_param("<value>&q;</value>"));
        assert_eq!(fault(&victim.answer_to_call("", document.as_bytes()).await), NOT_WELL_FORMED, "{head}");
    }
}

#[tokio::test]
async fn a_version_of_a_megabyte_is_one_that_nobody_has_and_is_not_read_for_each_release() {
    // With documents at hand: each would be compared with 140 releases.
    let victim = Victim::start(&[]).await;
    let releases = [Value::from("many-versions"), Value::Bool(true)];
    assert!(call(victim.url(), "package_releases", &releases).await.unwrap().as_array().unwrap().len() > 100);
    let versions =
        [format!("1{}", ".1".repeat(400_000)), format!("1+{}b", "a.".repeat(400_000)), "9".repeat(800_000)];
    for version in versions {
        let params = [Value::from("many-versions"), Value::from(version.as_str())];
        let spec = ["name", "version"].into_iter().map(str::to_owned).zip(params.clone()).collect();
        let alone = Value::Struct(vec![("version".to_owned(), Value::from(version.as_str()))]);
        let none = Value::Array(Vec::new());
        for (method, params, answer) in [
            ("release_data", &params[..], Value::Struct(Vec::new())),
            ("release_urls", &params[..], none.clone()),
            ("search", &[Value::Struct(spec)][..], none.clone()),
            ("search", &[alone][..], none.clone()),
        ] {
            // Read for each release, it takes hours.
            let asked = victim.survives(call(victim.url(), method, params));
            let answered = tokio::time::timeout(Duration::from_mins(1), asked).await;
            assert_eq!(answered.expect("it holds up the relay"), Ok(answer), "{method}");
        }
    }
}

#[tokio::test]
async fn a_hundred_thousand_nested_arrays_are_refused_at_the_depth_limit() {
    let open = "<value><array><data>".repeat(100_000);
    let close = "</data></array></value>".repeat(100_000);
    let document = with_param(&format!("{open}<value>x</value>{close}"));
    let victim = Victim::start(&["http.body_limit=8MiB"]).await;
    assert_eq!(fault(&victim.answer_to_call("", document.as_bytes()).await), NOT_WELL_FORMED);
    // As the relay comes, they are too many bytes.
    let victim = Victim::start(&[]).await;
    assert_eq!(status(&victim.answer_to_call("", document.as_bytes()).await), "413");
}

#[tokio::test]
async fn structs_and_members_without_end_are_refused() {
    let victim = Victim::start(&[]).await;
    let deep = "<value><struct><member><name>n</name>".repeat(20_000);
    assert_eq!(fault(&victim.answer_to_call("", with_param(&deep).as_bytes()).await), NOT_WELL_FORMED);
    // Flat, they are one parameter of the wrong type.
    let flat =
        format!("<value><struct>{}</struct></value>", "<member><name/><value/></member>".repeat(30_000));
    let expected = "-32602 client error; package_name: Input should be a valid string";
    assert_eq!(fault(&victim.answer_to_call("", with_param(&flat).as_bytes()).await), expected);
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_refused() {
    let victim = Victim::start(&[]).await;
    for bytes in [&b"\xff\xfe"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"] {
        let document = with_param("<value>?</value>").into_bytes();
        let at = document.iter().position(|b| *b == b'?').unwrap();
        let document = [&document[..at], bytes, &document[at + 1..]].concat();
        assert_eq!(fault(&victim.answer_to_call("", &document).await), NOT_WELL_FORMED, "{bytes:?}");
    }
}

#[tokio::test]
async fn utf_16_is_refused_with_and_without_its_mark() {
    let victim = Victim::start(&[]).await;
    let text = CALL.replace("?>", " encoding='UTF-16'?>");
    let units = |to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    let (big, little) = (units(u16::to_be_bytes), units(u16::to_le_bytes));
    for document in [
        [b"\xfe\xff", &big[..]].concat(),
        [b"\xff\xfe", &little[..]].concat(),
        big,
        little,
        text.into_bytes(),
    ] {
        assert_eq!(fault(&victim.answer_to_call("", &document).await), NOT_WELL_FORMED);
    }
}

#[tokio::test]
async fn a_method_name_of_a_megabyte_is_no_method_and_is_not_repeated() {
    let victim = Victim::start(&[]).await;
    let named = |length| format!("<methodCall><methodName>{}</methodName></methodCall>", "m".repeat(length));
    let answer = victim.answer_to_call("", named(1_000_000).as_bytes()).await;
    assert!(fault(&answer).starts_with(NO_METHOD), "{answer}");
    assert!(answer.len() < 1000, "{} bytes", answer.len());
    assert_eq!(status(&victim.answer_to_call("", named(1 << 20).as_bytes()).await), "413");
}

#[tokio::test]
async fn a_wrong_member_of_any_length_is_named_shortly() {
    let victim = Victim::start(&[]).await;
    let name = "n".repeat(900_000);
    let document =
        with_param(&format!("<value><struct><member><name>{name}</name><value/></member></struct></value>"))
            .replace("package_roles", "changelog_page");
    let answer = victim.answer_to_call("", document.as_bytes()).await;
    assert!(answer.len() < 1000, "{} bytes", answer.len());
}

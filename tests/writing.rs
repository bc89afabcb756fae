//! The writing rules of docs/wire.md section 2, one by one, and values that other readers read as they were meant.

use cheesewire::model::Stamp;
use cheesewire::rpc::METHODS;
use cheesewire::xmlrpc::{
    Encoder, Fault, Limits, Value, decode_call, decode_response, encode_call, encode_fault, encode_response,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::support::{Relay, call, post, post_with, sandbox};

const LIMITS: Limits = Limits { depth: 64 };

/// Texts with everything that is hard to write.
fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        '<', '>', '&', '\'', '"', '\r', '\n', '\t', ']', '\0', '\u{8}', '\u{fffe}', '\u{7f}',
    ]);
    let c = prop_oneof![odd, any::<char>(), prop::char::range(' ', '~')];
    prop::collection::vec(c, 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn leaf() -> impl Strategy<Value = Value> {
    let moment = (0_i64..4_000_000_000).prop_map(|unix| Value::from(Stamp::from_unix(unix).unwrap()));
    let bytes = prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| {
        use base64::Engine as _;
        Value::Base64(base64::engine::general_purpose::STANDARD.encode(bytes))
    });
    let double = any::<f64>().prop_filter("the format has no word for it", |double| double.is_finite());
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(|n| Value::Int(n.into())),
        any::<i64>().prop_map(Value::Int),
        double.prop_map(Value::Double),
        text().prop_map(Value::String),
        moment,
        bytes,
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 6, |inner| {
        let members = prop::collection::btree_map(text(), inner.clone(), 0..6).prop_map(|members| {
            // Names that are the same once written would be one member.
            let members: std::collections::BTreeMap<String, Value> =
                members.into_iter().map(|(name, value)| (carried(&name), value)).collect();
            Value::Struct(members.into_iter().collect())
        });
        prop_oneof![prop::collection::vec(inner, 0..6).prop_map(Value::Array), members]
    })
}

/// What XML 1.0 can carry of a text (rule 2).
fn carried(text: &str) -> String {
    let forbidden =
        |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().filter(|c| !forbidden(*c)).collect()
}

/// The value as a reader gets it.
fn meant(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(carried(text)),
        Value::Array(items) => items.iter().map(meant).collect(),
        Value::Struct(members) => {
            Value::Struct(members.iter().map(|(name, value)| (carried(name), meant(value))).collect())
        }
        other => other.clone(),
    }
}

/// The value with no member's name empty: dxr refuses those.
fn named(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(named).collect(),
        Value::Struct(members) => {
            Value::Struct(members.iter().map(|(name, value)| (format!("n{name}"), named(value))).collect())
        }
        other => other.clone(),
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Struct(members) => {
            let mut members: Vec<_> =
                members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Struct(members)
        }
        other => other,
    }
}

fn from_dxr(value: &dxr::Value) -> Value {
    use base64::Engine as _;
    match value {
        dxr::Value::Integer(n) => Value::Int((*n).into()),
        dxr::Value::Long(n) => Value::Int(*n),
        dxr::Value::Boolean(b) => Value::Bool(*b),
        dxr::Value::String(text) => Value::from(text.as_str()),
        dxr::Value::Double(double) => Value::Double(*double),
        dxr::Value::DateTime(moment) => Value::DateTime(moment.to_string()),
        dxr::Value::Base64(bytes) => Value::Base64(base64::engine::general_purpose::STANDARD.encode(bytes)),
        dxr::Value::Array(items) => Value::Array(items.iter().map(from_dxr).collect()),
        dxr::Value::Struct(members) => {
            Value::Struct(members.iter().map(|(name, value)| (name.clone(), from_dxr(value))).collect())
        }
        dxr::Value::Nil => Value::Nil,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_ascii_and_reads_back_as_it_was_meant(value in value()) {
        let bytes = encode_response(&value, true).unwrap();
        prop_assert!(bytes.is_ascii());
        prop_assert_eq!(decode_response(&bytes, LIMITS).unwrap().unwrap(), meant(&value));
        let call = decode_call(&encode_call("m", std::slice::from_ref(&value)).unwrap(), LIMITS).unwrap();
        prop_assert_eq!(call.params, [meant(&value)]);
    }

    #[test]
    fn another_reader_reads_the_same_and_what_it_writes_is_read(value in value().prop_map(|value| named(&value))) {
        let bytes = encode_response(&value, true).unwrap();
        let theirs = dxr::MethodResponse::from_xml(std::str::from_utf8(&bytes).unwrap()).unwrap();
        prop_assert_eq!(sorted(from_dxr(&theirs.value)), sorted(meant(&value)));
        // A raw carriage return is a line feed to any reader; theirs is written raw.
        let written = theirs.to_xml().unwrap();
        if !format!("{value:?}").contains("\\r") {
            let read = decode_response(written.as_bytes(), LIMITS).unwrap().unwrap();
            prop_assert_eq!(sorted(read), sorted(meant(&value)));
        }
    }

    #[test]
    fn a_fault_has_its_code_first_and_reads_back(code in any::<i32>(), string in text()) {
        let bytes = encode_fault(&Fault { code, string: string.clone() });
        let written = std::str::from_utf8(&bytes).unwrap();
        prop_assert!(written.find("faultCode") < written.find("faultString"));
        let read = decode_response(&bytes, LIMITS).unwrap().unwrap_err();
        prop_assert_eq!(read, Fault { code, string: carried(&string) });
    }

    #[test]
    fn a_piece_ends_anywhere_and_all_pieces_are_the_whole(values in prop::collection::vec(value(), 1..8)) {
        let mut encoder = Encoder::new(true);
        let mut pieces = Vec::new();
        encoder.open_response();
        encoder.open_array();
        for value in &values {
            encoder.value(value).unwrap();
            pieces.push(encoder.take());
        }
        encoder.close_array();
        encoder.close_response();
        pieces.push(encoder.take());
        prop_assert_eq!(pieces.concat(), encode_response(&Value::Array(values), true).unwrap());
    }

    #[test]
    fn every_value_has_its_tag_and_no_white_space_before_it(value in value()) {
        let bytes = encode_response(&value, true).unwrap();
        let written = std::str::from_utf8(&bytes).unwrap();
        prop_assert!(!written.contains("<value/>") && !written.contains("<value></value>"));
        prop_assert_eq!(written.matches("<param>").count(), 1);
        for (at, tag) in written.match_indices("<value>") {
            let next = &written[at + tag.len()..];
            let tags = ["nil/>", "boolean>", "int>", "i8>", "double>", "string>", "dateTime.iso8601>", "base64>", "array>", "struct>"];
            prop_assert!(next.strip_prefix('<').is_some_and(|next| tags.iter().any(|tag| next.starts_with(tag))), "{}", next);
        }
    }
}

#[tokio::test]
async fn every_answer_is_a_200_of_xml_with_one_param_or_a_fault() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let mut documents: Vec<Vec<u8>> =
        METHODS.iter().map(|method| encode_call(method.name, &[]).unwrap().to_vec()).collect();
    documents.push(b"hello".to_vec());
    for document in documents {
        let answer = post(&format!("{}pypi", relay.url), document).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/xml; charset=utf-8"));
        let params = answer.text().matches("<param>").count();
        assert_eq!(params + answer.text().matches("<fault>").count(), 1, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_number_past_32_bits_goes_only_to_who_sent_an_i8() {
    let written = |wide| encode_response(&Value::Int(1 << 40), wide);
    assert!(written(false).is_err());
    assert!(
        String::from_utf8_lossy(&written(true).unwrap()).contains("<value><i8>1099511627776</i8></value>")
    );
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let query = |serial: i64| Value::Struct(vec![("since_serial".to_owned(), serial.into())]);
    // Even then small numbers are ints.
    let got =
        post(&format!("{}pypi", relay.url), encode_call("changelog_page", &[query(1 << 40)]).unwrap()).await;
    assert!(got.text().contains("<int>") && !got.text().contains("<i8>"), "{}", got.text());
}

#[tokio::test]
async fn nil_is_bare_and_only_where_a_version_or_an_id_may_be_missing() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    for project in sandbox.projects() {
        for release in project.shown().take(2) {
            let params = [project.name.as_str().into(), release.version.as_str().into()];
            let data = call(&relay.url, "release_data", &params).await.unwrap();
            let Value::Struct(members) = data else { panic!("no struct") };
            for (name, value) in members {
                let may = name == "stable_version" || name.starts_with("cheesecake_");
                assert_eq!(value == Value::Nil, may, "{name} of {params:?}");
            }
            let urls = call(&relay.url, "release_urls", &params).await.unwrap();
            assert!(
                !String::from_utf8_lossy(&encode_response(&urls, true).unwrap()).contains("nil"),
                "{params:?}"
            );
        }
    }
    let events = encode_call("changelog_since_serial", &[0.into()]).unwrap();
    let answer = post(&format!("{}pypi", relay.url), events).await;
    assert!(answer.text().contains("<value><nil/></value>") && !answer.text().contains(":nil"));
}

#[tokio::test]
async fn times_are_written_in_the_one_form_that_all_clients_read() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let urls = call(&relay.url, "release_urls", &["wire-top".into(), "2.0".into()]).await.unwrap();
    for file in urls.as_array().unwrap() {
        let Some(Value::DateTime(time)) = file.get("upload_time") else { panic!("{file:?}") };
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(shape, "99999999T99:99:99");
    }
}

#[tokio::test]
async fn a_large_answer_leaves_in_chunks_then_with_its_length_and_is_coded_for_who_lists_gzip_only() {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    let url = format!("{}pypi", relay.url);
    let events = encode_call("changelog_since_serial", &[0.into()]).unwrap();
    let plain = post(&url, events.clone()).await;
    assert_eq!((plain.header("content-encoding"), plain.header("content-length")), ("", ""));
    assert!(plain.bytes().len() > 1 << 20);
    for (accepted, coding) in [("gzip", "gzip"), ("deflate, br", ""), ("identity", "")] {
        let answer = post_with(&url, &[("accept-encoding", accepted)], events.clone()).await;
        let again = post_with(&url, &[("accept-encoding", accepted)], events.clone()).await;
        assert_eq!(answer.header("content-encoding"), coding, "{accepted}");
        // Written by now: it is known how long it is.
        assert_eq!(again.header("content-length"), again.bytes().len().to_string());
        assert_eq!(again.bytes(), answer.bytes());
        assert_eq!(again.bytes() == plain.bytes(), coding.is_empty());
    }
}

/// The value in JSON with its types, as the script below writes it.
fn typed(value: &Value) -> serde_json::Value {
    use serde_json::json;
    match value {
        Value::Nil => json!(["nil"]),
        Value::Bool(b) => json!(["bool", b]),
        Value::Int(n) | Value::Size(n) => json!(["int", n]),
        Value::Double(double) => json!(["double", format!("{:016x}", double.to_bits())]),
        Value::String(text) => json!(["str", text]),
        Value::DateTime(text) => json!(["time", text]),
        Value::Base64(text) => json!(["bytes", text]),
        Value::Array(items) => json!(["array", items.iter().map(typed).collect::<Vec<_>>()]),
        Value::Struct(members) => {
            let members: Vec<_> = members.iter().map(|(name, value)| json!([name, typed(value)])).collect();
            json!(["struct", members])
        }
    }
}

#[tokio::test]
#[ignore = "needs python3"]
async fn pythons_reader_reads_thousands_of_values_as_they_were_meant() {
    use std::io::Write as _;
    const SCRIPT: &str = r#"
import base64, json, struct, sys, xmlrpc.client
def typed(v):
    if v is None: return ["nil"]
    if isinstance(v, bool): return ["bool", v]
    if isinstance(v, int): return ["int", v]
    if isinstance(v, float): return ["double", struct.pack(">d", v).hex()]
    if isinstance(v, str): return ["str", v]
    if isinstance(v, xmlrpc.client.DateTime): return ["time", v.value]
    if isinstance(v, xmlrpc.client.Binary): return ["bytes", base64.b64encode(v.data).decode()]
    if isinstance(v, list): return ["array", [typed(i) for i in v]]
    if isinstance(v, dict): return ["struct", [[k, typed(i)] for k, i in v.items()]]
    raise TypeError(type(v))
for line in open(sys.argv[1]):
    (value,), method = xmlrpc.client.loads(base64.b64decode(line))
    assert method is None
    print(json.dumps(typed(value)))
"#;
    let mut runner = TestRunner::deterministic();
    let values: Vec<Value> = (0..5000).map(|_| value().new_tree(&mut runner).unwrap().current()).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for value in &values {
        use base64::Engine as _;
        let bytes = encode_response(value, true).unwrap();
        writeln!(file, "{}", base64::engine::general_purpose::STANDARD.encode(bytes)).unwrap();
    }
    let read =
        tokio::process::Command::new("python3").args(["-c", SCRIPT]).arg(file.path()).output().await.unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let lines: Vec<serde_json::Value> = read
        .stdout
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), values.len());
    for (value, line) in values.iter().zip(lines) {
        assert_eq!(line, typed(&meant(value)), "{value:?}");
    }
}

use super::*;

const LIMITS: Limits = Limits { depth: 64 };

fn params_of(inner: &str) -> Result<Vec<Value>, DecodeError> {
    let document = format!("<methodCall><methodName>m</methodName>{inner}</methodCall>");
    call(document.as_bytes(), LIMITS).map(|call| call.params)
}

fn one(inner: &str) -> Result<Value, DecodeError> {
    params_of(&format!("<params><param>{inner}</param></params>")).map(|mut params| params.remove(0))
}

#[test]
fn missing_empty_and_closed_params_are_no_params() {
    for inner in ["", "<params></params>", "<params/>", "<params>\n</params>"] {
        assert_eq!(params_of(inner), Ok(vec![]), "{inner}");
    }
}

#[test]
fn every_spelling_of_a_number_is_a_number() {
    for inner in ["<int>5</int>", "<i4> 5 </i4>", "<i8>5</i8>", "<double>5.0</double>", "<ex:i8>5</ex:i8>"] {
        assert_eq!(one(&format!("<value>{inner}</value>")).unwrap().as_int(), Some(5), "{inner}");
    }
    assert_eq!(one("<value><double>5.5</double></value>").unwrap().as_int(), None);
}

#[test]
fn untyped_text_is_a_string_and_keeps_its_spaces() {
    assert_eq!(one("<value> a &lt;&#8230;<![CDATA[<b>]]></value>"), Ok(Value::from(" a <…<b>")));
    assert_eq!(one("<value/>"), Ok(Value::from("")));
    assert_eq!(one("<value>\n <string>a </string> </value>"), Ok(Value::from("a ")));
}

#[test]
fn declarations_comments_and_a_bom_are_passed_over() {
    for head in [
        "<?xml version='1.0'?>",
        "<?xml version='1.0' encoding='ASCII'?>",
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- hello -->\n",
    ] {
        let document = format!("{head}<methodCall><methodName>m</methodName></methodCall>\n");
        assert_eq!(call(document.as_bytes(), LIMITS).map(|call| call.method), Ok("m".to_owned()));
    }
}

#[test]
fn structs_and_arrays_nest() {
    let inner = "<value><struct><member><name>a</name><value><array><data><value>x</value>\
                 <value><nil/></value></data></array></value></member></struct></value>";
    let array = Value::Array(vec![Value::from("x"), Value::Nil]);
    assert_eq!(one(inner), Ok(Value::Struct(vec![("a".to_owned(), array)])));
    assert_eq!(one("<value><array><data/></array></value>"), Ok(Value::Array(vec![])));
}

#[test]
fn only_a_call_with_an_i8_is_wide() {
    let with = |tag: &str| {
        let text = format!(
            "<methodCall><methodName>m</methodName><params><param><value><{tag}>1</{tag}></value></param></params></methodCall>"
        );
        call(text.as_bytes(), LIMITS).unwrap().wide
    };
    assert!(with("i8"));
    assert!(!with("int"));
}

#[test]
fn hostile_documents_are_refused_by_name() {
    let deep = "<value><array><data>".repeat(100_000);
    let cases = [
        ("<methodCall><methodName>m</methodName>".to_owned(), "the document ends early"),
        (format!("<methodCall><methodName>m</methodName><params><param>{deep}"), "nested too deep"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><methodCall/>".to_owned(), "a document type"),
        ("<methodCall><methodName>&a;</methodName></methodCall>".to_owned(), "an unknown entity"),
        (
            "<methodCall><methodName>m</methodName></methodCall><x/>".to_owned(),
            "something after the end of the document",
        ),
        ("<methodCall/>".to_owned(), "no methodName"),
        ("hello".to_owned(), "text where an element belongs"),
        (String::new(), "the document ends early"),
    ];
    for (document, what) in cases {
        assert_eq!(call(document.as_bytes(), LIMITS).unwrap_err().what, what);
    }
    assert_eq!(call(b"\xff\xfe<\0m\0", LIMITS).unwrap_err().what, "not UTF-8");
}

#[test]
fn an_answer_is_a_value_or_a_fault() {
    let fault = Fault::raised("RuntimeError", "gone <&> …");
    let bytes = super::super::encode_fault(&fault);
    assert_eq!(response(&bytes, LIMITS), Ok(Err(fault)));
    let value = Value::Struct(vec![("n".to_owned(), Value::Int(7))]);
    let bytes = super::super::encode_response(&value, false).unwrap();
    assert_eq!(response(&bytes, LIMITS), Ok(Ok(value)));
}

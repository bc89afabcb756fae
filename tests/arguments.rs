//! Every method of the table with a good call and with every kind of wrong argument, over HTTP. The calls are made
//! from the table, so a new row is covered by itself; what they should get is told by docs/wire.md section 3's words.

use cheesewire::rpc::{METHODS, Method, Param};
use cheesewire::xmlrpc::{Fault, Value};

use crate::support::{Relay, call, sandbox};

fn structure(members: &[(&str, Value)]) -> Value {
    Value::Struct(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// A value of every type, told apart by what a client sees.
fn pool() -> Vec<Value> {
    vec![
        Value::Nil,
        Value::Bool(true),
        Value::Int(7),
        Value::Int(-1),
        Value::Double(7.0),
        Value::Double(7.5),
        Value::from("7"),
        Value::from(""),
        Value::DateTime("20260131T23:59:59".to_owned()),
        Value::Base64("AAAA".to_owned()),
        Value::Array(vec![]),
        Value::Array(vec![7.into()]),
        structure(&[]),
        structure(&[("no such member", 7.into())]),
    ]
}

/// A value that a parameter takes, and that a call answers: by its name where that says more than its type.
fn good(param: &Param) -> Value {
    match (param.name, param.kind.complaint()) {
        ("package_name", _) => "wire-top".into(),
        ("version", _) => "2.0".into(),
        // After the fixtures' last event: no history has to be fetched first.
        ("since", _) => 2_000_000_000.into(),
        ("serial", _) => 5000.into(),
        ("query", _) if param.required => structure(&[("since_serial", 0.into())]),
        ("name", _) => "package_releases".into(),
        ("username", _) => "bob".into(),
        ("classifiers", _) => Value::from_iter(["Topic :: Utilities"]),
        (_, "Input should be a valid string") => "and".into(),
        (_, "Input should be a valid integer") => 10.into(),
        (_, "Input should be a valid boolean") => true.into(),
        (_, "Input should be a valid list") => Value::Array(vec![]),
        (_, "Input should be a valid dictionary") => structure(&[]),
        (name, complaint) => panic!("{name}: a complaint that section 3 has not: {complaint}"),
    }
}

/// Whether a value is of the type that a complaint asks for, by docs/wire.md sections 1 and 3.
fn fits(value: &Value, complaint: &str) -> bool {
    match complaint {
        "Input should be a valid string" => matches!(value, Value::String(_)),
        "Input should be a valid integer" => match value {
            Value::Int(_) => true,
            Value::Double(double) => double.fract() == 0.0,
            _ => false,
        },
        "Input should be a valid boolean" => matches!(value, Value::Bool(_) | Value::Int(0 | 1)),
        "Input should be a valid list" => matches!(value, Value::Array(_)),
        "Input should be a valid dictionary" => matches!(value, Value::Struct(_)),
        other => panic!("a complaint that section 3 has not: {other}"),
    }
}

/// Takes any number of arguments of any kind.
fn takes_anything(method: &Method) -> bool {
    method.params.iter().any(|param| param.words() == "…")
}

fn good_call(method: &Method) -> Vec<Value> {
    method.params.iter().filter(|param| param.words() != "…").map(good).collect()
}

fn has_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Int(_) | Value::Size(_) => name == "int",
        Value::String(_) => name == "string",
        Value::Bool(_) => name == "boolean",
        Value::Array(_) => name == "array",
        Value::Struct(_) => name == "struct",
        Value::Nil | Value::Double(_) | Value::DateTime(_) | Value::Base64(_) => false,
    }
}

/// −32602 with all these complaints.
fn complained(complaints: &[String]) -> Fault {
    Fault { code: -32602, string: format!("client error; {}", complaints.join("; ")) }
}

async fn relay() -> (cheesewire::sandbox::Sandbox, Relay) {
    let sandbox = sandbox().await;
    let relay = Relay::start(&sandbox.url(), &[]).await;
    (sandbox, relay)
}

#[tokio::test]
async fn a_good_call_of_every_method_is_answered_with_its_type() {
    let (_sandbox, relay) = relay().await;
    for method in METHODS {
        let params = good_call(method);
        let required = method.params.iter().filter(|param| param.required).count();
        for given in required.min(params.len())..=params.len() {
            let got = call(&relay.url, method.name, &params[..given]).await;
            match got {
                Ok(value) => assert!(has_type(&value, method.result), "{}: {value:?}", method.name),
                // The one method whose answer is a refusal.
                Err(fault) => {
                    assert_eq!((method.name, fault.code), ("post_cheesecake_for_release", -32500), "{fault}");
                }
            }
        }
        // Nil stands for an optional argument that is not given.
        if method.params.len() > required && !takes_anything(method) {
            let mut nil = params[..required].to_vec();
            nil.resize(params.len(), Value::Nil);
            let (with, without) = (
                call(&relay.url, method.name, &nil).await,
                call(&relay.url, method.name, &params[..required]).await,
            );
            assert_eq!(with, without, "{}", method.name);
        }
    }
}

#[tokio::test]
async fn a_missing_argument_is_named_and_so_are_all_of_them() {
    let (_sandbox, relay) = relay().await;
    let mut seen = 0;
    for method in METHODS {
        let params = good_call(method);
        let required = method.params.iter().filter(|param| param.required).count();
        for given in 0..required {
            let missing = &method.params[given..required];
            let complaints: Vec<_> =
                missing.iter().map(|param| format!("{}: Missing required argument", param.name)).collect();
            let got = call(&relay.url, method.name, &params[..given]).await;
            assert_eq!(got, Err(complained(&complaints)), "{} with {given}", method.name);
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

#[tokio::test]
async fn a_surplus_argument_is_counted_and_so_are_all_of_them() {
    let (_sandbox, relay) = relay().await;
    for method in METHODS.iter().filter(|method| !takes_anything(method)) {
        for surplus in 1..3 {
            let mut params = good_call(method);
            let first = params.len();
            params.resize(first + surplus, "surplus".into());
            let complaints: Vec<_> = (first..params.len())
                .map(|at| format!("{}: Unexpected positional argument", at + 1))
                .collect();
            let got = call(&relay.url, method.name, &params).await;
            assert_eq!(got, Err(complained(&complaints)), "{}", method.name);
        }
    }
}

#[tokio::test]
async fn an_argument_of_another_type_is_told_what_it_should_be() {
    let (_sandbox, relay) = relay().await;
    let mut seen = 0;
    for method in METHODS.iter().filter(|method| !takes_anything(method)) {
        for (at, param) in method.params.iter().enumerate() {
            let wrong = |value: &Value| {
                !fits(value, param.kind.complaint()) && (param.required || *value != Value::Nil)
            };
            for value in pool().into_iter().filter(wrong) {
                let mut params = good_call(method);
                params[at] = value.clone();
                let complaint = format!("{}: {}", param.name, param.kind.complaint());
                let got = call(&relay.url, method.name, &params).await;
                assert_eq!(got, Err(complained(&[complaint])), "{} with {value:?}", method.name);
                seen += 1;
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

#[tokio::test]
async fn everything_wrong_at_once_is_told_at_once() {
    let (_sandbox, relay) = relay().await;
    let mut seen = 0;
    for method in METHODS.iter().filter(|method| !takes_anything(method) && method.params.len() > 1) {
        // A base64 is right for nothing.
        let wrong = Value::Base64("AAAA".to_owned());
        let mut params = vec![wrong; method.params.len() + 1];
        let mut complaints: Vec<_> =
            method.params.iter().map(|param| format!("{}: {}", param.name, param.kind.complaint())).collect();
        complaints.push(format!("{}: Unexpected positional argument", params.len()));
        let got = call(&relay.url, method.name, &params).await;
        assert_eq!(got, Err(complained(&complaints)), "{}", method.name);
        // A wrong one and a missing one.
        params.truncate(1);
        let missing = method.params[1..].iter().filter(|param| param.required);
        complaints.truncate(1);
        complaints.extend(missing.map(|param| format!("{}: Missing required argument", param.name)));
        let got = call(&relay.url, method.name, &params).await;
        assert_eq!(got, Err(complained(&complaints)), "{}", method.name);
        seen += 1;
    }
    assert!(seen > 5, "{seen}");
}

#[tokio::test]
async fn members_and_items_of_another_type_are_named_one_by_one() {
    use cheesewire::rpc::Kind;
    let (_sandbox, relay) = relay().await;
    let mut seen = 0;
    for method in METHODS {
        for (at, param) in method.params.iter().enumerate() {
            let mut params = good_call(method);
            let (value, complaints) = match param.kind {
                Kind::Struct(members) => {
                    let mut given: Vec<_> = members
                        .iter()
                        .map(|member| (member.name, Value::Base64("AAAA".to_owned())))
                        .collect();
                    given.push(("sinse", 5.into()));
                    let mut complaints: Vec<_> = members
                        .iter()
                        .map(|member| format!("{}.{}: {}", param.name, member.name, member.kind.complaint()))
                        .collect();
                    complaints.push(format!("{}.sinse: Unexpected keyword argument", param.name));
                    (structure(&given), complaints)
                }
                Kind::Texts => {
                    let complaints =
                        [0, 2].map(|item| format!("{}.{item}: Input should be a valid string", param.name));
                    (Value::Array(vec![5.into(), "x".into(), Value::Nil]), complaints.to_vec())
                }
                _ => continue,
            };
            params[at] = value;
            let got = call(&relay.url, method.name, &params).await;
            assert_eq!(got, Err(complained(&complaints)), "{}", method.name);
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[tokio::test]
async fn introspection_tells_what_the_table_says() {
    let (_sandbox, relay) = relay().await;
    let listed = call(&relay.url, "system.listMethods", &[]).await.unwrap();
    assert_eq!(listed, METHODS.iter().map(|method| method.name).collect());
    for method in METHODS {
        let name = [Value::from(method.name)];
        let help = call(&relay.url, "system.methodHelp", &name).await.unwrap();
        let help = help.as_str().unwrap().to_owned();
        assert!(help.starts_with(&format!("{}(", method.name)) && help.ends_with(method.help), "{help}");
        let signatures = call(&relay.url, "system.methodSignature", &name).await.unwrap();
        if takes_anything(method) {
            assert_eq!(signatures, Value::from("undef"));
            continue;
        }
        let signatures = signatures.as_array().unwrap();
        let optional = method.params.iter().filter(|param| !param.required).count();
        assert_eq!(signatures.len(), optional + 1, "{}", method.name);
        assert_eq!(signatures[optional].as_array().unwrap().len(), method.params.len() + 1);
        assert!(signatures.iter().all(|one| one.as_array().unwrap()[0] == Value::from(method.result)));
    }
    for method in ["system.methodHelp", "system.methodSignature"] {
        let fault = call(&relay.url, method, &["no_such_method".into()]).await.unwrap_err();
        assert_eq!(fault, Fault::no_such_method("no_such_method", Some("system.methodHelp")));
    }
}

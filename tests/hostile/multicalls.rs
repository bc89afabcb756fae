//! Many calls in one.

use cheesewire::xmlrpc::{Limits, Value, decode_response, encode_call};

use super::{NOT_WELL_FORMED, Victim, fault, status};

/// A call within a multicall.
fn one(method: &str, params: Vec<Value>) -> Value {
    let member = |name: &str, value: Value| (name.to_owned(), value);
    Value::Struct(vec![member("methodName", method.into()), member("params", Value::Array(params))])
}

fn multicall(calls: Vec<Value>) -> Vec<u8> {
    encode_call("system.multicall", &[Value::Array(calls)]).unwrap().to_vec()
}

#[tokio::test]
async fn a_multicall_of_multicalls_is_refused_call_by_call() {
    let victim = Victim::start(&[]).await;
    let inner = Value::Array(vec![one("list_packages_with_serial", vec![]); 10]);
    let calls = vec![one("system.multicall", vec![inner]); 100];
    let answer = victim.answer_to_call("", &multicall(calls)).await;
    assert_eq!(status(&answer), "200");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let results = decode_response(body.as_bytes(), Limits { depth: 64 }).unwrap().unwrap();
    let results = results.as_array().unwrap();
    assert_eq!(results.len(), 100);
    for result in results {
        assert_eq!(result.get("faultCode").and_then(Value::as_int), Some(-32500), "{result:?}");
    }
    // Deeper than any call needs, it is not even read.
    let mut nested = one("changelog_last_serial", vec![]);
    for _ in 0..20 {
        nested = one("system.multicall", vec![Value::Array(vec![nested])]);
    }
    assert_eq!(fault(&victim.answer_to_call("", &multicall(vec![nested])).await), NOT_WELL_FORMED);
}

#[tokio::test]
async fn a_hundred_and_one_calls_are_too_many_and_a_hundred_are_not() {
    let victim = Victim::start(&[]).await;
    let calls = |count| multicall(vec![one("changelog_last_serial", vec![]); count]);
    assert_eq!(fault(&victim.answer_to_call("", &calls(101)).await), "1 multicall too large");
    let answer = victim.answer_to_call("", &calls(100)).await;
    assert_eq!(answer.matches("<int>").count(), 100, "{answer}");
}

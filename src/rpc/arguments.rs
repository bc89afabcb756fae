//! Checks a call's parameters against the method table, with upstream's words (docs/wire.md section 3).

use crate::xmlrpc::{Fault, Value};

use super::table::{Kind, Method};

/// Parameters that fit their method: one place each, `None` where an optional one was left out or nil.
#[derive(Debug)]
pub(super) struct Arguments(Vec<Option<Value>>);

impl Arguments {
    /// Checks all parameters; every complaint is in the fault.
    pub(super) fn check(method: &Method, given: &[Value]) -> Result<Self, Fault> {
        let mut complaints = Vec::new();
        let mut places = Vec::with_capacity(method.params.len());
        let (named, surplus) = match method.params.split_last() {
            Some((last, named)) if matches!(last.kind, Kind::Rest) => (named, 0..0),
            _ => (method.params, method.params.len()..given.len()),
        };
        for (at, param) in named.iter().enumerate() {
            let value = given.get(at).filter(|value| param.required || **value != Value::Nil);
            match value {
                None if param.required => {
                    complaints.push(format!("{}: Missing required argument", param.name));
                }
                Some(value) => complain(&mut complaints, param.name, param.kind, value),
                None => {}
            }
            places.push(value.cloned());
        }
        for at in surplus {
            // Upstream counts from one.
            complaints.push(format!("{}: Unexpected positional argument", at + 1));
        }
        if complaints.is_empty() { Ok(Self(places)) } else { Err(Fault::invalid_params(&complaints)) }
    }

    /// The text in a place; empty if it was left out.
    pub(super) fn text(&self, at: usize) -> &str {
        self.0[at].as_ref().and_then(Value::as_str).unwrap_or("")
    }

    /// What is in a place, if it was given.
    pub(super) fn given(&self, at: usize) -> Option<&Value> {
        self.0[at].as_ref()
    }

    /// The whole number in a place, if it was given.
    pub(super) fn int(&self, at: usize) -> Option<i64> {
        self.0[at].as_ref().and_then(Value::as_int)
    }

    /// The items of the array in a place; none if it was left out.
    pub(super) fn list(&self, at: usize) -> &[Value] {
        self.0[at].as_ref().and_then(Value::as_array).unwrap_or_default()
    }

    /// A member of the struct in a place, if it was given.
    pub(super) fn member(&self, at: usize, name: &str) -> Option<&Value> {
        self.0[at].as_ref().and_then(|value| value.get(name)).filter(|value| **value != Value::Nil)
    }

    /// The boolean in a place; false if it was left out.
    pub(super) fn flag(&self, at: usize) -> bool {
        self.0[at].as_ref().and_then(Value::as_bool).unwrap_or(false)
    }
}

/// Complains of a value that is not of its kind; of members and items one by one, as upstream does.
fn complain(complaints: &mut Vec<String>, name: &str, kind: Kind, value: &Value) {
    let fits = match kind {
        Kind::Text => value.as_str().is_some(),
        Kind::Int => value.as_int().is_some(),
        Kind::Bool => value.as_bool().is_some(),
        Kind::Terms(fields) => {
            let Value::Struct(given) = value else {
                complaints.push(format!("{name}: {}", kind.complaint()));
                return;
            };
            for (key, value) in given.iter().filter(|(key, _)| fields.contains(&key.as_str())) {
                complain_of_term(complaints, &format!("{name}.{key}"), value);
            }
            true
        }
        Kind::List => value.as_array().is_some(),
        Kind::Texts => {
            let odd = |(_, item): &(usize, &Value)| item.as_str().is_none();
            for (at, _) in value.as_array().unwrap_or_default().iter().enumerate().filter(odd) {
                complaints.push(format!("{name}.{at}: {}", Kind::Text.complaint()));
            }
            value.as_array().is_some()
        }
        Kind::Rest => true,
        Kind::Struct(members) => {
            let Value::Struct(given) = value else {
                complaints.push(format!("{name}: {}", kind.complaint()));
                return;
            };
            for member in members.iter().filter(|member| member.required) {
                if !given.iter().any(|(key, _)| key == member.name) {
                    complaints.push(format!("{name}.{}: Missing required argument", member.name));
                }
            }
            for (key, value) in given {
                let member = members.iter().find(|member| member.name == key);
                match member {
                    None => complaints.push(format!("{name}.{}: Unexpected keyword argument", short(key))),
                    Some(member) if *value == Value::Nil && !member.required => {}
                    Some(member) => complain(complaints, &format!("{name}.{key}"), member.kind, value),
                }
            }
            true
        }
    };
    if !fits {
        complaints.push(format!("{name}: {}", kind.complaint()));
    }
}

/// Complains of what is neither a string nor an array of strings. Nil is as good as nothing.
fn complain_of_term(complaints: &mut Vec<String>, name: &str, value: &Value) {
    let complaint = Kind::Text.complaint();
    match value {
        Value::Nil => {}
        Value::Array(items) => {
            let wrong = items.iter().position(|item| item.as_str().is_none());
            complaints.extend(wrong.map(|at| format!("{name}.{at}: {complaint}")));
        }
        _ if value.as_str().is_some() => {}
        _ => complaints.push(format!("{name}: {complaint}")),
    }
}

/// A name that a client made up, in a complaint: enough to know it by.
fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::find;
    use super::*;

    fn complaint(method: &str, given: &[Value]) -> String {
        Arguments::check(find(method).unwrap(), given).unwrap_err().string
    }

    #[test]
    fn complaints_have_upstreams_words_and_come_all_at_once() {
        assert_eq!(complaint("package_roles", &[]), "client error; package_name: Missing required argument");
        assert_eq!(
            complaint("changelog_last_serial", &[Value::Int(1)]),
            "client error; 1: Unexpected positional argument"
        );
        assert_eq!(
            complaint("release_urls", &[Value::Int(1)]),
            "client error; package_name: Input should be a valid string; version: Missing required argument"
        );
        assert_eq!(
            complaint("changelog_since_serial", &[Value::from("5")]),
            "client error; serial: Input should be a valid integer"
        );
        assert_eq!(
            complaint("changelog_since_serial", &[Value::Nil]),
            "client error; serial: Input should be a valid integer"
        );
    }

    #[test]
    fn members_of_a_struct_are_checked_one_by_one() {
        let member = |name: &str, value: Value| (name.to_owned(), value);
        let page = |members: Vec<(String, Value)>| complaint("changelog_page", &[Value::Struct(members)]);
        assert_eq!(
            page(vec![
                member("since", Value::from("5")),
                member("sinse", 5.into()),
                member("name", 7.into())
            ]),
            "client error; query.since: Input should be a valid integer; \
             query.sinse: Unexpected keyword argument; query.name: Input should be a valid string"
        );
        assert_eq!(
            complaint("changelog_page", &[5.into()]),
            "client error; query: Input should be a valid dictionary"
        );
        assert_eq!(complaint("changelog_page", &[]), "client error; query: Missing required argument");
        let method = find("list_packages_page").unwrap();
        let given = [Value::Struct(vec![member("after", Value::Nil), member("limit", Value::Double(3.0))])];
        let arguments = Arguments::check(method, &given).unwrap();
        assert_eq!(arguments.member(0, "after"), None);
        assert_eq!(arguments.member(0, "limit").and_then(Value::as_int), Some(3));
        assert_eq!(Arguments::check(method, &[]).unwrap().member(0, "limit"), None);
    }

    #[test]
    fn old_spellings_of_numbers_and_booleans_fit() {
        let method = find("changelog_since_serial").unwrap();
        let arguments = Arguments::check(method, &[Value::Double(7.0), Value::Nil]).unwrap();
        assert_eq!((arguments.int(0), arguments.int(1)), (Some(7), None));
        let method = find("package_releases").unwrap();
        let arguments = Arguments::check(method, &[Value::from("a"), Value::Int(1)]).unwrap();
        assert!(arguments.flag(1));
    }
}

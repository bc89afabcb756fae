//! Introspection: what the method table says of itself.

use super::arguments::Arguments;
use super::table::{self, Kind, METHODS, Method};
use crate::xmlrpc::{Fault, Value};

/// The names of all methods.
pub(super) fn list_methods() -> Value {
    METHODS.iter().map(|method| method.name).collect()
}

/// What a method answers, in one sentence, after how it is called.
pub(super) fn method_help(arguments: &Arguments) -> Result<Value, Fault> {
    let method = named(arguments)?;
    let params: Vec<String> = method.params.iter().map(table::Param::words).collect();
    Ok(Value::from(format!("{}({}): {}", method.name, params.join(", "), method.help)))
}

/// The signatures of a method, each the type of the result and those of the parameters: one with every number of
/// optional parameters. `undef`, the convention's word, where anything may be given.
pub(super) fn method_signature(arguments: &Arguments) -> Result<Value, Fault> {
    let method = named(arguments)?;
    if method.params.iter().any(|param| matches!(param.kind, Kind::Rest)) {
        return Ok(Value::from("undef"));
    }
    let required = method.params.iter().filter(|param| param.required).count();
    let signature = |given: usize| {
        let params = method.params[..given].iter().map(|param| param.kind.xmlrpc());
        std::iter::once(method.result).chain(params).collect::<Value>()
    };
    Ok((required..=method.params.len()).map(signature).collect())
}

fn named(arguments: &Arguments) -> Result<&'static Method, Fault> {
    let name = arguments.text(0);
    table::find(name).ok_or_else(|| table::unknown(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str) -> Arguments {
        Arguments::check(table::find("system.methodSignature").unwrap(), &[name.into()]).unwrap()
    }

    #[test]
    fn there_is_a_signature_for_every_number_of_optional_parameters() {
        let signatures = |name: &str| method_signature(&about(name)).unwrap();
        let expected = [&["array", "string"][..], &["array", "string", "boolean"]];
        assert_eq!(
            signatures("package_releases"),
            expected.iter().map(|types| types.iter().copied().collect::<Value>()).collect()
        );
        assert_eq!(signatures("changelog_last_serial"), Value::from_iter([Value::from_iter(["int"])]));
        assert_eq!(signatures("post_cheesecake_for_release"), Value::from("undef"));
    }

    #[test]
    fn help_says_how_to_call_and_what_comes() {
        let help = method_help(&about("top_packages")).unwrap();
        assert!(help.as_str().unwrap().starts_with("top_packages(num?): "), "{help:?}");
        assert_eq!(method_help(&about("nope")), Err(table::unknown("nope")));
    }
}

//! The table's order, and what is said of a method that it lacks.

use super::*;

#[test]
fn the_table_is_sorted_and_required_parameters_come_first() {
    assert!(METHODS.is_sorted_by_key(|method| method.name));
    for method in METHODS {
        assert!(method.params.is_sorted_by_key(|param| !param.required), "{}", method.name);
        let rest = method.params.iter().position(|param| matches!(param.kind, Kind::Rest));
        assert!(rest.is_none_or(|at| at + 1 == method.params.len()), "{}", method.name);
        assert_eq!(find(method.name).map(|found| found.name), Some(method.name));
    }
    assert!(find("post_cheesecake").is_none());
}

#[test]
fn an_unknown_method_is_named_escaped_and_cut_with_the_nearest_one() {
    const WORDS: &str = "server error; requested method not found";
    for (name, told) in [
        ("package_release", r#": "package_release"; the nearest is package_releases"#),
        ("List_Packages", r#": "List_Packages"; the nearest is list_packages"#),
        ("releaseUrls", r#": "releaseUrls"; the nearest is release_urls"#),
        ("get_packages_list", r#": "get_packages_list"; the nearest is list_packages"#),
        ("\u{7}\n\"", r#": "\u{7}\n\""; the nearest is user_packages"#),
        ("", r#": """#),
    ] {
        let fault = unknown(name);
        assert_eq!((fault.code, fault.string), (-32601, format!("{WORDS}{told}")));
    }
    let long = unknown(&"x".repeat(1 << 20)).string;
    assert!(long.starts_with(&format!("{WORDS}: \"{}…\"", "x".repeat(40))) && long.len() < 200, "{long}");
}

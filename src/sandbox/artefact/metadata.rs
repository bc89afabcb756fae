//! Core metadata as the text of `METADATA` and `PKG-INFO`.

use std::fmt::Write as _;

use super::super::info::Info;

/// The text. Headers lose control characters, which the JSON API keeps: they would end a header early.
pub(super) fn text(name: &str, version: &str, info: &Info) -> String {
    let mut out = String::new();
    let mut header = |name: &str, value: &str| {
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}: {value}");
    };
    header("Metadata-Version", "2.4");
    header("Name", name);
    header("Version", version);
    let single = [
        ("Summary", &info.summary),
        ("Home-page", &info.home_page),
        ("Download-URL", &info.download_url),
        ("Author", &info.author),
        ("Author-email", &info.author_email),
        ("Maintainer", &info.maintainer),
        ("Maintainer-email", &info.maintainer_email),
        ("License", &info.license),
        ("License-Expression", &info.license_expression),
        ("Keywords", &info.keywords),
        ("Platform", &info.platform),
        ("Requires-Python", &info.requires_python),
        ("Description-Content-Type", &info.description_content_type),
    ];
    for (key, value) in single {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            header(key, value);
        }
    }
    for (label, url) in &info.project_urls {
        header("Project-URL", &format!("{label}, {url}"));
    }
    let many = [
        ("Classifier", &info.classifiers),
        ("Requires-Dist", &info.requires_dist),
        ("Provides-Extra", &info.provides_extra),
        ("License-File", &info.license_files),
        ("Dynamic", &info.dynamic),
    ];
    for (key, values) in many {
        for value in values {
            header(key, value);
        }
    }
    if let Some(description) = info.description.as_deref() {
        out.push('\n');
        out.push_str(description);
    }
    out
}

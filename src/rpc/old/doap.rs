//! A release as a DOAP record, as PyPI's first server wrote it (docs/wire.md section 9). Pure.

use serde_json::Value as Json;
use sha1::{Digest as _, Sha1};

use super::xml::Xml;

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const FOAF: &str = "http://xmlns.com/foaf/0.1/";
const DOAP: &str = "http://usefulinc.com/ns/doap#";

/// Writes the record from a document's `info`. What is empty or `UNKNOWN` is left out.
pub(super) fn write(info: &Json) -> String {
    let field = |name: &str| stated(&info[name]);
    let mut xml = Xml::new();
    xml.open("rdf:RDF", &[("xmlns:rdf", RDF), ("xmlns:foaf", FOAF), ("xmlns", DOAP)]);
    xml.open("Project", &[]);
    for (tag, name) in [
        ("name", "name"),
        ("shortdesc", "summary"),
        ("description", "description"),
        ("download-page", "download_url"),
    ] {
        if let Some(text) = field(name) {
            xml.text(tag, text);
        }
    }
    if let Some(home) = field("home_page") {
        xml.empty("homepage", &[("rdf:resource", home)]);
    }
    if let Some(person) = ["maintainer", "author"].iter().find_map(|role| Person::of(info, role)) {
        xml.open("maintainer", &[]);
        xml.open("foaf:Person", &[]);
        if let Some(name) = &person.name {
            xml.text("foaf:name", name);
        }
        if let Some(address) = &person.address {
            xml.text("foaf:mbox_sha1sum", &hex::encode(Sha1::digest(address)));
        }
        xml.close("foaf:Person");
        xml.close("maintainer");
    }
    if let Some(version) = field("version") {
        xml.open("release", &[]);
        xml.open("Version", &[]);
        xml.text("revision", version);
        xml.close("Version");
        xml.close("release");
    }
    xml.close("Project");
    xml.close("rdf:RDF");
    xml.finish()
}

/// A text that says something.
fn stated(value: &Json) -> Option<&str> {
    value.as_str().filter(|text| !matches!(text.trim(), "" | "UNKNOWN"))
}

struct Person {
    name: Option<String>,
    address: Option<String>,
}

impl Person {
    /// Who has a role; `None` if neither name nor address is stated. Uploads of today may have both in the address's field:
    /// `Name <address>, …`, of which the first counts.
    fn of(info: &Json, role: &str) -> Option<Self> {
        let (name, email) = (stated(&info[role]), stated(&info[format!("{role}_email")]));
        let first = email.and_then(|email| {
            let read = mailparse::addrparse(email).ok()?;
            match read.iter().next()? {
                mailparse::MailAddr::Single(one) => Some(one.clone()),
                mailparse::MailAddr::Group(group) => group.addrs.first().cloned(),
            }
        });
        let in_field = first.as_ref().and_then(|one| one.display_name.clone());
        let name = name.map(str::to_owned).or(in_field);
        // What is no address counts as it stands, as it did then.
        let address = first.map(|one| one.addr).or_else(|| email.map(|email| email.trim().to_owned()));
        (name.is_some() || address.is_some()).then_some(Self { name, address })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_maintainer_goes_before_the_author_and_what_says_nothing_is_left_out() {
        let sum = |address: &str| hex::encode(Sha1::digest(address));
        let of = |info: &Json| write(info);
        let both = json!({"name": "a", "version": "1", "author": "A", "author_email": "a@x.test", "maintainer": "M",
            "maintainer_email": "m@x.test", "home_page": "UNKNOWN", "summary": "", "download_url": null});
        let xml = of(&both);
        assert!(xml.contains("<foaf:name>M</foaf:name>") && xml.contains(&sum("m@x.test")), "{xml}");
        assert!(
            !xml.contains("homepage") && !xml.contains("shortdesc") && !xml.contains("download-page"),
            "{xml}"
        );
        assert!(xml.contains("<revision>1</revision>"), "{xml}");
        let author = json!({"author": "A", "author_email": "a@x.test", "maintainer": "", "maintainer_email": "UNKNOWN"});
        let xml = of(&author);
        assert!(xml.contains("<foaf:name>A</foaf:name>") && xml.contains(&sum("a@x.test")), "{xml}");
        let today = json!({"author": null, "author_email": "\"Doe, Jane\" <j@x.test>, K <k@x.test>"});
        let xml = of(&today);
        assert!(xml.contains("<foaf:name>Doe, Jane</foaf:name>") && xml.contains(&sum("j@x.test")), "{xml}");
        assert!(!of(&json!({"name": "a"})).contains("maintainer"));
        assert!(of(&json!({"author_email": "not an address"})).contains("mbox_sha1sum"));
    }

    /// Of each field alone: what its record says, and that nothing is said of what says nothing.
    #[test]
    fn each_field_that_says_nothing_is_left_out_and_the_others_stay() {
        let tags = |info: &Json| {
            let xml = write(info);
            let tags = xml.split('<').skip(2).filter(|rest| !rest.starts_with('/'));
            tags.skip(2).map(|rest| rest.split([' ', '>']).next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        for (field, expected) in [
            ("name", vec!["name"]),
            ("summary", vec!["shortdesc"]),
            ("description", vec!["description"]),
            ("download_url", vec!["download-page"]),
            ("home_page", vec!["homepage"]),
            ("maintainer", vec!["maintainer", "foaf:Person", "foaf:name"]),
            ("maintainer_email", vec!["maintainer", "foaf:Person", "foaf:mbox_sha1sum"]),
            ("author", vec!["maintainer", "foaf:Person", "foaf:name"]),
            ("author_email", vec!["maintainer", "foaf:Person", "foaf:mbox_sha1sum"]),
            ("version", vec!["release", "Version", "revision"]),
        ] {
            assert_eq!(tags(&json!({ field: "said" })), expected, "{field}");
            for nothing in [
                json!(""),
                json!(" \n\t"),
                json!("UNKNOWN"),
                json!(" UNKNOWN\n"),
                json!(null),
                json!(1),
                json!(["x"]),
            ] {
                assert_eq!(tags(&json!({ field: nothing })), Vec::<String>::new(), "{field} {nothing}");
            }
            assert_eq!(tags(&json!({ field: "unknown" })), expected, "{field}: in capitals only");
        }
        for nothing in [json!({}), json!(null), json!([])] {
            assert_eq!(tags(&nothing), Vec::<String>::new(), "{nothing}");
        }
    }
}

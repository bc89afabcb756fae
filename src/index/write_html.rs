//! The model → PEP 503 pages that are well-formed XML as well (docs/wire.md section 7).

use std::fmt::Write as _;

use super::location;
use crate::model::{Digest, Serial};
use crate::upstream::{CoreMetadata, PageFile, ProjectPage, Yanked, strongest};

/// Writes the page. Its links are relative: `../../packages/…#sha256=…`; with `md5s`, which has one for each file, or none,
/// `#md5=…` where there is one.
pub(super) fn write(page: &ProjectPage, serial: Option<Serial>, md5s: Option<&[Option<Digest>]>) -> String {
    let mut out = String::with_capacity(1024 + page.files.len() * 320);
    let title = format!("Links for {}", page.name);
    open(&mut out, &title, page.api_minor, |out| {
        if let Some(status) = &page.status {
            meta(out, "pypi:project-status", &status.status);
            if let Some(reason) = &status.reason {
                meta(out, "pypi:project-status-reason", reason);
            }
        }
    });
    for (at, one) in page.files.iter().enumerate() {
        file(&mut out, one, md5s.and_then(|md5s| md5s.get(at)?.as_ref()));
    }
    close(&mut out, serial);
    out
}

/// The head of a page of links, up to its first link.
pub(super) fn open(out: &mut String, title: &str, minor: u32, metas: impl FnOnce(&mut String)) {
    out.push_str("<!DOCTYPE html>\n<html>\n  <head>\n");
    meta(out, "pypi:repository-version", &format!("1.{minor}"));
    metas(out);
    for (before, after) in [("    <title>", "</title>\n  </head>\n  <body>\n"), ("    <h1>", "</h1>\n")] {
        out.push_str(before);
        escape(out, title);
        out.push_str(after);
    }
}

/// The end of a page of links; the serial stands in a comment, as upstream has it.
pub(super) fn close(out: &mut String, serial: Option<Serial>) {
    out.push_str("  </body>\n</html>\n");
    if let Some(serial) = serial {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "<!--SERIAL {serial}-->");
    }
}

fn meta(out: &mut String, name: &str, content: &str) {
    out.push_str("    <meta");
    attribute(out, "name", name);
    attribute(out, "content", content);
    out.push_str("/>\n");
}

fn file(out: &mut String, file: &PageFile, md5: Option<&Digest>) {
    let mut href = format!("../../packages/{}", location::encoded(&file.path));
    // There is room for one. Every installer knows SHA-256.
    let digest = md5.map(|md5| format!("{}={}", md5.algorithm().name(), md5.digits()));
    let digest = digest.or_else(|| file.hashes.get("sha256").map(|digits| format!("sha256={digits}")));
    let digest = digest.or_else(|| {
        strongest(&file.hashes).map(|best| format!("{}={}", best.algorithm().name(), best.digits()))
    });
    let parts: Vec<&str> = digest.iter().chain(&file.fragment).map(String::as_str).collect();
    if !parts.is_empty() {
        href.push('#');
        href.push_str(&parts.join("&"));
    }
    out.push_str("    <a");
    attribute(out, "href", &href);
    if let Some(requires) = &file.requires_python {
        attribute(out, "data-requires-python", requires);
    }
    if let Yanked::Yes(reason) = &file.yanked {
        attribute(out, "data-yanked", reason.as_deref().unwrap_or(""));
    }
    if let CoreMetadata::Yes(hashes) = &file.core_metadata {
        let stated =
            hashes.get("sha256").map_or_else(|| "true".to_owned(), |digits| format!("sha256={digits}"));
        // Both names: PEP 658 had the first, PEP 714 the second.
        attribute(out, "data-dist-info-metadata", &stated);
        attribute(out, "data-core-metadata", &stated);
    }
    if let Some(signed) = file.gpg_sig {
        attribute(out, "data-gpg-sig", if signed { "true" } else { "false" });
    }
    if let Some(path) = file.provenance.as_deref().and_then(location::provenance_path) {
        attribute(out, "data-provenance", &format!("../..{path}"));
    }
    out.push('>');
    escape(out, &file.filename);
    out.push_str("</a><br/>\n");
}

pub(super) fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value);
    out.push('"');
}

/// Markup escaped, and what XML 1.0 forbids left out.
pub(super) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProjectName;
    use crate::upstream::Format;

    fn page() -> ProjectPage {
        let hex = "ab".repeat(32);
        let body = serde_json::json!({
            "meta": {"api-version": "1.4"}, "name": "a", "versions": ["1"],
            "project-status": {"status": "archived", "reason": "<&]]>"},
            "files": [{
                "filename": "a-1-py3-none-any.whl", "url": "/packages/aa/a-1-py3-none-any.whl",
                "hashes": {"md5": "00", "sha256": hex}, "requires-python": ">=3.8,<4", "yanked": "\"<&]]>\" \u{8}",
                "core-metadata": {"sha256": hex}, "gpg-sig": false,
            }],
        });
        let url = "https://index.test/simple/a/".parse().unwrap();
        let name = ProjectName::parse("a").unwrap();
        ProjectPage::read_as(Format::Json, &name, body.to_string().as_bytes(), &url, usize::MAX).unwrap()
    }

    #[test]
    fn the_page_is_well_formed_xml_with_relative_links() {
        let html = write(&page(), Some(Serial(5)), None);
        let mut reader = quick_xml::Reader::from_str(&html);
        let (mut depth, mut links) = (0, Vec::new());
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Start(tag) => {
                    depth += 1;
                    for attribute in tag.attributes() {
                        let attribute = attribute.unwrap();
                        if attribute.key.as_ref() == "href" {
                            links.push(attribute.value.to_string());
                        }
                    }
                }
                quick_xml::events::Event::End(_) => depth -= 1,
                quick_xml::events::Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(depth, 0);
        let hex = "ab".repeat(32);
        assert_eq!(links, [format!("../../packages/aa/a-1-py3-none-any.whl#sha256={hex}")]);
        assert!(html.ends_with("<!--SERIAL 5-->\n"), "{html}");
    }

    #[test]
    fn what_was_written_reads_back_the_same() {
        let page = page();
        let url = "https://relay.test/simple/a/".parse().unwrap();
        let again = ProjectPage::read_as(
            Format::Html,
            &page.name,
            write(&page, None, None).as_bytes(),
            &url,
            usize::MAX,
        )
        .unwrap();
        let (one, other) = (&page.files[0], &again.files[0]);
        assert_eq!((&one.path, &one.requires_python), (&other.path, &other.requires_python));
        assert_eq!((&one.core_metadata, one.gpg_sig), (&other.core_metadata, other.gpg_sig));
        assert_eq!(other.yanked, Yanked::Yes(Some("\"<&]]>\" ".to_owned())));
        assert_eq!(again.status, page.status);
    }
}

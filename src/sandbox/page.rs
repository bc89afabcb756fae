//! Project pages and the listing, in both forms (PEP 503, 691, 700, 714, 740, 792).

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::model::{ProjectName, Serial, Stamp};

use super::artefact::File;
use super::project::{Project, Release, Upload};

/// The JSON form's type.
pub(super) const JSON: &str = "application/vnd.pypi.simple.v1+json";
/// The HTML form's type, as Warehouse gives it to browsers and to clients that ask for nothing else.
pub(super) const HTML: &str = "text/html; charset=UTF-8";

/// Where a project page sends its readers.
#[derive(Debug, Clone)]
pub(super) struct Origins {
    /// The index, with a `/` at the end.
    pub(super) index: String,
    /// The file host, with a `/` at the end.
    pub(super) files: String,
}

impl Origins {
    /// A file's address.
    pub(super) fn file(&self, file: &File) -> String {
        format!("{}packages/{}", self.files, file.path)
    }

    fn provenance(&self, project: &Project, release: &Release, file: &File) -> Option<String> {
        let (index, name, version) = (&self.index, normal(&project.name), &release.version);
        file.provenance.then(|| format!("{index}integrity/{name}/{version}/{}/provenance", file.filename))
    }
}

/// The normal form of a name that is known to be good.
pub(super) fn normal(name: &str) -> String {
    ProjectName::parse(name).map_or_else(|_| name.to_owned(), |name| name.to_string())
}

/// A project page as HTML.
pub(super) fn html(project: &Project, serial: Option<Serial>, origins: &Origins) -> String {
    let name = normal(&project.name);
    let mut page = format!(
        "<!DOCTYPE html>\n<html>\n  <head>\n    <meta name=\"pypi:repository-version\" content=\"1.4\">\n    \
         <meta name=\"pypi:project-status\" content=\"{}\">\n    {}<title>Links for {name}</title>\n  </head>\n  \
         <body>\n    <h1>Links for {name}</h1>\n",
        project.status.word(),
        project.status_reason.as_deref().map_or_else(String::new, |reason| format!(
            "<meta name=\"pypi:project-status-reason\" content=\"{}\">\n    ",
            escape(reason)
        )),
    );
    for (release, Upload { file, .. }) in project.files() {
        let _ = write!(page, "<a href=\"{}#sha256={}\"", origins.file(file), file.digests.sha256);
        let mut attribute = |name: &str, value: &str| {
            let _ = write!(page, " {name}=\"{}\"", escape(value));
        };
        if let Some(requires_python) = &file.requires_python {
            attribute("data-requires-python", requires_python);
        }
        if let Some(digest) = file.metadata_sha256() {
            attribute("data-dist-info-metadata", &format!("sha256={digest}"));
            attribute("data-core-metadata", &format!("sha256={digest}"));
        }
        if let Some(reason) = &release.yanked {
            attribute("data-yanked", reason);
        }
        if let Some(url) = origins.provenance(project, release, file) {
            attribute("data-provenance", &url);
        }
        let _ = writeln!(page, " >{}</a><br />", escape(&file.filename));
    }
    page.push_str("</body>\n</html>\n");
    page.push_str(&serial_comment(serial));
    page
}

/// A project page as JSON.
pub(super) fn json(project: &Project, serial: Option<Serial>, origins: &Origins) -> Value {
    let files: Vec<Value> = project
        .files()
        .map(|(release, Upload { time, file })| {
            let metadata = core_metadata(file);
            json!({
                "core-metadata": metadata,
                "data-dist-info-metadata": metadata,
                "filename": file.filename,
                "hashes": { "sha256": file.digests.sha256 },
                "provenance": origins.provenance(project, release, file),
                "requires-python": file.requires_python,
                "size": file.content.size(),
                "upload-time": Stamp::from_unix(*time).map(Stamp::rfc3339_micros),
                "url": origins.file(file),
                "yanked": yanked(release),
            })
        })
        .collect();
    let versions: Vec<&str> = project.in_order().map(|release| release.version.as_str()).collect();
    let mut status = json!({ "status": project.status });
    if let Some(reason) = &project.status_reason {
        status["reason"] = json!(reason);
    }
    let mut meta = json!({ "api-version": "1.4" });
    if let Some(serial) = serial {
        meta["_last-serial"] = json!(serial);
    }
    json!({
        "files": files,
        "meta": meta,
        "name": normal(&project.name),
        "project-status": status,
        "versions": versions,
    })
}

/// PEP 714: the digest of the file's metadata, or that there is none to fetch. In the JSON API since 2026-07.
pub(super) fn core_metadata(file: &File) -> Value {
    file.metadata_sha256().map_or(json!(false), |digest| json!({ "sha256": digest }))
}

/// PEP 691: the reason if there is one, else whether.
fn yanked(release: &Release) -> Value {
    match release.yanked.as_deref() {
        None => json!(false),
        Some("") => json!(true),
        Some(reason) => json!(reason),
    }
}

/// The listing's start, rows and end, as HTML or JSON.
pub(super) fn listing_start(html: bool, serial: Option<Serial>) -> String {
    if html {
        "<!DOCTYPE html>\n<html>\n  <head>\n    <meta name=\"pypi:repository-version\" content=\"1.4\">\n    \
         <title>Simple index</title>\n  </head>\n  <body>\n"
            .to_owned()
    } else {
        let serial = serial_member(serial);
        format!("{{\"meta\":{{{serial}\"api-version\":\"1.4\"}},\"projects\":[")
    }
}

/// One project of the listing. `first`: nothing stands before it.
pub(super) fn listing_row(html: bool, name: &str, serial: Option<Serial>, first: bool, out: &mut String) {
    // Names are plain ASCII words: nothing in them needs an escape in either form.
    let _ = if html {
        writeln!(out, "    <a href=\"/simple/{}/\">{name}</a>", normal(name))
    } else {
        let comma = if first { "" } else { "," };
        write!(out, "{comma}{{{}\"name\":\"{name}\"}}", serial_member(serial))
    };
}

/// The end of the listing.
pub(super) fn listing_end(html: bool, serial: Option<Serial>) -> String {
    if html { format!("  </body>\n</html>\n{}", serial_comment(serial)) } else { "]}".to_owned() }
}

fn serial_member(serial: Option<Serial>) -> String {
    serial.map_or_else(String::new, |serial| format!("\"_last-serial\":{serial},"))
}

fn serial_comment(serial: Option<Serial>) -> String {
    serial.map_or_else(String::new, |serial| format!("<!--SERIAL {serial}-->"))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Whether an `Accept` prefers the JSON form; HTML where nothing is said.
pub(super) fn prefers_json(accept: &str) -> bool {
    let (mut json, mut html) = (0.0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or("").to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse().ok()).unwrap_or(1.0);
        match kind.as_str() {
            JSON | "application/vnd.pypi.simple.latest+json" => json = f64::max(json, weight),
            "text/html"
            | "application/vnd.pypi.simple.v1+html"
            | "application/vnd.pypi.simple.latest+html" => {
                html = f64::max(html, weight);
            }
            _ => {}
        }
    }
    json > 0.0 && json >= html
}

/// The provenance of a file (PEP 740), signed by nobody.
pub(super) fn provenance(file: &File) -> Value {
    json!({
        "attestation_bundles": [{
            "attestations": [{
                "envelope": { "signature": "", "statement": "" },
                "verification_material": { "certificate": "", "transparency_entries": [] },
                "version": 1,
            }],
            "publisher": { "kind": "Sandbox", "subject": file.filename, "sha256": file.digests.sha256 },
        }],
        "version": 1,
    })
}

//! The readers and writers of project pages and of JSON documents.

use cheesewire::index::test_api::{read_document, read_page, write_document, write_page};
use cheesewire::index::{Form, PageFile, ProjectPage};
use cheesewire::model::{FileKind, FilePath, ProjectName};
use url::Url;

const ADDRESS: &str = "https://index.test/simple/a/";
const ORIGIN: &str = "http://relay.test";

/// Any bytes are a page, a document or an error. No file's path climbs, and what we write of it another relay reads
/// as we did.
pub fn page(data: &[u8]) {
    let (name, url) = (ProjectName::parse("a").expect("a name"), Url::parse(ADDRESS).expect("an address"));
    for form in [Form::Json, Form::Html] {
        if let Ok(page) = read_page(form, &name, data, &url) {
            for file in &page.files {
                sound(&file.url, &file.path);
                assert!(FilePath::is_filename(&file.filename), "{}", file.filename);
            }
            as_html(&page, &url);
            as_json(&page);
        }
    }
    if let Ok(document) = read_document(data, &url) {
        let written = write_document(&document, ORIGIN).expect("a document");
        let back = read_document(&written, &url).expect("our own document");
        assert_eq!(back.last_serial, document.last_serial);
        let version = document.version().unwrap_or_default();
        for (_, path, ours) in document.files(version, ORIGIN).into_iter().flatten() {
            let ours = Url::parse(&ours).expect("an address of ours");
            sound(&ours, &path);
        }
    }
}

fn sound(url: &Url, path: &FilePath) {
    assert!(matches!(url.scheme(), "http" | "https") && url.fragment().is_none(), "{url}");
    assert_eq!(FilePath::parse(path.as_str()).as_ref(), Ok(path));
}

/// `x/…` is derived from the whole address, so it changes from relay to relay.
fn own(file: &PageFile) -> bool {
    !file.path.as_str().starts_with("x/")
}

fn as_html(page: &ProjectPage, url: &Url) {
    let written = write_page(Form::Html, page, ORIGIN).expect("a page");
    well_formed(std::str::from_utf8(&written).expect("text"));
    let back = read_page(Form::Html, &page.name, &written, url).expect("our own page");
    let linked = |file: &&PageFile| {
        own(file) && [file.path.filename(), &file.filename].iter().any(|name| FileKind::of(name).is_ok())
    };
    for file in page.files.iter().filter(linked) {
        assert!(back.files.iter().any(|read| read.path == file.path), "{:?} of {:?}", file.path, back.files);
    }
}

fn as_json(page: &ProjectPage) {
    let url = Url::parse(ORIGIN).and_then(|origin| origin.join("/simple/a/")).expect("an address");
    let written = write_page(Form::Json, page, ORIGIN).expect("a page");
    let back = read_page(Form::Json, &page.name, &written, &url).expect("our own page");
    assert_eq!(page.files.len(), back.files.len());
    assert_eq!((&page.status, &page.versions), (&back.status, &back.versions));
    for (file, back) in page.files.iter().zip(&back.files).filter(|(file, _)| own(file)) {
        assert_eq!((&file.filename, &file.path, &file.hashes), (&back.filename, &back.path, &back.hashes));
        assert_eq!((&file.yanked, &file.requires_python), (&back.yanked, &back.requires_python));
    }
}

/// Old mirrors read pages with an XML parser.
fn well_formed(html: &str) {
    let xml = html.strip_prefix("<!DOCTYPE html>").expect("a page");
    let mut reader = quick_xml::Reader::from_str(xml);
    loop {
        match reader.read_event().expect("well-formed") {
            quick_xml::events::Event::Eof => return,
            quick_xml::events::Event::Start(tag) | quick_xml::events::Event::Empty(tag) => {
                tag.attributes().for_each(|attribute| drop(attribute.expect("a proper attribute")));
            }
            _ => {}
        }
    }
}

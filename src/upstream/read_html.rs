//! PEP 503 pages, and what file servers list, → the model.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Map;
use url::Url;

use super::page::{CoreMetadata, PageFile, ProjectPage, ProjectStatus, Yanked, metadata_path};
use super::{Anchor, HtmlElement, elements};
use crate::model::{FileKind, FilePath, ProjectName, path_of};

/// How the titles of index pages begin: PyPI's and most servers', devpi's, and what file servers list.
const TITLES: [&str; 3] = ["Links for ", "Simple index", "Index of "];

/// Reads a page that came from `url`.
pub(super) fn read(name: &ProjectName, body: &[u8], url: &Url) -> Result<ProjectPage, String> {
    let mut base = url.clone();
    let (mut files, mut status, mut reason, mut version) = (Vec::new(), None, None, None);
    let mut titled = false;
    elements(body, |element| match element {
        HtmlElement::Title(title) => titled = TITLES.iter().any(|known| title.starts_with(known)),
        HtmlElement::Base(href) => base = url.join(&href).unwrap_or_else(|_| url.clone()),
        HtmlElement::Meta { name, content } => match name.as_str() {
            "pypi:project-status" => status = Some(content),
            "pypi:project-status-reason" => reason = Some(content),
            "pypi:repository-version" => version = Some(content),
            _ => {}
        },
        HtmlElement::Anchor(anchor) => files.extend(file(anchor, &base)),
    })
    .map_err(|error| format!("HTML that cannot be read: {error}"))?;
    // A page of nothing is what a network that wants one to sign in gives for everything.
    if files.is_empty() && version.is_none() && !titled {
        return Err("HTML that is no index page".to_owned());
    }
    // PEP 629: what has another major must not be read as if it had this one.
    if version.is_some_and(|version| !version.starts_with("1.")) {
        return Err("a page of an unknown repository-version".to_owned());
    }
    Ok(ProjectPage {
        name: name.clone(),
        api_minor: 0,
        versions: None,
        files,
        last_serial: None,
        status: status.map(|status| ProjectStatus { status, reason }),
        other: Map::new(),
        meta: Map::new(),
    })
}

/// The file that a link leads to. Links to anything else, and to nowhere, are not on the page.
fn file(mut anchor: Anchor, base: &Url) -> Option<PageFile> {
    let mut url = base.join(anchor.attributes.get("href")?).ok()?;
    let hashes = url.fragment().map(fragment_hashes).into_iter().flatten().collect();
    url.set_fragment(None);
    let last = url.path().rsplit('/').next()?;
    let last = percent_decode_str(last).decode_utf8().ok()?.into_owned();
    // The address knows the name best: file servers cut long texts.
    let is_file = |name: &String| FileKind::of(name).is_ok() && FilePath::is_filename(name);
    let filename = [last, anchor.text].into_iter().find(is_file)?;
    let path = path_of(&url)?;
    let mut take = |name: &str| anchor.attributes.remove(name);
    let advertised = take("data-core-metadata").or_else(|| take("data-dist-info-metadata"));
    let core_metadata = match advertised.as_deref() {
        Some("false") | None => CoreMetadata::No,
        Some(_) if metadata_path(&path).is_none() => CoreMetadata::No,
        Some(text) => CoreMetadata::Yes(fragment_hashes(text).collect()),
    };
    let yanked =
        take("data-yanked").map_or(Yanked::No, |reason| Yanked::Yes(Some(reason).filter(|r| !r.is_empty())));
    Some(PageFile {
        filename,
        url,
        path,
        hashes,
        requires_python: take("data-requires-python"),
        yanked,
        core_metadata,
        size: None,
        upload_time: None,
        gpg_sig: take("data-gpg-sig").map(|text| text == "true"),
        provenance: take("data-provenance"),
        other: Map::new(),
    })
}

/// `sha256=HEX` and the like, several joined with `&`.
fn fragment_hashes(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let is_hash = |&(name, digits): &(&str, &str)| {
        let named = matches!(
            name,
            "md5" | "sha1" | "sha224" | "sha256" | "sha384" | "sha512" | "blake2b" | "blake2s"
        );
        named && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('=')).filter(is_hash);
    pairs
        .map(|(name, digits)| (name.to_owned(), digits.to_ascii_lowercase()))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_every_pep_are_read() {
        let hex = "ab".repeat(32);
        let html = format!(
            "<html><head><meta name='pypi:project-status' content='archived'/></head><body>\
             <a href='https://files.test/packages/aa/bb/A-1-py3-none-any.whl#sha256={hex}' data-requires-python='&gt;=3.8' \
             data-yanked='bad' data-core-metadata='sha256={hex}' data-gpg-sig=true>A-1-py3-none-any.whl</a><br/>\
             <a href='../home'>Home</a> <a href='A-0.9.tar.gz' data-yanked>A-0.9.tar.g..&gt;</a></body></html>"
        );
        let name = ProjectName::parse("a").unwrap();
        let page = read(&name, html.as_bytes(), &"https://index.test/simple/a/".parse().unwrap()).unwrap();
        assert_eq!(page.status.unwrap().status, "archived");
        let [wheel, sdist] = &page.files[..] else { panic!("{:?}", page.files) };
        assert_eq!(
            (wheel.path.as_str(), wheel.hashes["sha256"].as_str()),
            ("aa/bb/A-1-py3-none-any.whl", &*hex)
        );
        assert_eq!(wheel.requires_python.as_deref(), Some(">=3.8"));
        assert_eq!(wheel.yanked, Yanked::Yes(Some("bad".to_owned())));
        assert!(matches!(&wheel.core_metadata, CoreMetadata::Yes(hashes) if hashes["sha256"] == hex));
        assert_eq!(wheel.gpg_sig, Some(true));
        assert_eq!((sdist.filename.as_str(), &sdist.yanked), ("A-0.9.tar.gz", &Yanked::Yes(None)));
        assert_eq!(sdist.url.as_str(), "https://index.test/simple/a/A-0.9.tar.gz");
    }

    #[test]
    fn a_link_whose_name_is_none_is_no_file() {
        let url = Url::parse("http://index.test/simple/a/").unwrap();
        let long = "a".repeat(300);
        let html = format!(
            "<title>Links for a</title><a href='x'>../../a-1.zip</a><a href='y'>{long}.zip</a>\
             <a href='%2e%2e%2fa-1.zip'>a</a><a href='z/a-2.zip'>../b</a>"
        );
        let page = read(&ProjectName::parse("a").unwrap(), html.as_bytes(), &url).unwrap();
        assert_eq!(page.files.iter().map(|file| file.filename.as_str()).collect::<Vec<_>>(), ["a-2.zip"]);
    }

    #[test]
    fn a_page_of_nothing_must_say_that_it_is_one() {
        let url = Url::parse("http://index.test/simple/a/").unwrap();
        let read = |text: &str| read(&ProjectName::parse("a").unwrap(), text.as_bytes(), &url);
        assert!(read("<title>Links for a</title>").is_ok());
        assert!(read("<meta name='pypi:repository-version' content='1.0'>").is_ok());
        assert!(read("<title>Welcome</title><a href='/login'>Sign in to this hotel's network</a>").is_err());
    }

    #[test]
    fn another_major_is_not_guessed_at() {
        let name = ProjectName::parse("a").unwrap();
        let url = "https://index.test/simple/a/".parse().unwrap();
        assert!(read(&name, b"<meta name='pypi:repository-version' content='2.0'>", &url).is_err());
    }
}

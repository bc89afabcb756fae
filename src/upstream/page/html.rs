//! PEP 503 pages, and what file servers list, → the model.

use percent_encoding::percent_decode_str;
use url::Url;

use super::super::Skipped;
use super::super::html::{Anchor, HtmlElement, elements};
use super::super::text::over;
use super::json::version;
use super::json_file::fragment_parts;
use super::member::{Digests, Stated};
use super::model::{CoreMetadata, Others, PageFile, ProjectPage, ProjectStatus, Yanked};
use super::paths::{located, unescape};
use super::weight::{FIRST_NODE, Weight};
use crate::model::{FileKind, FilePath, FilePaths, ProjectName};

/// How the titles of index pages begin: PyPI's and most servers', devpi's, and what file servers list.
const TITLES: [&str; 3] = ["Links for ", "Simple index", "Index of "];

/// What an anchor takes in memory, about as much as the file that is made of it.
fn anchor_weight(anchor: &Anchor) -> usize {
    let texts: usize = anchor.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    size_of::<PageFile>() + FIRST_NODE + texts + anchor.text.len()
}

/// Whether a page's title says that it is an index's page: it needs no link then.
pub(in crate::upstream) fn is_index_title(title: &str) -> bool {
    TITLES.iter().any(|known| title.starts_with(known))
}

/// Reads a page that came from `url` and takes at most `most` bytes in memory.
pub(super) fn read(name: &ProjectName, body: &[u8], url: &Url, most: usize) -> Result<ProjectPage, String> {
    let mut weight = Weight::new(most);
    let mut base = None;
    // Links are read last: the first `<base>` counts for those before it, too.
    let (mut anchors, mut status, mut reason, mut stated) = (Vec::new(), None, None, None);
    let mut titled = false;
    elements(body, |element| match element {
        HtmlElement::Title(title) => {
            titled |= is_index_title(&title) || ProjectName::parse(&title).is_ok_and(|title| title == *name);
        }
        HtmlElement::Base(href) => base = base.take().or_else(|| Some(base_of(url, &href))),
        HtmlElement::Meta { name, content } => match name.as_str() {
            "pypi:project-status" => status = Some(content),
            "pypi:project-status-reason" => reason = Some(content),
            "pypi:repository-version" => stated = Some(content),
            _ => {}
        },
        HtmlElement::Anchor(anchor) => {
            // What is not a file's is not kept; the rest of a document that takes too much is passed over.
            let is_file = anchor.attributes.contains_key("href") && !weight.is_over();
            if is_file && weight.add::<serde::de::value::Error>(anchor_weight(&anchor)).is_ok() {
                anchors.push(anchor);
            }
        }
    })
    .map_err(|error| format!("HTML that cannot be read: {error}"))?;
    if weight.is_over() {
        let over: serde::de::value::Error = over(most);
        return Err(format!("HTML that cannot be read: {over}"));
    }
    let base = base.unwrap_or_else(|| url.clone());
    let mut skipped = Skipped::default();
    let files: Vec<PageFile> =
        anchors.into_iter().filter_map(|anchor| file(anchor, &base, (name, url), &mut skipped)).collect();
    // A page of nothing is what a network that wants one to sign in gives for everything.
    if files.is_empty() && stated.is_none() && !titled {
        return Err("HTML that is no index page".to_owned());
    }
    match stated.as_deref().map(version) {
        // PEP 629: what has another major must not be read as if it had this one.
        Some(Some((2.., _))) => return Err("a page of an unknown repository-version".to_owned()),
        Some(None) => skipped.member("", "pypi:repository-version"),
        Some(Some(_)) | None => {}
    }
    // As in JSON, an empty text says nothing.
    let [status, reason] = [status, reason].map(|text| text.filter(|text| !text.is_empty()));
    Ok(ProjectPage {
        name: name.clone(),
        api_minor: 0,
        versions: None,
        files,
        last_serial: None,
        status: status.map(|status| ProjectStatus { status, reason }),
        other: Others::default(),
        meta: Others::default(),
        skipped,
    })
}

/// What relative links are relative to, by `<base href>`; the page itself where that leads nowhere.
pub(in crate::upstream) fn base_of(url: &Url, href: &str) -> Url {
    let base = url.join(href).ok().filter(|base| matches!(base.scheme(), "http" | "https"));
    base.unwrap_or_else(|| url.clone())
}

/// The file that a link leads to. Links to anything else, and to nowhere, are not on the page.
///
/// `page`: the project, and the address of its page.
fn file(
    mut anchor: Anchor,
    base: &Url,
    page: (&ProjectName, &Url),
    skipped: &mut Skipped,
) -> Option<PageFile> {
    let href = anchor.attributes.remove("href")?;
    let mut url = base.join(&href).ok()?;
    let fragment = url.fragment().map(str::to_owned);
    url.set_fragment(None);
    unescape(&mut url);
    let last = url.path().rsplit('/').next()?;
    let last = percent_decode_str(last).decode_utf8().ok()?.into_owned();
    // The address knows the name best: file servers cut long texts. pip takes the name from `egg=` where there is one.
    let egg = fragment.as_deref().is_some_and(|parts| parts.split('&').any(|part| part.starts_with("egg=")));
    let is_file = |name: &&String| FileKind::of(name).is_ok() || egg;
    let filename = [&last, &anchor.text].into_iter().find(is_file)?.clone();
    if !FilePath::is_filename(&filename) {
        skipped.entry(&filename, "no name of a file");
        return None;
    }
    let mut digests = Digests::default();
    let fragment = fragment_parts(fragment.as_deref().unwrap_or_default(), &mut digests);
    let Stated { hashes, odd, unmatchable } = digests.finish();
    if odd {
        skipped.member(&filename, "digest");
    }
    let mut take = |name: &str| anchor.attributes.remove(name);
    // PEP 714's name and PEP 658's.
    let advertised = [take("data-core-metadata"), take("data-dist-info-metadata")];
    let advertised = advertised.into_iter().flatten().find(|text| !text.is_empty());
    let core_metadata = advertised.map_or(CoreMetadata::No, |text| {
        let mut digests = Digests::default();
        fragment_parts(&text, &mut digests);
        match digests.finish() {
            _ if text.eq_ignore_ascii_case("false") => CoreMetadata::No,
            Stated { hashes, odd: false, .. } => CoreMetadata::Yes(hashes),
            Stated { odd: true, .. } => {
                skipped.member(&filename, "data-core-metadata");
                CoreMetadata::No
            }
        }
    });
    let named = located(&url, page, (&hashes, unmatchable), core_metadata);
    let Some((FilePaths { path, earlier }, core_metadata)) = named else {
        skipped.entry(&filename, "no address of a file");
        return None;
    };
    let yanked =
        take("data-yanked").map_or(Yanked::No, |reason| Yanked::Yes(Some(reason).filter(|r| !r.is_empty())));
    Some(PageFile {
        filename,
        url,
        fragment,
        path,
        earlier,
        hashes,
        unmatchable,
        requires_python: take("data-requires-python").filter(|text| !text.is_empty()),
        yanked,
        core_metadata,
        size: None,
        upload_time: None,
        gpg_sig: take("data-gpg-sig").map(|text| text.eq_ignore_ascii_case("true")),
        provenance: take("data-provenance"),
        other: Others::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &ProjectName, body: &[u8], url: &Url) -> Result<ProjectPage, String> {
        super::read(name, body, url, usize::MAX)
    }

    #[test]
    fn what_needs_no_escape_in_an_address_has_none() {
        let plain = |address: &str| {
            let mut url: Url = address.parse().unwrap();
            unescape(&mut url);
            url.to_string()
        };
        assert_eq!(
            plain("https://a.test/%61%2D%5f%7E%2F%25%2e%zz%?b=%2D"),
            "https://a.test/a-_~%2F%25%2e%zz%?b=%2D"
        );
    }

    #[test]
    fn attributes_of_every_pep_are_read() {
        let hex = "ab".repeat(32);
        let html = format!(
            "<html><head><meta name='pypi:project-status' content='archived'/></head><body>\
             <a href='https://index.test/packages/aa/bb/A-1-py3-none-any.whl#sha256={hex}' data-requires-python='&gt;=3.8' \
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
    fn an_empty_status_or_reason_says_nothing() {
        let of = |status: &str, reason: &str| {
            let html = format!(
                "<title>Links for a</title><meta name='pypi:project-status' content='{status}'>\
                 <meta name='pypi:project-status-reason' content='{reason}'>"
            );
            let url = "https://index.test/simple/a/".parse().unwrap();
            read(&ProjectName::parse("a").unwrap(), html.as_bytes(), &url).unwrap().status
        };
        assert_eq!(of("", "why"), None);
        let archived = |reason| Some(ProjectStatus { status: "archived".to_owned(), reason });
        assert_eq!(of("archived", ""), archived(None));
        assert_eq!(of("archived", "old"), archived(Some("old".to_owned())));
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
        let read = |text: &str| self::read(&ProjectName::parse("a").unwrap(), text.as_bytes(), &url);
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

    fn files(html: &str) -> Vec<(String, String)> {
        let url = Url::parse("https://index.test/simple/a/").unwrap();
        let page = read(&ProjectName::parse("a").unwrap(), html.as_bytes(), &url).unwrap();
        page.files.into_iter().map(|file| (file.filename, file.url.to_string())).collect()
    }

    #[test]
    fn the_first_base_counts_for_all_links() {
        let at = |url: &str| vec![("a-1.zip".to_owned(), url.to_owned())];
        let link = "<a href='a-1.zip'>a</a>";
        for (html, url) in [
            (format!("<base href='/one/'><base href='/two/'>{link}"), "https://index.test/one/a-1.zip"),
            (format!("{link}<base href='/one/'>"), "https://index.test/one/a-1.zip"),
            (format!("<base href='https://other.test/x'>{link}"), "https://other.test/a-1.zip"),
            (
                format!("<base target=_blank><base href='one/'>{link}"),
                "https://index.test/simple/a/one/a-1.zip",
            ),
            (format!("<base href=''><base href='/two/'>{link}"), "https://index.test/simple/a/a-1.zip"),
            (format!("<base href='data:x'>{link}"), "https://index.test/simple/a/a-1.zip"),
            (format!("<base href='http://['>{link}"), "https://index.test/simple/a/a-1.zip"),
        ] {
            assert_eq!(files(&html), at(url), "{html}");
        }
    }

    #[test]
    fn addresses_of_every_kind_are_followed() {
        let page = "<a>none</a><a href>a-0.zip</a><a href='\n a-1.zip \t'>1</a><a href='//files.test/a-2.zip?sig=a&amp;b=%2F'>2</a>\
            <a href='a%2D3%2Bx.tgz'>3</a><a href='a b-4.zip'>4</a><a href='a&#45;5.tar'>5</a><a href='HTTP://FILES.test:80/a-6.zip'>6</a>\
            <a href='git+https://files.test/a-7.zip'>7</a><a href='a-8.zip.asc'>8</a><a href='a-9.egg'>9</a>";
        let expected = [
            ("a-1.zip", "https://index.test/simple/a/a-1.zip"),
            ("a-2.zip", "https://files.test/a-2.zip?sig=a&b=%2F"),
            ("a-3+x.tgz", "https://index.test/simple/a/a-3%2Bx.tgz"),
            ("a b-4.zip", "https://index.test/simple/a/a%20b-4.zip"),
            ("a-5.tar", "https://index.test/simple/a/a-5.tar"),
            ("a-6.zip", "http://files.test/a-6.zip"),
            ("a-9.egg", "https://index.test/simple/a/a-9.egg"),
        ];
        assert_eq!(files(page), expected.map(|(name, url)| (name.to_owned(), url.to_owned())));
    }

    #[test]
    fn fragments_tell_digests_and_which_release_it_is() {
        let url = Url::parse("https://index.test/simple/a/").unwrap();
        let (hex, md5) = ("ab".repeat(32), "AB".repeat(16));
        let html = format!(
            "<a href='a-1.zip#md5={md5}&SHA256={hex}&egg=a-1'>1</a><a href='master#egg=a-2'>2</a>\
             <a href='a-3.zip#sha256=ab'>3</a><a href='a-4.zip#sha256='>4</a>"
        );
        let page = read(&ProjectName::parse("a").unwrap(), html.as_bytes(), &url).unwrap();
        let [one, two, three, four] = &page.files[..] else { panic!("{:?}", page.files) };
        assert_eq!((one.hashes["sha256"].as_str(), one.hashes["md5"].as_str()), (&*hex, &*"ab".repeat(16)));
        assert_eq!(one.fragment.as_deref(), Some("egg=a-1"));
        assert_eq!((two.filename.as_str(), two.fragment.as_deref()), ("master", Some("egg=a-2")));
        assert!(three.hashes.is_empty() && three.unmatchable && four.hashes.is_empty() && !four.unmatchable);
        assert_eq!(page.skipped.named, ["a-3.zip: digest"]);
    }

    #[test]
    fn metadata_is_advertised_by_either_name() {
        let url = Url::parse("https://index.test/simple/a/").unwrap();
        let hex = "ab".repeat(32);
        let told = |attributes: &str| {
            let html = format!("<a href='a-1.zip' {attributes}>1</a>");
            read(&ProjectName::parse("a").unwrap(), html.as_bytes(), &url)
                .unwrap()
                .files
                .remove(0)
                .core_metadata
        };
        let yes = |pairs: &[(&str, &str)]| {
            CoreMetadata::Yes(
                pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            )
        };
        assert_eq!(told(&format!("data-core-metadata='sha256={hex}'")), yes(&[("sha256", &hex)]));
        assert_eq!(told(&format!("data-dist-info-metadata='sha256={hex}'")), yes(&[("sha256", &hex)]));
        assert_eq!(told("data-dist-info-metadata=true"), yes(&[]));
        assert_eq!(
            told(&format!("data-core-metadata data-dist-info-metadata='SHA256={hex}'")),
            yes(&[("sha256", &hex)])
        );
        for none in ["", "data-core-metadata", "data-core-metadata=false", "data-core-metadata='sha256=x'"] {
            assert_eq!(told(none), CoreMetadata::No, "{none}");
        }
    }

    #[test]
    fn a_version_that_cannot_be_read_is_not_another() {
        let url = Url::parse("https://index.test/simple/a/").unwrap();
        let read = |version: &str| {
            let html = format!("<meta name='pypi:repository-version' content='{version}'>");
            read(&ProjectName::parse("a").unwrap(), html.as_bytes(), &url)
        };
        for (version, members) in [("1.0", 0), ("1", 0), (" 1.4 ", 0), ("one", 1)] {
            assert_eq!(read(version).unwrap().skipped.members, members, "{version}");
        }
        assert!(read("2").is_err());
    }
}

//! A listing in HTML, PEP 503's or a file server's.

use std::io::Read;

use url::Url;

use super::super::html::{HtmlElement, elements};
use super::super::page::{base_of, is_index_title};
use super::model::{ListedProject, Listing, too_many};
use crate::model::ProjectName;
use crate::upstream::UpstreamError;

/// A link while it is not known what it is relative to.
enum Link {
    Project(String),
    /// It may be a project's by where it leads: its place among the links of its kind.
    Undecided(String),
}

/// Reads a listing that came from `url`.
pub(super) fn read(body: impl Read, url: &Url, most: usize) -> Result<Listing, UpstreamError> {
    let (mut base, mut titled) = (None, false);
    let mut links = Vec::new();
    elements(body, |element| match element {
        HtmlElement::Base(href) => base = base.take().or_else(|| Some(base_of(url, &href))),
        HtmlElement::Title(title) => titled |= is_index_title(&title),
        HtmlElement::Meta { name, .. } => titled |= name == "pypi:repository-version",
        HtmlElement::Anchor(mut anchor) => {
            if links.len() > most {
                return;
            }
            let href = anchor.attributes.remove("href");
            links.extend(href.and_then(|href| link(base.as_ref().unwrap_or(url), href, &anchor.text)));
        }
    })
    .map_err(|error| UpstreamError::Broken(error.to_string()))?;
    if links.len() > most {
        return Err(UpstreamError::Unexpected(format!("a listing of {}", too_many(most))));
    }
    // The first `<base>` counts for the links before it, too.
    let base = base.unwrap_or_else(|| url.clone());
    let name = |link| match link {
        Link::Project(name) => Some(name),
        Link::Undecided(href) => below(&base, &href),
    };
    let projects: Vec<_> =
        links.into_iter().filter_map(name).map(|name| ListedProject { name, serial: None }).collect();
    // An index of nothing says that it is one.
    if projects.is_empty() && !titled {
        return Err(UpstreamError::Unexpected("HTML that lists no project".to_owned()));
    }
    Ok(Listing { projects, ..Listing::default() })
}

/// What a link may be. File servers list folders beside other links: it is a project's if text and target agree, or if it
/// leads one step down.
fn link(base: &Url, href: String, text: &str) -> Option<Link> {
    let target = base.join(&href).ok()?;
    let name = ProjectName::parse(last(&target)?).ok()?;
    let text = text.trim_end_matches('/');
    let agrees = ProjectName::parse(text).is_ok_and(|spelled| spelled == name);
    Some(if agrees { Link::Project(text.to_owned()) } else { Link::Undecided(href) })
}

/// The last segment of a path that names something.
fn last(target: &Url) -> Option<&str> {
    target.path().trim_end_matches('/').rsplit('/').next()
}

/// The last segment of a link that leads one step down.
fn below(base: &Url, href: &str) -> Option<String> {
    let target = base.join(href).ok()?;
    let (folder, name) = target.path().trim_end_matches('/').rsplit_once('/')?;
    let below = target.origin() == base.origin() && folder == base.path().trim_end_matches('/');
    below.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(html: &str) -> Vec<String> {
        let url: Url = "https://index.test/mirror/simple/".parse().unwrap();
        read(html.as_bytes(), &url, usize::MAX).unwrap().projects.into_iter().map(|p| p.name).collect()
    }

    #[test]
    fn listings_of_every_kind_are_read() {
        assert_eq!(names("<a href='/mirror/simple/a-b/'>A.b</a><br/><a href='c/'>c</a>"), ["A.b", "c"]);
        let folder =
            "<a href='../'>../</a><a href='?C=N'>Name</a><a href='a-b/'>a-b/</a> <a href='cut/'>cu..&gt;</a>";
        assert_eq!(names(folder), ["a-b", "cut"]);
        assert_eq!(
            names("<base href='https://other.test/x/'><a href='/y/A-B'>a.b</a><a href='/up'>x</a>"),
            ["a.b"]
        );
        assert_eq!(names("<a href=' a/\n'>A</a><a href='b%2Dc/'>b&#45;c</a><a>none</a>"), ["A"]);
    }

    #[test]
    fn the_first_base_counts_for_all_links() {
        assert_eq!(
            names("<base href='/x/'><base href='/y/'><a href='/x/a/'>1</a><a href='/y/b/'>2</a>"),
            ["a"]
        );
        assert_eq!(names("<a href='/x/a/'>1</a><a href='/mirror/simple/b/'>2</a><base href='/x/'>"), ["a"]);
    }

    #[test]
    fn html_that_lists_nothing_is_no_listing_unless_it_says_so() {
        let url: Url = "https://index.test/simple/".parse().unwrap();
        assert!(read(&b"<h1>Welcome</h1><a href='/login'>Log in</a>"[..], &url, usize::MAX).is_err());
        let empty = read(&b"<title>Simple index</title>"[..], &url, usize::MAX);
        assert_eq!(empty, Ok(Listing::default()));
    }

    #[test]
    fn a_listing_of_more_projects_than_it_may_have_is_refused() {
        let url: Url = "https://index.test/simple/".parse().unwrap();
        let links = |count: usize| "<a href='a/'>a</a>".repeat(count);
        assert_eq!(read(links(3).as_bytes(), &url, 3).unwrap().projects.len(), 3);
        let refused = read(links(4).as_bytes(), &url, 3).unwrap_err().to_string();
        assert!(refused.contains("upstream.listing_projects"), "{refused}");
    }
}

//! Where a file of upstream's is with us.
//!
//! A path is a function of what a page says, never of what was seen before: another node, a new folder and a lock file agree
//! on it. So that no page can take the path of another project's file, it depends on whose file it is, which the file's
//! name tells ([`project_of`]):
//!
//! - On that project's pages it is upstream's own path after `/packages/`, if it lies on the host of the page, or below
//!   `/packages/` of another host and names the file's content (`aa/bb/` and 60 digits), which is how an index with a separate
//!   host for its files spells it. Elsewhere it is `x/`, a hash of the address, and the name.
//! - On any other page it is `x/`, a hash of the address and of the digests that the page states, and the name.
//!
//! Two projects therefore never have one path, unless they name the same bytes at the same address: paths of the first kind
//! end in a name that is one project's only, and those of the second in a hash of all that decides what is delivered. A page
//! that states another digest for a foreign address gets a path of its own, which changes nothing for the file's project,
//! whichever page comes first.

use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Digest, FilePath, ProjectName, project_of};

/// Who names a file, and what it states of it.
#[derive(Debug, Clone, Copy)]
pub struct NamedBy<'a> {
    /// The project whose page or document it is.
    pub project: &'a ProjectName,
    /// The address of that page or document.
    pub page: &'a Url,
    /// The digests that decide of the file and of its metadata.
    pub digests: [Option<Digest>; 2],
}

/// A file's path, and the one that it had in versions before this rule if that is another and still leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePaths {
    /// Its path below our `/packages/`.
    pub path: FilePath,
    /// The path of before: lock files may have it.
    pub earlier: Option<FilePath>,
}

/// The paths below our `/packages/` of a file upstream. None for what is not fetched by HTTP: a page must not advertise it.
pub fn paths_of(url: &Url, by: &NamedBy<'_>) -> Option<FilePaths> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let filename = decoded(url.path().rsplit('/').next()?)?;
    let below = below_packages(url);
    let by_address = hashed(&[url.as_str()], &filename)?;
    let beside = url.origin() == by.page.origin();
    let owner = project_of(&filename);
    let path = if owner.as_ref() == Some(by.project) {
        match &below {
            Some(below) if beside || names_content(url) => below.clone(),
            Some(_) | None => by_address.clone(),
        }
    } else {
        let [file, metadata] =
            by.digests.map(|digest| digest.map_or_else(String::new, |digest| digest.to_string()));
        hashed(&[url.as_str(), &file, &metadata], &filename)?
    };
    // Whose file it is, or whose host, may go on with it: nobody else can name it there.
    let earlier = below.unwrap_or(by_address);
    let earlier = (earlier != path && (beside || owner.as_ref() == Some(by.project))).then_some(earlier);
    Some(FilePaths { path, earlier })
}

/// The rest of an address after `/packages/`, if it can be a path.
fn below_packages(url: &Url) -> Option<FilePath> {
    let (_, rest) = url.path().split_once("/packages/")?;
    // `x/` is ours, for others than these.
    decoded(rest).and_then(|rest| FilePath::parse(&rest).ok()).filter(|path| !path.as_str().starts_with("x/"))
}

/// The whole path is `/packages/`, the digits of a digest as `aa/bb/` and 60 more, and the name.
fn names_content(url: &Url) -> bool {
    let Some(rest) = url.path().strip_prefix("/packages/") else { return false };
    let digits =
        |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let segments: Vec<&str> = rest.splitn(5, '/').collect();
    matches!(segments[..], [a, b, c, _] if digits(a, 2) && digits(b, 2) && digits(c, 60))
        && url.query().is_none()
}

fn hashed(parts: &[&str], filename: &str) -> Option<FilePath> {
    // No part has a line feed.
    let digest = hex::encode(&Sha256::digest(parts.join("\n"))[..16]);
    FilePath::parse(&format!("x/{digest}/{filename}")).ok()
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "aa/bb/0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

    fn paths(project: &str, url: &str, sha256: Option<u8>) -> FilePaths {
        let digest = sha256.map(|byte| crate::model::Sha256([byte; 32]).into());
        let (project, page) =
            (ProjectName::parse(project).unwrap(), "https://index.test/simple/x/".parse().unwrap());
        let by = NamedBy { project: &project, page: &page, digests: [digest, None] };
        paths_of(&url.parse().unwrap(), &by).unwrap()
    }

    fn path(project: &str, url: &str) -> String {
        paths(project, url, Some(1)).path.to_string()
    }

    #[test]
    fn upstreams_own_path_stays_on_its_host_and_where_it_names_the_content() {
        assert_eq!(path("a", "https://index.test/packages/ab/cd/a-1%2Bx.zip"), "ab/cd/a-1+x.zip");
        assert_eq!(path("a", "https://index.test/repository/packages/a/1/a-1.zip?t=1"), "a/1/a-1.zip");
        let file = format!("{CONTENT}/a_b-1.0-py3-none-any.whl");
        assert_eq!(path("a-b", &format!("https://files.test/packages/{file}")), file);
    }

    #[test]
    fn elsewhere_a_path_is_of_the_whole_address() {
        let one = path("a", "https://index.test/+f/0a/b/a-1.zip");
        assert_eq!(one, path("a", "https://index.test/+f/0a/b/a-1.zip"));
        for other in [
            "https://index.test/+f/0a/c/a-1.zip",
            "https://files.test/packages/ab/cd/a-1.zip",
            "http://index.test/packages/ab/cd/a-1.zip",
            "https://index.test:8443/packages/ab/cd/a-1.zip",
            &format!("https://files.test/evil/packages/{CONTENT}/a-1.zip"),
            &format!("https://files.test/packages/{CONTENT}/more/a-1.zip"),
            &format!("https://files.test/packages/{CONTENT}/a-1.zip?other"),
            "https://index.test/packages/x/0123/a-1.zip",
        ] {
            let found = path("a", other);
            assert!(
                found.starts_with("x/") && found.ends_with("/a-1.zip") && found.len() == 2 + 32 + 8,
                "{found}"
            );
            assert_ne!(found, one, "{other}");
        }
        assert_eq!(
            paths("a", "https://index.test/+f/0a/b/a-1.zip", None).path.as_str(),
            one,
            "whatever the digest"
        );
    }

    #[test]
    fn no_page_has_the_path_of_another_projects_file() {
        for address in [
            "https://index.test/packages/vi/victim/victim-1.0.zip".to_owned(),
            "https://other.test/evil/packages/vi/victim/victim-1.0.zip".to_owned(),
            "https://index.test/+f/victim-1.0.zip".to_owned(),
            format!("https://other.test/packages/{CONTENT}/victim-1.0.zip"),
            format!("https://other.test/packages/{CONTENT}/victim-1.0-1.zip"),
            format!("https://index.test/packages/{CONTENT}/victim-1.0-py3-none-any.whl"),
        ] {
            let own = paths("victim", &address, Some(1));
            for other in ["evil", "victim-1", "victim-1-0", "v"] {
                let foreign = paths(other, &address, Some(1));
                assert_ne!(foreign.path, own.path, "{address} by {other}");
                assert_eq!(foreign, paths("evil", &address, Some(1)), "those who name the same share it");
                let digest = paths(other, &address, Some(2));
                assert!(digest.path != foreign.path && digest.path != own.path, "{address} by {other}");
            }
            assert_eq!(paths("victim", &address, Some(2)).path, own.path);
        }
    }

    #[test]
    fn an_earlier_path_is_kept_by_the_files_project_and_on_the_pages_own_host_only() {
        let earlier =
            |project: &str, url: &str| paths(project, url, Some(1)).earlier.map(|path| path.to_string());
        assert_eq!(earlier("a", "https://index.test/packages/aa/a-1.zip"), None, "it is the same");
        assert_eq!(earlier("a", "https://files.test/packages/aa/a-1.zip").as_deref(), Some("aa/a-1.zip"));
        assert_eq!(earlier("b", "https://index.test/packages/aa/a-1.zip").as_deref(), Some("aa/a-1.zip"));
        assert_eq!(earlier("b", "https://index.test/packages/aa/main.zip").as_deref(), Some("aa/main.zip"));
        assert_eq!(earlier("b", "https://files.test/packages/aa/a-1.zip"), None);
        assert_eq!(earlier("b", &format!("https://files.test/packages/{CONTENT}/a-1.zip")), None);
    }

    #[test]
    fn an_address_cannot_climb_out() {
        for hostile in
            ["https://index.test/packages/%2e%2e%2fetc/a-1.zip", "https://index.test/packages/a//a-1.zip"]
        {
            assert!(path("a", hostile).starts_with("x/"), "{hostile}");
        }
        let (project, page) = (ProjectName::parse("a").unwrap(), "https://index.test/".parse().unwrap());
        let by = NamedBy { project: &project, page: &page, digests: [None; 2] };
        for none in [
            "https://index.test/packages/a/%2e%2e%2f",
            "file:///packages/etc/passwd",
            "ftp://index.test/a.zip",
        ] {
            assert_eq!(paths_of(&none.parse().unwrap(), &by), None, "{none}");
        }
    }
}

//! Where a file of upstream's is with us.

use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::FilePath;

/// The path below our `/packages/` of a file upstream: the rest of its address after `/packages/`, else one
/// that is derived from the whole address and so the same for ever. None for what is not fetched by HTTP: a page
/// must not advertise it.
pub fn path_of(url: &Url) -> Option<FilePath> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    if let Some((_, rest)) = url.path().split_once("/packages/")
        && let Some(path) = decoded(rest).and_then(|rest| FilePath::parse(&rest).ok())
        // Ours, for others than these.
        && !path.as_str().starts_with("x/")
    {
        return Some(path);
    }
    let filename = decoded(url.path().rsplit('/').next()?)?;
    let digest = hex::encode(&Sha256::digest(url.as_str())[..16]);
    FilePath::parse(&format!("x/{digest}/{filename}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> String {
        path_of(&url.parse().unwrap()).unwrap().as_str().to_owned()
    }

    #[test]
    fn upstreams_own_path_stays_whatever_the_host() {
        assert_eq!(path("https://files.test/packages/ab/cd/a-1%2Bx.zip"), "ab/cd/a-1+x.zip");
        assert_eq!(path("https://index.test/repository/packages/a/1/a-1.zip?t=1"), "a/1/a-1.zip");
    }

    #[test]
    fn other_addresses_get_a_path_of_their_own() {
        let one = path("https://index.test/+f/0a/b/a-1.zip");
        assert_eq!(one, path("https://index.test/+f/0a/b/a-1.zip"));
        assert!(one.starts_with("x/") && one.ends_with("/a-1.zip") && one.len() == 2 + 32 + 8, "{one}");
        assert_ne!(one, path("https://index.test/+f/0a/c/a-1.zip"));
        assert!(path("https://index.test/packages/x/0123456789abcdef/a-1.zip").starts_with("x/"));
        assert_ne!(path("https://index.test/packages/x/0123/a-1.zip"), "x/0123/a-1.zip");
    }

    #[test]
    fn an_address_cannot_climb_out() {
        for hostile in
            ["https://files.test/packages/%2e%2e%2fetc/a.zip", "https://files.test/packages/a//b.zip"]
        {
            assert!(path(hostile).starts_with("x/"), "{hostile}");
        }
        for none in [
            "https://files.test/packages/a/%2e%2e%2f",
            "file:///packages/etc/passwd",
            "ftp://files.test/a.zip",
        ] {
            assert_eq!(path_of(&none.parse().unwrap()), None, "{none}");
        }
    }
}

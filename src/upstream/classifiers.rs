//! Upstream's list of classifiers, as a page of its own with one a line.

use reqwest::header::ACCEPT;

use super::client::whole;
use super::text::utf8;
use super::transport::{Kind, charset, media_type, read_in};
use super::{Upstream, UpstreamError};

/// What no list of classifiers comes near: PyPI's has 60 KB.
const LIMIT: usize = 2 << 20;
/// The longest classifier that is one; PyPI's have up to 90 bytes.
const LONGEST: usize = 256;

impl Upstream {
    /// The classifiers that the index knows, sorted, one a line with a newline each. An index that answers with anything else
    /// than lines of text has no such list, which is [`UpstreamError::Unexpected`].
    pub async fn classifiers(&self) -> Result<String, UpstreamError> {
        let mut url = self.transport.addresses.calls();
        url.set_query(Some(":action=list_classifiers"));
        let once = || {
            let fetch = async {
                let request = self.transport.get(Kind::Page, &url).header(ACCEPT, "text/plain");
                let response = self.transport.fetch(Kind::Page, request).await?;
                whole(&response)?;
                let (kind, charset) = (media_type(response.headers()), charset(response.headers()));
                let room = Some(&self.transport.room);
                let (body, _) = read_in(room, response, Kind::Page, LIMIT).await?;
                if kind != "text/plain" {
                    return Err(no_list());
                }
                sorted(&utf8(body, charset.as_deref(), |_| None))
            };
            self.transport.timed(Kind::Page, &url, fetch, |_| "fresh")
        };
        self.transport.repeated(once).await
    }
}

fn no_list() -> UpstreamError {
    UpstreamError::Unexpected("no list of classifiers where one belongs".to_owned())
}

/// Lines that are classifiers, `A :: B`; a text that has others as well is none.
fn sorted(text: &[u8]) -> Result<String, UpstreamError> {
    let text = std::str::from_utf8(text).map_err(|_| no_list())?;
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_one = |line: &&str| {
        line.contains(" :: ") && line.len() <= LONGEST && !line.contains(|c: char| c.is_control() || c == '<')
    };
    if lines.is_empty() || !lines.iter().all(is_one) {
        return Err(no_list());
    }
    lines.sort_unstable();
    lines.dedup();
    Ok(lines.into_iter().fold(String::new(), |text, line| text + line + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_classifiers_are_a_list() {
        assert_eq!(sorted(b"B :: b\r\nA :: a\n\nB :: b").unwrap(), "A :: a\nB :: b\n");
        let long = format!("A :: {}", "a".repeat(LONGEST));
        for none in ["", "\n", "not found", "<p>A :: b</p>", "A :: a\nelse", "A :: \u{1}", &long] {
            assert!(sorted(none.as_bytes()).is_err(), "{none}");
        }
        assert!(sorted(b"A :: \xff").is_err());
    }
}

//! What a request asks, besides the path.

use crate::model::Sha256;

use super::range::RangeRequest;

/// The request's own conditions, as field values.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// HEAD: no file is fetched for it; upstream is asked for the size where the index does not state it.
    pub head: bool,
    /// `Range`.
    pub range: Option<String>,
    /// `If-Range`.
    pub if_range: Option<String>,
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
}

/// The strong validator of a file: its digest, in quotes.
pub(super) fn etag(sha256: Sha256) -> String {
    format!("\"{sha256}\"")
}

impl Conditions {
    /// The client has it already (RFC 9110 section 13.1.2: weak comparison).
    pub fn is_met_by(&self, sha256: Option<Sha256>) -> bool {
        let (Some(field), Some(sha256)) = (&self.if_none_match, sha256) else { return false };
        let etag = etag(sha256);
        field.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    }

    /// The part asked for. HEAD has none (section 14.2), nor has a condition that names another file:
    /// `If-Range` is compared strongly, and a date never matches, because we give none.
    pub fn asked(&self, sha256: Option<Sha256>, size: Option<u64>) -> RangeRequest {
        let (Some(field), Some(size), false) = (&self.range, size, self.head) else {
            return RangeRequest::Whole;
        };
        let current = match &self.if_range {
            Some(validator) => sha256.is_some_and(|sha256| validator.trim() == etag(sha256)),
            None => true,
        };
        if current { RangeRequest::of(field, size) } else { RangeRequest::Whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Option<Sha256> = Some(Sha256([0xab; 32]));

    fn tag() -> String {
        format!("\"{}\"", "ab".repeat(32))
    }

    #[test]
    fn a_client_that_has_the_file_is_told_so() {
        let has = |field: String| {
            Conditions { if_none_match: Some(field), ..Conditions::default() }.is_met_by(FILE)
        };
        assert!(has(tag()) && has(format!("W/{}", tag())) && has("*".to_owned()));
        assert!(has(format!("\"other\" , {}", tag())));
        assert!(!has("\"other\"".to_owned()) && !has("ab".repeat(32)) && !has(String::new()));
        assert!(!Conditions::default().is_met_by(FILE));
        assert!(!Conditions { if_none_match: Some(tag()), ..Conditions::default() }.is_met_by(None));
    }

    #[test]
    fn a_range_counts_only_for_the_file_that_if_range_names() {
        let asked = |if_range: Option<String>, head| {
            let range = Some("bytes=1-2".to_owned());
            Conditions { head, range, if_range, if_none_match: None }.asked(FILE, Some(10))
        };
        assert_eq!(asked(None, false), RangeRequest::Part(1..3));
        assert_eq!(asked(Some(tag()), false), RangeRequest::Part(1..3));
        assert_eq!(asked(Some(format!("W/{}", tag())), false), RangeRequest::Whole);
        assert_eq!(asked(Some("\"other\"".to_owned()), false), RangeRequest::Whole);
        assert_eq!(asked(Some("Mon, 01 Jan 2024 00:00:00 GMT".to_owned()), false), RangeRequest::Whole);
        assert_eq!(asked(None, true), RangeRequest::Whole);
    }
}

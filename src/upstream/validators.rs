//! What a copy can be asked for again by (RFC 9110, section 13).

use reqwest::RequestBuilder;
use reqwest::header::{DATE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use serde::{Deserialize, Serialize};

use super::transport::header;

/// A file that was written within the second before it was sent may be written again in the same one: then its time tells
/// the two copies from each other no more. Two seconds, since both times are rounded.
const SETTLED: u64 = 2;

/// The validators of a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`, if that tells this copy from a later one. Servers of static files often have nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
}

impl Validators {
    /// Only an `ETag`.
    pub fn etag(etag: Option<&str>) -> Self {
        Self { etag: etag.map(str::to_owned), modified: None }
    }

    pub(super) fn of(headers: &HeaderMap) -> Self {
        let time = |name: &str| header(headers, name).and_then(|text| httpdate::parse_http_date(text).ok());
        let modified = time(LAST_MODIFIED.as_str());
        let settled =
            time(DATE.as_str()).zip(modified).and_then(|(date, time)| date.duration_since(time).ok());
        let modified = settled.filter(|age| age.as_secs() >= SETTLED);
        Self {
            etag: header(headers, ETAG.as_str()).map(str::to_owned),
            modified: modified.and(header(headers, LAST_MODIFIED.as_str())).map(str::to_owned),
        }
    }

    /// There is nothing to ask by.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.modified.is_none()
    }

    pub(super) fn ask(&self, request: RequestBuilder) -> RequestBuilder {
        match (&self.etag, &self.modified) {
            (Some(etag), _) => request.header(IF_NONE_MATCH, etag),
            (None, Some(modified)) => request.header(IF_MODIFIED_SINCE, modified),
            (None, None) => request,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_second_in_which_it_was_sent_tells_no_copies_apart() {
        let of = |modified: &str, date: &str| {
            let pairs = [(LAST_MODIFIED, modified), (DATE, date)];
            Validators::of(&pairs.map(|(name, value)| (name, value.parse().unwrap())).into_iter().collect())
        };
        let (then, later) = ("Fri, 01 Jan 2038 00:00:10 GMT", "Fri, 01 Jan 2038 00:00:12 GMT");
        assert_eq!(of(then, later).modified.as_deref(), Some(then));
        assert!(of(then, then).is_empty() && of(later, then).is_empty() && of("yesterday", then).is_empty());
        assert!(Validators::of(&HeaderMap::from_iter([(LAST_MODIFIED, then.parse().unwrap())])).is_empty());
    }
}

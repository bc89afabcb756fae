//! What a client shows to be let in: `Authorization: Bearer TOKEN`, or `Basic` with the token as the password of any user, as pip,
//! uv and `xmlrpc.client` send what stands before the `@` of an address.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// With or without the padding: not all clients write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest field that is looked into: a token has 46 characters, a user's name may be anything.
const LONGEST: usize = 4096;

/// What was shown, if anything was. It has no `Debug`, so that it stands in no log.
pub(super) struct Credentials(Option<Vec<u8>>);

impl Credentials {
    /// Takes it out of a request's head: nobody behind needs it. `None`: nothing was shown.
    pub(super) fn take(headers: &mut HeaderMap) -> Option<Self> {
        let first = headers.get(AUTHORIZATION)?;
        // Which of several is meant nobody can know.
        let is_one = headers.get_all(AUTHORIZATION).iter().nth(1).is_none();
        let shown = is_one.then(|| token(first)).flatten();
        headers.remove(AUTHORIZATION);
        Some(Self(shown))
    }

    /// What may be a token; empty if it can be none.
    pub(super) fn shown(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

fn token(field: &HeaderValue) -> Option<Vec<u8>> {
    let field = field.as_bytes();
    if field.len() > LONGEST {
        return None;
    }
    let space = field.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = field.split_at(space);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = BASE64.decode(rest).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(fields: &[&[u8]]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(field).unwrap());
        }
        let taken = Credentials::take(&mut headers);
        assert!(headers.is_empty());
        taken.map(|taken| taken.shown().to_vec())
    }

    #[test]
    fn a_token_is_a_bearer_or_the_password_of_any_user() {
        for field in [
            "Bearer cw_a",
            "bearer  cw_a ",
            "Basic eDpjd19h",
            "BASIC OmN3X2E=",
            "Basic OmN3X2E",
            "Basic dXNlcjpjd19h",
        ] {
            assert_eq!(shown(&[field.as_bytes()]).as_deref(), Some(&b"cw_a"[..]), "{field}");
        }
        // What stands behind the first colon is the password, colons and all.
        assert_eq!(shown(&[b"Basic YTpiOmM="]).as_deref(), Some(&b"b:c"[..]));
        assert_eq!(shown(&[]), None);
    }

    #[test]
    fn what_cannot_be_read_is_something_wrong_and_not_nothing() {
        let long = ["Bearer ".to_owned(), "a".repeat(5000)].concat();
        for fields in [
            &[&b""[..]][..],
            &[b"Basic"],
            &[b"Bearer"],
            &[b"Basic ***"],
            &[b"Basic eA=="],
            &[b"Negotiate abc"],
            &[b"cw_a"],
            &[b"Bearer\tcw_a"],
            &[b"Basic \xff\xfe"],
            &[b"Bearer cw_a", b"Bearer cw_a"],
            &[long.as_bytes()],
        ] {
            assert_eq!(shown(fields).as_deref(), Some(&b""[..]), "{fields:?}");
        }
    }
}

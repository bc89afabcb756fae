//! A token as a client shows it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What each begins with, so that scanners of repositories and logs know one.
const PREFIX: &str = "cw_";
/// Random bytes in one: 256 bits.
const BYTES: usize = 32;
/// Characters of those.
const CHARACTERS: usize = 43;

/// A new one: 46 characters that stand in an address as they are.
pub(super) fn fresh() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok([PREFIX, &URL_SAFE_NO_PAD.encode(bytes)].concat())
}

/// By what one is kept; `None` if it has not the form of a token, which tells nothing about any.
pub(super) fn digest(shown: &[u8]) -> Option<[u8; 32]> {
    let rest = shown.strip_prefix(PREFIX.as_bytes())?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (rest.len() == CHARACTERS && rest.iter().all(plain)).then(|| Sha256::digest(shown).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_of_46_plain_characters() {
        let all: std::collections::HashSet<String> = (0..1000).map(|_| fresh().unwrap()).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|token| token.len() == 46 && digest(token.as_bytes()).is_some()));
    }

    #[test]
    fn what_has_another_form_is_not_even_hashed() {
        let token = fresh().unwrap();
        let long = format!("{token}A");
        let huge = "cw_".to_owned() + &"A".repeat(60_000);
        for other in ["", "cw_", &token[3..], &token[..45], &long, &huge, &token.replace("cw_", "CW_")] {
            assert_eq!(digest(other.as_bytes()), None, "{other}");
        }
        assert_eq!(digest(&[&token.as_bytes()[..45], b"\xff"].concat()), None);
    }
}

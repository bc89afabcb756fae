//! Secrets: by whom one is known, an upload may begin, once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// Bytes of chance in one: 192 bits, which are 32 characters.
const BYTES: usize = 24;
/// The most characters that a secret of anybody's has.
pub(super) const LONGEST: usize = 128;

/// A new secret, of characters that stand in an address as they are.
pub(super) fn fresh() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether a text has a secret's form.
pub(super) fn is_secret(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(plain)
}

/// Compares in a time that tells nothing of where they differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_the_characters_of_an_address_and_no_two_are_the_same() {
        let secrets: std::collections::HashSet<String> = (0..1000).map(|_| fresh().unwrap()).collect();
        assert_eq!(secrets.len(), 1000);
        assert!(secrets.iter().all(|secret| is_secret(secret) && (22..=128).contains(&secret.len())));
        for odd in ["", "a/b", "a.b", "a b", "é", "a%2f", &"a".repeat(129)] {
            assert!(!is_secret(odd), "{odd}");
        }
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", "ab") && !same("", "a"));
    }
}

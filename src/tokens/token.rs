//! Tokens as they are kept.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::secret::digest;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Pages, documents, files, calls and the feed.
    Read,
    /// All of that, the metrics, and `PURGE`.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Admin => "admin",
        })
    }
}

/// A token without what it takes to show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// How people call it.
    pub name: String,
    /// What it is good for.
    pub scope: Scope,
    /// Requests a second that it is good for; `None`: any number.
    pub rate: Option<f64>,
    /// When it was made, in Unix seconds.
    pub created: i64,
    /// The SHA-256 of what is shown.
    pub sha256: [u8; 32],
}

/// All tokens, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tokens(pub Vec<Token>);

impl Tokens {
    /// The token that somebody shows. All are compared, each in constant time: how long it takes tells nothing of them.
    pub fn find(&self, shown: &[u8]) -> Option<&Token> {
        let shown = digest(shown)?;
        let mut found = None;
        for token in &self.0 {
            if token.sha256.ct_eq(&shown).into() {
                found = Some(token);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret::fresh;
    use super::*;

    #[test]
    fn the_one_is_found_whose_digest_it_has() {
        let shown: Vec<String> = (0..3).map(|_| fresh().unwrap()).collect();
        let token = |n: usize| Token {
            name: n.to_string(),
            scope: Scope::Read,
            rate: None,
            created: 0,
            sha256: digest(shown[n].as_bytes()).unwrap(),
        };
        let tokens = Tokens((0..2).map(token).collect());
        let found = |n: usize| tokens.find(shown[n].as_bytes()).map(|token| token.name.as_str());
        assert_eq!([found(0), found(1), found(2)], [Some("0"), Some("1"), None]);
        // Each byte of a digest counts, the last one too.
        for byte in 0..32 {
            let mut near = token(0);
            near.sha256[byte] ^= 1;
            assert!(Tokens(vec![near]).find(shown[0].as_bytes()).is_none(), "{byte}");
        }
        assert!(tokens.find(b"").is_none() && Tokens::default().find(shown[0].as_bytes()).is_none());
    }
}

//! The digests that decide whether a file is the right one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 digest; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

/// The text is not a SHA-256 digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a sha256 digest has 64 hexadecimal digits")]
pub struct DigestError;

/// What an index may state a file's digest by (PEP 503, 691: the names of Python's `hashlib`), the weakest first.
///
/// Those of 256 bits and more that no attack is known of are in the order in which installers prefer them, so that what
/// decides here is what decides there: pip takes SHA-512, SHA-384 and SHA-256 for strong, uv BLAKE2b as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha3_224,
    Sha224,
    Blake2s,
    Sha3_256,
    Sha256,
    Sha3_384,
    Sha3_512,
    Blake2b,
    Sha384,
    Sha512,
}

/// A file's digest by one of the algorithms; written as `sha512:HEX`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// Zeros behind the algorithm's length.
    bytes: [u8; LONGEST],
}

/// Bytes of the longest digest.
const LONGEST: usize = 64;

impl Algorithm {
    /// All of them, the weakest first.
    pub const ALL: [Self; 12] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha3_224,
        Self::Sha224,
        Self::Blake2s,
        Self::Sha3_256,
        Self::Sha256,
        Self::Sha3_384,
        Self::Sha3_512,
        Self::Blake2b,
        Self::Sha384,
        Self::Sha512,
    ];

    /// The weakest that nobody can find other bytes for: those from here on have 256 bits or more.
    pub const WEAKEST_TRUSTED: Self = Self::Blake2s;

    /// The name that `hashlib` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha3_224 => "sha3_224",
            Self::Sha224 => "sha224",
            Self::Blake2s => "blake2s",
            Self::Sha3_256 => "sha3_256",
            Self::Sha256 => "sha256",
            Self::Sha3_384 => "sha3_384",
            Self::Sha3_512 => "sha3_512",
            Self::Blake2b => "blake2b",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes of its digests.
    pub fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha3_224 | Self::Sha224 => 28,
            Self::Blake2s | Self::Sha3_256 | Self::Sha256 => 32,
            Self::Sha3_384 | Self::Sha384 => 48,
            Self::Sha3_512 | Self::Blake2b | Self::Sha512 => 64,
        }
    }

    /// Reads a name as `hashlib.new` does: in either case, `SHA3-256` like `sha3_256`; `SHA-256` is understood too.
    pub fn parse(name: &str) -> Option<Self> {
        // Without a copy: it is read several times for each file of a page.
        fn plain(name: &str) -> impl Iterator<Item = u8> {
            name.bytes().filter(|byte| !matches!(byte, b'-' | b'_')).map(|byte| byte.to_ascii_lowercase())
        }
        Self::ALL.into_iter().find(|algorithm| plain(algorithm.name()).eq(plain(name)))
    }
}

impl Digest {
    /// Reads a digest that an index states; `None` for an unknown name, and for digits that are none of that algorithm's.
    pub fn parse(name: &str, digits: &str) -> Option<Self> {
        let algorithm = Algorithm::parse(name)?;
        let mut bytes = [0; LONGEST];
        hex::decode_to_slice(digits.trim(), &mut bytes[..algorithm.length()]).ok()?;
        Some(Self { algorithm, bytes })
    }

    /// The strongest of those that are stated; one that cannot be read does not count.
    pub fn strongest<'a>(stated: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let read = stated.into_iter().filter_map(|(name, digits)| Self::parse(name, digits));
        read.max_by_key(|digest| digest.algorithm)
    }

    /// From the bytes that an algorithm gave; `None` if they are not as many as its digests have.
    pub(super) fn of(algorithm: Algorithm, digest: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes
            .get_mut(..algorithm.length())
            .filter(|room| room.len() == digest.len())?
            .copy_from_slice(digest);
        Some(Self { algorithm, bytes })
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Itself, if it is a SHA-256.
    pub fn sha256(&self) -> Option<Sha256> {
        let bytes = self.bytes[..32].try_into().ok()?;
        (self.algorithm == Algorithm::Sha256).then_some(Sha256(bytes))
    }

    /// Its lower-case hexadecimal digits.
    pub fn digits(&self) -> String {
        hex::encode(&self.bytes[..self.algorithm.length()])
    }
}

impl From<Sha256> for Digest {
    fn from(sha256: Sha256) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[..32].copy_from_slice(&sha256.0);
        Self { algorithm: Algorithm::Sha256, bytes }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, digits) = text.split_once(':').ok_or(DigestError)?;
        Self::parse(name, digits).ok_or(DigestError)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.digits())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Sha256 {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_cases_and_writes_lower_case() {
        let upper = "AB".repeat(32);
        assert_eq!(upper.parse::<Sha256>().unwrap().to_string(), "ab".repeat(32));
        assert_eq!("ab".parse::<Sha256>(), Err(DigestError));
        assert_eq!("zz".repeat(32).parse::<Sha256>(), Err(DigestError));
    }

    #[test]
    fn the_strongest_that_can_be_read_decides_in_either_case() {
        let hex = |algorithm: Algorithm| "Ab".repeat(algorithm.length());
        let all: Vec<_> =
            Algorithm::ALL.iter().map(|one| (one.name().to_ascii_uppercase(), hex(*one))).collect();
        for last in 1..=all.len() {
            let stated = all[..last].iter().rev().map(|(name, digits)| (name.as_str(), digits.as_str()));
            let strongest = Digest::strongest(stated).unwrap();
            assert_eq!(strongest.algorithm(), Algorithm::ALL[last - 1]);
            assert_eq!(strongest.digits(), "ab".repeat(Algorithm::ALL[last - 1].length()));
            assert_eq!(strongest.to_string().parse(), Ok(strongest));
        }
        let md5 = "0".repeat(32);
        for malformed in ["", "zz", "abc", &"g".repeat(128)] {
            let stated = [("sha512", malformed), ("md5", md5.as_str()), ("crc32", "00000000")];
            assert_eq!(Digest::strongest(stated).unwrap().algorithm(), Algorithm::Md5, "{malformed}");
        }
        assert_eq!(Digest::strongest([("crc32", "00000000"), ("sha256", &"0".repeat(63))]), None);
    }

    #[test]
    fn names_are_read_as_hashlib_reads_them() {
        for (name, algorithm) in [
            ("SHA256", Some(Algorithm::Sha256)),
            ("SHA-256", Some(Algorithm::Sha256)),
            ("sha3-256", Some(Algorithm::Sha3_256)),
            ("sha512_256", None),
            ("", None),
        ] {
            assert_eq!(Algorithm::parse(name), algorithm, "{name}");
        }
    }

    #[test]
    fn a_sha256_is_the_same_in_either_form() {
        let sha256 = Sha256([0xab; 32]);
        assert_eq!(Digest::from(sha256).sha256(), Some(sha256));
        assert_eq!(Digest::parse("sha256", &sha256.to_string()), Some(sha256.into()));
        assert_eq!(Digest::parse("sha3_256", &sha256.to_string()).unwrap().sha256(), None);
    }
}

//! Digests of bytes as they come.

use blake2::{Blake2b512, Blake2s256};
use sha2::Digest as _;

use super::{Algorithm, Digest, Sha256};

/// Over the bytes of one file: its SHA-256, which it is kept under, and the digest that decides whether it is right, if
/// that is another.
#[derive(Debug, Clone, Default)]
pub struct FileHasher {
    sha256: sha2::Sha256,
    deciding: Option<Box<State>>,
}

macro_rules! states {
    ($($name:ident: $hasher:ty,)*) => {
        /// A digest in the making, by any algorithm.
        #[derive(Debug, Clone)]
        enum State {
            $($name($hasher),)*
        }

        impl State {
            fn new(algorithm: Algorithm) -> Self {
                match algorithm {
                    $(Algorithm::$name => Self::$name(<$hasher>::new()),)*
                }
            }

            fn update(&mut self, bytes: &[u8]) {
                match self {
                    $(Self::$name(hasher) => hasher.update(bytes),)*
                }
            }

            fn digest(&self) -> Option<Digest> {
                match self.clone() {
                    $(Self::$name(hasher) => Digest::of(Algorithm::$name, &hasher.finalize()),)*
                }
            }
        }
    };
}

states! {
    Md5: md5::Md5,
    Sha1: sha1::Sha1,
    Sha3_224: sha3::Sha3_224,
    Sha224: sha2::Sha224,
    Blake2s: Blake2s256,
    Sha3_256: sha3::Sha3_256,
    Sha256: sha2::Sha256,
    Sha3_384: sha3::Sha3_384,
    Sha3_512: sha3::Sha3_512,
    Blake2b: Blake2b512,
    Sha384: sha2::Sha384,
    Sha512: sha2::Sha512,
}

impl FileHasher {
    /// For a file whose digest by `algorithm` decides.
    pub fn new(algorithm: Algorithm) -> Self {
        let other = (algorithm != Algorithm::Sha256).then(|| Box::new(State::new(algorithm)));
        Self { sha256: sha2::Sha256::new(), deciding: other }
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(deciding) = &mut self.deciding {
            deciding.update(bytes);
        }
    }

    /// The SHA-256 of the bytes so far.
    pub fn sha256(&self) -> Sha256 {
        Sha256(self.sha256.clone().finalize().into())
    }

    /// The digest of the bytes so far that decides.
    pub fn digest(&self) -> Digest {
        let other = self.deciding.as_ref().and_then(|deciding| deciding.digest());
        other.unwrap_or_else(|| self.sha256().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `b"abc"`, from the standards' own examples (RFC 1321, 3174, 7693, FIPS 180-4 and 202).
    const ABC: [(&str, &str); 12] = [
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
        ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("sha3_224", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
        ("sha224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        ("blake2s", "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"),
        ("sha3_256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "sha3_384",
            "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
        ),
        (
            "sha3_512",
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        ),
        (
            "blake2b",
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
        ),
        (
            "sha384",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            "sha512",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];

    #[test]
    fn every_algorithm_gives_its_standards_digest() {
        for ((name, digits), algorithm) in ABC.into_iter().zip(Algorithm::ALL) {
            let mut hasher = FileHasher::new(algorithm);
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.digest(), Digest::parse(name, digits).unwrap(), "{name}");
            assert_eq!(hasher.sha256().to_string(), ABC[6].1, "{name}");
        }
    }
}

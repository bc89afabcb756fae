//! The file of tokens, read and written.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{FILE, Scope, Token, TokenError, Tokens};

/// The most tokens: each is compared with what each request shows, which takes some 5 µs then.
const MOST: usize = 1000;
/// The most bytes of the file; a token takes some 200.
const MOST_BYTES: u64 = 1 << 20;
/// The longest name.
const LONGEST_NAME: usize = 64;

const HEAD: &str = "\
# The tokens of a relay, each by its SHA-256. `cheesewire token add`, `list` and `revoke` change this file.
";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "token")]
    tokens: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    created: String,
    sha256: String,
}

/// All tokens of a file; `None` if there is no file. One that others may read or write is refused, and so is one with anything in it
/// that is not understood.
pub fn read(path: &Path) -> Result<Option<Tokens>, TokenError> {
    let file = match File::open(path) {
        Ok(file) => file,
        // A file where the data folder should be is complained of by whoever needs the folder.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(TokenError::Unreadable(error)),
    };
    // Of the file that is open, whatever stands by its name meanwhile.
    let mode = file.metadata().map_err(TokenError::Unreadable)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Open(mode));
    }
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(TokenError::Unreadable)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(TokenError::TooLarge(MOST));
    }
    parse(&text).map(Some)
}

/// Copies the file of tokens in the data folder `from` into `to`; `false` if there is none. It is the owner's alone.
pub fn copy(from: &Path, to: &Path) -> io::Result<bool> {
    let mut from = match File::open(from.join(FILE)) {
        Ok(from) => from,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut to = File::options().write(true).create_new(true).mode(0o600).open(to.join(FILE))?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    Ok(true)
}

fn parse(text: &str) -> Result<Tokens, TokenError> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        TokenError::Damaged { line: before.matches('\n').count() + 1, what: error.message().to_owned() }
    })?;
    if written.tokens.len() > MOST {
        return Err(TokenError::TooLarge(MOST));
    }
    let mut tokens: Vec<Token> = Vec::with_capacity(written.tokens.len());
    for line in written.tokens {
        // Whose line it is, which a name of the file's own tells.
        let damaged = |what: &str| TokenError::Damaged {
            line: text
                .lines()
                .position(|found| found.contains(&format!("{:?}", line.name)))
                .map_or(1, |at| at + 1),
            what: what.to_owned(),
        };
        check(&line.name, line.rate).map_err(|error| damaged(&error.to_string()))?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&line.sha256, &mut sha256)
            .map_err(|_| damaged("sha256 has 64 hexadecimal digits"))?;
        if tokens.iter().any(|token| token.name == line.name || token.sha256 == sha256) {
            return Err(damaged("two tokens are the same or have one name"));
        }
        let created = line.created.parse::<jiff::Timestamp>();
        let created =
            created.map_err(|_| damaged("created is a time such as 2026-01-31T12:00:00Z"))?.as_second();
        tokens.push(Token { name: line.name.clone(), scope: line.scope, rate: line.rate, created, sha256 });
    }
    Ok(Tokens(tokens))
}

/// Whether a token may be called so and have this rate.
pub(super) fn check(name: &str, rate: Option<f64>) -> Result<(), TokenError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !(1..=LONGEST_NAME).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(TokenError::Name);
    }
    if rate.is_some_and(|rate| !(0.001..=1_000_000.0).contains(&rate)) {
        return Err(TokenError::Rate);
    }
    Ok(())
}

/// The text of the file.
pub(super) fn write(tokens: &Tokens) -> Result<String, TokenError> {
    if tokens.0.len() > MOST {
        return Err(TokenError::TooLarge(MOST));
    }
    let line = |token: &Token| {
        Ok(Line {
            name: token.name.clone(),
            scope: token.scope,
            rate: token.rate,
            created: jiff::Timestamp::from_second(token.created).map_err(io::Error::other)?.to_string(),
            sha256: hex::encode(token.sha256),
        })
    };
    let written = Written { tokens: tokens.0.iter().map(line).collect::<io::Result<_>>()? };
    Ok([HEAD, &toml::to_string(&written).map_err(io::Error::other)?].concat())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn token(name: &str, sha256: u8) -> Token {
        let (name, sha256) = (name.to_owned(), [sha256; 32]);
        Token { name, scope: Scope::Admin, rate: Some(2.5), created: 1_700_000_000, sha256 }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tokens =
            Tokens(vec![token("ci.main-1_2", 1), Token { scope: Scope::Read, rate: None, ..token("b", 2) }]);
        assert_eq!(parse(&write(&tokens).unwrap()).unwrap(), tokens);
        assert_eq!(parse(&write(&Tokens::default()).unwrap()).unwrap(), Tokens::default());
        assert_eq!(parse("").unwrap(), Tokens::default());
    }

    #[test]
    fn what_is_not_understood_is_refused_and_nothing_of_it_is_told() {
        let good = write(&Tokens(vec![token("one", 1), token("two", 2)])).unwrap();
        for (text, line) in [
            (good.replacen("scope", "scoop", 1), 5),
            (good.replacen("\"admin\"", "\"root\"", 1), 4),
            (good.replacen("[[token]]", "[[tocken]]", 1), 2),
            (good.replacen("\"two\"", "\"one\"", 1), 3),
            (good.replacen(&"02".repeat(32), &"01".repeat(32), 1), 10),
            (good.replacen(&"01".repeat(32), &"01".repeat(31), 1), 3),
            (good.replacen("\"two\"", "\"t/o\"", 1), 10),
            (good.replacen("2.5", "0.0", 1), 3),
            (good[..good.len() - 3].to_owned(), 14),
        ] {
            let Err(TokenError::Damaged { line: found, what }) = parse(&text) else {
                panic!("taken: {text}")
            };
            assert!(
                found.abs_diff(line) <= 2 && !what.contains("0101"),
                "{found} for {line}: {what}\n{text}"
            );
        }
        let many = Tokens((0..=MOST).map(|n| token(&n.to_string(), 1)).collect());
        assert!(matches!(write(&many), Err(TokenError::TooLarge(MOST))));
    }

    #[test]
    fn a_file_that_others_may_read_or_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        assert!(read(&path).unwrap().is_none());
        std::fs::write(&path, write(&Tokens(vec![token("one", 1)])).unwrap()).unwrap();
        for (mode, open) in
            [(0o600, false), (0o400, false), (0o644, true), (0o640, true), (0o602, true), (0o601, true)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = read(&path);
            assert_eq!(
                matches!(read, Err(TokenError::Open(found)) if found == mode),
                open,
                "{mode:o}: {read:?}"
            );
            assert_eq!(read.is_ok(), !open, "{mode:o}");
        }
    }
}

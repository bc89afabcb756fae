//! What can be wrong with tokens.

use std::io;

/// Why tokens cannot be read or changed. Names no path: whoever asks for `/readyz` may read it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("the file of tokens cannot be read: {0}; the relay's user needs leave to read it")]
    Unreadable(io::Error),
    /// Others may read it, or write it.
    #[error(
        "the file of tokens is open to others (mode {0:04o}): chmod 600 it, and replace its tokens if others may have written to it"
    )]
    Open(u32),
    /// The file was there and is not any more.
    #[error(
        "the file of tokens is gone: put it back; to have no tokens, stop the relay and start it again without the file"
    )]
    Gone,
    /// It is too large.
    #[error("the file of tokens is too large: it has at most {0} tokens, in a MiB")]
    TooLarge(usize),
    /// It is not what was written.
    #[error(
        "the file of tokens is damaged at line {line}: {what}; put back a copy, or move it away and add its tokens anew"
    )]
    Damaged {
        /// Counted from 1.
        line: usize,
        /// What is wrong there. Nothing that stands there is in it.
        what: String,
    },
    /// A token's name is none.
    #[error("a token's name has 1 to 64 letters, digits, dots, dashes and underscores")]
    Name,
    /// A token's rate is none.
    #[error("a token's rate is a number of requests a second from 0.001 to 1000000")]
    Rate,
    /// The name is taken.
    #[error("there is a token {0} already: revoke it first, or choose another name")]
    Taken(String),
    /// There is no such token.
    #[error("there is no token {0}; cheesewire token list shows all")]
    Unknown(String),
    /// The system has no random bits.
    #[error("no random bits from the system: {0}")]
    Random(getrandom::Error),
    /// The file cannot be written.
    #[error("the file of tokens cannot be written: {0}")]
    Unwritable(#[from] io::Error),
}

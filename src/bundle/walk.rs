//! Reads a bundle from its beginning to its end, and believes nothing of it: each member is the one that has to come now, has the
//! size and the digest that are signed, and nothing comes after the last one.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256 as Hasher};
use tar::{Archive, Entries, Entry, EntryType};

use super::BundleError;
use super::manifest::{
    END, END_CONTEXT, END_SIGNATURE, End, FILES, FORM, HEAD, HEAD_CONTEXT, HEAD_SIGNATURE, Head, JOURNAL,
    Sha256Text, Tally,
};
use crate::model::Sha256;
use crate::signing::PublicBundleKey;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 18;
/// A text has some hundred bytes, a signature 64.
const LONGEST_TEXT: u64 = 64 << 10;
/// Tar's blocks. Two empty ones end an archive.
const BLOCK: u64 = 512;

/// What becomes of the parts.
pub(super) trait Visit {
    /// The journal's part, packed.
    fn journal(&mut self, head: &Head, part: &mut Member<'_>) -> Result<(), BundleError>;

    /// A package file.
    fn file(&mut self, file: &mut Member<'_>) -> Result<(), BundleError>;
}

/// A part of known size and digest. Whoever takes it reads it by [`Member::copy_to`].
pub(super) struct Member<'a> {
    path: &'a Path,
    name: String,
    reader: &'a mut dyn Read,
    /// What it has to have.
    pub(super) size: u64,
    pub(super) sha256: Sha256Text,
    /// Of a package file.
    pub(super) digest: Option<Sha256>,
    /// When that was used last.
    pub(super) used: SystemTime,
    read: bool,
}

impl Member<'_> {
    /// Gives its bytes to `to`. Fails if they are not as many as they should be, or have another digest.
    pub(super) fn copy_to(&mut self, to: &mut dyn Write, place: &Path) -> Result<(), BundleError> {
        let (mut hasher, mut piece, mut left) = (Hasher::new(), vec![0; PIECE], self.size);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let read = self.reader.read(&mut piece[..most]).map_err(BundleError::disk(self.path))?;
            if read == 0 {
                return Err(misshapen(self.path, format!("it ends within {}", self.name)));
            }
            hasher.update(&piece[..read]);
            to.write_all(&piece[..read]).map_err(BundleError::disk(place))?;
            left -= read as u64;
        }
        self.read = true;
        let found = Sha256Text::from(<[u8; 32]>::from(hasher.finalize()));
        if found != self.sha256 {
            return Err(BundleError::Altered { path: self.path.to_owned(), part: self.name.clone() });
        }
        Ok(())
    }
}

/// Gives the parts of the bundle in `path` to `visit`; what it says at its beginning and its end.
pub(super) fn walk(
    path: &Path,
    key: &PublicBundleKey,
    visit: &mut dyn Visit,
) -> Result<(Head, End), BundleError> {
    let file = File::open(path).map_err(BundleError::disk(path))?;
    let facts = file.metadata().map_err(BundleError::disk(path))?;
    if !facts.is_file() {
        return Err(misshapen(path, "it is no regular file, and a bundle is read twice".to_owned()));
    }
    let mut archive = Archive::new(BufReader::with_capacity(PIECE, file));
    let entries = archive.entries().map_err(|error| unreadable(path, &error))?;
    let mut members = Members { path, entries: entries.raw(true), end: 0 };
    let text = members.signed(HEAD, HEAD_SIGNATURE, HEAD_CONTEXT, key)?;
    let head: Head = read_text(path, &text)?;
    if head.since > Some(head.last_serial) {
        return Err(misshapen(path, "it ends before it begins".to_owned()));
    }
    let mut entry = members.next()?;
    if name(&entry) != JOURNAL || size(path, &entry)? != head.journal.bytes {
        return Err(misshapen(path, format!("{JOURNAL} is not there in the size that is signed")));
    }
    let mut part = Member {
        path,
        name: JOURNAL.to_owned(),
        reader: &mut entry,
        size: head.journal.bytes,
        sha256: head.journal.sha256.clone(),
        digest: None,
        used: UNIX_EPOCH,
        read: false,
    };
    visit.journal(&head, &mut part)?;
    whole(&part)?;
    let mut tally = Tally::default();
    loop {
        let mut entry = members.next()?;
        let name = name(&entry);
        if name == END {
            let end = members.text(entry, END)?;
            members.check(END_SIGNATURE, END_CONTEXT, &end, key)?;
            let end: End = read_text(path, &end)?;
            if end != tally.end(&text) {
                return Err(misshapen(path, "its package files are not those that are signed".to_owned()));
            }
            members.nothing_more(facts.len())?;
            return Ok((head, end));
        }
        let digest = name.strip_prefix(FILES).and_then(|digits| digits.parse::<Sha256>().ok());
        // In one spelling.
        let digest = digest.filter(|digest| head.files && format!("{FILES}{digest}") == name);
        let Some(digest) = digest else {
            return Err(misshapen(path, format!("{name:?} does not belong there")));
        };
        let size = size(path, &entry)?;
        if !tally.add(digest, size) {
            return Err(misshapen(path, format!("{name} is there twice, or out of order")));
        }
        let used = Duration::from_secs(entry.header().mtime().unwrap_or(0));
        let used = UNIX_EPOCH.checked_add(used).unwrap_or(UNIX_EPOCH);
        let sha256 = Sha256Text::from(digest.0);
        let reader = &mut entry;
        let mut file = Member { path, name, reader, size, sha256, digest: Some(digest), used, read: false };
        visit.file(&mut file)?;
        whole(&file)?;
    }
}

/// A member that nobody has read was not checked.
fn whole(member: &Member<'_>) -> Result<(), BundleError> {
    let unread = || misshapen(member.path, format!("{} was not read", member.name));
    if member.read { Ok(()) } else { Err(unread()) }
}

/// The members one after another.
struct Members<'a> {
    path: &'a Path,
    entries: Entries<'a, BufReader<File>>,
    /// Where the last one that was taken ends, with what fills its last block up.
    end: u64,
}

type Item<'a> = Entry<'a, BufReader<File>>;

impl<'a> Members<'a> {
    /// The next one, which is a regular file.
    fn next(&mut self) -> Result<Item<'a>, BundleError> {
        let entry = match self.entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(error)) => return Err(unreadable(self.path, &error)),
            None => return Err(misshapen(self.path, "it ends too early".to_owned())),
        };
        if entry.header().entry_type() != EntryType::Regular {
            return Err(misshapen(self.path, format!("{:?} is no regular file", name(&entry))));
        }
        let size = size(self.path, &entry)?;
        let blocks = size.div_ceil(BLOCK).checked_mul(BLOCK);
        let end = blocks.and_then(|bytes| entry.raw_file_position().checked_add(bytes));
        self.end = end.ok_or_else(|| misshapen(self.path, "a size that no file has".to_owned()))?;
        Ok(entry)
    }

    /// The bytes of a short member.
    fn text(&self, mut entry: Item<'a>, name: &str) -> Result<Vec<u8>, BundleError> {
        let size = size(self.path, &entry)?;
        if self::name(&entry) != name || size > LONGEST_TEXT {
            return Err(misshapen(self.path, format!("{name} is not where it has to be")));
        }
        let mut text = Vec::new();
        entry.read_to_end(&mut text).map_err(BundleError::disk(self.path))?;
        if text.len() as u64 != size {
            return Err(misshapen(self.path, format!("it ends within {name}")));
        }
        Ok(text)
    }

    /// The bytes of a short member whose signature is right, which follows it.
    fn signed(
        &mut self,
        name: &str,
        signature: &str,
        context: &[u8],
        key: &PublicBundleKey,
    ) -> Result<Vec<u8>, BundleError> {
        let entry = self.next()?;
        let text = self.text(entry, name)?;
        self.check(signature, context, &text, key)?;
        Ok(text)
    }

    fn check(
        &mut self,
        name: &str,
        context: &[u8],
        text: &[u8],
        key: &PublicBundleKey,
    ) -> Result<(), BundleError> {
        let entry = self.next()?;
        let signature = self.text(entry, name)?;
        if key.verifies(&[context, text].concat(), &signature) {
            Ok(())
        } else {
            Err(BundleError::NotSigned(self.path.to_owned()))
        }
    }

    /// Nothing but the two blocks of an archive's end comes after the last member.
    fn nothing_more(mut self, length: u64) -> Result<(), BundleError> {
        match self.entries.next() {
            None if self.end.checked_add(2 * BLOCK) == Some(length) => Ok(()),
            None | Some(_) => Err(misshapen(self.path, "it does not end where it says".to_owned())),
        }
    }
}

fn name(entry: &Item<'_>) -> String {
    String::from_utf8_lossy(&entry.header().path_bytes()).into_owned()
}

fn size(path: &Path, entry: &Item<'_>) -> Result<u64, BundleError> {
    entry.header().entry_size().map_err(|error| unreadable(path, &error))
}

/// Reads a text that is signed, whose form has to be known.
fn read_text<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, BundleError> {
    /// What the beginning of every form has.
    #[derive(Deserialize)]
    struct Form {
        form: Option<u32>,
    }
    let wrong = |error: serde_json::Error| misshapen(path, error.to_string());
    let form = serde_json::from_slice::<Form>(text).map_err(wrong)?.form;
    if let Some(found) = form.filter(|&form| form > FORM) {
        return Err(BundleError::Newer { path: path.to_owned(), found, known: FORM });
    }
    serde_json::from_slice(text).map_err(wrong)
}

fn misshapen(path: &Path, reason: String) -> BundleError {
    BundleError::Misshapen { path: path.to_owned(), reason }
}

fn unreadable(path: &Path, error: &io::Error) -> BundleError {
    misshapen(path, error.to_string())
}

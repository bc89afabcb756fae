//! The files that a document names, as they are kept: in one value, in the document's order.
//!
//! A file begins with a byte that says which of its digests and size follow. Its path is what it shares with the path before,
//! and the rest. Its address is what it shares with the address before and with the end of its own path, and what is between:
//! mostly nothing. Lengths, in bytes, are as in [`varint`].

use sha2::Digest as _;

use super::named_file::{KnownFile, NamedFiles};
use super::varint;
use crate::model::{Digest, FilePath, ProjectName, Sha256};

/// Which members a file has.
const SHA256: u8 = 1;
const SIZE: u8 = 2;
const DIGEST: u8 = 4;

/// What a key weighs on disk, in the table and in its index, roughly.
const KEY_BYTES: usize = 40;

/// A document's files, to be kept.
pub(super) struct FileList {
    /// What [`read`] reads.
    pub(super) bytes: Vec<u8>,
    /// The keys of their paths, ascending.
    pub(super) keys: Vec<i64>,
}

/// A file of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) path: &'a str,
    pub(super) url: &'a str,
    pub(super) sha256: Option<Sha256>,
    pub(super) size: Option<u64>,
    /// The digest that decides, if that is not the SHA-256: see [`Digest`].
    pub(super) digest: Option<&'a str>,
}

impl Entry<'_> {
    /// `None` for a row that is none of ours: damage, or a hand that edited the file.
    pub(super) fn file(&self, project: &str) -> Option<KnownFile> {
        let digest = self.digest.and_then(|digest| digest.parse().ok());
        Some(KnownFile {
            path: FilePath::parse(self.path).ok()?,
            url: self.url.into(),
            digest: digest.or(self.sha256.map(Digest::from)),
            sha256: self.sha256,
            size: self.size,
            project: ProjectName::parse(project).ok()?,
        })
    }
}

impl FileList {
    pub(super) fn of(files: &impl NamedFiles) -> Self {
        let mut list = Self { bytes: Vec::new(), keys: Vec::new() };
        let mut before = None;
        files.each(&mut |file| {
            list.keys.push(key(file.path.as_str()));
            put(&mut list.bytes, &file, before.as_ref());
            before = Some(file);
        });
        list.keys.sort_unstable();
        list.keys.dedup();
        list
    }

    /// What keeping it takes on disk, about.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + self.keys.len() * KEY_BYTES
    }
}

/// What a file is looked up by: 64 bits of a hash of its path; of its metadata, that of the file.
pub(super) fn key(path: &str) -> i64 {
    let path = path.strip_suffix(".metadata").unwrap_or(path);
    let hash: [u8; 32] = sha2::Sha256::digest(path).into();
    let (first, _) = hash.split_at(8);
    first.iter().fold(0, |key, byte| key << 8 | i64::from(*byte))
}

fn put(bytes: &mut Vec<u8>, file: &KnownFile, before: Option<&KnownFile>) {
    let (path_before, url_before) = before.map_or(("", ""), |before| (before.path.as_str(), &*before.url));
    let sha256 = file.sha256;
    let digest = file.digest.filter(|digest| digest.sha256().is_none()).map(|digest| digest.to_string());
    let flag = |is: bool, flag| if is { flag } else { 0 };
    bytes.push(
        flag(sha256.is_some(), SHA256) | flag(file.size.is_some(), SIZE) | flag(digest.is_some(), DIGEST),
    );
    let (path, url) = (file.path.as_str().as_bytes(), file.url.as_bytes());
    let shared = shared(path_before.bytes(), path.iter().copied());
    put_length(bytes, shared);
    put_text(bytes, &path[shared..]);
    let begin = self::shared(url_before.bytes(), url.iter().copied());
    let rest = &url[begin..];
    let end = self::shared(path.iter().rev().copied(), rest.iter().rev().copied());
    put_length(bytes, begin);
    put_length(bytes, end);
    put_text(bytes, &rest[..rest.len() - end]);
    bytes.extend(sha256.iter().flat_map(|sha256| sha256.0));
    if let Some(size) = file.size {
        varint::put(bytes, size);
    }
    if let Some(digest) = digest {
        put_text(bytes, digest.as_bytes());
    }
}

/// How many bytes two texts have in common at their beginning.
fn shared(one: impl Iterator<Item = u8>, other: impl Iterator<Item = u8>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).count()
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    varint::put(bytes, length as u64);
}

fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    put_length(bytes, text.len());
    bytes.extend_from_slice(text);
}

/// Gives every file of a list to `each`; `None` if it is damaged, after those before the damage.
pub(super) fn read(mut list: &[u8], mut each: impl FnMut(Entry<'_>)) -> Option<()> {
    let (mut path, mut url) = (Vec::new(), Vec::new());
    while let Some((&flags, rest)) = list.split_first() {
        list = rest;
        cut(&mut path, take_length(&mut list)?)?;
        path.extend_from_slice(take_text(&mut list)?);
        cut(&mut url, take_length(&mut list)?)?;
        let end = take_length(&mut list)?;
        url.extend_from_slice(take_text(&mut list)?);
        url.extend_from_slice(&path[path.len().checked_sub(end)?..]);
        let has = |flag| flags & flag != 0;
        let sha256 = if has(SHA256) { Some(Sha256(take(&mut list, 32)?.try_into().ok()?)) } else { None };
        let size = if has(SIZE) { Some(varint::take(&mut list)?) } else { None };
        let digest = if has(DIGEST) { Some(str::from_utf8(take_text(&mut list)?).ok()?) } else { None };
        let (path, url) = (str::from_utf8(&path).ok()?, str::from_utf8(&url).ok()?);
        each(Entry { path, url, sha256, size, digest });
    }
    Some(())
}

/// Keeps the first `length` bytes.
fn cut(text: &mut Vec<u8>, length: usize) -> Option<()> {
    (length <= text.len()).then(|| text.truncate(length))
}

fn take<'a>(list: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = list.split_at_checked(length)?;
    *list = rest;
    Some(taken)
}

fn take_length(list: &mut &[u8]) -> Option<usize> {
    usize::try_from(varint::take(list)?).ok()
}

fn take_text<'a>(list: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(list)?;
    take(list, length)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, url: &str) -> KnownFile {
        KnownFile {
            path: FilePath::parse(path).unwrap(),
            url: url.into(),
            digest: Some(Sha256([7; 32]).into()),
            sha256: Some(Sha256([7; 32])),
            size: Some(300),
            project: ProjectName::parse("a").unwrap(),
        }
    }

    fn read_all(list: &[u8]) -> Option<Vec<KnownFile>> {
        let mut files = Vec::new();
        read(list, |entry| files.extend(entry.file("a"))).map(|()| files)
    }

    #[test]
    fn a_file_and_its_metadata_take_little_more_than_their_digests() {
        let path = |n: u32| format!("aa/bb/{n:060}/name-1.{n}.0-py3-none-any.whl");
        let files: Vec<_> = (0..1000u32)
            .flat_map(|n| [path(n), path(n) + ".metadata"])
            .map(|path| file(&path, &format!("https://files.test/packages/{path}")))
            .collect();
        let list = FileList::of(&files);
        assert!(list.bytes.len() < files.len() * (32 + 40), "{}", list.bytes.len());
        assert_eq!(read_all(&list.bytes), Some(files));
        assert_eq!(list.keys.len(), 1000, "metadata is looked up by its file");
    }

    #[test]
    fn a_key_is_the_same_for_ever() {
        assert_eq!(key("aa/bb/a-1.0.zip"), key("aa/bb/a-1.0.zip.metadata"));
        // The first digits of what `sha256sum` says.
        assert_eq!(key("abc"), 0xba78_16bf_8f01_cfea_u64.cast_signed());
    }

    #[test]
    fn damage_is_found_and_ends_nothing_else() {
        let whole =
            FileList::of(&vec![file("1/é.zip", "https://files.test/é"), file("2/b.zip", "2/b.zip")]).bytes;
        let places = 0..whole.len();
        let mut found = 0;
        for at in places {
            found += usize::from(read_all(&whole[..at]).is_none());
            for byte in [0, 0x7F, 0xFF] {
                let mut other = whole.clone();
                other[at] = byte;
                let _ = read(&other, |_| ());
            }
        }
        assert_eq!(found, whole.len() - 2, "but at its beginning and between two files");
    }

    fn some_file() -> impl Strategy<Value = KnownFile> {
        let digest = prop_oneof![
            Just(None),
            any::<[u8; 32]>().prop_map(|bytes| Some(Digest::from(Sha256(bytes)))),
            Just(Digest::parse("sha512", &"ab".repeat(64))),
        ];
        let path = "[ab]{1,2}/[abé]{1,3}(\\.metadata)?";
        (path, "[ab:/é]{0,8}", any::<bool>(), digest, any::<Option<u64>>()).prop_map(
            |(path, url, whole, digest, size)| {
                let url: Arc<str> = if whole { format!("{url}{path}").into() } else { url.into() };
                let sha256 = digest.and_then(|digest| digest.sha256());
                KnownFile { url, digest, sha256, size, ..file(&path, "") }
            },
        )
    }

    proptest! {
        #[test]
        fn every_list_comes_back(files in prop::collection::vec(some_file(), 0..30)) {
            let list = FileList::of(&files);
            prop_assert!(list.keys.is_sorted());
            prop_assert_eq!(read_all(&list.bytes), Some(files));
        }
    }
}

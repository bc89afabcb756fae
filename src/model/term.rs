//! What somebody looks for, and how close a project's name comes to it.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The longest text that can match a name, in bytes: no name is longer.
const LONGEST_NAME: usize = 256;
/// The longest word that is looked for or learned, in bytes. Longer ones are digests and encoded data, which would
/// fill an index and which nobody types.
const LONGEST_WORD: usize = 64;

/// How close a name comes; the closest is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Closeness {
    /// The name itself, in any spelling.
    Exact,
    /// The name begins with it.
    Prefix,
    /// Its words are words of the name.
    Word,
    /// Its words are somewhere in the name.
    Substring,
}

/// A text that is looked for in project names: words as people write them, apart or joined by `-`, `_` and `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTerm {
    joined: String,
    words: Vec<String>,
}

impl NameTerm {
    /// `None` if no name can match: nothing is left, or a character that no name has.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > LONGEST_NAME {
            return None;
        }
        let separates = |c: char| c.is_whitespace() || matches!(c, '-' | '_' | '.');
        let words: Vec<String> =
            text.split(separates).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
        let fits = |word: &String| word.bytes().all(|b| b.is_ascii_alphanumeric());
        (!words.is_empty() && words.iter().all(fits)).then(|| Self { joined: words.join("-"), words })
    }

    /// Its words as they stand at the beginning of a name that begins with it.
    pub fn joined(&self) -> &str {
        &self.joined
    }

    /// Its longest word, which is in every name that matches.
    pub fn longest(&self) -> &str {
        self.words.iter().max_by_key(|word| word.len()).map_or("", String::as_str)
    }

    /// How close a normalised name comes; `None` if it does not match.
    pub fn closeness(&self, name: &str) -> Option<Closeness> {
        if let Some(rest) = name.strip_prefix(self.joined.as_str()) {
            return Some(if rest.is_empty() { Closeness::Exact } else { Closeness::Prefix });
        }
        let mut closeness = Closeness::Word;
        for word in &self.words {
            if !is_word(name.as_bytes(), word.as_bytes())? {
                closeness = Closeness::Substring;
            }
        }
        Some(closeness)
    }
}

/// Whether `word` is a word of the name, or only a part of one; `None` if it is not in it. A search looks at up to some
/// hundred thousand names, and names are short: looking at each place is the fastest.
fn is_word(name: &[u8], word: &[u8]) -> Option<bool> {
    let mut found = None;
    for (at, here) in name.windows(word.len()).enumerate() {
        if here[0] == word[0] && here == word {
            let ends = |byte: Option<&u8>| byte.is_none_or(|byte| *byte == b'-');
            if ends(at.checked_sub(1).and_then(|before| name.get(before))) && ends(name.get(at + word.len()))
            {
                return Some(true);
            }
            found = Some(false);
        }
    }
    found
}

/// The words of a text as they are compared: in lower case, without accents, wide and joined forms as plain ones.
/// Characters of scripts that put no spaces between words are words of their own.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let mut folded = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).peekable();
    std::iter::from_fn(move || {
        loop {
            let first = folded.find(|c| c.is_alphanumeric())?;
            let mut word = String::from(first);
            if !stands_alone(first) {
                while let Some(c) = folded.next_if(|c| c.is_alphanumeric() && !stands_alone(*c)) {
                    // The rest of a long one is passed over, not gathered.
                    if word.len() <= LONGEST_WORD {
                        word.push(c);
                    }
                }
            }
            if word.len() <= LONGEST_WORD {
                return Some(word);
            }
        }
    })
}

/// Han and kana.
fn stands_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closeness(term: &str, name: &str) -> Option<Closeness> {
        NameTerm::parse(term)?.closeness(name)
    }

    #[test]
    fn spellings_are_equal_and_closeness_has_its_order() {
        use Closeness::{Exact, Prefix, Substring, Word};
        for term in ["Zope.Interface", "zope_interface", "zope -._ interface", " ZOPE interface "] {
            assert_eq!(closeness(term, "zope-interface"), Some(Exact), "{term}");
            assert_eq!(closeness(term, "zope-interfaces"), Some(Prefix), "{term}");
            assert_eq!(closeness(term, "my-zope-interface"), Some(Word), "{term}");
            assert_eq!(closeness(term, "interface-of-zope"), Some(Word), "{term}");
            assert_eq!(closeness(term, "zopes-interface"), Some(Substring), "{term}");
            assert_eq!(closeness(term, "zope"), None, "{term}");
        }
        assert!(Exact < Prefix && Prefix < Word && Word < Substring);
    }

    #[test]
    fn what_no_name_has_matches_none() {
        for term in ["", " ", "-", "c++", "naïve", "a\0b", "\"a\"", "a*", &"a".repeat(257)] {
            assert_eq!(NameTerm::parse(term), None, "{term:?}");
        }
    }

    #[test]
    fn words_are_compared_without_case_accents_and_punctuation() {
        let words = |text: &str| words(text).collect::<Vec<_>>();
        assert_eq!(words("Überprüfung, CAFÉ: C++ & (x_y)"), ["uberprufung", "cafe", "c", "x", "y"]);
        assert_eq!(words("ﬁle ＡＢ"), ["file", "ab"]);
        assert_eq!(words("数据python分析"), ["数", "据", "python", "分", "析"]);
        assert_eq!(words(&format!("a {} b", "x".repeat(1 << 20))), ["a", "b"]);
        assert_eq!(words("\" * NEAR( ^ -"), ["near"]);
        assert!(words(" \0 ").is_empty());
    }
}

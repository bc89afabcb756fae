//! Which files are wanted in advance, in words: `numpy newest=2 python=cp312,cp313 platform=manylinux*_x86_64; flask*`.

use std::fmt;
use std::str::FromStr;

use glob::Pattern;

use crate::model::{FileKind, ProjectName, newest_first, same_version, setting_by_text, wheel_tags};

/// Rules; a file is wanted if one of them wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// One rule: a project's name or a pattern of names, and what narrows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    text: String,
    project: Pattern,
    /// Only the newest releases, so many.
    newest: Option<usize>,
    /// Only wheels with one of these Python tags.
    python: Vec<Pattern>,
    /// Only wheels with one of these platform tags.
    platform: Vec<Pattern>,
    sdist: bool,
}

/// Why a text is no rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// Nothing.
    #[error("a rule begins with a project's name or pattern")]
    Empty,
    /// A word that rules do not have.
    #[error("`{0}`: write newest=N, python=TAG,…, platform=TAG,… or sdist=yes|no")]
    Word(String),
    /// No pattern.
    #[error("`{0}` is no pattern with * and ?")]
    Pattern(String),
}

impl Rules {
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// The file may be wanted, by what its announcement tells.
    pub(super) fn want(&self, project: &ProjectName, filename: &str) -> bool {
        self.0.iter().any(|rule| rule.wants(project) && rule.wants_file(filename))
    }

    /// The file is wanted among its project's releases.
    pub(super) fn want_release(
        &self,
        project: &ProjectName,
        filename: &str,
        version: Option<&str>,
        versions: &[String],
    ) -> bool {
        self.0.iter().any(|rule| {
            rule.wants(project) && rule.wants_file(filename) && rule.wants_version(version, versions)
        })
    }
}

impl Rule {
    /// The project, if the rule names one and not a pattern.
    pub fn name(&self) -> Option<ProjectName> {
        ProjectName::parse(self.project.as_str()).ok()
    }

    /// The rule is about the project.
    pub fn wants(&self, project: &ProjectName) -> bool {
        self.project.matches(project.as_str())
    }

    /// It wants a file of such a name.
    pub fn wants_file(&self, filename: &str) -> bool {
        let any = |patterns: &[Pattern], tags: &str| {
            patterns.is_empty() || tags.split('.').any(|tag| patterns.iter().any(|one| one.matches(tag)))
        };
        match FileKind::of(filename) {
            Ok(FileKind::Wheel) => wheel_tags(filename)
                .is_some_and(|(python, platform)| any(&self.python, python) && any(&self.platform, platform)),
            Ok(FileKind::Sdist) => self.sdist,
            // Of an age that had no tags.
            Ok(
                FileKind::Egg
                | FileKind::WindowsInstaller
                | FileKind::Msi
                | FileKind::Rpm
                | FileKind::Deb
                | FileKind::Dmg,
            ) => self.python.is_empty() && self.platform.is_empty(),
            Err(_) => false,
        }
    }

    /// It wants a release among all there are.
    pub fn wants_version(&self, version: Option<&str>, versions: &[String]) -> bool {
        let (Some(newest), Some(version)) = (self.newest, version) else { return true };
        let mut versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        newest_first(&mut versions, |version| version);
        versions.iter().take(newest).any(|one| same_version(one, version))
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut words = text.split_whitespace();
        let pattern = |text: &str| Pattern::new(text).map_err(|_| RuleError::Pattern(text.to_owned()));
        let project = pattern(&normal(words.next().ok_or(RuleError::Empty)?))?;
        let mut rule = Self {
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            project,
            newest: None,
            python: Vec::new(),
            platform: Vec::new(),
            sdist: true,
        };
        for word in words {
            let bad = || RuleError::Word(word.to_owned());
            let tag = |tag: &str| if tag.is_empty() { Err(bad()) } else { pattern(tag) };
            let patterns = |list: &str| list.split(',').map(tag).collect::<Result<Vec<_>, _>>();
            match word.split_once('=').ok_or_else(bad)? {
                ("newest", count) => {
                    rule.newest = Some(count.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?);
                }
                ("python", list) => rule.python = patterns(list)?,
                ("platform", list) => rule.platform = patterns(list)?,
                ("sdist", "yes") => rule.sdist = true,
                ("sdist", "no") => rule.sdist = false,
                _ => return Err(bad()),
            }
        }
        Ok(rule)
    }
}

/// A pattern of names in the normal form of names.
fn normal(pattern: &str) -> String {
    let mut normal = String::with_capacity(pattern.len());
    for c in pattern.chars().map(|c| c.to_ascii_lowercase()) {
        let c = if matches!(c, '_' | '.') { '-' } else { c };
        if c != '-' || !normal.ends_with('-') {
            normal.push(c);
        }
    }
    normal
}

setting_by_text! {
    Rules: "rules such as `flask; numpy newest=2 python=cp312 platform=manylinux*_x86_64 sdist=no`";
}

impl FromStr for Rules {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let rules = text.split(';').map(str::trim).filter(|rule| !rule.is_empty());
        rules.map(Rule::from_str).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(|rule| rule.text.as_str()).collect();
        f.write_str(&texts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        text.parse().unwrap()
    }

    fn name(text: &str) -> ProjectName {
        ProjectName::parse(text).unwrap()
    }

    #[test]
    fn a_rule_wants_what_it_names() {
        let rules = rules("Zope.* ;numpy newest=2 python=cp31?,py3 platform=manylinux*_x86_64,any sdist=no;");
        assert!(rules.want(&name("zope-interface"), "zope.interface-1.tar.gz"));
        assert!(rules.want(&name("zope-interface"), "zope.interface-1-py2.7-win32.egg"));
        let numpy = |filename: &str| rules.want(&name("numpy"), filename);
        assert!(numpy("numpy-2-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"));
        assert!(numpy("numpy-2-py2.py3-none-any.whl"));
        for other in [
            "numpy-2-cp312-cp312-win_amd64.whl",
            "numpy-2-pp311-none-any.whl",
            "numpy-2.tar.gz",
            "numpy-2.egg",
        ] {
            assert!(!numpy(other), "{other}");
        }
        assert!(!rules.want(&name("flask"), "flask-1.tar.gz"));
        assert_eq!(rules.to_string().parse::<Rules>(), Ok(rules.clone()));
        assert_eq!(rules.iter().filter_map(Rule::name).collect::<Vec<_>>(), [name("numpy")]);
    }

    #[test]
    fn the_newest_releases_are_by_version_not_by_time() {
        let rules = rules("numpy newest=2");
        let versions = ["1.10", "1.9", "2.0rc1", "0.1"].map(str::to_owned);
        let wants = |version| rules.want_release(&name("numpy"), "numpy-0.tar.gz", Some(version), &versions);
        assert!(wants("2.0rc1") && wants("1.10") && wants("1.10.0") && !wants("1.9"));
    }

    #[test]
    fn what_is_no_rule_says_why() {
        assert_eq!("numpy newest=0".parse::<Rules>(), Err(RuleError::Word("newest=0".to_owned())));
        assert_eq!("numpy sdist=maybe".parse::<Rules>(), Err(RuleError::Word("sdist=maybe".to_owned())));
        for word in ["python=", "platform=a,,b"] {
            let rule = format!("numpy {word}");
            assert_eq!(rule.parse::<Rules>(), Err(RuleError::Word(word.to_owned())));
        }
        assert_eq!("a[".parse::<Rules>(), Err(RuleError::Pattern("a[".to_owned())));
        assert!(rules(" ; ").is_empty());
    }
}

//! What a distribution file's name tells: its kind, its release, its Python tag.

/// The kinds of distribution file, by the ending of the name. `packagetype` in the JSON API and in
/// `release_urls` (docs/wire.md section 5) is [`FileKind::packagetype`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `.whl` (PEP 427).
    Wheel,
    /// `.tar.gz`, `.zip`, `.tgz`, `.tar.bz2`, `.txz` …
    Sdist,
    /// `.egg`.
    Egg,
    /// `.exe`.
    WindowsInstaller,
    /// `.msi`.
    Msi,
    /// `.rpm`.
    Rpm,
    /// `.deb`.
    Deb,
    /// `.dmg`.
    Dmg,
}

/// The name has no ending that a distribution file has.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no ending of a distribution file")]
pub struct FileNameError;

/// The endings of distribution files: those that pip and uv install, and those that older pages list beside them.
const ENDINGS: [(&str, FileKind); 20] = [
    (".whl", FileKind::Wheel),
    (".tar.gz", FileKind::Sdist),
    (".zip", FileKind::Sdist),
    (".tgz", FileKind::Sdist),
    (".tar.bz2", FileKind::Sdist),
    (".tbz", FileKind::Sdist),
    (".tar.xz", FileKind::Sdist),
    (".txz", FileKind::Sdist),
    (".tar.lz", FileKind::Sdist),
    (".tlz", FileKind::Sdist),
    (".tar.lzma", FileKind::Sdist),
    (".tar.zst", FileKind::Sdist),
    (".tar.Z", FileKind::Sdist),
    (".tar", FileKind::Sdist),
    (".egg", FileKind::Egg),
    (".exe", FileKind::WindowsInstaller),
    (".msi", FileKind::Msi),
    (".rpm", FileKind::Rpm),
    (".deb", FileKind::Deb),
    (".dmg", FileKind::Dmg),
];

/// A distribution file's name without its ending, and the kind that the ending says.
pub(super) fn split_ending(filename: &str) -> Option<(&str, FileKind)> {
    ENDINGS.iter().find_map(|&(ending, kind)| filename.strip_suffix(ending).map(|stem| (stem, kind)))
}

impl FileKind {
    /// The kind that a file's name says.
    pub fn of(filename: &str) -> Result<Self, FileNameError> {
        split_ending(filename).map(|(_, kind)| kind).ok_or(FileNameError)
    }

    /// The word that the JSON API and `release_urls` have for it.
    pub fn packagetype(self) -> &'static str {
        match self {
            Self::Wheel => "bdist_wheel",
            Self::Sdist => "sdist",
            Self::Egg => "bdist_egg",
            Self::WindowsInstaller => "bdist_wininst",
            Self::Msi => "bdist_msi",
            Self::Rpm => "bdist_rpm",
            // The JSON API has no word for it; `bdist_dumb` is that for an archive of any shape.
            Self::Deb => "bdist_dumb",
            Self::Dmg => "bdist_dmg",
        }
    }
}

/// The Python tag of a wheel's name (`py3`, `cp311`); `None` if the name is not a wheel's.
pub fn wheel_tag(filename: &str) -> Option<&str> {
    wheel_tags(filename).map(|(python, _)| python)
}

/// The Python and platform tags of a wheel's name, each several with dots between them if the wheel is for
/// several; `None` if the name is not a wheel's.
pub fn wheel_tags(filename: &str) -> Option<(&str, &str)> {
    let stem = filename.strip_suffix(".whl")?;
    let mut parts = stem.rsplit('-');
    let (platform, _abi, python) = (parts.next()?, parts.next()?, parts.next()?);
    parts.nth(1).is_some().then_some((python, platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_kind() {
        assert_eq!(FileKind::of("a-1.tar.gz").map(FileKind::packagetype), Ok("sdist"));
        assert_eq!(FileKind::of("a-1-py3-none-any.whl").map(FileKind::packagetype), Ok("bdist_wheel"));
        let every = "tar.gz zip tgz tar tar.bz2 tbz tar.xz txz tlz tar.lz tar.lzma tar.zst tar.Z";
        for ending in every.split(' ') {
            assert_eq!(FileKind::of(&format!("a-1.{ending}")), Ok(FileKind::Sdist), "{ending}");
        }
        assert_eq!(FileKind::of("a-1.txt"), Err(FileNameError));
    }

    #[test]
    fn a_wheel_name_has_its_python_tag_third_from_the_end() {
        assert_eq!(wheel_tag("a-1-py2.py3-none-any.whl"), Some("py2.py3"));
        assert_eq!(wheel_tag("a-1-3build-cp311-cp311-linux_x86_64.whl"), Some("cp311"));
        assert_eq!(wheel_tag("a-py3-none-any.whl"), None);
        assert_eq!(wheel_tag("a-1.tar.gz"), None);
        assert_eq!(wheel_tags("a-1-py2.py3-none-win32.whl"), Some(("py2.py3", "win32")));
    }
}

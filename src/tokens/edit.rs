//! Tokens added and revoked: by a command, also while a relay uses the file.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use tempfile::NamedTempFile;

use super::file::{check, read, write};
use super::secret::{digest, fresh};
use super::{Scope, Token, TokenError, Tokens};

/// Adds a token and returns what its user has to show: it stands nowhere else. `now`: Unix seconds.
pub fn add(path: &Path, name: &str, scope: Scope, rate: Option<f64>, now: i64) -> Result<String, TokenError> {
    check(name, rate)?;
    change(path, true, |tokens| {
        if tokens.0.iter().any(|token| token.name == name) {
            return Err(TokenError::Taken(name.to_owned()));
        }
        let shown = fresh().map_err(TokenError::Random)?;
        // It has the form: it was just made.
        let sha256 = digest(shown.as_bytes()).ok_or(TokenError::Name)?;
        tokens.0.push(Token { name: name.to_owned(), scope, rate, created: now, sha256 });
        Ok(shown)
    })
}

/// Takes a token back. A relay that runs refuses it once it has looked at the file; what it answers at that moment goes on.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokenError> {
    change(path, false, |tokens| {
        let before = tokens.0.len();
        tokens.0.retain(|token| token.name != name);
        if tokens.0.len() == before { Err(TokenError::Unknown(name.to_owned())) } else { Ok(()) }
    })
}

/// Changes the file as a whole. One command at a time.
fn change<T>(
    path: &Path,
    makes_folder: bool,
    change: impl FnOnce(&mut Tokens) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if makes_folder && !folder.exists() {
        // As the relay makes its data folder.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let folder = match File::open(folder) {
        Ok(opened) => (opened, folder),
        // Without a folder there is no token either.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut none = Tokens::default();
            return change(&mut none);
        }
        Err(error) => return Err(error.into()),
    };
    // Until it is dropped.
    folder.0.lock()?;
    let mut tokens = read(path)?.unwrap_or_default();
    let done = change(&mut tokens)?;
    put(path, &folder, &write(&tokens)?)?;
    Ok(done)
}

fn put(path: &Path, (opened, folder): &(File, &Path), text: &str) -> io::Result<()> {
    let mut new = NamedTempFile::new_in(folder)?;
    new.as_file().set_permissions(Permissions::from_mode(0o600))?;
    // Somebody with more rights may run the command for the relay's user, who has to be able to read it.
    let owner = fs::metadata(path).or_else(|_| opened.metadata())?;
    let own = new.as_file().metadata()?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) && rustix::process::geteuid().is_root() {
        fchown(new.as_file(), Some(owner.uid()), Some(owner.gid()))?;
    }
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    opened.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_added_found_and_revoked_and_stands_nowhere_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/tokens.toml");
        assert!(matches!(revoke(&path, "ci"), Err(TokenError::Unknown(_))));
        assert!(!path.parent().unwrap().exists());
        let shown = add(&path, "ci", Scope::Read, Some(5.0), 7).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&shown) && !text.contains(&shown[3..]), "{text}");
        let tokens = read(&path).unwrap().unwrap();
        let found = tokens.find(shown.as_bytes()).unwrap();
        assert_eq!(
            (found.name.as_str(), found.scope, found.rate, found.created),
            ("ci", Scope::Read, Some(5.0), 7)
        );
        assert!(matches!(add(&path, "ci", Scope::Read, None, 8), Err(TokenError::Taken(_))));
        assert!(matches!(add(&path, "a b", Scope::Read, None, 8), Err(TokenError::Name)));
        assert!(matches!(add(&path, "b", Scope::Read, Some(f64::NAN), 8), Err(TokenError::Rate)));
        revoke(&path, "ci").unwrap();
        // It stays, and with it that tokens are needed.
        assert_eq!(read(&path).unwrap(), Some(Tokens::default()));
    }

    #[test]
    fn commands_at_the_same_time_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || add(path, &n.to_string(), Scope::Read, None, 0).unwrap());
            }
        });
        assert_eq!(read(&path).unwrap().unwrap().0.len(), 8);
    }

    #[test]
    fn a_file_that_is_no_good_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        add(&path, "ci", Scope::Read, None, 0).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        assert!(matches!(add(&path, "b", Scope::Read, None, 0), Err(TokenError::Open(0o644))));
        assert!(matches!(revoke(&path, "ci"), Err(TokenError::Open(0o644))));
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }
}

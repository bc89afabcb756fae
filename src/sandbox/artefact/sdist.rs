//! Source distributions (PEP 625) with a build backend inside, so that pip needs nothing else.

use std::io;

use flate2::{Compression, GzBuilder};

use super::recipe::Recipe;
use super::{Content, Digests};

/// The backend that every sdist carries.
const BACKEND: &str = include_str!("../../../fixtures/backend.py");
const PYPROJECT: &str =
    "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";

/// The name of a release's sdist.
pub(super) fn filename(recipe: &Recipe<'_>) -> String {
    format!("{}.tar.gz", recipe.stem())
}

/// Packs an sdist. Fails only if a name is too long for tar.
pub(super) fn pack(recipe: &Recipe<'_>) -> io::Result<(Content, Digests)> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    let stem = recipe.stem();
    let mut add = |name: &str, data: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        // 1980-01-01, as in wheels: setuptools refuses to zip what is older.
        header.set_mtime(315_532_800);
        tar.append_data(&mut header, format!("{stem}/{name}"), data.as_bytes())
    };
    add("PKG-INFO", &recipe.metadata())?;
    add("pyproject.toml", PYPROJECT)?;
    add("backend.py", BACKEND)?;
    add(&format!("{}/__init__.py", recipe.module()), &recipe.source())?;
    if let Some(entry_points) = recipe.entry_points() {
        add("entry_points.txt", &entry_points)?;
    }
    let content = Content::whole(tar.into_inner()?.finish()?);
    let digests = Digests::of(&content);
    Ok((content, digests))
}

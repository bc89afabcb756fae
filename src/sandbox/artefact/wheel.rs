//! Wheels (PEP 427).

use super::recipe::{Recipe, record, record_of};
use super::zip::Writer;
use super::{Content, Digests};

/// The name of a release's wheel for `tag`, as `py3-none-any`.
pub(super) fn filename(recipe: &Recipe<'_>, tag: &str) -> String {
    format!("{}-{tag}.whl", recipe.stem())
}

/// Packs a wheel.
pub(super) fn pack(recipe: &Recipe<'_>, tag: &str) -> (Content, Digests) {
    let mut zip = Writer::default();
    let mut rows = String::new();
    let mut add = |name: String, data: &[u8], zip: &mut Writer| {
        rows += &record_of(&name, data);
        zip.member(&name, data);
    };
    let module = recipe.module();
    let info = format!("{}.dist-info", recipe.stem());
    add(format!("{module}/__init__.py"), recipe.source().as_bytes(), &mut zip);
    add(format!("{info}/METADATA"), recipe.metadata().as_bytes(), &mut zip);
    add(format!("{info}/WHEEL"), wheel_text(tag).as_bytes(), &mut zip);
    if let Some(entry_points) = recipe.entry_points() {
        add(format!("{info}/entry_points.txt"), entry_points.as_bytes(), &mut zip);
    }
    if let Some(bulk) = recipe.bulk {
        let name = format!("{module}/bulk.bin");
        rows += &record(&name, bulk.sha256, u64::from(bulk.len));
        zip.outside(&name, bulk.crc32, bulk.len);
    }
    let name = format!("{info}/RECORD");
    rows.push_str(&name);
    rows.push_str(",,\n");
    zip.member(&name, rows.as_bytes());
    let content = Content::archive(zip.finish());
    let digests = recipe.bulk.map_or_else(|| Digests::of(&content), |bulk| bulk.wheel.clone());
    (content, digests)
}

fn wheel_text(tag: &str) -> String {
    let mut text = "Wheel-Version: 1.0\nGenerator: sandbox\nRoot-Is-Purelib: true\n".to_owned();
    let mut parts = tag.splitn(3, '-');
    let mut part = || parts.next().unwrap_or("none").split('.');
    let (pythons, abis, platforms) = (part(), part(), part());
    for python in pythons {
        for abi in abis.clone() {
            for platform in platforms.clone() {
                for piece in ["Tag: ", python, "-", abi, "-", platform, "\n"] {
                    text.push_str(piece);
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Bulk, digests, noise};
    use super::*;
    use crate::sandbox::fixture;

    #[test]
    fn the_big_wheel_has_the_digests_that_its_fixture_states() {
        let fixture =
            fixture::all().unwrap().into_iter().find(|(name, _)| name.as_str() == "big-wheel").unwrap().1;
        let release = fixture.releases().remove(0);
        let stated = release.bulk.clone().unwrap();
        let (mut crc, mut sha256) = (flate2::Crc::new(), Vec::new());
        for start in (0..stated.len).step_by(1 << 20) {
            let piece = noise::bytes(u64::from(start), 1 << 20);
            crc.update(&piece);
            sha256.extend_from_slice(&piece);
        }
        let mut bulk = Bulk { crc32: crc.sum(), sha256: digests::sha256(&sha256), ..stated.clone() };
        let info = release.info(&fixture.info);
        let recipe =
            Recipe { name: &fixture.name, version: "1.0", info: &info, script: false, bulk: Some(&bulk) };
        bulk.wheel = Digests::of(&pack(&recipe, "py3-none-any").0);
        assert_eq!(bulk, stated);
    }
}

//! The code of the old mirrors under Python 3, which every machine has: all that they do in `old_mirrors`, and the same checks.
//! `python3.py` beside this file says what is changed of it, and fails if their text is another one.

use super::old_mirrors::{bandersnatch_1_0_5, bandersnatch_1_5, pep381client, z3c_pypimirror};
use crate::support::python27::{OldMirror, Release};

const PEP381CLIENT: Release =
    Release("pep381client", "1.5", "0da0c7d6e085d32411917a2eea1e51c5df8f35eeb89558531c3d5b22d4fcf49c");
const BANDERSNATCH_1_0_5: Release =
    Release("bandersnatch", "1.0.5", "7721d0174986aa111bc3efd2866d071ff987db7329204665095d2ea139ce21cf");
const BANDERSNATCH_1_5: Release =
    Release("bandersnatch", "1.5", "c0546f64f13eea59613fe56db8b5205ed1121baa92e433689bdad7386045dd52");
const PYPIMIRROR: Release =
    Release("pypimirror", "1.0.16.4", "bd63703f73876f036f32d6f8147bb741404388fb4326baa0fe51b8a2dd7ee9f6");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl and python3 with venv, and fetches pep381client 1.5"]
async fn pep381clients_code_mirrors_all_and_then_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    pep381client(OldMirror::converted(folder.path(), PEP381CLIENT, "pep381client").await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl and python3 with venv, and fetches bandersnatch 1.0.5"]
async fn bandersnatch_1_0_5s_code_mirrors_all_and_then_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    bandersnatch_1_0_5(OldMirror::converted(folder.path(), BANDERSNATCH_1_0_5, "bandersnatch").await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl and python3 with venv, and fetches bandersnatch 1.5"]
async fn bandersnatch_1_5s_code_mirrors_all_and_then_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    bandersnatch_1_5(OldMirror::converted(folder.path(), BANDERSNATCH_1_5, "bandersnatch").await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and fetches pypimirror 1.0.16.4"]
async fn z3c_pypimirrors_code_mirrors_all_and_then_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    z3c_pypimirror(OldMirror::converted(folder.path(), PYPIMIRROR, "z3c.pypimirror").await).await;
}

//! The fuzzers' corpora through the fuzzers' bodies: what was found once stays found. See fuzz/README.md.

use std::path::Path;

mod bodies;

/// A corpus is small, so that it is replayed in a moment and read in a review.
const MOST_FILES: usize = 200;
const MOST_BYTES: usize = 1 << 20;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let data = std::fs::read(&path).unwrap();
        (files, bytes) = (files + 1, bytes + data.len());
        // Shown only if the body panics.
        println!("{}", path.display());
        body(&data);
    }
    assert!((1..=MOST_FILES).contains(&files) && bytes <= MOST_BYTES, "{files} files, {bytes} bytes");
}

#[test]
fn calls_of_the_corpus_are_read_or_refused() {
    replay("call", bodies::call);
}

#[test]
fn answers_of_the_corpus_are_the_same_whole_and_item_by_item() {
    replay("response", bodies::response);
}

#[test]
fn pages_of_the_corpus_are_written_as_they_were_read() {
    replay("page", bodies::page);
}

#[test]
fn listings_of_the_corpus_are_read_or_refused() {
    replay("listing", bodies::listing);
}

#[test]
fn values_of_the_corpus_survive_their_encoding() {
    replay("round_trip", bodies::round_trip);
}

#[test]
fn forms_of_the_corpus_are_the_same_whole_and_in_pieces() {
    replay("form", bodies::form);
}

#[test]
fn ranges_and_conditions_of_the_corpus_ask_for_what_the_file_has() {
    replay("want", bodies::want);
}

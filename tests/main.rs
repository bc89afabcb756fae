//! Every integration test, by concern, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod architecture;
mod files;
mod journal;
mod kill;
mod sandbox;
mod support;
mod upstream;

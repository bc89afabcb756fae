//! Every integration test, by concern, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod architecture;
mod index;
mod journal;
mod sandbox;
mod support;
mod upstream;

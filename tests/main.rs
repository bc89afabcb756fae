//! Every integration test, by concern, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod architecture;
mod follow;
mod index;
mod journal;
mod sandbox;
mod sandbox_pip;
mod support;
mod upstream;

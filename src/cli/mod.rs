//! One file a subcommand.

pub mod sandbox;

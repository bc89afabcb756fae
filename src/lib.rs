//! A relay that stands where PyPI stood for programs that still speak its XML-RPC interface.
//!
//! Imports go down only; `tests/architecture.rs` holds the table.

pub mod app;
pub mod blob;
pub mod cli;
pub mod config;
pub mod follow;
pub mod http;
pub mod index;
pub mod journal;
pub mod memo;
pub mod model;
pub mod relay;
pub mod rpc;
pub mod sandbox;
pub mod upstream;
pub mod xmlrpc;

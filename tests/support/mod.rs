//! Builders that the tests share.

pub mod scripted;

mod client;
mod sandbox;

pub use client::{call, get, get_with};
pub use sandbox::sandbox;

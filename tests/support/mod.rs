//! Builders that the tests share.

mod client;
mod sandbox;
pub mod scripted;

pub use client::{call, get, get_with};
pub use sandbox::sandbox;

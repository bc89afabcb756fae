//! Builders that the tests share.

mod client;
mod sandbox;
pub mod scripted;

pub use client::{Answer, call, get, get_with};
pub use sandbox::sandbox;

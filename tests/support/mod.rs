//! Builders that the tests share.

mod client;
mod files;
mod sandbox;
pub mod scripted;

pub use client::{Answer, call, get, get_with};
pub use files::Files;
pub use sandbox::sandbox;

//! Builders that the tests share.

pub mod scripted;

mod client;
mod files;
mod relay;
mod sandbox;

pub use client::{Answer, call, get, get_with, post};
pub use files::Files;
pub use relay::IndexRelay;
pub use sandbox::sandbox;

//! Builders that the tests share.

pub mod scripted;

mod client;
mod relay;
mod sandbox;

pub use client::{Answer, call, get, get_with, post};
pub use relay::IndexRelay;
pub use sandbox::sandbox;

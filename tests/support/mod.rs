//! Builders that the tests share.

mod client;
mod relay;
mod sandbox;
pub mod scripted;

pub use client::{Answer, call, get, get_with};
pub use relay::IndexRelay;
pub use sandbox::sandbox;

//! Builders that the tests share.

mod client;
mod sandbox;

pub use client::{call, get, get_with, post};
pub use sandbox::sandbox;

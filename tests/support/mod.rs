//! Builders that the tests share.

pub mod scripted;

mod client;
mod sandbox;

pub use client::{call, get, get_with, post};
pub use sandbox::sandbox;

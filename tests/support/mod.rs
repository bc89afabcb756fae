//! Builders that the tests share.

pub mod authority;
pub mod bandersnatch;
pub mod devpi;
pub mod installers;
pub mod plain;
pub mod process;
pub mod programs;
pub mod python27;
pub mod scripted;

mod client;
mod files;
mod index;
mod raw;
mod relay;
mod sandbox;
mod switch;
mod wait;

pub use client::{Answer, call, client, get, get_with, post, post_with};
pub use files::Files;
pub use index::IndexRelay;
pub use raw::{connect, exchange, post_request};
pub use relay::{PATIENT, Relay};
pub use sandbox::sandbox;
pub use switch::Switch;
pub use wait::{ENDLESS, until, within};

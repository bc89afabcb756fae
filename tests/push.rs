//! Files that one relay pushes to another: every rule and refusal of both sides, and two relays that feed each other.

mod forms;
mod master;
mod mirror;
mod parts;
mod python2;
mod questions;
mod relays;
mod settings;

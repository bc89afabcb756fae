//! The journal by its public face.

mod crash;
mod documents;
mod events;
mod opening;
mod search;
mod wants;

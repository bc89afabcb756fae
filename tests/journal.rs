//! The journal by its public face.

mod documents;
mod events;
mod opening;
mod wants;

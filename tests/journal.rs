//! The journal by its public face.

mod clock;
mod crash;
mod documents;
mod events;
mod file_lists;
mod opening;
mod removals;
mod restoring;
mod search;
mod wants;

//! The journal by its public face: documents, the files that they name, and what opening refuses.

mod documents;
mod opening;

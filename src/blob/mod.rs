//! Where package files are kept: whole or absent, found by digest, within a bound.
//!
//! [`Store`] is the facade: a little memory for small hot files, a folder behind it. The only code that
//! knows disk paths is below it; an object store would stand beside `disk`.

mod digest;
mod disk;
mod error;
mod hot;
mod key;
mod manage;
mod settings;
mod store;

#[cfg(test)]
mod tests;

pub use disk::{Carried, Fullness, Intake, Inventory, Kept, Map, Reader, ShardInventory, Spilled, Writer};
pub use error::{KeepError, OpenError};
pub use hot::{Hot, HotRef};
pub use key::Key;
pub use settings::StoreSettings;
pub use store::{Blob, Store};

//! Who reads kept files for the index, which knows no disk.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::{Digest, Sha256};

/// The MD5 of a file that is kept whole, by its SHA-256; `None` if it is not here.
pub type KeptMd5 = Arc<dyn Fn(Sha256) -> BoxFuture<'static, Option<Digest>> + Send + Sync>;

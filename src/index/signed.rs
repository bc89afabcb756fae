//! Signatures of pages (docs/wire.md section 9): of exactly the bytes that the page has, taken from one state with its serial.

use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::{Form, Index, IndexError, Rendered};
use crate::model::{ProjectName, Serial};
use crate::signing::{Signer, Unsigned};

/// Signs pages. Clones are one.
#[derive(Clone)]
pub struct Signatures {
    index: Index,
    signer: Signer,
}

/// A page's signature.
#[derive(Debug, Clone)]
pub struct PageSignature {
    /// `SEQUENCE { r, s }` in DER.
    pub der: Bytes,
    /// The page's, for `X-PyPI-Last-Serial`: a page with the same serial has this signature.
    pub last_serial: Option<Serial>,
    /// The page is older than it should be, because upstream fails.
    pub stale: bool,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no page.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// There is no key.
    #[error(transparent)]
    Key(#[from] Unsigned),
}

impl Signatures {
    /// Of the pages of an index.
    pub fn new(index: Index, signer: Signer) -> Self {
        Self { index, signer }
    }

    /// The public key in PEM.
    pub fn public_key(&self) -> Result<Bytes, Unsigned> {
        self.signer.public_key()
    }

    /// The signature of a project's page in HTML as a program gets it, by its `User-Agent`, not compressed.
    pub async fn of_page(
        &self,
        name: &ProjectName,
        user_agent: Option<&str>,
        origin: &str,
    ) -> Result<PageSignature, SignatureError> {
        // Without a key nothing is asked of upstream.
        self.signer.public_key()?;
        let form: Form = self.index.html_for(user_agent);
        let page = self.index.rendered_page(name, form, origin).await?;
        let Rendered { last_serial, stale, .. } = page;
        let page = Arc::new(page);
        let of = page.clone();
        let sha1 = move || {
            let mut hasher = Sha1::new();
            of.pieces().for_each(|piece| hasher.update(&piece));
            hasher.finalize().into()
        };
        let der = self.signer.sign(page.sha256(), sha1).await?;
        Ok(PageSignature { der, last_serial, stale })
    }
}

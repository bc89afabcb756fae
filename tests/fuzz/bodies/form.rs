//! Forms of uploads.

use bytes::Bytes;
use cheesewire::push::{Form, FormError};
use futures_util::stream;

/// Up to here no form comes near the bound of what stands beside its file, which counts portions.
const SMALL: usize = 8 << 10;
const TYPE: &str = "multipart/form-data; boundary=B";

/// The parts of a form, and how it ended.
type Read = (Vec<(String, Vec<u8>)>, Result<(), FormError>);

/// Any bytes are a form or none, the same in one piece and in small ones; no part has bytes that the body lacks, and the form without
/// its last `--` is read like the one with it. The first byte says how small the pieces are.
pub fn form(data: &[u8]) {
    let Some((&size, body)) = data.split_first() else { return };
    let whole = read(body, body.len().max(1));
    let bytes: usize = whole.0.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(bytes <= body.len(), "{bytes} bytes of {}", body.len());
    if body.len() > SMALL {
        return;
    }
    let pieces = read(body, usize::from(size).max(1));
    assert_eq!(whole, pieces, "in pieces of {size}");
    if let (Some(open), (parts, Ok(()))) = (body.strip_suffix(b"--\r\n"), &whole) {
        let open = [open, b"\r\n"].concat();
        let (same, _) = read(&open, open.len());
        assert!(same.starts_with(parts) || parts.starts_with(&same), "{parts:?}: {same:?}");
    }
}

fn read(body: &[u8], size: usize) -> Read {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let pieces = body.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece)));
        let mut form = Form::new(TYPE, stream::iter(pieces)).unwrap();
        let mut parts = Vec::new();
        loop {
            let mut part = match form.part().await {
                Ok(Some(part)) => part,
                Ok(None) => return (parts, Ok(())),
                Err(error) => return (parts, Err(error)),
            };
            let (name, mut value) = (part.name().to_owned(), Vec::new());
            loop {
                match part.bytes().await {
                    Ok(Some(bytes)) => value.extend_from_slice(&bytes),
                    Ok(None) => break,
                    Err(error) => return (parts, Err(error)),
                }
            }
            parts.push((name, value));
        }
    })
}

//! A form (`multipart/form-data`, RFC 7578) as a stream: part after part, with bounds, nothing gathered.
//!
//! By multer, which asks for as much as it is given: what is not the file comes in small portions, and not many of them. The
//! form of the old master (`gae.py`) ends without the last `--`; that is an end here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

/// Bytes of a form beside its file: heads and values of parts, and what stands before and behind them.
const BESIDE: usize = 16 << 10;
/// Of those so many are read at a time.
const PORTION: usize = 2 << 10;
/// No bound: the file's bytes.
const UNBOUNDED: usize = usize::MAX;
/// The longest boundary (RFC 2046 section 5.1.1).
const LONGEST_BOUNDARY: usize = 70;

/// Why a form is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// It is no form, or not the one that belongs here.
    #[error("{0}")]
    Malformed(String),
    /// More bytes than allowed.
    #[error("the upload has more than {0} bytes")]
    TooLarge(u64),
    /// Less than the least rate.
    #[error("the upload came too slowly")]
    TooSlow,
    /// The connection broke before its end.
    #[error("the upload broke off")]
    Cut,
}

/// A form that is being read.
pub struct Form<'r> {
    parts: multer::Multipart<'r>,
    /// Bytes that may still be read beside the file.
    beside: Arc<AtomicUsize>,
}

/// One part of it.
pub struct Part<'r> {
    field: multer::Field<'r>,
    beside: Arc<AtomicUsize>,
}

impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form")
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({:?})", self.name())
    }
}

impl<'r> Form<'r> {
    /// The form of a body; `content_type` has the boundary.
    pub fn new(
        content_type: &str,
        body: impl Stream<Item = Result<Bytes, FormError>> + Send + 'r,
    ) -> Result<Self, FormError> {
        let none = |_| FormError::Malformed("an upload is multipart/form-data with a boundary".to_owned());
        let boundary = multer::parse_boundary(content_type).map_err(none)?;
        if !(1..=LONGEST_BOUNDARY).contains(&boundary.len()) {
            return Err(FormError::Malformed(format!("a boundary has 1 to {LONGEST_BOUNDARY} characters")));
        }
        let beside = Arc::new(AtomicUsize::new(BESIDE));
        let parts = multer::Multipart::new(portions(body, beside.clone()), boundary);
        Ok(Self { parts, beside })
    }

    /// The next part; whatever is left of the one before it is skipped.
    pub async fn part(&mut self) -> Result<Option<Part<'r>>, FormError> {
        self.beside.store(BESIDE, Ordering::Relaxed);
        let field = self.parts.next_field().await.map_err(reason)?;
        Ok(field.map(|field| Part { field, beside: self.beside.clone() }))
    }

    /// Fails if another part follows.
    pub async fn end(&mut self) -> Result<(), FormError> {
        self.beside.store(BESIDE, Ordering::Relaxed);
        match self.parts.next_field().await {
            // Without the last `--` another part may begin, but there is none.
            Ok(None) | Err(multer::Error::IncompleteStream) => Ok(()),
            Ok(Some(_)) => Err(FormError::Malformed("the form has a part too many".to_owned())),
            Err(error) => Err(reason(error)),
        }
    }
}

impl Part<'_> {
    /// Its name; empty if it has none.
    pub fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// All of its value, which has at most so many bytes.
    pub async fn text(mut self, longest: usize) -> Result<String, FormError> {
        let mut value = Vec::new();
        while let Some(bytes) = self.field.chunk().await.map_err(reason)? {
            value.extend_from_slice(&bytes);
            if value.len() > longest {
                return Err(FormError::Malformed(format!("{:?} has more than {longest} bytes", self.name())));
            }
        }
        String::from_utf8(value).map_err(|_| FormError::Malformed("a value is not UTF-8".to_owned()))
    }

    /// The next bytes of a value of any length; `None` at its end.
    pub async fn bytes(&mut self) -> Result<Option<Bytes>, FormError> {
        self.beside.store(UNBOUNDED, Ordering::Relaxed);
        let bytes = self.field.chunk().await.map_err(reason)?;
        if bytes.is_none() {
            self.beside.store(BESIDE, Ordering::Relaxed);
        }
        Ok(bytes)
    }
}

/// The body in portions while what is read is not the file, as long as there may be more of that.
fn portions<'r>(
    body: impl Stream<Item = Result<Bytes, FormError>> + Send + 'r,
    beside: Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Bytes, FormError>> + Send + 'r {
    stream::unfold(
        (Box::pin(body), Bytes::new(), beside, false),
        |(mut body, mut rest, beside, given)| async move {
            // One at each poll.
            if given {
                tokio::task::yield_now().await;
            }
            if rest.is_empty() {
                match body.next().await? {
                    Ok(bytes) => rest = bytes,
                    Err(error) => return Some((Err(error), (body, rest, beside, false))),
                }
            }
            let left = beside.load(Ordering::Relaxed);
            if left == UNBOUNDED {
                let all = std::mem::take(&mut rest);
                return Some((Ok(all), (body, rest, beside, true)));
            }
            if left == 0 {
                let error =
                    FormError::Malformed(format!("the form has more than {BESIDE} bytes beside its file"));
                return Some((Err(error), (body, rest, beside, false)));
            }
            let portion = rest.split_to(rest.len().min(PORTION).min(left));
            // Whoever reads it may have taken the bound away meanwhile.
            let _ = beside.compare_exchange(left, left - portion.len(), Ordering::Relaxed, Ordering::Relaxed);
            Some((Ok(portion), (body, rest, beside, true)))
        },
    )
}

/// Why it cannot be read: the body's own reason, or the form's.
fn reason(error: multer::Error) -> FormError {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<FormError>() {
            Ok(own) => *own,
            Err(_) => FormError::Cut,
        },
        multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders => {
            FormError::Malformed("the form ends before its last part does".to_owned())
        }
        other => FormError::Malformed(format!("the form cannot be read: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=B";

    fn form(body: &[u8], piece: usize) -> Form<'_> {
        let pieces = body.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece)));
        Form::new(TYPE, stream::iter(pieces)).unwrap()
    }

    /// Names and values of all parts, and how it ended.
    async fn read(body: &[u8], piece: usize) -> (Vec<(String, Vec<u8>)>, Result<(), FormError>) {
        let (mut form, mut parts) = (form(body, piece), Vec::new());
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
    }

    #[tokio::test]
    async fn parts_are_the_same_however_the_body_is_cut_into_pieces() {
        let body = b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\n\
                     Content-Disposition: form-data; name=\"file\"; filename=\"x/y\"\r\nContent-Type: application/octet-stream\r\n\r\n\
                     \r\n--\r\n--A\r\n\0\xff--B\r\n--B--\r\n";
        let (whole, end) = read(body, body.len()).await;
        assert_eq!(
            whole,
            [("a".to_owned(), b"1".to_vec()), ("file".to_owned(), b"\r\n--\r\n--A\r\n\0\xff--B".to_vec())]
        );
        assert_eq!(end, Ok(()));
        for piece in [1, 2, 3, 7, 50] {
            assert_eq!(read(body, piece).await, (whole.clone(), Ok(())), "{piece}");
        }
    }

    #[tokio::test]
    async fn what_is_not_the_file_is_bounded() {
        let endless = vec![b'x'; 1 << 20];
        let head = [&b"--B\r\nX: "[..], &endless].concat();
        let value =
            [&b"--B\r\nContent-Disposition: form-data; name=\"secret\"\r\n\r\n"[..], &endless].concat();
        for body in [&endless, &head] {
            let error = form(body, 100_000).part().await.unwrap_err();
            assert!(error.to_string().contains("beside its file"), "{error}");
        }
        let part = form(&value, 100_000).part().await.unwrap().unwrap();
        assert!(part.text(128).await.unwrap_err().to_string().contains("more than 128 bytes"));
    }

    #[tokio::test]
    async fn a_form_may_end_without_its_last_dashes_and_not_before_its_last_part_does() {
        let file = "--B\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc";
        for (end, fine) in [
            ("\r\n--B--\r\n", true),
            ("\r\n--B\r\n", true),
            ("\r\n--B", true),
            ("", false),
            ("\r\n--", false),
        ] {
            let body = format!("{file}{end}");
            let mut form = form(body.as_bytes(), 5);
            let mut part = form.part().await.unwrap().unwrap();
            let read = loop {
                match part.bytes().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            drop(part);
            let ended = match read {
                Ok(()) => form.end().await,
                Err(error) => Err(error),
            };
            assert_eq!(ended.is_ok(), fine, "{end:?}: {ended:?}");
        }
    }

    #[test]
    fn only_a_form_with_a_boundary_is_one() {
        let nothing = || stream::empty::<Result<Bytes, FormError>>();
        for odd in [
            "",
            "text/xml",
            "multipart/form-data",
            "multipart/mixed; boundary=B",
            "multipart/form-data; boundary=\"\"",
            &format!("multipart/form-data; boundary={}", "b".repeat(71)),
        ] {
            assert!(matches!(Form::new(odd, nothing()), Err(FormError::Malformed(_))), "{odd}");
        }
        assert!(Form::new("Multipart/Form-Data; boundary=0a1b", nothing()).is_ok());
    }
}

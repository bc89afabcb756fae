//! The readers of `Range`, `If-Range` and `If-None-Match`.

use cheesewire::model::Sha256;
use cheesewire::relay::{Conditions, RangeRequest};

const DIGEST: Sha256 = Sha256([0xab; 32]);

/// Any fields ask for the whole file, for a part that it has, or for none. The size is the first eight bytes; the fields
/// stand after it, with a newline after each.
pub fn want(data: &[u8]) {
    let Some((size, fields)) = data.split_first_chunk::<8>() else { return };
    let Ok(fields) = std::str::from_utf8(fields) else { return };
    let mut fields = fields.splitn(3, '\n').map(str::to_owned);
    let size = u64::from_le_bytes(*size);
    let [range, if_range, if_none_match] = std::array::from_fn(|_| fields.next());
    let etag = format!("\"{DIGEST}\"");

    let want = Conditions { head: false, range, if_range: None, if_none_match };
    let asked = want.asked(Some(DIGEST), Some(size));
    if let RangeRequest::Part(part) = &asked {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
    if let Some(expected) = want.range.as_deref().and_then(|field| plain(field, size)) {
        assert_eq!(asked, expected, "{:?} of {size}", want.range);
    }
    assert_eq!(
        Conditions { head: true, ..want.clone() }.asked(Some(DIGEST), Some(size)),
        RangeRequest::Whole
    );
    assert_eq!(want.asked(Some(DIGEST), None), RangeRequest::Whole);

    // A condition changes nothing, or makes it the whole file.
    let names_it = if_range.as_ref().is_none_or(|validator| validator.trim() == etag);
    let conditional = Conditions { if_range, ..want.clone() }.asked(Some(DIGEST), Some(size));
    assert_eq!(conditional, if names_it { asked } else { RangeRequest::Whole });

    // Only who names the digest, or anything at all, has it.
    if want.is_met_by(Some(DIGEST)) {
        let field = want.if_none_match.as_deref().unwrap_or_default();
        assert!(field.contains(&etag) || field.contains('*'), "{field}");
    }
    assert!(!want.is_met_by(None));
}

/// What a range of the plainest form asks for, worked out in another way.
fn plain(field: &str, size: u64) -> Option<RangeRequest> {
    let (first, last) = field.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (first, last) = (number(first)?, number(last)?);
    Some(if first > last {
        RangeRequest::Whole
    } else if first >= size {
        RangeRequest::Unsatisfiable
    } else {
        RangeRequest::Part(first..size.min(last + 1))
    })
}

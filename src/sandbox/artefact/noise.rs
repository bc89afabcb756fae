//! Bytes that nothing compresses, made by their offset.

/// Chosen once; the digests that `fixtures/` states depend on it.
const SEED: u64 = 0x6368_6565_7365_7769;

/// A well-mixed number for a number (splitmix64).
pub(crate) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `len` bytes from `offset`.
pub(super) fn bytes(offset: u64, len: usize) -> Vec<u8> {
    let skip = usize::from(offset.to_le_bytes()[0] % 8);
    let mut out = Vec::with_capacity(len + 16);
    let mut word = offset / 8;
    while out.len() < skip + len {
        out.extend_from_slice(&mix(SEED ^ word).to_le_bytes());
        word += 1;
    }
    out.truncate(skip + len);
    out.drain(..skip);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_the_same_whatever_the_reader_starts_at() {
        let whole = bytes(0, 100);
        for (from, len) in [(0, 1), (3, 20), (8, 8), (93, 7)] {
            assert_eq!(bytes(from as u64, len), whole[from..from + len]);
        }
    }
}

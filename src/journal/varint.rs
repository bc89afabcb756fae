//! Numbers of as many bytes as they need, as in LEB128: each byte has seven bits, the lowest first, and its highest bit says
//! that more follow.

/// Writes a number behind what is there.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

/// Takes the first number off; `None` if there is none, or one beyond 64 bits.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F).checked_shl(shift).filter(|_| shift < u64::BITS)?;
        if byte < 0x80 {
            break;
        }
    }
    Some(number)
}

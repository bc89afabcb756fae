//! A long list in the making.

/// Items of a piece: with those of the largest lists some hundreds of kilobytes.
const PIECE: usize = 1024;

/// Items as they come, in pieces that stay where they are. A list that grows as one leaves copies of itself behind, which the
/// allocator gives back a second later: up to four times what it holds.
pub(super) struct Pieces<T> {
    full: Vec<Vec<T>>,
    last: Vec<T>,
}

impl<T> Pieces<T> {
    pub(super) fn new() -> Self {
        Self { full: Vec::new(), last: Vec::new() }
    }

    pub(super) fn push(&mut self, item: T) {
        if self.last.len() == PIECE {
            self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(PIECE)));
        }
        self.last.push(item);
    }

    /// Bytes of the list that [`Pieces::joined`] makes beside the pieces.
    pub(super) fn bytes_to_join(&self) -> usize {
        if self.full.is_empty() { 0 } else { self.len() * size_of::<T>() }
    }

    /// All of them, with no room for more.
    pub(super) fn joined(mut self) -> Vec<T> {
        if self.full.is_empty() {
            self.last.shrink_to_fit();
            return self.last;
        }
        let mut all = Vec::with_capacity(self.len());
        for piece in self.full {
            all.extend(piece);
        }
        all.append(&mut self.last);
        all
    }

    fn len(&self) -> usize {
        self.full.len() * PIECE + self.last.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_as_it_came() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let mut pieces = Pieces::new();
            for item in 0..length {
                pieces.push(item);
            }
            let to_join = if length > PIECE { length * size_of::<usize>() } else { 0 };
            assert_eq!(pieces.bytes_to_join(), to_join, "{length}");
            let all = pieces.joined();
            assert_eq!((all.len(), all.capacity()), (length, length));
            assert!(all.into_iter().eq(0..length));
        }
    }
}

//! What fits into a terminal.

use std::borrow::Cow;

/// The columns of the terminal that standard output is. `None` if it is none: then nothing is cut, because a program reads it.
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into())
}

/// A text of at most so many characters. Of a longer one the middle is left out: names differ at both ends.
pub(super) fn fit(text: &str, most: Option<usize>) -> Cow<'_, str> {
    let length = text.chars().count();
    let Some(most) = most.filter(|most| length > *most) else { return text.into() };
    let end = most.saturating_sub(1) / 2;
    let start = most.saturating_sub(1) - end;
    let dots = if most > 0 { "…" } else { "" };
    let characters = || text.chars();
    characters().take(start).chain(dots.chars()).chain(characters().skip(length - end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_does_not_fit_the_middle_is_left_out() {
        for (most, expected) in [
            (None, "wheel-1.0-macos.whl"),
            (Some(19), "wheel-1.0-macos.whl"),
            (Some(18), "wheel-1.0…acos.whl"),
            (Some(9), "whee….whl"),
            (Some(2), "w…"),
            (Some(1), "…"),
            (Some(0), ""),
        ] {
            assert_eq!(fit("wheel-1.0-macos.whl", most), expected, "{most:?}");
        }
        assert_eq!(fit("ééééé", Some(3)), "é…é");
    }
}

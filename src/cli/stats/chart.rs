//! A bar chart in a terminal.

use std::fmt::Write as _;

use indicatif::HumanCount;

/// Columns of a line.
const LINE: usize = 80;
/// Cells of the longest bar, if there is room.
const LONGEST: usize = 40;
/// Eighths of a cell.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// The most characters of a name.
const NAME: usize = 40;

/// A line for each: name, number, and a bar as long as the number is large.
pub(super) fn bars(rows: &[(String, u64)]) -> String {
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let name = |name: &str| -> String { name.chars().filter(|c| !c.is_control()).take(NAME).collect() };
    let names: Vec<String> = rows.iter().map(|(text, _)| name(text)).collect();
    let counts: Vec<String> = rows.iter().map(|(_, count)| HumanCount(*count).to_string()).collect();
    let width = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let (names_width, counts_width) = (width(&names), width(&counts));
    let longest = LINE.saturating_sub(names_width + counts_width + 4).min(LONGEST) as u64;
    let mut chart = String::new();
    for ((_, count), (name, number)) in rows.iter().zip(names.iter().zip(&counts)) {
        let eighths = u128::from(*count) * u128::from(longest * 8) / u128::from(most);
        let eighths = usize::try_from(eighths).unwrap_or(0);
        let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
        // What is there at all is seen.
        let bar = if bar.is_empty() && *count > 0 { EIGHTHS[1] } else { &bar };
        // A string takes it all.
        let _ =
            writeln!(chart, "{}", format!("{name:names_width$}  {number:>counts_width$}  {bar}").trim_end());
    }
    chart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_numbers_are_large_and_the_smallest_is_seen() {
        let rows = [("one", 8000), ("two-longer", 4050), ("three", 1), ("four", 0)];
        let rows = rows.map(|(name, count)| (name.to_owned(), count));
        let full = "█".repeat(40);
        let half = "█".repeat(20);
        let expected = format!(
            "one         8,000  {full}\ntwo-longer  4,050  {half}▎\nthree           1  ▏\nfour            0\n"
        );
        assert_eq!(bars(&rows), expected);
        assert_eq!(bars(&[]), "");
        let long = [("n".repeat(60), u64::MAX), ("n".to_owned(), 1)];
        let lines = bars(&long);
        assert!(lines.lines().all(|line| line.chars().count() <= 80) && lines.contains('█'), "{lines}");
        assert_eq!(
            bars(&[("x\u{1b}[2J".to_owned(), u64::MAX)]).lines().next().unwrap().chars().next(),
            Some('x')
        );
    }
}

//! The settings as a commented TOML file.

use super::Described;

/// Comments are wrapped at this column.
const COLUMNS: usize = 100;

/// Writes all settings: those that differ from their default as values, the others commented out.
pub(super) fn write(settings: &[Described]) -> String {
    let mut out = String::new();
    let mut section = "";
    for setting in settings {
        let (table, key) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if table != section {
            section = table;
            out += if out.is_empty() { "" } else { "\n" };
            out += &["[", table, "]\n"].concat();
        }
        comment(&mut out, &setting.meaning.replace('`', ""));
        let off = if setting.value == setting.default { "# " } else { "" };
        let value = toml::Value::String(setting.value.clone()).to_string();
        out += &[off, key, " = ", &value, "\n"].concat();
    }
    out
}

fn comment(out: &mut String, text: &str) {
    let mut column = 1;
    out.push('#');
    for word in text.split_whitespace() {
        if column + word.len() + 1 > COLUMNS {
            out.push_str("\n#");
            column = 1;
        }
        out.push(' ');
        out.push_str(word);
        column += word.len() + 1;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stands_in_a_file_without_backquotes() {
        let (key, default, value) = ("a.b", "1".to_owned(), "2".to_owned());
        let meaning = "Such as `x=y`.".to_owned();
        assert_eq!(write(&[Described { key, default, value, meaning }]), "[a]\n# Such as x=y.\nb = \"2\"\n");
    }

    #[test]
    fn a_comment_is_wrapped_also_behind_a_line_that_is_just_full() {
        for length in COLUMNS - 4..=COLUMNS {
            let mut out = String::new();
            comment(&mut out, &["x".repeat(length - 2).as_str(), "further words"].join(" "));
            let lines: Vec<&str> = out.lines().collect();
            assert!(lines.iter().all(|line| line.starts_with("# ") && line.len() <= COLUMNS), "{out}");
            assert_eq!(lines.join(" ").replace("# ", ""), "x".repeat(length - 2) + " further words");
        }
    }
}

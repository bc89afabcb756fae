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
            out.push_str(&format!("{}[{table}]\n", if out.is_empty() { "" } else { "\n" }));
        }
        comment(&mut out, setting.meaning);
        let off = if setting.value == setting.default { "# " } else { "" };
        let value = toml::Value::String(setting.value.clone());
        out.push_str(&format!("{off}{key} = {value}\n"));
    }
    out
}

fn comment(out: &mut String, text: &str) {
    let mut column = COLUMNS;
    for word in text.split_whitespace() {
        if column + word.len() + 1 > COLUMNS {
            out.push_str(if column == COLUMNS { "#" } else { "\n#" });
            column = 1;
        }
        out.push(' ');
        out.push_str(word);
        column += word.len() + 1;
    }
    out.push('\n');
}

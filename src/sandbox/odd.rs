//! What other indexes, their proxies and old software send besides what the rules say.

use serde::{Deserialize, Serialize};

/// What is odd about an answer. Nothing of it is done to what it does not fit, such as a member to HTML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Odd {
    /// A member of a JSON page, listing or document has another value, or is there at all.
    Member {
        /// Where: names with dots between them, `*` for every element or member, as in `files.*.size`.
        at: String,
        /// The value as it is written, JSON or not; `{}` in it stands for the true one. `"{}"` in quotes makes a number
        /// a text, `NaN` is not even JSON, `"\ud800"` is half a character.
        raw: String,
    },
    /// A member is missing.
    Missing {
        /// Where.
        at: String,
    },
    /// A member stands there twice, with the same value.
    Repeated {
        /// Where.
        at: String,
    },
    /// Text of an answer is another, wherever it stands.
    Text {
        /// What it is.
        from: String,
        /// What it becomes.
        to: String,
    },
    /// A byte order mark comes first.
    Bom,
    /// The answer says that it is of another type.
    ContentType(String),
    /// The answer has no validator, and is whole each time: many servers make their pages anew for each request.
    NoValidator,
    /// Each row of a changelog has another value in a column, or one more after its last.
    Row {
        /// The column, counted from 0.
        column: usize,
        /// The value; null is nil.
        value: serde_json::Value,
    },
    /// Each row of a changelog ends early.
    ShortRow {
        /// As many columns are left.
        columns: usize,
    },
}

impl Odd {
    pub(super) fn is_of_json(&self) -> bool {
        matches!(self, Self::Member { .. } | Self::Missing { .. } | Self::Repeated { .. })
    }
}

/// What is odd, and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Oddity {
    pub(super) what: Odd,
    /// Only in those elements of an array that contain this: files, projects, rows.
    pub(super) only: Option<String>,
}

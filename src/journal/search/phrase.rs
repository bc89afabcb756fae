//! Questions to the full-text index. What users type reaches it as words alone, so none of it is syntax.

/// A text of a project that can be searched by its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextField {
    /// One line of what it is.
    Summary,
    /// Keywords.
    Keywords,
    /// Who wrote it.
    Author,
    /// His address.
    AuthorEmail,
    /// Who looks after it.
    Maintainer,
    /// His address.
    MaintainerEmail,
    /// The home page's address.
    HomePage,
    /// The licence.
    License,
    /// The long text.
    Description,
    /// What it runs on.
    Platform,
    /// Where else it can be had.
    DownloadUrl,
}

impl TextField {
    /// All of them, in the order of the index's columns.
    pub const ALL: [Self; 11] = [
        Self::Summary,
        Self::Keywords,
        Self::Author,
        Self::AuthorEmail,
        Self::Maintainer,
        Self::MaintainerEmail,
        Self::HomePage,
        Self::License,
        Self::Description,
        Self::Platform,
        Self::DownloadUrl,
    ];

    /// Its name in search and in the JSON API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Keywords => "keywords",
            Self::Author => "author",
            Self::AuthorEmail => "author_email",
            Self::Maintainer => "maintainer",
            Self::MaintainerEmail => "maintainer_email",
            Self::HomePage => "home_page",
            Self::License => "license",
            Self::Description => "description",
            Self::Platform => "platform",
            Self::DownloadUrl => "download_url",
        }
    }
}

/// A field and the values of which one has to be in it, each by all its words.
pub(super) type FieldQuery = (TextField, Vec<Vec<String>>);

/// The question for all of `fields`, or with `every` off for one of them; `None` if nothing can match it.
pub(super) fn question<'a>(fields: impl IntoIterator<Item = &'a FieldQuery>, every: bool) -> Option<String> {
    let parts: Vec<Option<String>> = fields.into_iter().map(field).collect();
    if every {
        let parts: Option<Vec<String>> = parts.into_iter().collect();
        parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join(" AND "))
    } else {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" OR "))
    }
}

fn field((field, values): &FieldQuery) -> Option<String> {
    let values = values.iter().filter(|words| !words.is_empty());
    let values: Vec<String> = values.map(|words| all_of(words)).collect();
    (!values.is_empty()).then(|| format!("({{{}}} : ({}))", field.name(), values.join(" OR ")))
}

fn all_of(words: &[String]) -> String {
    // A word is letters and digits; a quote would end it.
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{}\"", word.replace('"', ""))).collect();
    format!("({})", quoted.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_values_and_words_are_combined() {
        let value = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let asked = [
            (TextField::Summary, vec![value("a b"), value("c")]),
            (TextField::HomePage, vec![value("d")]),
            (TextField::License, vec![vec![]]),
        ];
        let summary = r#"({summary} : (("a" AND "b") OR ("c")))"#;
        let home = r#"({home_page} : (("d")))"#;
        assert_eq!(question(&asked[..2], true), Some(format!("{summary} AND {home}")));
        assert_eq!(question(&asked, false), Some(format!("{summary} OR {home}")));
        assert_eq!(question(&asked, true), None);
        assert_eq!(question(&asked[2..], false), None);
        assert_eq!(question(&[], true), None);
    }
}

//! What a query asks for: `?name=value&…`, each name once.

/// The pairs of a query, decoded.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

/// A name stands there twice, and which of its values is meant nobody can know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is given more than once")]
pub(super) struct Doubled(&'static str);

impl Query {
    /// Reads a query as it stands in an address. What is no UTF-8 in it is U+FFFD.
    pub(super) fn read(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The value of a name; `None` if it is not there.
    pub(super) fn one(&self, name: &'static str) -> Result<Option<&str>, Doubled> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() { Err(Doubled(name)) } else { Ok(first) }
    }
}

//! Pages for people. Whatever is put into them is escaped by the template.

use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use crate::index::About;

/// A page with that title, and what stands below it. It has nothing active, whoever's text it shows.
pub(super) fn page(title: &str, content: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html {
            head { meta charset="utf-8"; title { (title) } }
            body { h1 { (title) } (content) }
        }
    };
    let fields =
        [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, "default-src 'none'")];
    (fields, page.into_string()).into_response()
}

/// A list of links, by address and what they lead to.
pub(super) fn links<'a>(links: impl IntoIterator<Item = (&'a str, &'a str)>) -> Markup {
    html! {
        ul { @for (address, what) in links { li { a href=(address) { (what) } } } }
    }
}

/// What there is to tell of a project or of a release. `more`: where there is more, by address and what it is.
pub(super) fn about(about: &About, more: &[(String, &str)]) -> Response {
    let title = match &about.version {
        Some(version) => format!("{} {version}", about.name),
        None => about.name.clone(),
    };
    let content = html! {
        p { (about.summary) }
        (links(more.iter().map(|(address, what)| (address.as_str(), *what))))
        h2 { "Files" }
        (links(about.files.iter().map(|(name, address)| (address.as_str(), name.as_str()))))
    };
    page(&title, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_that_a_document_says_is_markup() {
        let odd = "<script>\"&</script>";
        let project = About {
            name: odd.to_owned(),
            version: Some(odd.to_owned()),
            summary: odd.to_owned(),
            files: vec![(odd.to_owned(), odd.to_owned())],
        };
        let body = about(&project, &[(odd.to_owned(), "files")]).into_body();
        let page = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let page = String::from_utf8(page.to_vec()).unwrap();
        assert!(!page.contains("<script") && !page.contains("\"&<"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;&quot;&amp;&lt;/script&gt;").count(), 8, "{page}");
    }
}

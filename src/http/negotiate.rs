//! What a client accepts, and who it is: the form of a simple page, that of a feed, and gzip.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, USER_AGENT};

use crate::index::Form;
use crate::rpc::Manner;

/// The form that a client wants most; HTML if it says nothing, wants both alike, or neither.
pub(super) fn form(headers: &HeaderMap) -> Form {
    let wish = |names: &[&str]| names.iter().map(|name| wish_for(headers, name)).max().unwrap_or_default();
    let json = wish(&["application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json"]);
    let html = wish(&[
        "text/html",
        "application/vnd.pypi.simple.v1+html",
        "application/vnd.pypi.simple.latest+html",
    ]);
    if json > html { Form::Json } else { Form::Html }
}

/// Server-sent events for who asks for them by name, as every `EventSource` does; lines for the rest.
pub(super) fn feed(headers: &HeaderMap) -> Manner {
    let (events, lines) = (wish_for(headers, "text/event-stream"), wish_for(headers, "application/x-ndjson"));
    // 3: by its own name, not by a range.
    if events.1 == 3 && events > lines { Manner::ServerSent } else { Manner::Lines }
}

/// Whether HTML is named, and nothing is wanted more: as by browsers, and not by programs, which say nothing or take anything.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let (wish, exactness) = wish_for(headers, "text/html");
    exactness == 3 && items(headers, &ACCEPT).all(|(_, other)| other <= wish)
}

/// Who asks, as it says itself. Of two fields, which bandersnatch 1.0 sends, the first.
pub(super) fn agent(headers: &HeaderMap) -> Option<&str> {
    headers.get(USER_AGENT)?.to_str().ok()
}

/// Whether the client lists gzip by name and does not refuse it. `*` does not count: docs/wire.md section 2, rule 8,
/// asks for the name, and a client that means gzip writes it.
pub(super) fn gzip(headers: &HeaderMap) -> bool {
    let mut listed =
        items(headers, &ACCEPT_ENCODING).filter(|(coding, _)| matches!(coding.as_str(), "gzip" | "x-gzip"));
    listed.next().is_some_and(|(_, thousandths)| thousandths > 0)
}

/// How much a media type is wanted, in thousandths, and how exactly it was named. Only the most exact name counts.
fn wish_for(headers: &HeaderMap, name: &str) -> (u16, u8) {
    let family = name.split('/').next().unwrap_or(name);
    let exactness = |range: &str| match range.strip_suffix("/*") {
        _ if range == name => Some(3),
        Some("*") => Some(1),
        Some(of) if of == family => Some(2),
        Some(_) | None => None,
    };
    let found =
        items(headers, &ACCEPT).filter_map(|(range, wish)| exactness(&range).map(|exact| (exact, wish)));
    match found.max_by_key(|(exact, _)| *exact) {
        // An exact name outdoes a range of the same weight; what is refused is not wanted at all.
        Some((exact, wish)) if wish > 0 => (wish, exact),
        Some(_) | None => (0, 0),
    }
}

/// The items of a list header in lower case, with their weights in thousandths; 1000 where none is said, and 0
/// where it cannot be read.
fn items<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = (String, u16)> + 'a {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (name, weight.map_or(1000, thousandths))
    })
}

fn thousandths(weight: &str) -> u16 {
    let Ok(weight) = weight.parse::<f32>() else { return 0 };
    // Between 0 and 1000 after the bound; NaN becomes 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0).round() as u16;
    thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        [(name, value.parse().unwrap())].into_iter().collect()
    }

    fn chosen(accept: &str) -> Form {
        form(&headers(ACCEPT, accept))
    }

    #[test]
    fn weights_decide_and_html_where_they_do_not() {
        let json = "application/vnd.pypi.simple.v1+json";
        let pip = format!("{json}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01");
        for accept in [
            json,
            &pip,
            "application/vnd.pypi.simple.latest+json",
            &format!("text/html;q=0.5,{json}"),
            &format!("{json}, */*"),
            &format!("*/*;q=0.8, {}", json.to_uppercase()),
        ] {
            assert_eq!(chosen(accept), Form::Json, "{accept}");
        }
        for accept in [
            "*/*",
            "text/html",
            "",
            "image/png",
            "application/json",
            &format!("{json};q=0"),
            &format!("{json};q=0.4, text/*;q=0.5"),
            &format!("{json};q=bad, text/html;q=0.1"),
            &format!("{json}, text/html"),
            "application/vnd.pypi.simple.latest+html",
            "application/vnd.pypi.simple.v2+json",
        ] {
            assert_eq!(chosen(accept), Form::Html, "{accept}");
        }
        assert_eq!(form(&HeaderMap::new()), Form::Html);
    }

    #[test]
    fn server_sent_events_only_for_who_names_them() {
        let chosen = |accept| feed(&headers(ACCEPT, accept));
        for accept in [
            "text/event-stream",
            "text/event-stream, */*;q=0.1",
            "application/x-ndjson;q=0.5, text/event-stream",
        ] {
            assert_eq!(chosen(accept), Manner::ServerSent, "{accept}");
        }
        for accept in
            ["*/*", "text/*", "", "text/event-stream;q=0", "application/x-ndjson, text/event-stream;q=0.9"]
        {
            assert_eq!(chosen(accept), Manner::Lines, "{accept}");
        }
        assert_eq!(feed(&HeaderMap::new()), Manner::Lines);
    }

    #[test]
    fn html_is_preferred_by_who_names_it_and_nothing_above_it() {
        let chosen = |accept| prefers_html(&headers(ACCEPT, accept));
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html",
            "TEXT/HTML;charset=utf-8",
            "application/json;q=0.4, text/html;q=0.5",
        ] {
            assert!(chosen(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "text/html;q=0",
            "application/json",
            "application/json, text/html;q=0.9",
            "text/html;q=bad",
            "text/xml, text/html;q=0.1",
            "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
        ] {
            assert!(!chosen(accept), "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }

    #[test]
    fn gzip_only_for_who_lists_it() {
        let listed = |text| gzip(&headers(ACCEPT_ENCODING, text));
        assert!(listed("gzip, deflate, br") && listed("deflate;q=0.1, GZIP;q=0.5"));
        assert!(
            !listed("identity")
                && !listed("gzip;q=0")
                && !listed("*, gzip;q=0")
                && !listed("*")
                && !listed("")
        );
        assert!(!gzip(&HeaderMap::new()));
    }
}

//! How pip, uv and Python are pointed at this relay, by the address at which the browser knows it.

use maud::{Markup, html};
use url::{Host, Url};

/// The lines to paste. `origin`: scheme, host, port and path, without a `/` at the end; `closed`: reading needs a token.
pub(super) fn lines(origin: &str, closed: bool) -> Markup {
    let trusted = untrusted_host(origin).map_or_else(String::new, |host| format!(" --trusted-host {host}"));
    let origin = if closed { &origin.replacen("://", "://any:TOKEN@", 1) } else { origin };
    html! {
        @if closed {
            p { "Reading needs a token here: put yours in place of TOKEN. Whoever runs the relay makes them, by " code { "cheesewire token add" } "." }
        }
        h3 { "pip" }
        pre {
            "pip install --index-url " (origin) "/simple/" (trusted) " NAME\n"
            "pip config set global.index-url " (origin) "/simple/    # for all that follow\n"
            "pip search --index " (origin) "/pypi WORD    # pip up to 23"
        }
        h3 { "uv" }
        pre { "uv pip install --default-index " (origin) "/simple/ NAME" }
        h3 { "Python" }
        pre {
            "import xmlrpc.client\n"
            "relay = xmlrpc.client.ServerProxy(\"" (origin) "/pypi\")\n"
            "print(relay.package_releases(\"NAME\"))"
        }
    }
}

/// The host that pip has to be told to trust: it takes nothing by plain HTTP but from this machine.
fn untrusted_host(origin: &str) -> Option<String> {
    let url = Url::parse(origin).ok()?;
    let local = match url.host()? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    (url.scheme() == "http" && !local).then(|| url.host_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_filled_in_and_pip_is_told_to_trust_what_it_would_not() {
        for (origin, trusted) in [
            ("http://127.0.0.1:3141", None),
            ("http://localhost:3141", None),
            ("http://[::1]:3141", None),
            ("https://relay.test/index", None),
            ("http://relay.test:81", Some("relay.test")),
            ("http://192.0.2.1", Some("192.0.2.1")),
        ] {
            let page = lines(origin, false).into_string();
            let wanted = trusted.map_or_else(String::new, |host| format!(" --trusted-host {host}"));
            assert!(page.contains(&format!("--index-url {origin}/simple/{wanted} NAME\n")), "{page}");
            assert!(page.contains(&format!("--default-index {origin}/simple/ NAME")), "{page}");
            assert!(page.contains(&format!("ServerProxy(&quot;{origin}/pypi&quot;)")), "{page}");
            assert!(!page.contains("TOKEN"), "{page}");
        }
    }

    #[test]
    fn where_reading_needs_a_token_the_lines_have_a_place_for_it() {
        let page = lines("http://relay.test:81/index", true).into_string();
        assert_eq!(page.matches("http://any:TOKEN@relay.test:81/index/").count(), 5, "{page}");
        assert!(page.contains("--trusted-host relay.test ") && page.contains("token add"), "{page}");
        assert!(!page.contains("//relay.test"), "{page}");
    }

    #[test]
    fn an_odd_address_is_text() {
        let page = lines("http://a&lt;b.test/<script>", false).into_string();
        assert!(!page.contains("<script") && !page.contains("&lt;b"), "{page}");
        // In the five lines, and as the host to trust.
        assert_eq!(page.matches("a&amp;lt;b.test").count(), 6, "{page}");
    }
}

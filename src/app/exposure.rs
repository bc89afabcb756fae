//! What the relay is open to that may not be meant so.

use std::net::SocketAddr;

use crate::http::{Listen, Proxies};

/// Warns about listeners that others than this machine reach. `encrypts`: there is a certificate; `closed`: reading needs a token.
pub(super) fn warn(listens: &[Listen], proxies: &Proxies, encrypts: bool, closed: bool) {
    for warning in warnings(listens, proxies, encrypts, closed) {
        tracing::warn!("{warning}");
    }
}

fn warnings(listens: &[Listen], proxies: &Proxies, encrypts: bool, closed: bool) -> Vec<String> {
    let is_proxied = !proxies.is_empty();
    let warning = |address: SocketAddr| match closed {
        true if is_proxied => None,
        true => Some(format!(
            "{address} listens without TLS: tokens can be read on their way; set tls.certificate and tls.key, or put TLS in front \
             and set clients.trusted_proxies (docs/operate.md)"
        )),
        false => Some(format!(
            "{address} listens without TLS and tokens: whoever reaches it may read all that this relay reads; see \
             \"Who may do what\" in docs/operate.md"
        )),
    };
    // Where there is a certificate, only what was meant to be plain is.
    let open = listens.iter().filter(|listen| !encrypts && !listen.address.ip().to_canonical().is_loopback());
    open.filter_map(|listen| warning(listen.address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Setting as _;

    fn warned(listen: &str, proxies: &str, encrypts: bool, closed: bool) -> usize {
        let listens = Vec::<Listen>::read(listen).unwrap();
        warnings(&listens, &proxies.parse().unwrap(), encrypts, closed).len()
    }

    #[test]
    fn who_listens_for_a_network_without_tls_and_tokens_is_warned() {
        for loopback in ["127.0.0.1:1", "[::1]:1", "localhost:1, 127.9.9.9:2", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(warned(loopback, "", false, false), 0, "{loopback}");
        }
        assert_eq!(warned("0.0.0.0:1, 127.0.0.1:2, [::]:3", "", false, false), 2);
        assert_eq!(warned("192.0.2.1:1", "", true, false), 0);
        assert_eq!(warned("192.0.2.1:1, 192.0.2.1:2?plain", "", true, true), 0);
        // Whoever is in front may encrypt, and cannot know who may ask.
        assert_eq!(warned("192.0.2.1:1", "192.0.2.2", false, false), 1);
        assert_eq!(warned("192.0.2.1:1", "192.0.2.2", false, true), 0);
        assert_eq!(warned("192.0.2.1:1", "", false, true), 1);
    }
}

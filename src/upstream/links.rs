//! What links and redirects of the index may lead to: the index's own host and port, the public internet, and what
//! `upstream.allowed_hosts` lists.
//!
//! Who may write a page, or has an old one's host, could otherwise have the relay ask the machines beside it and give out
//! what they say. A name is resolved once, and the connection goes to an address that was found allowed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::addresses::Addresses;
use super::{AllowedHosts, UpstreamError, UpstreamSettings};
use crate::metric;
use crate::model::{Algorithm, Digest, is_public};

/// Why a link is not followed. Says nothing of what is behind it: clients see this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It leads to an address that is not public.
    #[error(
        "the index links to an address that is neither its own nor public; it is asked only if upstream.allowed_hosts \
         lists it"
    )]
    Private,
    /// It leads to a port that may be a private one, through a proxy that cannot be asked where.
    #[error(
        "the index links to an unusual port, which is asked through a proxy only if upstream.allowed_hosts lists the host"
    )]
    Port,
    /// It is not encrypted, and nothing tells whether what comes is right.
    #[error(
        "the index, which is encrypted, links to what is not, without a SHA-256 digest or a stronger one"
    )]
    ClearText,
}

/// Which connections a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// To the very host that the link names: it is known to be allowed, or a proxy finds it.
    Open,
    /// To those addresses of the host that are allowed.
    Filtered,
}

/// The rule.
#[derive(Debug)]
pub(super) struct Links {
    /// Hosts and ports of the index.
    own: Vec<(Host<String>, Option<u16>)>,
    allowed: Arc<AllowedHosts>,
    /// The index is encrypted.
    encrypted: bool,
    /// As reqwest has it, by the same code.
    proxies: Matcher,
}

impl Links {
    pub(super) fn new(settings: &UpstreamSettings, addresses: &Addresses) -> Self {
        Self::through(settings, addresses, Matcher::from_system())
    }

    fn through(settings: &UpstreamSettings, addresses: &Addresses, proxies: Matcher) -> Self {
        let own = std::iter::once(addresses.base()).chain(addresses.candidates());
        let own = own.filter_map(|url| Some((url.host()?.to_owned(), url.port_or_known_default())));
        Self {
            own: own.collect(),
            allowed: Arc::new(settings.allowed_hosts.clone()),
            encrypted: addresses.base().scheme() == "https",
            proxies,
        }
    }

    /// How to ask for a link, if it may be followed.
    pub(super) fn route(&self, url: &Url) -> Result<Route, Refusal> {
        let Some(host) = url.host() else { return Err(Refusal::Private) };
        let port = url.port_or_known_default();
        let is_own = |(own, at): &(Host<String>, Option<u16>)| *own == host && *at == port;
        if self.own.iter().any(is_own) || self.allowed.names(url) {
            return Ok(Route::Open);
        }
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(four) => Some(IpAddr::from(four)),
            Host::Ipv6(six) => Some(IpAddr::from(six)),
        };
        match address {
            Some(address) if may_reach(&self.allowed, address) => Ok(Route::Open),
            Some(_) => Err(Refusal::Private),
            None if !self.is_proxied(url) => Ok(Route::Filtered),
            None if matches!(port, Some(80 | 443)) => Ok(Route::Open),
            None => Err(Refusal::Port),
        }
    }

    fn is_proxied(&self, url: &Url) -> bool {
        url.as_str().parse().is_ok_and(|uri| self.proxies.intercept(&uri).is_some())
    }

    /// Fails if a link of the index is less safe than the index itself: not encrypted, and without a digest that tells.
    pub(super) fn check_clear_text(&self, url: &Url, digest: Option<&Digest>) -> Result<(), Refusal> {
        let strong = digest.is_some_and(|digest| digest.algorithm() >= Algorithm::WEAKEST_TRUSTED);
        if self.is_downgrade(url) && !strong { Err(Refusal::ClearText) } else { Ok(()) }
    }

    /// An encrypted index links to what is not encrypted.
    pub(super) fn is_downgrade(&self, url: &Url) -> bool {
        self.encrypted && url.scheme() != "https"
    }

    /// What resolves names for [`Route::Filtered`].
    pub(super) fn resolver(&self) -> Arc<impl Resolve + use<>> {
        Arc::new(FilteringResolver { allowed: Arc::clone(&self.allowed) })
    }
}

fn may_reach(allowed: &AllowedHosts, address: IpAddr) -> bool {
    is_public(address) || allowed.contain(address)
}

/// Resolves a name to those of its addresses that may be reached.
struct FilteringResolver {
    allowed: Arc<AllowedHosts>,
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            // The port of the link takes the place of this one.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let reachable: Addrs = Box::new(filtered(&allowed, found)?.into_iter());
            Ok(reachable)
        })
    }
}

/// Those that may be reached; an error if there are others only.
fn filtered(
    allowed: &AllowedHosts,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Refusal> {
    let (reachable, others): (Vec<_>, Vec<_>) = found.partition(|at| may_reach(allowed, at.ip()));
    if reachable.is_empty() && !others.is_empty() { Err(Refusal::Private) } else { Ok(reachable) }
}

impl super::Upstream {
    /// Fails if a page's link is not to be followed because neither encryption nor a digest protects what comes: it is not
    /// encrypted, although the index is, and the page states no SHA-256 or stronger one. Whether the link's host may be
    /// asked is checked when it is asked.
    pub fn check_clear_text(&self, url: &Url, digest: Option<&Digest>) -> Result<(), UpstreamError> {
        let checked = self.transport.links.check_clear_text(url, digest);
        checked.map_err(|refusal| refusal.report(url))
    }
}

impl Refusal {
    /// Logs and counts it.
    pub(super) fn report(self, url: &Url) -> UpstreamError {
        metrics::counter!(metric::UPSTREAM_REFUSED_LINKS_TOTAL, "why" => self.word()).increment(1);
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
        tracing::warn!(scheme = url.scheme(), host, port, refusal = %self, "a link of upstream's is not followed");
        UpstreamError::Refused(self)
    }

    /// The word for metrics.
    fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Port => "port",
            Self::ClearText => "clear_text",
        }
    }
}

#[cfg(test)]
mod tests;

//! What links and redirects of the index may lead to: the index's own host and port, the public internet, and what
//! `upstream.allowed_hosts` lists.
//!
//! Who may write a page, or has an old one's host, could otherwise have the relay ask the machines beside it and give out
//! what they say. A name is resolved once, and the connection goes to an address that was found allowed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::addresses::Addresses;
use super::error::Refusal;
use super::{AllowedHosts, UpstreamSettings};
use crate::model::{Algorithm, Digest, is_public};

/// Which connections a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// To the very host that the link names: it is known to be allowed, or a proxy finds it.
    Open,
    /// To those addresses of the host that are allowed.
    Filtered,
}

/// Clients for links, with the same manners.
#[derive(Debug)]
pub(super) struct Routes {
    /// For [`Route::Open`].
    pub(super) open: Client,
    /// For [`Route::Filtered`].
    pub(super) filtered: Client,
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

#[cfg(test)]
mod tests;

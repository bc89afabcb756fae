//! Which links are followed, and how.

use super::*;

fn links(base: &str, allowed: &str, proxy: Option<&str>) -> Links {
    let mut settings = UpstreamSettings::new(base.parse().unwrap());
    settings.allowed_hosts = allowed.parse().unwrap();
    let addresses = Addresses::new(&settings.base, settings.simple.as_ref()).unwrap();
    let proxies = proxy.map_or_else(Matcher::builder, |proxy| Matcher::builder().all(proxy.to_owned()));
    Links::through(&settings, &addresses, proxies.build())
}

fn route(links: &Links, url: &str) -> Result<Route, Refusal> {
    links.route(&url.parse().unwrap())
}

#[test]
fn a_private_index_is_asked_at_its_own_host_and_port_alone() {
    let links = links("http://10.0.0.5:8080/simple/", "", None);
    assert_eq!(route(&links, "http://10.0.0.5:8080/packages/a-1.zip"), Ok(Route::Open));
    for other in ["http://10.0.0.5/", "https://10.0.0.5/", "http://10.0.0.5:22/", "http://10.0.0.6:8080/"] {
        assert_eq!(route(&links, other), Err(Refusal::Private), "{other}");
    }
    let links = self::links("http://index.corp.test:8080/", "", None);
    assert_eq!(route(&links, "http://index.corp.test:8080/a-1.zip"), Ok(Route::Open));
    for other in ["http://index.corp.test:22/", "http://index.corp.test.:8080/", "http://localhost/"] {
        assert_eq!(route(&links, other), Ok(Route::Filtered), "{other}");
    }
}

#[test]
fn the_simple_index_that_is_set_is_the_indexs_own() {
    let mut settings = UpstreamSettings::new("http://10.0.0.5/".parse().unwrap());
    settings.simple = Some("http://10.0.0.6:81/simple/".parse().unwrap());
    let addresses = Addresses::new(&settings.base, settings.simple.as_ref()).unwrap();
    let links = Links::through(&settings, &addresses, Matcher::builder().build());
    assert_eq!(route(&links, "http://10.0.0.6:81/packages/a-1.zip"), Ok(Route::Open));
    assert_eq!(route(&links, "http://10.0.0.6/packages/a-1.zip"), Err(Refusal::Private));
}

#[test]
fn a_private_address_is_refused_in_every_spelling() {
    let links = links("https://index.test/", "", None);
    for hostile in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://127.0.0.1./",
        "http://%31%32%37.0.0.1/",
        "http://１２７.0.0.1/",
        "http://0/",
        "http:\\\\127.0.0.1\\x",
        "https://user@169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b:1::a9fe:a9fe]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://100.64.0.1/",
    ] {
        assert_eq!(route(&links, hostile), Err(Refusal::Private), "{hostile}");
    }
    for public in ["https://1.1.1.1/", "https://[2606:4700::1111]:8443/"] {
        assert_eq!(route(&links, public), Ok(Route::Open), "{public}");
    }
    assert_eq!(route(&links, "https://files.test:8443/"), Ok(Route::Filtered));
}

#[test]
fn what_is_listed_is_asked() {
    let links = links("https://index.test/", "files.corp.test:8080, 10.1.0.0/16, 127.0.0.1", None);
    for listed in ["http://files.corp.test:8080/", "http://10.1.2.3:99/", "http://127.1:3/"] {
        assert_eq!(route(&links, listed), Ok(Route::Open), "{listed}");
    }
    assert_eq!(route(&links, "http://files.corp.test/"), Ok(Route::Filtered));
    assert_eq!(route(&links, "http://10.2.0.1/"), Err(Refusal::Private));
}

#[test]
fn through_a_proxy_literal_addresses_and_ports_are_checked() {
    let links = links("http://index.corp.test:8080/", "files.corp.test", Some("http://proxy.test:3128"));
    assert_eq!(route(&links, "http://index.corp.test:8080/x"), Ok(Route::Open));
    assert_eq!(route(&links, "https://files.test/x"), Ok(Route::Open));
    assert_eq!(route(&links, "http://files.corp.test:81/x"), Ok(Route::Open));
    assert_eq!(route(&links, "http://index.corp.test:22/x"), Err(Refusal::Port));
    assert_eq!(route(&links, "https://files.test:6379/x"), Err(Refusal::Port));
    assert_eq!(route(&links, "http://169.254.169.254/x"), Err(Refusal::Private));
}

#[test]
fn a_name_leads_to_its_allowed_addresses_only() {
    let allowed: AllowedHosts = "10.1.0.0/16".parse().unwrap();
    let resolved = |addresses: &[&str]| {
        let found = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0));
        filtered(&allowed, found).map(|found| found.iter().map(|at| at.ip().to_string()).collect::<Vec<_>>())
    };
    assert_eq!(resolved(&["127.0.0.1", "1.1.1.1", "::1", "10.1.0.9"]).unwrap(), ["1.1.1.1", "10.1.0.9"]);
    assert_eq!(resolved(&["127.0.0.1", "fd00::1"]), Err(Refusal::Private));
    assert_eq!(resolved(&[]), Ok(vec![]));
}

#[test]
fn clear_text_needs_a_digest_only_where_the_index_is_encrypted() {
    let digest = |name: &str, bytes: usize| Digest::parse(name, &"ab".repeat(bytes)).unwrap();
    let check = |base: &str, url: &str, digest: Option<&Digest>| {
        links(base, "", None).check_clear_text(&url.parse().unwrap(), digest)
    };
    let (https, file) = ("https://index.test/", "http://files.test/a-1.zip");
    for weak in [None, Some(digest("md5", 16)), Some(digest("sha1", 20)), Some(digest("sha224", 28))] {
        assert_eq!(check(https, file, weak.as_ref()), Err(Refusal::ClearText), "{weak:?}");
        assert_eq!(check("http://index.test/", file, weak.as_ref()), Ok(()));
        assert_eq!(check(https, "https://files.test/a-1.zip", weak.as_ref()), Ok(()));
    }
    for strong in [digest("sha256", 32), digest("sha3_256", 32), digest("blake2s", 32), digest("sha512", 64)]
    {
        assert_eq!(check(https, file, Some(&strong)), Ok(()), "{strong:?}");
    }
}

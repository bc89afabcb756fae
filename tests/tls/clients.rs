//! Real clients over the relay's own TLS, with a token.

use cheesewire::tokens::{self, Scope};

use super::{Encrypted, HTTP1};
use crate::support::bandersnatch::{Bandersnatch, Mirror};
use crate::support::installers::Installer;
use crate::support::programs::{client_program, environment, run};

/// Asks as an old program does: the user and the password stand in the address.
const PYTHON: &str = r#"
import ssl, sys, urllib.error, urllib.request, xmlrpc.client
host, token, certificate = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)
server = xmlrpc.client.ServerProxy("https://any:%s@%s/pypi" % (token, host), context=context)
assert server.package_releases("wire-top") == ["2.0"], "the call"
links = [entry["url"] for entry in server.release_urls("wire-top", "2.0")]
assert links and all(link.startswith("https://%s/packages/" % host) for link in links), links
for wrong in ("", "any:wrong@"):
    try:
        xmlrpc.client.ServerProxy("https://%s%s/pypi" % (wrong, host), context=context).list_packages()
        raise AssertionError("let in")
    except xmlrpc.client.ProtocolError as error:
        assert error.errcode == 401, error
ask = urllib.request.Request(links[0], headers={"Authorization": "Bearer " + token})
assert urllib.request.urlopen(ask, context=context).read(), "the file"
"#;

/// A relay that lets nobody in without a token; a token; and the authority's certificate in a file.
async fn closed() -> (Encrypted, String, String) {
    let bench = Encrypted::start(&["auth.interval=10ms"]).await;
    let token = tokens::add(&bench.relay.folder().join(tokens::FILE), "ci", Scope::Read, None, 0).unwrap();
    let url = format!("{}simple/", bench.url);
    let client = bench.client(HTTP1);
    crate::support::until("it stays open", async || client.get(&url).send().await.unwrap().status() == 401)
        .await;
    let authority = bench.folder.path().join("authority.pem");
    std::fs::write(&authority, bench.authority.pem()).unwrap();
    (bench, token, authority.to_str().unwrap().to_owned())
}

#[tokio::test]
#[ignore = "runs python3"]
async fn xmlrpc_client_shows_its_token_and_is_told_what_is_wrong_without() {
    let (bench, token, authority) = closed().await;
    let host = bench.url.trim_start_matches("https://").trim_end_matches('/');
    run(client_program("python3").args(["-c", PYTHON, host, &token, &authority])).await;
}

#[tokio::test]
#[ignore = "installs pip and uv from the index of this machine's pip"]
async fn pip_and_uv_install_with_a_token_and_not_without() {
    let (bench, token, authority) = closed().await;
    let bin = environment(&["pip==26.3", "uv==0.13.9"]).await;
    let with = |user: &str| bench.url.replace("https://", &format!("https://{user}")) + "simple/";
    let folder = bench.folder.path();
    for installer in [Installer::Pip, Installer::Uv] {
        let trust: &[&str] = match installer {
            Installer::Pip => &["--cert", &authority, "--no-input"],
            // It has no such option: see SSL_CERT_FILE.
            Installer::Uv => &[],
        };
        let install = async |index: &str| {
            installer.install_trusting(&authority, trust, &bin, folder, index, "wire-top").await
        };
        let installed = install(&with(&format!("any:{token}@"))).await.expect("it is let in");
        assert!(installed.contains(&"wire_top-2.0.dist-info".to_owned()), "{installed:?}");
        for wrong in ["", "any:wrong@"] {
            assert_eq!(install(&with(wrong)).await, None, "{installer:?} {wrong}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 6.6.0 by pip"]
async fn bandersnatch_mirrors_with_a_token_from_netrc_and_not_without() {
    mirrors_with_a_token_and_not_without(Bandersnatch::Calls).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 with venv, and installs bandersnatch 3.6.0 by pip"]
async fn bandersnatch_3_6_mirrors_with_a_token_from_netrc_and_not_without() {
    mirrors_with_a_token_and_not_without(Bandersnatch::Requests).await;
}

async fn mirrors_with_a_token_and_not_without(bandersnatch: Bandersnatch) {
    let (bench, token, authority) = closed().await;
    let folder = tempfile::tempdir().unwrap();
    let netrc = folder.path().join("netrc");
    // aiohttp goes by the first one, requests by the second.
    let variables = vec![
        ("SSL_CERT_FILE", authority.clone()),
        ("REQUESTS_CA_BUNDLE", authority),
        ("NETRC", netrc.to_str().unwrap().to_owned()),
    ];
    let mirror = Mirror::of(bandersnatch, folder.path(), &bench.url, variables).await;
    let shows = |token: &str| {
        std::fs::write(&netrc, format!("machine 127.0.0.1 login any password {token}\n")).unwrap();
    };
    shows("wrong");
    assert!(!mirror.try_run().await, "it is let in");
    // Links have no user of their own: the file's is taken for them too.
    shows(&token);
    assert!(mirror.try_run().await, "it is not let in");
    mirror.is_exact(&bench.sandbox);
}

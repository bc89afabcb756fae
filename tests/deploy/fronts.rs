//! Servers that end TLS in front of a relay, by the configuration in `deploy/`: nginx and Caddy, asked by pip, uv and Python.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{deploy, text};
use crate::support::programs::{client_program, environment, run};
use crate::support::{Relay, sandbox, until};

/// Where the server listens: nothing else of the tests does, so that a port that was free there is free.
const ADDRESS: &str = "127.0.0.9";

/// A server with a certificate of its own before a relay.
struct Front {
    url: String,
    folder: TempDir,
    _server: Child,
    _relay: Relay,
    _sandbox: cheesewire::sandbox::Sandbox,
}

/// An authority of the test's, and a certificate of its for an address.
const CERTIFICATES: &str = r#"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=authority" -keyout authority.key -out authority.pem
openssl req -newkey rsa:2048 -nodes -subj "/CN=relay.test" -keyout key.pem -out request.pem
printf 'basicConstraints=CA:FALSE\nsubjectAltName=IP:%s\n' "$0" > more
openssl x509 -req -in request.pem -CA authority.pem -CAkey authority.key -days 2 -extfile more -out certificate.pem
"#;

/// Puts `new` where `old` stands, which has to stand there.
fn put(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old} is missing");
    text.replace(old, new)
}

impl Front {
    /// `configure`: its command for this folder, the relay's address and its own.
    async fn start(configure: impl FnOnce(&Path, &str, &str) -> Command) -> Self {
        let sandbox = sandbox().await;
        let relay = Relay::start(&sandbox.url(), &["clients.trusted_proxies=127.0.0.1"]).await;
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("sh").args(["-ec", CERTIFICATES, ADDRESS]).current_dir(folder.path())).await;
        let free = TcpListener::bind((ADDRESS, 0)).unwrap().local_addr().unwrap();
        let to = relay.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let mut command = configure(folder.path(), &to, &free.to_string());
        let server = command.kill_on_drop(true).spawn().unwrap();
        let url = format!("https://{free}/");
        until("it does not listen", async || tokio::net::TcpStream::connect(free).await.is_ok()).await;
        Self { url, folder, _server: server, _relay: relay, _sandbox: sandbox }
    }

    async fn nginx() -> Self {
        Self::start(|folder, relay, own| {
            let proxy = deploy("nginx/cheesewire-proxy.conf");
            let site = put(&text("nginx/cheesewire.conf"), "127.0.0.1:3141", relay);
            let site = put(&site, "/etc/nginx/cheesewire-proxy.conf", proxy.to_str().unwrap());
            let place = |name: &str| folder.join(name).to_str().unwrap().to_owned();
            let site = put(&site, "/etc/ssl/cheesewire/fullchain.pem", &place("certificate.pem"));
            let site = put(&site, "/etc/ssl/cheesewire/privkey.pem", &place("key.pem"));
            let site = put(&site, "listen 80;", &format!("listen unix:{};", place("clear")));
            let site = put(&site, "listen 443 ssl", &format!("listen {own} ssl"));
            std::fs::write(folder.join("site.conf"), site).unwrap();
            // As whoever runs the tests, in one process.
            let whole = format!(
                "daemon off; master_process off; pid {}; error_log stderr crit;
                events {{ worker_connections 256; }}
                http {{
                    access_log off; client_body_temp_path {0}.body; proxy_temp_path {0}.proxy; fastcgi_temp_path {0}.f;
                    uwsgi_temp_path {0}.u; scgi_temp_path {0}.s; include {};
                }}",
                place("nginx.pid"),
                place("site.conf")
            );
            std::fs::write(folder.join("nginx.conf"), whole).unwrap();
            let mut command = Command::new("nginx");
            command.arg("-e").arg("stderr").arg("-c").arg(folder.join("nginx.conf"));
            command
        })
        .await
    }

    async fn caddy() -> Self {
        Self::start(|folder, relay, own| {
            let site = put(&text("caddy/Caddyfile"), "127.0.0.1:3141", relay);
            let certificate = format!("\ttls {0}/certificate.pem {0}/key.pem\n", folder.display());
            let site = put(&site, "pypi.corp.example {\n", &format!("https://{own} {{\n{certificate}"));
            let whole = format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}");
            std::fs::write(folder.join("Caddyfile"), whole).unwrap();
            let mut command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
            command
                .env("XDG_DATA_HOME", folder)
                .env("XDG_CONFIG_HOME", folder)
                .stderr(std::process::Stdio::null());
            command
        })
        .await
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }
}

/// Asks as a stranger's program would. The relay's links must lead to where it asked, whatever else it claims.
const PYTHON: &str = r#"
import http.client, json, ssl, sys, urllib.request, xmlrpc.client
url, certificate = sys.argv[1:]
context = ssl.create_default_context(cafile=certificate)
server = xmlrpc.client.ServerProxy(url + "pypi", context=context)
assert server.package_releases("wire-core"), "the call"
links = [entry["url"] for entry in server.release_urls("wire-core", "1.1")]
lies = {"X-Forwarded-Host": "evil.test", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Port": "1",
        "X-Forwarded-Proto": "http", "X-Forwarded-For": "127.0.0.1",
        "Accept": "application/vnd.pypi.simple.v1+json"}
page = urllib.request.Request(url + "simple/wire-core/", headers=lies)
links += [entry["url"] for entry in json.load(urllib.request.urlopen(page, context=context))["files"]]
assert len(links) > 1 and all(link.startswith(url + "packages/") for link in links), links
for link in links:
    assert urllib.request.urlopen(link, context=context).read(), link
feed = urllib.request.urlopen(url + "journal/events?since=0&follow=true", context=context)
assert feed.readline().strip(), "the feed"
feed.close()
def status(source, path):
    connection = http.client.HTTPSConnection(url.split("/")[2], context=context, source_address=(source, 0))
    connection.request("GET", "/" + path)
    return connection.getresponse().status
print([status(source, path) for path in ("metrics", "readyz", "healthz") for source in ("127.0.0.1", "127.0.0.2")])
"#;

async fn clients_are_served(front: &Front) {
    let authority = front.authority();
    let authority = authority.to_str().unwrap();
    let said = run(client_program("python3").args(["-c", PYTHON, &front.url, authority])).await;
    assert_eq!(said.trim(), "[200, 403, 200, 403, 200, 200]");
    let bin = environment(&["pip==26.3", "uv==0.13.9"]).await;
    let (simple, target) = (format!("{}simple/", front.url), front.folder.path());
    let mut pip = client_program(bin.join("python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-cache-dir",
        "--cert",
        authority,
        "--index-url",
        &simple,
        "--target",
    ]);
    run(pip.arg(target.join("pip")).arg("wire-top")).await;
    let mut uv = client_program(bin.join("uv"));
    uv.env("SSL_CERT_FILE", authority).args(["pip", "install", "--no-cache", "--no-config", "--python"]);
    uv.arg(bin.join("python")).args(["--index-url", &simple, "--target"]);
    run(uv.arg(target.join("uv")).arg("wire-top")).await;
    for installer in ["pip", "uv"] {
        assert!(target.join(installer).join("wire_top-2.0.dist-info").is_dir(), "{installer}");
    }
}

#[tokio::test]
#[ignore = "runs nginx and openssl; installs pip and uv from the index of this machine's pip"]
async fn pip_uv_and_python_are_served_behind_nginx() {
    let front = Front::nginx().await;
    clients_are_served(&front).await;
    // What is not encrypted leads there, but for pushed files.
    let clear = front.folder.path().join("clear");
    let answer = async |path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", "--unix-socket"])
            .arg(&clear);
        run(curl.arg(format!("http://pypi.corp.example{path}"))).await
    };
    assert_eq!(answer("/simple/a?b=c").await, "308 https://pypi.corp.example/simple/a?b=c");
    assert!(!answer("/mkupload/wrong").await.starts_with("308"), "it is the relay's answer");
}

#[tokio::test]
#[ignore = "runs caddy and openssl; installs pip and uv from the index of this machine's pip"]
async fn pip_uv_and_python_are_served_behind_caddy() {
    clients_are_served(&Front::caddy().await).await;
}

//! A relay under a service manager, which the test stands for.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram, UnixListener};
use std::path::Path;
use std::process::Stdio;

use cheesewire::sandbox::{Effect, Fault, Route};
use cheesewire::xmlrpc::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use crate::support::process::BINARY;
use crate::support::{call, connect, get, sandbox, within};

/// Its own address is one that nobody can listen on.
const NOWHERE: &str = "192.0.2.1:1";
/// As a manager starts what it hands one socket to.
const ONE: &str = "LISTEN_FDS=1 LISTEN_PID=$$";

/// Runs `serve` with what is handed to it as its first socket, and these variables set in a shell.
fn serve(
    folder: &TempDir,
    variables: &str,
    handed: impl Into<OwnedFd>,
    more: impl FnOnce(&mut Command),
) -> Child {
    // The manager passes sockets from descriptor 3 on, and names the process that they are for.
    let script = format!("exec 3<&0 0</dev/null; {variables} exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", BINARY, "serve", "--data"]);
    command.arg(folder.path().join("data"));
    command.env("CHEESEWIRE_UPSTREAM__URL", "http://127.0.0.1:1/").env("CHEESEWIRE_HTTP__LISTEN", NOWHERE);
    for setting in ["follow.enabled=false", "signing.enabled=false", "cache.free_floor=0"] {
        command.args(["--set", setting]);
    }
    more(&mut command);
    command.stdin(Stdio::from(handed.into())).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

fn manager(folder: &TempDir) -> (UnixDatagram, impl FnOnce(&mut Command)) {
    let path = folder.path().join("manager");
    let manager = UnixDatagram::bind(&path).unwrap();
    (manager, move |command: &mut Command| {
        command.env("NOTIFY_SOCKET", &path);
    })
}

/// What the manager is told next.
async fn told(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = within("nothing is told", manager.recv(&mut buffer)).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// Its exit code and what it said.
async fn ended(relay: Child) -> (Option<i32>, String) {
    let output = within("it does not end", relay.wait_with_output()).await.unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn it_serves_on_the_socket_that_it_is_given_and_tells_when_and_that_it_lives() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, url) = listener();
    // An abstract name.
    let name = format!("cheesewire-test-{}", listener.local_addr().unwrap().port());
    let manager = StdUnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    manager.set_nonblocking(true).unwrap();
    let manager = UnixDatagram::from_std(manager).unwrap();
    let _relay = serve(&folder, ONE, listener, |command| {
        command.env("NOTIFY_SOCKET", format!("@{name}")).env("WATCHDOG_USEC", "3000");
    });
    assert_eq!(told(&manager).await, "READY=1");
    assert_eq!(get(&format!("{url}healthz")).await.status, 200);
    for _ in 0..3 {
        assert_eq!(told(&manager).await, "WATCHDOG=1");
    }
}

#[tokio::test]
async fn it_tells_that_it_stops_before_running_requests_have_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, url) = listener();
    let (manager, tell) = manager(&folder);
    let mut relay = serve(&folder, ONE, listener, |command| {
        // The signs of life that another process is to give are not its.
        command.env("WATCHDOG_USEC", "3000").env("WATCHDOG_PID", "1");
        command.args(["--set", "http.drain=2h"]);
        tell(command);
    });
    assert_eq!(told(&manager).await, "READY=1");
    // Once it is told to go on, the request runs.
    let mut client = connect(&url).await;
    let head = "POST /pypi HTTP/1.1\r\nHost: relay.test\r\nContent-Type: text/xml\r\nContent-Length: 3\r\n\
                Expect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 12];
    within("the request does not begin", client.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100");
    let terminate = Command::new("kill").arg(relay.id().unwrap().to_string()).status().await.unwrap();
    assert!(terminate.success());
    assert_eq!(told(&manager).await, "STOPPING=1\nEXTEND_TIMEOUT_USEC=7210000000");
    assert_eq!(relay.try_wait().unwrap(), None);
    client.write_all(b"nix").await.unwrap();
    let mut answer = String::new();
    within("no answer", client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
    assert!(within("it does not end", relay.wait()).await.unwrap().success());
}

#[tokio::test]
async fn what_cannot_start_is_never_ready() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), "no folder").unwrap();
    let (manager, tell) = manager(&folder);
    let relay = serve(&folder, ONE, listener().0, tell);
    let (code, said) = ended(relay).await;
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(manager.try_recv(&mut [0; 64]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn what_is_no_socket_that_listens_is_refused_and_the_complaint_names_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, _) = listener();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let handed: [OwnedFd; 4] = [
        tempfile::tempfile().unwrap().into(),
        UnixListener::bind(folder.path().join("local")).unwrap().into(),
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        connected.into(),
    ];
    for (at, handed) in handed.into_iter().enumerate() {
        let (code, said) = ended(serve(&folder, ONE, handed, |_| ())).await;
        assert_eq!(code, Some(64), "{at}: {said}");
        assert!(said.contains("descriptor 3") && said.contains("ListenStream=ADDRESS:PORT"), "{at}: {said}");
    }
    // One is there, and another one is said to be.
    let handed = listener.try_clone().unwrap();
    let (code, said) = ended(serve(&folder, "LISTEN_FDS=2 LISTEN_PID=$$", handed, |_| ())).await;
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("descriptor 4") && said.contains("ListenStream=ADDRESS:PORT"), "{said}");
    for count in ["65", "-1", "18446744073709551615", "many"] {
        let variables = format!("LISTEN_FDS={count} LISTEN_PID=$$");
        let (code, said) = ended(serve(&folder, &variables, listener.try_clone().unwrap(), |_| ())).await;
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(count) && said.contains("at most that many ListenStream= lines"), "{said}");
    }
}

#[tokio::test]
async fn sockets_of_another_process_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    for variables in
        ["LISTEN_FDS=1 LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_PID=$$", "LISTEN_FDS=0 LISTEN_PID=$$"]
    {
        let (_, said) = ended(serve(&folder, variables, listener().0, |_| ())).await;
        assert!(said.contains(&format!("can't listen on {NOWHERE}")), "{variables}: {said}");
    }
}

#[tokio::test]
async fn the_deadline_of_an_address_goes_to_the_socket_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, url) = listener();
    let sandbox = sandbox().await;
    sandbox.faults().add(Fault::on(Route::Json, Effect::Delay { millis: 3_600_000 })).unwrap();
    let _relay = serve(&folder, ONE, listener, |command| {
        command.args(["--upstream", &sandbox.url()]);
        command.env("CHEESEWIRE_HTTP__LISTEN", format!("{NOWHERE}?deadline=0.2"));
        for setting in ["rpc.deadline", "index.deadline", "upstream.read_timeout", "upstream.answer_timeout"]
        {
            command.args(["--set", &format!("{setting}=1h")]);
        }
    });
    let params = [Value::from("wire-top")];
    let asked = call(&url, "package_releases", &params);
    let fault = within("it has another deadline", asked).await.unwrap_err();
    assert_eq!(fault.code, -32403);
}

/// The only child that it has: pip, whose script tells what it was given.
fn pip(folder: &Path) {
    let place = folder.join("python3");
    let script = "#!/bin/sh\nexport -p >> \"$TOLD\"\n[ -S /dev/fd/3 ] && echo socket >> \"$TOLD\"\n\
                  echo \"global.index-url='http://127.0.0.1:1/'\"\n";
    std::fs::write(&place, script).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_child_gets_neither_sockets_nor_the_managers_variables() {
    let folder = tempfile::tempdir().unwrap();
    let (manager, tell) = manager(&folder);
    let path = folder.path().join("told");
    pip(folder.path());
    let variables = format!("{ONE} LISTEN_FDNAMES=web WATCHDOG_PID=$$");
    let _relay = serve(&folder, &variables, listener().0, |command| {
        let search = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        command.env("PATH", search).env("TOLD", &path).env("WATCHDOG_USEC", "60000000");
        command.args(["--upstream", "pip"]);
        tell(command);
    });
    assert_eq!(told(&manager).await, "READY=1");
    let inherited = std::fs::read_to_string(path).unwrap();
    assert!(inherited.contains("TOLD="), "{inherited}");
    for name in ["LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "socket"] {
        assert!(!inherited.contains(name), "{name}: {inherited}");
    }
}

#[tokio::test]
async fn it_serves_also_if_the_manager_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    for place in [folder.path().join("nobody").to_str().unwrap(), "@cheesewire-nobody", "vsock:2:1", ""] {
        let (listener, url) = listener();
        let relay = serve(&folder, ONE, listener, |command| {
            command.env("NOTIFY_SOCKET", place).env("WATCHDOG_USEC", "never");
        });
        assert_eq!(get(&format!("{url}healthz")).await.status, 200, "{place}");
        drop(relay);
    }
}

/// Fills the queue of whoever listens there. What the senders have sent stays while they live.
fn fill(place: &Path) -> Vec<StdUnixDatagram> {
    let mut senders = Vec::new();
    loop {
        let sender = StdUnixDatagram::unbound().unwrap();
        sender.set_nonblocking(true).unwrap();
        sender.connect(place).unwrap();
        // Each also has a limit of its own.
        let sent = (0..100_000).take_while(|_| sender.send(b"X").is_ok()).count();
        senders.push(sender);
        if sent == 0 {
            return senders;
        }
    }
}

#[tokio::test]
async fn a_manager_that_does_not_read_keeps_no_request_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (manager, tell) = manager(&folder);
    let _full = fill(&folder.path().join("manager"));
    let (listener, url) = listener();
    let _relay = serve(&folder, ONE, listener, |command| {
        command.env("WATCHDOG_USEC", "3000");
        tell(command);
    });
    // The first one has come before it tells anything.
    for _ in 0..5 {
        assert_eq!(get(&format!("{url}healthz")).await.status, 200);
    }
    let first = async {
        loop {
            let word = told(&manager).await;
            if word != "X" {
                return word;
            }
        }
    };
    assert_eq!(first.await, "READY=1");
}

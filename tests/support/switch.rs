//! An address that leads to one server, and later to another: an upstream that is restored from a backup.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The address. Dropped, it goes on until the test ends.
pub struct Switch {
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
}

impl Switch {
    /// A free address that leads to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = watch::Sender::new(target);
        let targets = target.subscribe();
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut targets = targets.clone();
                tokio::spawn(async move {
                    let target = *targets.borrow_and_update();
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        // Nothing goes on with the server of before.
                        _ = targets.changed() => {}
                    }
                });
            }
        });
        Self { address, target }
    }

    /// From now on it leads there.
    pub fn set(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Its address with a `/` at the end.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

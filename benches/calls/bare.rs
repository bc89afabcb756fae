//! hyper with nothing around it, which answers every request with the same bytes: the peer that shows what the relay
//! adds to a small call.
//!
//! Usage: `bare FILE`. The answer's body is the file's. Prints the address that it listens on.

#![allow(clippy::print_stdout, missing_docs)]

use std::convert::Infallible;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

// The relay's, so that the allocator makes no difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes the whole request, as the next one on the connection asks for, and gives the answer.
async fn answer(request: Request<Incoming>, body: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    // What breaks off ends with its connection.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    Ok(response)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // `cargo bench` adds a flag of its own.
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let body = Bytes::from(std::fs::read(file.context("usage: bare FILE")?)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("at http://{}/pypi", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, body.clone()));
            // A broken connection is the client's affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

//! A plain HTTP client: no redirects followed, nothing decoded, every header visible.

use std::sync::OnceLock;

use cheesewire::xmlrpc::{Fault, Limits, Value, decode_response, encode_call};
use reqwest::header::HeaderMap;
use reqwest::{Body, Client, Method, Response, redirect};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// What arrived; the error if not all of it did.
    pub body: Result<Vec<u8>, reqwest::Error>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn bytes(&self) -> &[u8] {
        self.body.as_deref().unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.bytes()).unwrap()
    }
}

/// The client of all tests: it knows a TLS provider, which a bare one lacks where no relay runs in the same process.
pub fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        // An error means that another test was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // No pool: each test has its own runtime, and a pooled connection belongs to one.
        let builder = Client::builder().redirect(redirect::Policy::none()).no_gzip().no_proxy();
        builder.pool_max_idle_per_host(0).build().unwrap()
    })
}

/// A request with header fields.
pub async fn get_with(method: Method, url: &str, headers: &[(&str, &str)]) -> Result<Answer, reqwest::Error> {
    let mut request = client().request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(read(request.send().await?).await)
}

async fn read(response: Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.map(|body| body.to_vec()) }
}

/// A GET that gets an answer.
pub async fn get(url: &str) -> Answer {
    get_with(Method::GET, url, &[]).await.unwrap()
}

/// A POST of XML or JSON that gets an answer.
pub async fn post(url: &str, body: impl Into<Body>) -> Answer {
    post_with(url, &[], body).await
}

/// The same with further header fields.
pub async fn post_with(url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = client().post(url).header("content-type", "text/xml").body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request.send().await.unwrap()).await
}

/// An XML-RPC call.
pub async fn call(base: &str, method: &str, params: &[Value]) -> Result<Value, Fault> {
    let answer = post(&format!("{base}pypi"), encode_call(method, params).unwrap()).await;
    decode_response(answer.bytes(), Limits { depth: 64 }).unwrap()
}

//! An upstream that does, request by request, what its script says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// One answer. The default of [`Reply::good`] is the file as it should be.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
    /// `Content-Length`; `None`: the body ends with the connection.
    pub(super) length: Option<usize>,
    /// The connection breaks after so many bytes.
    pub(super) cut: Option<usize>,
    /// Waits for the permit before this byte.
    pub(super) pause: Option<(usize, Arc<Semaphore>)>,
    pub(super) etag: Option<&'static str>,
    /// Further header lines, each with its line end.
    pub(super) fields: &'static str,
    /// The connection breaks after so many bytes of each answer, wherever that begins.
    pub(super) cut_after: Option<usize>,
    /// A range has no more bytes than these.
    pub(super) longest_range: Option<usize>,
    /// `Range` is heeded.
    pub(super) ranges: bool,
    /// The status of an answer to HEAD, which else is that to GET without its body.
    pub(super) head: Option<u16>,
}

impl Reply {
    pub(super) fn good(body: &Bytes) -> Self {
        let (length, etag) = (Some(body.len()), Some("\"v1\""));
        Self {
            status: 200,
            body: body.clone(),
            length,
            cut: None,
            pause: None,
            etag,
            fields: "Content-Type: application/octet-stream\r\n",
            cut_after: None,
            longest_range: None,
            ranges: true,
            head: None,
        }
    }

    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::good(&Bytes::from_static(b"no")) }
    }

    pub(super) fn wrong_byte(body: &Bytes, at: usize) -> Self {
        let mut bytes = body.to_vec();
        bytes[at] ^= 1;
        Self::good(&bytes.into())
    }

    pub(super) fn cut(body: &Bytes, at: usize) -> Self {
        Self { cut: Some(at), ..Self::good(body) }
    }

    pub(super) fn cut_after(body: &Bytes, bytes: usize) -> Self {
        Self { cut_after: Some(bytes), ..Self::good(body) }
    }

    pub(super) fn with(body: &Bytes, fields: &'static str) -> Self {
        Self { fields, ..Self::good(body) }
    }

    /// Pauses before a byte; a permit lets it go on.
    pub(super) fn paused(body: &Bytes, at: usize) -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        (Self { pause: Some((at, Arc::clone(&gate))), ..Self::good(body) }, gate)
    }
}

/// The server. The last reply repeats.
pub(super) struct Script {
    pub(super) url: url::Url,
    /// The `Range` field of each request, in order.
    pub(super) requests: Arc<Mutex<Vec<Option<String>>>>,
}

impl Script {
    pub(super) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/files/x-1.whl", listener.local_addr().unwrap()).parse().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&replies), Arc::clone(&seen)));
            }
        });
        Self { url, requests }
    }

    pub(super) fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn answer(
    stream: TcpStream,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Option<String>>>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut range = None;
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let head_only = line.starts_with("HEAD ");
    line.clear();
    while stream.read_line(&mut line).await.ok()? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_owned());
        }
        line.clear();
    }
    let reply = {
        seen.lock().unwrap().push(range.clone());
        let mut replies = replies.lock().unwrap();
        if replies.len() > 1 { replies.pop_front()? } else { replies.front()?.clone() }
    };
    let parsed = range.as_ref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let from: Option<usize> = parsed.and_then(|(first, _)| first.parse().ok());
    let last: Option<usize> = parsed.and_then(|(_, last)| last.parse().ok());
    let from = from.filter(|_| reply.status == 200 && reply.ranges);
    let start = from.unwrap_or(0);
    let mut end = reply.body.len();
    if let (Some(_), Some(longest)) = (from, reply.longest_range) {
        end = end.min(start + longest);
    }
    if let (Some(_), Some(last)) = (from, last) {
        end = end.min(last + 1);
    }
    let mut head = if let Some(from) = from {
        let (last, size) = (end - 1, reply.body.len());
        format!("HTTP/1.1 206 Partial\r\nContent-Range: bytes {from}-{last}/{size}\r\n")
    } else {
        let status = reply.head.filter(|_| head_only).unwrap_or(reply.status);
        format!("HTTP/1.1 {status} X\r\n")
    };
    if let Some(etag) = reply.etag {
        head.extend(["ETag: ", etag, "\r\n"]);
    }
    if let Some(length) = reply.length {
        let length = length - start - (reply.body.len() - end);
        head.extend(["Content-Length: ", &length.to_string(), "\r\n"]);
    }
    head.extend([reply.fields, "Connection: close\r\n\r\n"]);
    stream.write_all(head.as_bytes()).await.ok()?;
    if head_only {
        return stream.shutdown().await.ok();
    }
    end = reply.cut.unwrap_or(end);
    if let Some(bytes) = reply.cut_after {
        end = end.min(start + bytes);
    }
    let pause = reply.pause.as_ref().map_or(start, |(at, _)| (*at).max(start));
    stream.write_all(&reply.body[start..pause.min(end)]).await.ok()?;
    stream.flush().await.ok()?;
    if let Some((_, gate)) = &reply.pause {
        gate.acquire().await.ok()?.forget();
    }
    stream.write_all(&reply.body[pause.min(end)..end]).await.ok()?;
    stream.shutdown().await.ok()
}

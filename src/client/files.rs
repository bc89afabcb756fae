//! A relay's pages and files, as an installer asks for them.

use std::pin::Pin;

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use reqwest::Response;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING};
use reqwest::redirect::Policy;
use serde::Deserialize;
use url::{Origin, Url};

use super::http::{client, successful, whole};
use super::{Client, ClientError, Reason};
use crate::model::ProjectName;

/// The form of a page that is read.
const PAGE: &str = "application/vnd.pypi.simple.v1+json";
/// Redirects followed for one request, such as a proxy's before the relay: more is a loop.
const MAX_REDIRECTS: usize = 5;

/// What GETs the pages and files of one relay, from [`Client::files`].
#[derive(Debug, Clone)]
pub struct Files {
    client: Client,
    http: reqwest::Client,
}

/// A file's bytes as they come. It ends without an error only after as many as were announced.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>;

/// The part of a project's page (PEP 691, 700) that says what there is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProjectPage {
    /// The files.
    pub files: Vec<ProjectFile>,
    /// All versions, if the index lists them.
    #[serde(default)]
    pub versions: Vec<String>,
}

/// A file of a page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProjectFile {
    /// Its name.
    pub filename: String,
    /// Its address, whole.
    pub url: String,
    /// Bytes, if the index states them.
    pub size: Option<u64>,
}

impl Client {
    /// The pages and files of the relay. Fails if the system has no certificate authorities: a page may name files at `https`.
    pub fn files(&self) -> Result<Files, ClientError> {
        Files::new(self)
    }
}

impl Files {
    fn new(relay: &Client) -> Result<Self, ClientError> {
        let redirects = Policy::custom(|attempt| {
            let leaves_tls = attempt.previous().last().is_some_and(|url| url.scheme() == "https")
                && attempt.url().scheme() != "https";
            match (attempt.previous().len() > MAX_REDIRECTS, leaves_tls) {
                (true, _) => attempt.error("more than 5"),
                (_, true) => attempt.error("away from https"),
                _ => attempt.follow(),
            }
        });
        let http = client(&relay.relay.settings).redirect(redirects).build();
        let http = http.map_err(|error| relay.relay.error("files", Reason::of(error)))?;
        Ok(Self { client: relay.clone(), http })
    }

    /// A project's page. Its files that have no address are left out.
    pub async fn page(&self, project: &ProjectName) -> Result<ProjectPage, ClientError> {
        let relay = &self.client.relay;
        let path = format!("simple/{}/", project.as_str());
        let fail = |reason| relay.error(&path, reason);
        let address = relay.base.join(&path).map_err(|error| fail(Reason::Unusable(error.to_string())))?;
        let response = self.repeated(&address, PAGE, "gzip").await?;
        let base = response.url().clone();
        let body = whole(response, relay.settings.answer_limit).await.map_err(fail)?;
        let mut page: ProjectPage = serde_json::from_slice(&body)
            .map_err(|error| fail(Reason::Unexpected(format!("a page that is no JSON: {error}"))))?;
        page.files.retain_mut(|file| match base.join(&file.url) {
            Ok(whole) => {
                file.url = whole.into();
                true
            }
            Err(_) => false,
        });
        Ok(page)
    }

    /// A file of a page, by its address. The bytes are those on the wire; whether they are the right ones, its digest tells.
    pub async fn file(&self, address: &str) -> Result<Body, ClientError> {
        let relay = self.client.relay.clone();
        let url = Url::parse(address)
            .map_err(|error| relay.error("a file's address", Reason::Unusable(error.to_string())))?;
        let response = self.repeated(&url, "*/*", "identity").await?;
        let path = url.path().to_owned();
        let fail = move |error| relay.error(&path, Reason::of(error));
        Ok(response.bytes_stream().map(move |piece| piece.map_err(&fail)).boxed())
    }

    async fn repeated(&self, url: &Url, accept: &str, coding: &str) -> Result<Response, ClientError> {
        let relay = &self.client.relay;
        let once = || async {
            let request = self.http.get(self.authorized(url));
            let request = request.header(ACCEPT, accept).header(ACCEPT_ENCODING, coding);
            let answer = request.send().await.map_err(Reason::of).and_then(successful);
            answer.map_err(|reason| relay.error(url.path(), reason))
        };
        let pauses = ExponentialBuilder::default().with_max_times(relay.settings.retries).with_jitter();
        once.retry(pauses.with_min_delay(std::time::Duration::from_millis(200)))
            .when(ClientError::worth_repeating)
            .await
    }

    /// The address with the relay's user and password, if it is on the relay and has none.
    fn authorized(&self, url: &Url) -> Url {
        let (base, mut url) = (&self.client.relay.base, url.clone());
        let same: [Origin; 2] = [base.origin(), url.origin()];
        if same[0] == same[1] && url.username().is_empty() && url.password().is_none() {
            // Both succeed: it has a host.
            let _ = (url.set_username(base.username()), url.set_password(base.password()));
        }
        url
    }
}

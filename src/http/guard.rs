//! Who may ask: tokens, and what needs none.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use axum::response::IntoResponse as _;

use super::clients::{Admission, Caller, Client, Purpose, Rate, Rates, Refusal, Role};
use super::credentials::Credentials;
use super::query::Query;
use super::rpc::ADDRESSES;
use super::status;
use crate::metric;
use crate::push::UPLOADS;
use crate::tokens::{Required, Scope, TokenSettings, Tokens};
use crate::xmlrpc::whole_seconds;

/// How pip, uv and XML-RPC clients are told that a user and a password are missing.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"cheesewire\", charset=\"UTF-8\"");

/// Lets in who shows a token. Clones are one.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    required: Required,
    /// Tokens are looked at.
    on: AtomicBool,
    /// Reading needs one.
    closed: AtomicBool,
    known: RwLock<Arc<Known>>,
    failures: Option<Rates<IpAddr>>,
    /// Told when reading begins to need a token, or ceases to.
    turned: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// The tokens in use, and the rates of those that have one.
#[derive(Default)]
struct Known {
    tokens: Tokens,
    rates: HashMap<[u8; 32], (f64, Rate)>,
}

impl Guard {
    /// Without any token so far; `remembered`: as many clients' failures are.
    pub fn new(settings: &TokenSettings, remembered: u64) -> Self {
        let per_second = 1.0 / settings.failure_rest.as_secs_f64();
        let guard = Self(Arc::new(Inner {
            required: settings.required,
            on: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            known: RwLock::default(),
            failures: Rates::new(per_second, settings.failures, remembered),
            turned: OnceLock::new(),
        }));
        guard.take(None);
        guard
    }

    /// One that asks nobody for anything.
    pub(super) fn open() -> Self {
        Self::new(&TokenSettings { required: Required::Never, ..TokenSettings::default() }, 1)
    }

    /// Goes by these tokens from here on; `None`: there is no file of them.
    pub fn take(&self, tokens: Option<&Tokens>) {
        let inner = &*self.0;
        let before = inner.known();
        let is_there = tokens.is_some();
        let tokens = tokens.cloned().unwrap_or_default();
        let mut rates = HashMap::new();
        for token in &tokens.0 {
            let Some(rate) = token.rate else { continue };
            // What it has used up stays used up.
            let kept =
                before.rates.get(&token.sha256).filter(|(of, _)| of.to_bits() == rate.to_bits()).cloned();
            if let Some(limit) = kept.or_else(|| Some((rate, Rate::new(rate, burst(rate))?))) {
                rates.insert(token.sha256, limit);
            }
        }
        *inner.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Known { tokens, rates });
        let closed = match inner.required {
            Required::Auto => is_there,
            Required::Always => true,
            Required::Never => false,
        };
        inner.on.store(closed || is_there, Ordering::Release);
        if inner.closed.swap(closed, Ordering::AcqRel) != closed
            && let Some(turned) = inner.turned.get()
        {
            turned();
        }
    }

    /// Has `turned` called when reading begins to need a token, or ceases to.
    pub(super) fn when_turned(&self, turned: impl Fn() + Send + Sync + 'static) {
        // It is done once.
        let _ = self.0.turned.set(Box::new(turned));
    }

    /// Whether there is anything to look at: if not, a request need not come here.
    pub(super) fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// Whether reading needs a token.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// The same as [`Admission::admit`], for who shows a token or does what needs none. What was shown is taken out of the request.
    pub(super) fn admit<B>(
        &self,
        admission: &Admission,
        mut client: Client,
        purpose: Purpose,
        request: &mut Request<B>,
    ) -> Result<Caller, Refusal> {
        let inner = &*self.0;
        let shown = Credentials::take(request.headers_mut());
        let known = inner.known();
        let token = shown.as_ref().and_then(|shown| known.tokens.find(shown.shown()));
        if token.is_some_and(|token| token.scope == Scope::Admin) {
            client.role = Role::Administrator;
        }
        let needs_none = needs_none(client, request);
        if shown.is_some() && token.is_none() {
            // Counted also where nobody asks for one.
            let refusal = inner.failed(client);
            if !needs_none {
                return Err(refusal);
            }
        } else if shown.is_none() && inner.closed.load(Ordering::Relaxed) && !needs_none {
            count("missing");
            return Err(Refusal::Unauthorized);
        }
        let rate = token.and_then(|token| known.rates.get(&token.sha256)).map(|(_, rate)| rate);
        let Some(rate) = rate.filter(|_| !needs_none) else { return admission.admit(client, purpose) };
        if matches!(purpose, Purpose::Call | Purpose::Search) {
            // Its own rate is in place of its address's. A call is charged for the calls that it holds, once it is read.
            let caller = admission.admit(client, Purpose::Call)?.bounded_by(rate.clone());
            if purpose == Purpose::Search {
                caller.charge(1)?;
            }
            return Ok(caller);
        }
        rate.charge(1).map_err(|retry| {
            count("rate");
            Refusal::Requests(retry)
        })?;
        admission.admit(client, purpose)
    }
}

impl Inner {
    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Somebody has shown what is no token.
    fn failed(&self, client: Client) -> Refusal {
        let charged =
            self.failures.as_ref().map_or(Ok(()), |failures| failures.of(&client.counted_as()).charge(1));
        match charged {
            Ok(()) => {
                count("wrong");
                // No more often than it may be shown.
                tracing::info!(client = %client.address, "a wrong token was shown");
                Refusal::Unauthorized
            }
            Err(retry) => {
                count("guesses");
                Refusal::Guesses(retry)
            }
        }
    }
}

/// As many requests at once as come in a second, and a client's first ones.
fn burst(rate: f64) -> u32 {
    // The rate is 0.001 to 1000000.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let a_second = rate.ceil() as u32;
    a_second.max(20)
}

/// What anybody may do: what tells nothing of the index, or has rules of its own.
fn needs_none<B>(client: Client, request: &Request<B>) -> bool {
    // bandersnatch purges without asking itself whether it may, and stops at any answer but 200.
    if *request.method() == Method::OPTIONS || request.method().as_str() == "PURGE" {
        return true;
    }
    let path = request.uri().path();
    let is_post = *request.method() == Method::POST;
    let action_is = |wanted: &[Option<&str>]| {
        Query::read(request.uri().query()).one(":action").is_ok_and(|action| wanted.contains(&action))
    };
    match path {
        "/healthz" | "/readyz" => true,
        "/metrics" => client.may_observe(),
        _ if path.starts_with(UPLOADS) => true,
        // Its listener is for who runs the relay, as are the metrics; programs' actions have the same address.
        _ if client.role == Role::Observer && !is_post && status::is_shown_at(path) => {
            path != "/" || action_is(&[None, Some("gae_file")])
        }
        // A mirror that asks for a file names itself, and who may is listed (docs/push.md).
        _ if !is_post && ADDRESSES.contains(&path) => action_is(&[Some("gae_file")]),
        _ => false,
    }
}

fn count(reason: &'static str) {
    metrics::counter!(metric::AUTH_REFUSALS_TOTAL, "reason" => reason).increment(1);
}

/// The answer to who shows no token, or a wrong one.
pub(super) fn unauthorized() -> Response<Body> {
    let text = "this relay needs a token: send it as the password of any user, such as https://any:TOKEN@HOST/simple/\n";
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, CHALLENGE)], text).into_response()
}

/// The answer to who goes on showing wrong ones. Its connection is closed.
pub(super) fn too_many_guesses(retry: Duration) -> Response<Body> {
    let text = "too many wrong tokens from this address (auth.failures)\n";
    let close = [(CONNECTION, HeaderValue::from_static("close"))];
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, whole_seconds(retry))], close, text).into_response()
}

/// The answer to who asks more often than its token is good for.
pub(super) fn too_many_requests(retry: Duration) -> Response<Body> {
    let text = "this token is good for fewer requests a second\n";
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, whole_seconds(retry))], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::clients::ClientLimits;
    use crate::tokens;

    struct Bench {
        guard: Guard,
        admission: Admission,
        /// A token to read with, one to read with once in 1000 s 20 times at once, and one of an administrator.
        tokens: [String; 3],
        all: Tokens,
    }

    impl Bench {
        fn new(required: Required, failures: u32) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tokens.toml");
            let add = |name, scope, rate| tokens::add(&path, name, scope, rate, 0).unwrap();
            let shown = [
                add("read", Scope::Read, None),
                add("slow", Scope::Read, Some(0.001)),
                add("admin", Scope::Admin, None),
            ];
            let failure_rest = Duration::from_secs(1000);
            let settings = TokenSettings { required, failures, failure_rest, ..TokenSettings::default() };
            let guard = Guard::new(&settings, 10);
            let all = tokens::read(&path).unwrap().unwrap();
            guard.take(Some(&all));
            Self { guard, admission: Admission::new(&ClientLimits::default()), tokens: shown, all }
        }

        /// Asks for a path from an address, by whatever stands in `Authorization`.
        fn asks(&self, from: [u8; 4], line: &str, authorization: Option<&str>) -> Result<Caller, Refusal> {
            self.asks_as(Client::at(from.into()), line, authorization)
        }

        /// The same of a client that came by some listener.
        fn asks_as(
            &self,
            client: Client,
            line: &str,
            authorization: Option<&str>,
        ) -> Result<Caller, Refusal> {
            let (method, target) = line.split_once(' ').unwrap();
            let mut request = Request::builder().method(method).uri(target);
            if let Some(field) = authorization {
                request = request.header("authorization", field);
            }
            let mut request = request.body(()).unwrap();
            let purpose = match method {
                "POST" => Purpose::Call,
                _ if request.uri().path() == status::SEARCH => Purpose::Search,
                _ => Purpose::Other,
            };
            let admitted = self.guard.admit(&self.admission, client, purpose, &mut request);
            assert!(!request.headers().contains_key("authorization"));
            admitted
        }

        fn bearer(&self, token: usize) -> String {
            format!("Bearer {}", self.tokens[token])
        }
    }

    const HERE: [u8; 4] = [127, 0, 0, 1];
    const THERE: [u8; 4] = [192, 0, 2, 1];
    const READING: [&str; 9] = [
        "GET /",
        "GET /search/?q=wire",
        "GET /project/wire/",
        "GET /simple/",
        "HEAD /packages/a/b.whl",
        "POST /RPC2",
        "POST /pypi?:action=gae_file",
        "GET /pypi?:action=rss",
        "GET /journal/events",
    ];
    const NEEDS_NONE: [&str; 8] = [
        "GET /healthz",
        "GET /readyz",
        "OPTIONS /simple/",
        "PURGE /simple/a/",
        "POST /mkupload/secret",
        "GET /mkupload/secret",
        "GET /pypi?:action=gae_file&host=a&secret=b",
        "HEAD /?%3Aaction=gae_file",
    ];

    #[test]
    fn reading_needs_a_token_from_here_too_and_what_has_its_own_rules_needs_none() {
        let bench = Bench::new(Required::Auto, 100);
        for line in READING {
            for from in [HERE, THERE] {
                assert_eq!(bench.asks(from, line, None).err(), Some(Refusal::Unauthorized), "{line}");
                for token in [0, 2] {
                    assert!(bench.asks(from, line, Some(&bench.bearer(token))).is_ok(), "{line}");
                }
            }
        }
        for line in NEEDS_NONE {
            assert!(bench.asks(THERE, line, None).is_ok(), "{line}");
            assert!(bench.asks(THERE, line, Some("Bearer wrong")).is_ok(), "{line}");
        }
        assert!(bench.asks(HERE, "GET /metrics", None).is_ok());
        assert_eq!(bench.asks(THERE, "GET /metrics", None).err(), Some(Refusal::Unauthorized));
        assert!(bench.asks(THERE, "GET /pypi?:action=gae_file&:action=json&name=a", None).is_err());
    }

    #[test]
    fn the_pages_for_browsers_need_none_by_a_listener_for_who_runs_the_relay() {
        let bench = Bench::new(Required::Auto, 100);
        let asks = |line: &str, token: Option<&str>| {
            let client = Client { role: Role::Observer, ..Client::at(THERE.into()) };
            bench.asks_as(client, line, token)
        };
        for line in [
            "GET /",
            "HEAD /",
            "GET /search/?q=wire",
            "GET /search?q=wire",
            "GET /project/wire",
            "GET /project/wire/",
            "GET /journal/events",
            "GET /metrics",
        ] {
            assert!(asks(line, None).is_ok(), "{line}");
        }
        for line in [
            "POST /",
            "GET /?:action=json&name=wire",
            "GET /?:action=gae_file&:action=json",
            "GET /pypi",
            "GET /simple/wire/",
            "GET /journal/",
            "GET //project/wire/",
            "GET /packages/a/b.whl",
        ] {
            assert_eq!(asks(line, None).err(), Some(Refusal::Unauthorized), "{line}");
            assert!(asks(line, Some(&bench.bearer(0))).is_ok(), "{line}");
        }
    }

    #[test]
    fn only_an_administrators_token_makes_an_administrator() {
        let bench = Bench::new(Required::Never, 100);
        let role = |authorization: Option<&str>| {
            let caller = bench.asks(HERE, "PURGE /simple/a/", authorization).unwrap_or_else(|_| panic!());
            caller.client.role
        };
        assert_eq!(role(None), Role::Reader);
        assert_eq!(role(Some("Bearer wrong")), Role::Reader);
        assert_eq!(role(Some(&bench.bearer(0))), Role::Reader);
        assert_eq!(role(Some(&bench.bearer(2))), Role::Administrator);
    }

    #[test]
    fn without_a_file_of_tokens_nobody_is_asked_for_one_unless_it_is_required() {
        for (required, there, none) in [
            (Required::Auto, (true, true), (false, false)),
            (Required::Always, (true, true), (true, true)),
            (Required::Never, (true, false), (false, false)),
        ] {
            let guard = Bench::new(required, 1).guard;
            let state = || (guard.is_on(), guard.is_closed());
            assert_eq!(state(), there, "{required:?}");
            // The last one was revoked: that opens nothing.
            guard.take(Some(&Tokens::default()));
            assert_eq!(state(), there, "{required:?}");
            guard.take(None);
            assert_eq!(state(), none, "{required:?}");
        }
    }

    #[test]
    fn wrong_tokens_are_limited_by_address_and_a_right_one_is_taken_all_the_same() {
        for required in [Required::Auto, Required::Never] {
            let bench = Bench::new(required, 3);
            let wrong = |from: [u8; 4]| bench.asks(from, "GET /simple/", Some("Basic eDp5")).err();
            for _ in 0..3 {
                assert_eq!(wrong(THERE), Some(Refusal::Unauthorized));
            }
            let Some(Refusal::Guesses(retry)) = wrong(THERE) else { panic!("not refused") };
            assert!(retry.as_secs() > 900, "{retry:?}");
            assert_eq!(wrong([192, 0, 2, 2]), Some(Refusal::Unauthorized));
            assert!(bench.asks(THERE, "GET /simple/", Some(&bench.bearer(0))).is_ok());
        }
        // Those that are shown where none is needed count too.
        let bench = Bench::new(Required::Auto, 1);
        assert!(bench.asks(THERE, "PURGE /a", Some("Bearer wrong")).is_ok());
        let refused = bench.asks(THERE, "GET /simple/", Some("Bearer wrong")).err();
        assert!(matches!(refused, Some(Refusal::Guesses(_))), "{refused:?}");
    }

    #[test]
    fn a_token_is_good_for_its_rate_and_what_it_has_used_stays_used_when_the_file_is_read_again() {
        let bench = Bench::new(Required::Auto, 100);
        let slow = bench.bearer(1);
        let page = || bench.asks(THERE, "GET /simple/", Some(&slow));
        for _ in 0..19 {
            assert!(page().is_ok());
        }
        let call = bench.asks([192, 0, 2, 9], "POST /RPC2", Some(&slow)).unwrap_or_else(|_| panic!());
        assert!(call.charge(1).is_ok() && matches!(call.charge(1), Err(Refusal::Calls(_))));
        let search = || bench.asks(THERE, "GET /search/?q=wire", Some(&slow));
        assert!(matches!(search().err(), Some(Refusal::Calls(_))));
        bench.guard.take(Some(&bench.all));
        assert!(matches!(page().err(), Some(Refusal::Requests(retry)) if retry.as_secs() > 900));
        // Others have theirs, and what needs none is free.
        assert!(bench.asks(THERE, "GET /simple/", Some(&bench.bearer(0))).is_ok());
        assert!(bench.asks(THERE, "GET /healthz", Some(&slow)).is_ok());
    }

    #[test]
    fn a_revoked_token_is_wrong_from_then_on() {
        let bench = Bench::new(Required::Auto, 100);
        bench.guard.take(Some(&Tokens(bench.all.0[1..].to_vec())));
        let refused = bench.asks(THERE, "GET /simple/", Some(&bench.bearer(0))).err();
        assert_eq!(refused, Some(Refusal::Unauthorized));
        assert!(bench.asks(THERE, "GET /simple/", Some(&bench.bearer(2))).is_ok());
    }
}

//! Faults with the codes and texts that clients match on (docs/wire.md section 3).

use std::fmt;
use std::time::Duration;

/// The most characters of a name that a client made up in a fault: enough to know it by.
const LONGEST_NAME: usize = 40;

/// What a call gets instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// `faultCode`.
    pub code: i32,
    /// `faultString`.
    pub string: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.string, self.code)
    }
}

impl Fault {
    /// −32700: not XML, or not a `methodCall`.
    pub fn parse_error() -> Self {
        Self { code: -32700, string: "parse error; not well formed".to_owned() }
    }

    /// −32601: no such method.
    pub fn method_not_found() -> Self {
        Self { code: -32601, string: "server error; requested method not found".to_owned() }
    }

    /// The same with the name that was called, escaped and cut, and the known name that is the most like it.
    pub fn no_such_method(name: &str, nearest: Option<&str>) -> Self {
        let shown: String = name.chars().take(LONGEST_NAME).flat_map(char::escape_debug).collect();
        let cut = if name.chars().nth(LONGEST_NAME).is_some() { "…" } else { "" };
        let nearest = nearest.map_or_else(String::new, |nearest| format!("; the nearest is {nearest}"));
        let Self { code, string } = Self::method_not_found();
        Self { code, string: format!("{string}: \"{shown}{cut}\"{nearest}") }
    }

    /// −32602: wrong arguments; one complaint each, such as `serial: Input should be a valid integer`.
    pub fn invalid_params(complaints: &[String]) -> Self {
        Self { code: -32602, string: format!("client error; {}", complaints.join("; ")) }
    }

    /// −32500: the method ran and refused. `kind` is the name of a Python exception.
    pub fn raised(kind: &str, message: &str) -> Self {
        Self { code: -32500, string: format!("{kind}: {message}") }
    }

    /// −32403: upstream is down or too slow and nothing kept can answer. Whole seconds, at least one.
    pub fn unavailable(retry: Duration) -> Self {
        let string = format!("server error; service unavailable; retry in {} s", whole_seconds(retry));
        Self { code: -32403, string }
    }

    /// −32403 after a failure of ours (a full disk, a broken database): there is no time to tell.
    pub fn internal() -> Self {
        Self { code: -32403, string: "server error; service unavailable".to_owned() }
    }

    /// −32500 in upstream's words for who is over a rate limit: clients look for its beginning, and relays for its time.
    /// Whole seconds, at least one.
    pub fn too_many_requests(retry: Duration) -> Self {
        let message = format!(
            "The action could not be performed because there were too many requests by the client. Limit may reset \
             in {} seconds.",
            whole_seconds(retry)
        );
        Self::raised("HTTPTooManyRequests", &message)
    }

    /// 1: more calls in a multicall than allowed.
    pub fn multicall_too_large() -> Self {
        Self { code: 1, string: "multicall too large".to_owned() }
    }
}

/// For people and `Retry-After`: at least one, since 0 would mean "at once".
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

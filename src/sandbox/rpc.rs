//! The XML-RPC methods as upstream has them today: six live, the rest refuse (docs/wire.md sections 3, 4, 8).

use std::sync::Arc;

use dxr::Value;

use crate::model::{Event, ProjectName, Serial};
use crate::xmlrpc::{Encoder, Fault, TooWide};

use super::body::{Body, Cut, try_pieces, whole};
use super::call::{self, Call, as_integer};
use super::catalogue::{Catalogue, Listed};
use super::project::{Project, Release};
use super::serials::Stated;

/// Rows that are made at once: small enough that the first bytes leave early.
const ROWS: usize = 1_000;

/// Methods that upstream had once, and what it says to them now.
const REMOVED: [(&str, &str, &str); 16] = [
    (
        "changelog",
        "ValueError",
        "The changelog method has been deprecated, use changelog_since_serial instead.",
    ),
    (
        "system.multicall",
        "ValueError",
        "Multicall requests have been deprecated, use individual requests instead.",
    ),
    ("changed_packages", "RuntimeError", MANY),
    ("updated_releases", "RuntimeError", MANY),
    (
        "list_packages",
        "RuntimeError",
        "This index no longer supports the XMLRPC list_packages method. Use the Simple API (PEP 691) instead.",
    ),
    ("package_releases", "RuntimeError", JSON),
    ("release_urls", "RuntimeError", JSON),
    ("package_urls", "RuntimeError", JSON),
    ("release_data", "RuntimeError", JSON),
    ("package_data", "RuntimeError", JSON),
    (
        "search",
        "RuntimeError",
        "This index no longer supports 'pip search' (or XML-RPC search). Please use a browser instead.",
    ),
    ("release_downloads", "RuntimeError", GONE),
    (
        "top_packages",
        "RuntimeError",
        "This API has been removed. Use the public download statistics instead.",
    ),
    ("package_hosting_mode", "RuntimeError", GONE),
    ("post_cheesecake_for_release", "RuntimeError", GONE),
    ("list_packages_with_metadata", "RuntimeError", GONE),
];
const MANY: &str = "This method has been deprecated, use changelog_since_serial instead.";
const JSON: &str = "This index no longer supports this XMLRPC method. Use the JSON API instead.";
const GONE: &str = "This API has been removed.";

/// What a method gives, or refuses with.
pub(super) fn answer(
    catalogue: &Catalogue,
    call: &Call,
    rows: usize,
    stated: &Stated,
) -> Result<Body, Fault> {
    match call.method.as_str() {
        "changelog_last_serial" => {
            arguments(call, [])?;
            let last = catalogue.last_serial();
            small(call.number(stated.own(last).unwrap_or(last).0)?)
        }
        "changelog_since_serial" => {
            let [serial] = arguments(call, ["serial"])?;
            let serial = as_integer(serial).ok_or_else(|| wrong("serial", "integer"))?;
            Ok(changelog(catalogue.clone(), Serial(serial), rows, stated.clone(), call.is_wide()))
        }
        "list_packages_with_serial" => {
            arguments(call, [])?;
            Ok(listing(catalogue, stated.clone(), call.is_wide()))
        }
        "package_roles" => {
            let [name] = arguments(call, ["package_name"])?;
            let name = as_text(name).ok_or_else(|| wrong("package_name", "string"))?;
            let project =
                ProjectName::parse(name).ok().and_then(|name| catalogue.project(&name, Serial(i64::MAX)));
            let roles = project.iter().flat_map(|project| &project.roles);
            small(array(roles.map(|role| pair(&role.role, &role.user))))
        }
        "user_packages" => {
            let [user] = arguments(call, ["username"])?;
            let user = as_text(user).ok_or_else(|| wrong("username", "string"))?;
            small(user_packages(&catalogue.projects(), user))
        }
        "browse" => {
            let [classifiers] = arguments(call, ["classifiers"])?;
            let Value::Array(classifiers) = classifiers else { return Err(wrong("classifiers", "list")) };
            let classifiers: Option<Vec<&str>> = classifiers.iter().map(as_text).collect();
            let classifiers = classifiers.ok_or_else(|| wrong("classifiers", "string"))?;
            small(browse(&catalogue.projects(), &classifiers))
        }
        method => Err(removed(method)),
    }
}

fn removed(method: &str) -> Fault {
    let found = REMOVED.iter().find(|(name, _, _)| *name == method);
    found.map_or_else(Fault::method_not_found, |(_, kind, message)| Fault::raised(kind, message))
}

fn wrong(name: &str, kind: &str) -> Fault {
    Fault::invalid_params(&[format!("{name}: Input should be a valid {kind}")])
}

/// Exactly the named arguments.
fn arguments<'a, const N: usize>(call: &'a Call, names: [&str; N]) -> Result<[&'a Value; N], Fault> {
    let missing =
        names.iter().skip(call.params.len()).map(|name| format!("{name}: Missing required argument"));
    let extra = (N..call.params.len()).map(|n| format!("{n}: Unexpected positional argument"));
    let complaints: Vec<String> = missing.chain(extra).collect();
    let given: Vec<&Value> = call.params.iter().collect();
    given.try_into().map_err(|_| Fault::invalid_params(&complaints))
}

fn small(value: Value) -> Result<Body, Fault> {
    Ok(whole(call::written(value)?))
}

fn array(items: impl Iterator<Item = Value>) -> Value {
    Value::Array(items.collect())
}

fn pair(first: &str, second: &str) -> Value {
    array([first, second].into_iter().map(|text| Value::String(text.to_owned())))
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn changelog(catalogue: Catalogue, since: Serial, rows: usize, stated: Stated, wide: bool) -> Body {
    let (mut after, mut left) = (since, rows);
    let mut further = stated.further_row();
    streamed(wide, Encoder::open_array, Encoder::close_array, move |encoder| {
        let mut events = catalogue.events_after(after, left.min(ROWS));
        left -= events.len();
        if events.is_empty()
            && let Some(serial) = further.take()
        {
            events.push(no_event(&catalogue, serial));
        }
        for event in &events {
            after = event.serial;
            encoder.open_array();
            encoder.string(&event.name);
            match &event.version {
                Some(version) => encoder.string(version),
                None => encoder.nil(),
            }
            encoder.int(event.time)?;
            encoder.string(&event.action);
            encoder.int(stated.row(event.serial).0)?;
            encoder.close_array();
        }
        Ok(!events.is_empty())
    })
}

fn listing(catalogue: &Catalogue, stated: Stated, wide: bool) -> Body {
    let mut rows = catalogue.listing(Serial(i64::MAX), Listed::Registered);
    streamed(wide, Encoder::open_struct, Encoder::close_struct, move |encoder| {
        let mut any = false;
        for (name, serial) in rows.by_ref().take(ROWS) {
            any = true;
            encoder.open_member(&name);
            encoder.int(stated.listed(&name, serial).unwrap_or(serial).0)?;
            encoder.close_member();
        }
        Ok(any)
    })
}

/// A row that upstream should not have: of a project that was never there, as of the last event.
fn no_event(catalogue: &Catalogue, serial: Serial) -> Event {
    let last = catalogue.events_after(Serial(catalogue.last_serial().0 - 1), 1);
    let time = last.first().map_or(0, |event| event.time);
    Event { serial, name: "no-such-project".to_owned(), version: None, time, action: "docupdate".to_owned() }
}

/// An answer written piece by piece; `more` writes the next rows and says whether there were any.
fn streamed(
    wide: bool,
    open: fn(&mut Encoder),
    close: fn(&mut Encoder),
    mut more: impl FnMut(&mut Encoder) -> Result<bool, TooWide> + Send + 'static,
) -> Body {
    let mut encoder = Encoder::new(wide);
    encoder.open_response();
    open(&mut encoder);
    let mut done = false;
    try_pieces(std::iter::from_fn(move || {
        if done {
            return None;
        }
        match more(&mut encoder) {
            Ok(true) => {}
            Ok(false) => {
                done = true;
                close(&mut encoder);
                encoder.close_response();
            }
            // Rows are on their way: only a cut can say that they are not all.
            Err(TooWide) => {
                done = true;
                return Some(Err(Cut));
            }
        }
        Some(Ok(encoder.take()))
    }))
}

fn user_packages(projects: &[Arc<Project>], user: &str) -> Value {
    let mut found: Vec<(&str, &str)> = projects
        .iter()
        .flat_map(|project| project.roles.iter().map(move |role| (role, project)))
        .filter(|(role, _)| role.user == user)
        .map(|(role, project)| (role.role.as_str(), project.name.as_str()))
        .collect();
    found.sort_by(|a, b| b.0.cmp(a.0).then(a.1.cmp(b.1)));
    array(found.into_iter().map(|(role, name)| pair(role, name)))
}

fn browse(projects: &[Arc<Project>], classifiers: &[&str]) -> Value {
    // Upstream counts the classifiers that a release has of these: of none it has none.
    let projects = projects.iter().filter(|_| !classifiers.is_empty());
    let releases = projects.flat_map(|project| project.shown().map(move |release| (project, release)));
    let has = |release: &Release, wanted: &&str| release.info.classifiers.iter().any(|has| has == wanted);
    let found = releases.filter(|(_, release)| classifiers.iter().all(|wanted| has(release, wanted)));
    array(found.map(|(project, release)| pair(project.name.as_str(), release.version.as_str())))
}

//! `/project/NAME/`: versions and files, which of them are kept here, what was taken away, and why a project is not to be
//! had. It has the status that the project's simple page has.

use std::cmp::Reverse;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, WARNING};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};

use super::inputs::Removals;
use super::layout::{Page, Site, facts, wide};
use super::shared::{ASK, Inner, StatusPages};
use super::words::{bytes, count, moment};
use crate::http::fields::STALE;
use crate::http::people;
use crate::index::{IndexError, ProjectSheet, SheetFile, Side, TombstoneKind, Yanked};
use crate::model::{ProjectName, Sha256};

/// Versions that are shown; the others are counted.
const VERSIONS: usize = 100;

/// What the page shows of a project that is there.
struct Shown<'a> {
    name: &'a ProjectName,
    /// As registered, with what it is; empty if that is not known.
    title: &'a str,
    summary: &'a str,
    sheet: &'a ProjectSheet,
    /// Of each file whether it is kept here; empty if that could not be read.
    kept: &'a [Option<bool>],
    removals: &'a Result<Removals, String>,
}

pub(super) async fn answer(
    State(pages): State<StatusPages>,
    Path(asked): Path<String>,
    request: Parts,
) -> Response {
    let inner = &*pages.0;
    let site = inner.site(&request);
    let Ok(name) = ProjectName::parse(&asked) else {
        return hidden(&site, &asked, None, &Ok(Removals::default()), IndexError::NoSuchProject);
    };
    let (sheet, about) = tokio::join!(inner.index.sheet(&name), inner.inputs.about.of(name.clone()));
    // After the page was asked for, which may have been told that the project is in quarantine.
    let removals = inner.inputs.removals.of(name.clone()).await;
    let sheet = match sheet {
        Ok(sheet) => sheet,
        Err(error) => return hidden(&site, &asked, Some(&name), &removals, error),
    };
    let kept = kept(inner, &sheet.files).await;
    // Its summary, which the page can do without.
    let about = about.ok();
    let shown = Shown {
        name: &name,
        title: about.as_ref().map_or(name.as_str(), |about| &about.name),
        summary: about.as_ref().map_or("", |about| &about.summary),
        sheet: &sheet,
        kept: &kept,
        removals: &removals,
    };
    let title = format!("{} – cheesewire", shown.title);
    let page = Page { title: &title, question: "", content: shown.write(&site), live: false };
    let mut response = site.respond(StatusCode::OK, ASK, &page);
    if sheet.stale {
        response.headers_mut().insert(WARNING, STALE);
    }
    response
}

/// Of each file whether it is kept here; `None` where no digest tells which it is.
async fn kept(inner: &Inner, files: &[SheetFile]) -> Vec<Option<bool>> {
    let keys: Vec<(Sha256, Option<u64>)> =
        files.iter().filter_map(|file| Some((file.sha256?, file.size))).collect();
    let Ok(found) = inner.inputs.are_kept.of(keys).await else { return Vec::new() };
    of_each(files, found)
}

/// What was found of the files that have a digest, for each file.
fn of_each(files: &[SheetFile], found: Vec<bool>) -> Vec<Option<bool>> {
    let mut found = found.into_iter();
    files.iter().map(|file| file.sha256.and_then(|_| found.next())).collect()
}

impl Shown<'_> {
    fn write(&self, site: &Site<'_>) -> Markup {
        let sheet = self.sheet;
        html! {
            h1 { (self.title) }
            @if !self.summary.is_empty() { p { (self.summary) } }
            @if sheet.quarantined {
                p.warn { "In quarantine: the index gives none of its files out, and neither does this relay." }
            }
            @if sheet.stale { p.warn { "The index fails or is slow just now. This is what is kept." } }
            (self.facts())
            (links(site, self.name))
            h2 { "Versions" }
            (versions(&sheet.versions))
            h2 { "Files" }
            (self.files(site))
            (taken_away(self.removals))
        }
    }

    fn facts(&self) -> Markup {
        let sheet = self.sheet;
        let mut rows = vec![
            ("Versions", html! { (sheet.versions.len()) }),
            ("Files", html! { (sheet.all_files) }),
            ("The index was asked", html! { (moment(sheet.checked)) " UTC" }),
        ];
        if let Some(status) = &sheet.status {
            let reason = status.reason.as_ref().filter(|reason| !reason.is_empty());
            rows.push(("Status", html! { (status.status) @if let Some(reason) = reason { ": " (reason) } }));
        }
        facts("What the index says of it", &rows)
    }

    fn files(&self, site: &Site<'_>) -> Markup {
        let sheet = self.sheet;
        if sheet.files.is_empty() {
            return html! { p { "None." } };
        }
        let table = html! {
            table {
                caption { "Files of the newest version first; times are UTC" }
                thead {
                    tr {
                        th scope="col" { "Version" }
                        th scope="col" { "File" }
                        th.number.minor scope="col" { "Size" }
                        th.minor scope="col" { "Uploaded" }
                        th scope="col" { "Kept here" }
                        th scope="col" { "Yanked" }
                    }
                }
                tbody {
                    @for (at, file) in sheet.files.iter().enumerate() {
                        (row(site, file, self.kept.get(at).copied().flatten()))
                    }
                }
            }
        };
        html! {
            @if sheet.files.len() < sheet.all_files {
                p { "The first " (sheet.files.len()) " of " (sheet.all_files) "; the simple page has all." }
            }
            (wide("Files", &table))
        }
    }
}

fn row(site: &Site<'_>, file: &SheetFile, kept: Option<bool>) -> Markup {
    let uploaded = file.uploaded.as_deref().map(|text| text.get(..19).unwrap_or(text).replacen('T', " ", 1));
    html! {
        tr {
            td { (file.version.as_deref().unwrap_or("not told by the name")) }
            td { a href=(site.link(&file.path)) { (file.filename) } }
            td.number.minor { @if let Some(size) = file.size { (bytes(size)) } }
            td.minor { @if let Some(uploaded) = uploaded { (uploaded) } }
            td { (match kept { Some(true) => "yes", Some(false) => "no", None => "not known" }) }
            td {
                @match &file.yanked {
                    Yanked::No => "no",
                    Yanked::Yes(None) => "yes",
                    Yanked::Yes(Some(reason)) if reason.is_empty() => "yes",
                    Yanked::Yes(Some(reason)) => { "yes: " (reason) }
                }
            }
        }
    }
}

fn links(site: &Site<'_>, name: &ProjectName) -> Markup {
    let links = [
        (site.link(&format!("/simple/{name}/")), "simple page"),
        (site.link(&format!("/pypi/{name}/json")), "JSON document"),
        (site.link(&format!("/pypi/{name}")), "newest release"),
        (site.link(&format!("/rss/project/{name}/releases.xml")), "releases as a feed"),
    ];
    people::links(links.iter().map(|(address, what)| (address.as_str(), *what)))
}

fn versions(versions: &[String]) -> Markup {
    html! {
        @if versions.is_empty() {
            p { "None." }
        } @else {
            p {
                @for (at, version) in versions.iter().take(VERSIONS).enumerate() {
                    @if at > 0 { ", " }
                    (version)
                }
                @if let Some(more) = versions.len().checked_sub(VERSIONS + 1) { ", and " (more + 1) " older" }
            }
        }
    }
}

/// What the journal knows of removals.
fn taken_away(removals: &Result<Removals, String>) -> Markup {
    let removals = match removals {
        Ok(removals) if removals.last.is_none() && removals.files.is_empty() => return html! {},
        Ok(removals) => removals,
        Err(reason) => return html! { p.warn { "What was removed cannot be read: " (reason) } },
    };
    // The ones that stay away before those that are looked for again.
    let mut files: Vec<_> = removals.files.iter().collect();
    files.sort_by_key(|(_, tombstone)| Reverse(tombstone.kind != TombstoneKind::Absent));
    let table = html! {
        table {
            caption { "Files that are not given out" }
            thead { tr { th scope="col" { "File" } th scope="col" { "It is" } th scope="col" { "Why" } } }
            tbody {
                @for (filename, tombstone) in files {
                    tr {
                        td { (filename) }
                        td {
                            (match tombstone.kind {
                                TombstoneKind::Removed => "removed",
                                TombstoneKind::Quarantined => "in quarantine",
                                TombstoneKind::Absent => "absent upstream",
                            })
                        }
                        td { (tombstone.reason) }
                    }
                }
            }
        }
    };
    html! {
        h2 { "Taken away" }
        @if let Some(event) = &removals.last {
            p {
                "The last such event: " (event.action)
                @if let Some(version) = &event.version { ", version " (version) }
                ", " (moment(event.time)) " UTC, serial " (event.serial) "."
            }
        }
        @if !removals.files.is_empty() {
            p { (count(removals.files.len(), "file")) " of it:" }
            (wide("Files that are not given out", &table))
        }
    }
}

/// The page of a project that is not to be had, with the status and fields of its simple page.
fn hidden(
    site: &Site<'_>,
    asked: &str,
    name: Option<&ProjectName>,
    removals: &Result<Removals, String>,
    error: IndexError,
) -> Response {
    let said = if error.side() == Side::Ours { "the relay failed".to_owned() } else { error.to_string() };
    let content = html! {
        h1 { (asked) }
        p.warn { "Not to be had: " (said) "." }
        p { (why(name, removals, error.side())) }
        @if let Some(name) = name { (links(site, name)) }
        (taken_away(removals))
    };
    let title = format!("{asked} – cheesewire");
    let page = Page { title: &title, question: "", content, live: false };
    let plain = error.into_response();
    let mut response = site.respond(plain.status(), ASK, &page);
    if let Some(retry) = plain.headers().get(RETRY_AFTER) {
        response.headers_mut().insert(RETRY_AFTER, retry.clone());
    }
    response
}

/// Why it is hidden, as far as that is known.
fn why(name: Option<&ProjectName>, removals: &Result<Removals, String>, side: Side) -> &'static str {
    let removed = |removals: &Removals| {
        !removals.listed && removals.last.as_ref().is_some_and(|event| event.action.starts_with("remove"))
    };
    match (name, removals) {
        (None, _) => "No project can have this name.",
        (_, Ok(removals)) if removals.quarantined => {
            "It is in quarantine: the index gives none of its files out, and neither does this relay."
        }
        (_, Ok(removals)) if side == Side::Client && removed(removals) => "It was removed from the index.",
        (_, Ok(removals)) if side == Side::Client && !removals.listed => {
            "The index has no project of this name, as far as is known here."
        }
        _ if side == Side::Client => "The index lists it and has no page of it.",
        _ => "It may be there: the index cannot be asked just now, and nothing that is kept may go out.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::origin::Origins;
    use crate::index::Tombstone;
    use crate::model::{Event, Serial};
    use crate::upstream::UpstreamError;

    const ODD: &str = "<script>\"&</script>";
    const ESCAPED: &str = "&lt;script&gt;&quot;&amp;&lt;/script&gt;";

    fn with_site<T>(look: impl FnOnce(&Site<'_>) -> T) -> T {
        let (request, ()) = axum::http::Request::new(()).into_parts();
        let origins = Origins::new(None, "127.0.0.1:3141".parse().unwrap());
        look(&Site { origins: &origins, request: &request })
    }

    fn name() -> ProjectName {
        ProjectName::parse("wire-core").unwrap()
    }

    fn file(yanked: Yanked) -> SheetFile {
        SheetFile {
            version: Some(ODD.to_owned()),
            filename: ODD.to_owned(),
            path: "/packages/a%22b".to_owned(),
            size: Some(1024),
            uploaded: Some("2026-01-31T23:59:59.000000Z".to_owned()),
            yanked,
            sha256: None,
        }
    }

    fn sheet(files: Vec<SheetFile>) -> ProjectSheet {
        ProjectSheet {
            status: None,
            quarantined: false,
            versions: vec![ODD.to_owned()],
            all_files: files.len(),
            files,
            checked: 0,
            stale: false,
        }
    }

    fn removals(action: &str) -> Removals {
        let (name, version) = (ODD.to_owned(), Some(ODD.to_owned()));
        let last = Event { serial: Serial(7), name, version, time: 0, action: action.to_owned() };
        let tombstone = Tombstone { kind: TombstoneKind::Removed, reason: ODD.to_owned() };
        Removals { last: Some(last), files: vec![(ODD.to_owned(), tombstone)], ..Removals::default() }
    }

    fn written(sheet: &ProjectSheet, kept: &[Option<bool>]) -> String {
        let removals = Ok(removals(ODD));
        let shown = Shown { name: &name(), title: ODD, summary: ODD, sheet, kept, removals: &removals };
        with_site(|site| shown.write(site).into_string())
    }

    #[test]
    fn nothing_that_a_page_an_event_or_a_tombstone_says_is_markup() {
        let mut sheet = sheet(vec![file(Yanked::Yes(Some(ODD.to_owned())))]);
        sheet.files[0].uploaded = Some(ODD.to_owned());
        sheet.status =
            Some(crate::index::ProjectStatus { status: ODD.to_owned(), reason: Some(ODD.to_owned()) });
        let page = written(&sheet, &[]);
        assert!(!page.contains("<script") && !page.contains("\"&<"), "{page}");
        // Title, summary, status, its reason, the version, of the file version, name, time and yank; of the event action and version;
        // of the tombstone file and reason.
        assert_eq!(page.matches(ESCAPED).count(), 13, "{page}");
        let gone = with_site(|site| {
            let body = hidden(site, ODD, None, &Ok(removals(ODD)), IndexError::NoSuchProject).into_body();
            axum::body::to_bytes(body, usize::MAX)
        });
        let gone = futures_util::FutureExt::now_or_never(gone).unwrap().unwrap();
        let gone = String::from_utf8(gone.to_vec()).unwrap();
        // Title and heading; of the event action and version; of the tombstone file and reason.
        assert!(!gone.contains("<script") && gone.matches(ESCAPED).count() == 6, "{gone}");
        let unread = taken_away(&Err(ODD.to_owned())).into_string();
        assert!(!unread.contains("<script") && unread.contains(ESCAPED), "{unread}");
    }

    #[tokio::test]
    async fn a_hidden_project_has_the_status_of_the_failure_and_tells_nothing_of_our_own() {
        let retry = std::time::Duration::from_secs(7);
        for (error, status, later, said) in [
            (IndexError::NoSuchProject, 404, None, "no such project"),
            (IndexError::NotYet { retry }, 503, Some("7"), "has not answered yet"),
            (IndexError::Upstream(UpstreamError::Unexpected(ODD.to_owned())), 502, None, ESCAPED),
            (IndexError::Lost, 500, None, "the relay failed"),
        ] {
            let response =
                with_site(|site| hidden(site, "wire-core", Some(&name()), &Ok(Removals::default()), error));
            let retry = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!((response.status().as_u16(), retry.as_deref()), (status, later), "{said}");
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let page = String::from_utf8(body.to_vec()).unwrap();
            assert!(page.contains(said) && !page.contains("<script") && !page.contains("died"), "{page}");
        }
    }

    #[test]
    fn each_file_says_whether_it_is_kept_and_yanked() {
        let files = [
            Yanked::No,
            Yanked::Yes(None),
            Yanked::Yes(Some(String::new())),
            Yanked::Yes(Some("bad".to_owned())),
        ];
        let page = written(&sheet(files.map(file).to_vec()), &[Some(true), Some(false), None]);
        let cells: Vec<&str> =
            page.split("<td>").skip(1).map(|rest| rest.split("</td>").next().unwrap()).collect();
        let of =
            |wanted: &[&str]| cells.iter().filter(|cell| wanted.contains(cell)).copied().collect::<Vec<_>>();
        let states = of(&["yes", "no", "not known", "yes: bad"]);
        assert_eq!(states, ["yes", "no", "no", "yes", "not known", "yes", "not known", "yes: bad"]);
        assert!(page.contains("href=\"/packages/a%22b\"") && page.contains("1.0 KiB"), "{page}");
        assert!(page.contains(">2026-01-31 23:59:59<"), "{page}");
    }

    #[test]
    fn of_a_file_without_a_digest_it_is_not_known_and_the_next_one_keeps_its_own() {
        let mut files = [Yanked::No, Yanked::No, Yanked::No].map(file);
        files[1].sha256 = Some(Sha256([1; 32]));
        files[2].sha256 = Some(Sha256([2; 32]));
        assert_eq!(of_each(&files, vec![true, false]), [None, Some(true), Some(false)]);
    }

    #[test]
    fn of_much_only_the_first_is_shown_and_that_is_said() {
        let mut sheet = sheet(vec![file(Yanked::No)]);
        sheet.all_files = 900;
        sheet.versions = (0..VERSIONS + 3).map(|version| format!("v{version}")).collect();
        let page = written(&sheet, &[]);
        assert!(page.contains("The first 1 of 900"), "{page}");
        assert!(page.contains("v99, and 3 older") && !page.contains("v100"), "{page}");
        sheet.versions.truncate(VERSIONS);
        assert!(!written(&sheet, &[]).contains("older"));
    }

    #[test]
    fn why_a_project_is_hidden_is_said_as_far_as_it_is_known() {
        let why = |removals: Removals, side| why(Some(&name()), &Ok(removals), side);
        assert!(why(removals("remove project"), Side::Client).contains("was removed"));
        assert!(why(removals("project quarantined"), Side::Client).contains("no project of this name"));
        let quarantined = Removals { quarantined: true, ..removals("project quarantined") };
        assert!(why(quarantined, Side::Client).contains("in quarantine"));
        let listed = Removals { listed: true, ..removals("remove release") };
        assert!(why(listed, Side::Client).contains("lists it"));
        assert!(why(Removals::default(), Side::UpstreamBroken).contains("cannot be asked"));
        assert!(super::why(None, &Ok(Removals::default()), Side::Client).contains("No project can have"));
    }
}

//! The fixtures' past: some 5,500 events of twenty years, the same in every run.
//!
//! Every project has its own story in its own order; the stories are interleaved by a fixed random
//! sequence. Most events belong to projects that came and went, as most names on a real index do.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use crate::model::{Event, Serial};

use super::SandboxError;
use super::artefact::{File, Recipe, mix};
use super::fixture::{Fixture, FixtureRelease, all};
use super::project::{Project, Release, Role, Upload};
use super::shop::Shop;

/// The serial before the first event: large enough that a client that counts rows instead is found out.
const FIRST_SERIAL: i64 = 20_000_000;
/// 2005-03-01, about when the first journal began.
const FIRST_TIME: i64 = 1_109_635_200;
/// Mean distance of two events, so that the last is in 2025.
const STEP: u64 = 2 * 120_000;
/// Projects that were removed again.
const GONE: u64 = 600;

/// One event of a story: version and action.
type Step = (Option<String>, String);

struct Story {
    name: String,
    steps: VecDeque<Step>,
}

/// Builds the whole index.
pub(super) fn build() -> Result<Shop, SandboxError> {
    let mut projects = Vec::new();
    let mut stories: Vec<Story> = (0..GONE).map(gone).collect();
    for (name, fixture) in all()? {
        let project =
            make(&fixture).map_err(|error| SandboxError::Pack { project: fixture.name.clone(), error })?;
        stories.push(story(&fixture, &project));
        projects.push((name, project));
    }
    let mut shop = Shop::default();
    let mut told = tell(stories, &mut shop);
    for (name, mut project) in projects {
        // Every story begins with an event, so each is there.
        if let Some((serial, times)) = told.remove(&project.name) {
            project.last_serial = serial;
            for upload in project.releases.iter_mut().flat_map(|release| &mut release.files) {
                upload.time = times.get(&upload.file.filename).copied().unwrap_or(FIRST_TIME);
            }
        }
        shop.put(name, project);
    }
    Ok(shop.built())
}

fn make(fixture: &Fixture) -> io::Result<Project> {
    let mut roles = fixture.roles.clone();
    roles.sort_by_key(Role::place);
    let releases = fixture.releases();
    let releases = releases.iter().map(|release| make_release(fixture, release));
    Ok(Project {
        name: fixture.name.clone(),
        status: fixture.status,
        status_reason: fixture.status_reason.clone(),
        organization: fixture.organization.clone(),
        roles,
        releases: releases.collect::<io::Result<_>>()?,
        last_serial: Serial(FIRST_SERIAL),
    })
}

fn make_release(fixture: &Fixture, release: &FixtureRelease) -> io::Result<Release> {
    let info = release.info(&fixture.info);
    let recipe = Recipe {
        name: &fixture.name,
        version: &release.version,
        info: &info,
        script: fixture.script,
        bulk: release.bulk.as_ref(),
    };
    let mut files = Vec::new();
    for (n, form) in release.files.iter().enumerate() {
        let mut file = File::make(&recipe, form)?;
        file.provenance = release.provenance && n == 0;
        file.comment.clone_from(&release.comment);
        files.push(Upload { time: 0, file: Arc::new(file) });
    }
    Ok(Release {
        version: release.version.clone(),
        info: Arc::new(info),
        files,
        yanked: release.yanked.clone(),
        quarantined: release.quarantined,
    })
}

fn story(fixture: &Fixture, project: &Project) -> Story {
    let mut steps = VecDeque::from([(None, "create".to_owned())]);
    for role in &project.roles {
        steps.push_back((None, format!("add {} {}", role.role, role.user)));
    }
    steps.extend(fixture.history.iter().map(|action| (None, action.clone())));
    for (release, declared) in project.releases.iter().zip(fixture.releases()) {
        let mut push = |action: String| steps.push_back((Some(release.version.clone()), action));
        push("new release".to_owned());
        for Upload { file, .. } in &release.files {
            push(format!("add {} file {}", file.tag, file.filename));
        }
        declared.history.into_iter().for_each(&mut push);
        if release.yanked.is_some() {
            push("yank release".to_owned());
        }
        if release.quarantined {
            push("release quarantined".to_owned());
        }
    }
    if project.status == super::Status::Quarantined {
        steps.push_back((None, "project quarantined".to_owned()));
    }
    Story { name: project.name.clone(), steps }
}

/// The story of a project that came and went.
fn gone(n: u64) -> Story {
    let name = format!("gone-{n:03}");
    let version = || Some(format!("0.{}", n % 7));
    let file = format!("gone_{n:03}-0.{}.tar.gz", n % 7);
    let user = ["alice", "bob", "carol"][usize::from(n.to_le_bytes()[0] % 3)];
    let mut steps = VecDeque::from([
        (None, "create".to_owned()),
        (None, format!("add Owner {user}")),
        (version(), "new release".to_owned()),
        (version(), format!("add source file {file}")),
    ]);
    match n % 5 {
        0 => steps.push_back((None, "docupdate".to_owned())),
        1 => steps.push_back((None, format!("rename from old-{n}"))),
        2 => {
            let egg = format!("gone_{n:03}-0.{}-py2.7.egg", n % 7);
            steps.push_back((version(), format!("add 2.7 file {egg}")));
            steps.push_back((version(), format!("remove file {egg}")));
        }
        3 => steps.extend([(version(), "yank release".to_owned()), (version(), "unyank release".to_owned())]),
        _ => steps.push_back((version(), "update summary, description".to_owned())),
    }
    steps.push_back((version(), format!("remove file {file}")));
    // Before 2012 an action was `remove`, with a version or without one.
    if n.is_multiple_of(4) {
        steps.extend([(version(), "remove".to_owned()), (None, "remove".to_owned())]);
    } else {
        steps.extend([(version(), "remove release".to_owned()), (None, "remove project".to_owned())]);
    }
    Story { name, steps }
}

/// What became of each project: its last serial, and when each of its files was added.
type Told = HashMap<String, (Serial, HashMap<String, i64>)>;

fn tell(mut stories: Vec<Story>, shop: &mut Shop) -> Told {
    let mut told = Told::new();
    let (mut serial, mut time) = (FIRST_SERIAL, FIRST_TIME);
    let mut draw = 0;
    let mut random = |below: u64| {
        draw += 1;
        // Below a small bound: fits whatever the word size.
        i64::try_from(mix(draw) % below).unwrap_or(0)
    };
    while !stories.is_empty() {
        let pick = usize::try_from(random(stories.len() as u64)).unwrap_or(0);
        // A few steps at once, as an upload of several files makes them.
        for _ in 0..=random(4) {
            let Some((version, action)) = stories[pick].steps.pop_front() else { break };
            serial += 1 + random(3);
            match random(50) {
                0 => time -= 1 + random(3_600),
                1..=15 => {}
                _ => time += random(STEP),
            }
            let name = stories[pick].name.clone();
            let (last, times) = told.entry(name.clone()).or_insert((Serial(0), HashMap::new()));
            *last = Serial(serial);
            if action.starts_with("add ")
                && let Some((_, filename)) = action.split_once(" file ")
            {
                times.insert(filename.to_owned(), time);
            }
            shop.record(Event { serial: Serial(serial), name, version, time, action });
        }
        if stories[pick].steps.is_empty() {
            stories.swap_remove(pick);
        }
    }
    told
}

//! Search against looking at everything, and what events do to it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use cheesewire::journal::{Hit, Journal, JournalSettings, Learned, Search, TextField};
use cheesewire::model::{AskedVersions, Event, NameTerm, ProjectName, Serial, newest_first};
use proptest::prelude::*;

/// Words that have no endings.
const WORDS: [&str; 4] = ["kiwi", "lion", "42", "naïve"];
const FIELDS: [TextField; 3] = [TextField::Summary, TextField::Author, TextField::Keywords];

#[derive(Debug, Clone)]
struct Known {
    texts: [Vec<&'static str>; 3],
    versions: BTreeSet<&'static str>,
}

#[derive(Debug, Clone)]
struct QuestionStart {
    every: bool,
    names: Option<Vec<String>>,
    texts: BTreeMap<usize, Vec<Vec<&'static str>>>,
    versions: Option<Vec<&'static str>>,
    limit: usize,
}

/// By name: what documents told; the serials come in another order than the names.
type World = BTreeMap<String, (i64, Option<Known>)>;

fn known() -> impl Strategy<Value = Known> {
    let text = || prop::collection::vec(prop::sample::select(&WORDS[..]), 0..3);
    let versions = prop::collection::btree_set(prop::sample::select(&["1.0", "1.1", "2.0rc1"][..]), 0..3);
    ([text(), text(), text()], versions).prop_map(|(texts, versions)| Known { texts, versions })
}

fn world() -> impl Strategy<Value = World> {
    let projects = prop::collection::btree_map("[ab]{1,2}(-[ab]{1,2})?", prop::option::of(known()), 0..16);
    (projects, any::<u64>()).prop_map(|(projects, seed)| {
        let mut serials: Vec<i64> = (1..=i64::try_from(projects.len()).unwrap()).collect();
        serials.sort_by_key(|serial| serial.unsigned_abs().wrapping_mul(seed | 1) % 1009);
        projects.into_iter().zip(serials).map(|((name, known), serial)| (name, (serial, known))).collect()
    })
}

fn asked() -> impl Strategy<Value = QuestionStart> {
    let names = prop::option::of(prop::collection::vec("[ab]{1,2}( [ab])?", 0..3));
    let words = prop::collection::vec(prop::sample::select(&WORDS[..]), 0..3);
    let texts = prop::collection::btree_map(0..3_usize, prop::collection::vec(words, 0..3), 0..3);
    let versions =
        prop::option::weighted(0.3, prop::collection::vec(prop::sample::select(&["1", "2.0rc1"][..]), 0..2));
    (any::<bool>(), names, texts, versions, 0..20_usize).prop_map(|(every, names, texts, versions, limit)| {
        QuestionStart { every, names, texts, versions, limit }
    })
}

/// What a search has to give: name and version of each hit.
fn naive(world: &World, asked: &QuestionStart) -> Vec<(String, String)> {
    let terms: Option<Vec<NameTerm>> =
        asked.names.as_ref().map(|names| names.iter().filter_map(|name| NameTerm::parse(name)).collect());
    let mut ranked = Vec::new();
    for (name, (serial, known)) in world {
        let close: Vec<_> = terms.iter().flatten().filter_map(|term| term.closeness(name)).collect();
        let by_name = (!close.is_empty())
            .then(|| (*close.iter().min().unwrap(), terms.iter().flatten().count() - close.len()));
        let text = |field: usize| {
            asked.texts.get(&field).map(|values| {
                let has = |word| known.as_ref().is_some_and(|known| known.texts[field].contains(word));
                values.iter().any(|words| !words.is_empty() && words.iter().all(has))
            })
        };
        let texts: Vec<bool> = (0..3).filter_map(text).collect();
        let released = |version: &str| {
            let asked =
                asked.versions.iter().flatten().map(|asked| if *asked == "1" { "1.0" } else { asked });
            asked.into_iter().any(|asked| asked == version)
        };
        let versions = known.iter().flat_map(|known| known.versions.iter().copied());
        // Its class, and whether all its releases are meant.
        let (class, whole) = if asked.every {
            let named = terms.is_none() || by_name.is_some();
            let nothing = terms.is_none() && asked.texts.is_empty() && asked.versions.is_none();
            (named && !nothing && texts.iter().all(|matches| *matches))
                .then_some((0, asked.versions.is_none()))
        } else if by_name.is_some() {
            Some((0, true))
        } else if text(0) == Some(true) {
            Some((1, true))
        } else if texts.iter().any(|matches| *matches) {
            Some((2, true))
        } else {
            asked.versions.is_some().then_some((3, false))
        }
        .unzip();
        let (Some(class), Some(whole)) = (class, whole) else { continue };
        let mut hits: Vec<&str> = match &asked.versions {
            None => {
                let mut versions: Vec<&str> = versions.collect();
                newest_first(&mut versions, |version| version);
                let last = versions.into_iter().find(|version| *version != "2.0rc1");
                let only = known.as_ref().and_then(|known| known.versions.first().copied());
                vec![last.or(only).unwrap_or("")]
            }
            Some(_) => versions.filter(|version| whole || released(version)).collect(),
        };
        newest_first(&mut hits, |version| version);
        hits.reverse();
        ranked.push((class, by_name, Reverse(*serial), name.clone(), hits));
    }
    ranked.sort();
    let hits = ranked.into_iter().flat_map(|(_, _, _, name, versions)| {
        versions.into_iter().map(move |version| (name.clone(), version.to_owned()))
    });
    hits.take(asked.limit).collect()
}

fn search(asked: &QuestionStart) -> Search {
    let owned = |words: &Vec<&str>| words.iter().flat_map(|word| cheesewire::model::words(word)).collect();
    let texts = asked.texts.iter();
    Search {
        every: asked.every,
        names: asked
            .names
            .as_ref()
            .map(|names| names.iter().filter_map(|name| NameTerm::parse(name)).collect()),
        texts: texts.map(|(&at, values)| (FIELDS[at], values.iter().map(owned).collect())).collect(),
        versions: asked.versions.as_ref().map(|versions| AskedVersions::new(versions.iter().copied())),
        limit: asked.limit,
        looked_at: 1000,
    }
}

fn name(spelling: &str) -> ProjectName {
    ProjectName::parse(spelling).unwrap()
}

fn learned(project: &str, serial: i64, known: &Known) -> Learned {
    let mut versions: Vec<String> = known.versions.iter().map(|version| (*version).to_owned()).collect();
    newest_first(&mut versions, |version| version);
    let latest = versions.iter().find(|version| *version != "2.0rc1").or(versions.first());
    let texts =
        FIELDS.iter().zip(&known.texts).map(|(field, words)| (*field, words.join(", ").to_uppercase()));
    Learned {
        project: name(project),
        serial: Some(Serial(serial)),
        version: latest.cloned().unwrap_or_default(),
        versions,
        summary: known.texts[0].join(", "),
        texts: texts.collect(),
    }
}

async fn journal(world: &World) -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let listing = world.iter().map(|(name, (serial, _))| (name.clone(), Some(Serial(*serial)))).collect();
    journal.seed(listing, Serial(100)).await.unwrap();
    let told =
        world.iter().filter_map(|(name, (serial, known))| Some(learned(name, *serial, known.as_ref()?)));
    journal.learn(told.collect()).await.unwrap();
    (folder, journal)
}

fn pairs(hits: Vec<Hit>) -> Vec<(String, String)> {
    hits.into_iter().map(|hit| (hit.name, hit.version)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn hits_are_those_that_looking_at_everything_gives_in_the_same_order(
        world in world(),
        questions in prop::collection::vec(asked(), 1..30),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (_folder, journal) = journal(&world).await;
            for asked in questions {
                let hits = journal.search(search(&asked)).await.unwrap();
                prop_assert_eq!(pairs(hits), naive(&world, &asked), "{:?}", asked);
            }
            journal.close().await;
            Ok(())
        })?;
    }
}

/// The names of hits for one name.
async fn named(journal: &Journal, term: &str) -> Vec<String> {
    let names = Some(NameTerm::parse(term).into_iter().collect());
    let search = Search { every: true, names, limit: 100, looked_at: 100, ..Search::default() };
    journal.search(search).await.unwrap().into_iter().map(|hit| hit.name).collect()
}

fn event(serial: i64, name: &str, version: Option<&str>, action: &str) -> Event {
    let version = version.map(str::to_owned);
    Event { serial: Serial(serial), name: name.to_owned(), version, time: serial, action: action.to_owned() }
}

#[tokio::test]
async fn events_reach_the_names_with_the_commit_before_and_after_the_first_search() {
    for searched_before in [false, true] {
        let world = World::from(["Aa", "b-a", "c"].map(|name| (name.to_owned(), (5, None))));
        let (_folder, journal) = journal(&world).await;
        if searched_before {
            assert_eq!(named(&journal, "a").await, ["Aa", "b-a"]);
        }
        let events = vec![
            event(101, "b-a", None, "remove project"),
            event(102, "New_A", None, "create"),
            event(103, "aA", Some("1.0"), "new release"),
            event(104, "c", None, "project quarantined"),
        ];
        journal.append(events, Serial(100), Serial(104)).await.unwrap();
        assert_eq!(named(&journal, "a").await, ["aA", "New_A"]);
        assert_eq!(named(&journal, "c").await, [""; 0]);
        // What happens to a quarantined project does not bring it back; being cleared does.
        let role = vec![event(105, "c", None, "add Owner x"), event(106, "c", Some("2"), "new release")];
        journal.append(role, Serial(104), Serial(106)).await.unwrap();
        assert_eq!(named(&journal, "c").await, [""; 0]);
        let cleared = vec![event(107, "c", None, "project quarantine cleared")];
        journal.append(cleared, Serial(106), Serial(107)).await.unwrap();
        assert_eq!(named(&journal, "c").await, ["c"]);
        journal.seed(vec![("d".to_owned(), Some(Serial(200)))], Serial(200)).await.unwrap();
        assert_eq!(named(&journal, "a").await, [""; 0]);
        assert_eq!(named(&journal, "d").await, ["d"]);
    }
}

#[tokio::test]
async fn versions_follow_events_and_older_documents_change_nothing() {
    let known = Known { texts: [vec!["kiwi"], vec![], vec![]], versions: ["1.0", "1.1"].into() };
    let world = World::from([("a".to_owned(), (5, Some(known.clone())))]);
    let (_folder, journal) = journal(&world).await;
    let versions = |text: &str| {
        let (journal, texts) = (journal.clone(), vec![(TextField::Summary, vec![vec![text.to_owned()]])]);
        async move {
            let search = Search { every: true, texts, limit: 9, looked_at: 9, ..Search::default() };
            journal.search(search).await.unwrap().into_iter().map(|hit| hit.version).collect::<Vec<_>>()
        }
    };
    assert_eq!(versions("kiwi").await, ["1.1"]);
    let step = async |serial: i64, version, action: &str| {
        let events = vec![event(serial, "a", version, action)];
        journal.append(events, Serial(serial - 1), Serial(serial)).await.unwrap();
    };
    step(101, Some("2.0"), "new release").await;
    assert_eq!(versions("kiwi").await, ["2.0"]);
    // A copy of the document from before that is read late.
    journal.learn(vec![learned("a", 5, &known)]).await.unwrap();
    assert_eq!(versions("kiwi").await, ["2.0"]);
    step(102, Some("2.0"), "remove release").await;
    assert_eq!(versions("kiwi").await, ["1.1"]);
    let newer = Known { texts: [vec!["lion"], vec![], vec![]], versions: ["1.0"].into() };
    journal.learn(vec![learned("a", 102, &newer)]).await.unwrap();
    journal.learn(vec![learned("a", 101, &known)]).await.unwrap();
    assert_eq!((versions("kiwi").await, versions("lion").await), (vec![], vec!["1.0".to_owned()]));
    step(103, Some("1.0"), "release quarantined").await;
    assert_eq!(versions("lion").await, [""]);
    step(104, None, "remove project").await;
    assert_eq!(versions("lion").await, [""; 0]);
    // A document that was on its way does not bring it back.
    journal.learn(vec![learned("a", 104, &newer)]).await.unwrap();
    assert_eq!(versions("lion").await, [""; 0]);
}

#[tokio::test]
async fn names_and_texts_are_joined_from_whichever_side_has_fewer() {
    let known = |word| Known { texts: [vec![word], vec![], vec![]], versions: BTreeSet::new() };
    let told = |n: i64| (n % 7 != 0).then(|| known(if n % 5 == 0 { "lion" } else { "kiwi" }));
    // Names and changes in different orders.
    let world: World = (1..1500).map(|n| (format!("n{n}"), (n * 577 % 1500, told(n)))).collect();
    let (_folder, journal) = journal(&world).await;
    for (name, word, looked_at) in [
        // Few by name, and the ids of all texts are read.
        ("146", "kiwi", 10_000),
        // Few by name, and each is asked for its texts: there are more than are read.
        ("146", "kiwi", 100),
        // Many by both.
        ("1", "kiwi", 10_000),
        // Fewer by texts than by name.
        ("n", "kiwi", 10_000),
        // Few by texts, so names are not asked for.
        ("1", "lion", 10_000),
        ("146", "tree", 10_000),
        ("x", "kiwi", 10_000),
    ] {
        for limit in [7, 5000] {
            let texts = BTreeMap::from([(0, vec![vec![word]])]);
            let names = Some(vec![name.to_owned()]);
            let asked = QuestionStart { every: true, names, texts, versions: None, limit };
            let hits = journal.search(Search { looked_at, ..search(&asked) }).await.unwrap();
            assert_eq!(pairs(hits), naive(&world, &asked), "{name} {word} {looked_at} {limit}");
        }
    }
}

#[tokio::test]
async fn the_version_of_a_project_without_document_is_that_of_its_last_event() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let listing = ["a", "b", "c"].into_iter().zip([11, 12, 13]);
    let listing = listing.map(|(name, serial)| (name.to_owned(), Some(Serial(serial)))).collect();
    journal.seed(listing, Serial(20)).await.unwrap();
    // History: it does not move the table.
    let history = vec![
        event(11, "a", Some("3.1"), "add py3 file a-3.1-py3-none-any.whl"),
        event(12, "b", Some("3.1"), "remove release"),
    ];
    journal.append(history, Serial(10), Serial(12)).await.unwrap();
    let search = Search {
        names: Some(["a", "b", "c"].iter().filter_map(|name| NameTerm::parse(name)).collect()),
        limit: 9,
        looked_at: 9,
        ..Search::default()
    };
    let hits = journal.search(search).await.unwrap();
    let expected =
        [("c", ""), ("b", ""), ("a", "3.1")].map(|(name, version)| (name.to_owned(), version.to_owned()));
    assert_eq!(pairs(hits), expected);
}

#[tokio::test]
async fn what_was_hidden_since_the_names_were_read_is_no_hit() {
    let world = World::from(["aa", "ab"].map(|name| (name.to_owned(), (5, None))));
    let (folder, journal) = journal(&world).await;
    assert_eq!(named(&journal, "a").await, ["aa", "ab"]);
    // As a commit leaves it between a question to the names in memory and the look at the rows.
    let raw = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    raw.execute("DELETE FROM projects WHERE name = 'aa'", []).unwrap();
    assert_eq!(named(&journal, "a").await, ["ab"]);
}

#[tokio::test]
async fn large_slices_of_history_are_looked_through_afterwards_and_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let listing = ["a", "b", "c"].map(|name| (name.to_owned(), Some(Serial(60_000))));
    journal.seed(listing.into(), Serial(60_000)).await.unwrap();
    let mut history: Vec<Event> = (1..=50_000)
        .map(|serial| event(serial, &format!("n{}", serial % 700), Some("1"), "new release"))
        .collect();
    let told = [
        (10, "a", Some("1.0"), "new release"),
        (45_000, "a", Some("0.9"), "new release"),
        (20, "b", Some("1.0"), "new release"),
        (30_000, "b", Some("2.0"), "new release"),
        (30_001, "b", Some("2.0"), "release quarantined"),
        (30, "c", Some("9.0"), "new release"),
        (40_000, "c", None, "remove project"),
        (40_001, "c", Some("0.1"), "new release"),
    ];
    for (serial, name, version, action) in told {
        history[usize::try_from(serial).unwrap() - 1] = event(serial, name, version, action);
    }
    journal.append(history, Serial(0), Serial(50_000)).await.unwrap();
    let versions = async |journal: &Journal| {
        let search = Search {
            names: Some(["a", "b", "c"].iter().filter_map(|name| NameTerm::parse(name)).collect()),
            limit: 9,
            looked_at: 9,
            ..Search::default()
        };
        pairs(journal.search(search).await.unwrap())
            .into_iter()
            .map(|(_, version)| version)
            .collect::<Vec<_>>()
    };
    assert_eq!(versions(&journal).await, ["", "", ""]);
    // Also by the next process.
    journal.close().await;
    let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
    let entering = journal.clone();
    let entering = tokio::spawn(async move { entering.enter_releases_for_ever().await });
    crate::support::until("history is never looked through", async || {
        versions(&journal).await == ["1.0", "1.0", "0.1"]
    })
    .await;
    entering.abort();
}

use std::collections::HashMap;
use std::io::Write as _;

use super::*;

fn open(projects: usize, events: u64) -> Scale {
    let mut list = tempfile::NamedTempFile::new().unwrap();
    writeln!(list, "name\tversion\tmonth\trank_among_15000_most_downloaded\tsummary").unwrap();
    for n in 0..projects {
        writeln!(list, "name{n:05}\t1.{n}\t\t\tSummary {n}").unwrap();
    }
    Scale::open(&ScaleSettings { projects: list.path().to_owned(), events }).unwrap()
}

#[test]
fn a_row_is_the_same_by_page_and_singly_and_in_every_run() {
    let (scale, again) = (open(100, 5_000), open(100, 5_000));
    let all = scale.events_after(Serial(0), 10_000);
    assert_eq!((all.len(), &all), (5_000, &again.events_after(Serial(0), 10_000)));
    assert!(all.windows(2).all(|pair| pair[0].serial < pair[1].serial));
    for start in [0, 1, 2_499, 4_999] {
        let before = if start == 0 { Serial(0) } else { all[start - 1].serial };
        assert_eq!(scale.events_after(before, 1), all[start..=start]);
        // A serial that no event has is as good a start.
        let just_before = Serial(all[start].serial.0 - 1);
        assert_eq!(scale.events_after(just_before, 1), all[start..=start]);
    }
    assert_eq!(scale.events_after(scale.last_serial(), 1), []);
    assert_eq!(scale.last_serial(), all[4_999].serial);
}

#[test]
fn every_project_has_an_event_and_the_serial_of_its_last() {
    let scale = open(100, 5_000);
    let mut last = HashMap::new();
    for event in scale.events_after(Serial(0), 5_000) {
        last.insert(event.name, event.serial);
    }
    let listed: HashMap<_, _> = (0..).map_while(|place| scale.listed(place)).collect();
    assert_eq!((listed.len(), &listed), (100, &last));
}

#[test]
fn times_repeat_and_step_back() {
    let times: Vec<i64> =
        open(10, 5_000).events_after(Serial(0), 5_000).iter().map(|event| event.time).collect();
    assert!(times.windows(2).any(|pair| pair[0] == pair[1]));
    assert!(times.windows(2).any(|pair| pair[0] > pair[1]));
}

#[test]
fn a_file_is_found_by_its_own_path_only() {
    let scale = open(10, 0);
    let project = scale.project(&ProjectName::parse("name00003").unwrap()).unwrap();
    let file = &project.releases[0].files[0].file;
    assert_eq!(scale.file(&file.path).unwrap().file.digests, file.digests);
    let other = FilePath::parse(&format!("aa/bb/cc/{}", file.filename)).unwrap();
    assert!(scale.file(&other).is_none());
}

#[test]
fn a_projects_first_event_is_its_creation_and_no_other_is() {
    let mut seen = std::collections::HashSet::new();
    for event in open(100, 5_000).events_after(Serial(0), 5_000) {
        assert_eq!(event.action == "create", seen.insert(event.name.clone()), "{event:?}");
    }
    assert_eq!(seen.len(), 100);
}

#[test]
fn a_generated_list_is_read_and_the_same_for_the_same_seed() {
    let list = |count, seed| {
        let mut list = Vec::new();
        generate_list(count, seed, &mut list).unwrap();
        list
    };
    let text = list(20_000, 7);
    assert_eq!((&text, list(20_000, 8) == text), (&list(20_000, 7), false));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&text).unwrap();
    // Two projects of one name would be refused.
    let scale = Scale::open(&ScaleSettings { projects: file.path().to_owned(), events: 0 }).unwrap();
    assert_eq!((0..).map_while(|place| scale.listed(place)).count(), 20_000);
}

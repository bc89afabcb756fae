use super::*;

fn read(file: &str, environment: &[(&str, &str)], set: &[&str]) -> Result<Config, String> {
    let mut sources = Sources::default();
    sources.text(file, "the file").map_err(|error| error.to_string())?;
    sources.environment(environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    for assignment in set {
        sources.set(assignment).map_err(|error| error.to_string())?;
    }
    Config::read(sources).map_err(|error| error.to_string())
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "[upstream]\nurl = 'http://index.test/'\n[journal]\nreaders = 1\nqueue = 1\n[rpc]\ndepth = 1";
    let environment =
        [("CHEESEWIRE_JOURNAL__READERS", "2"), ("CHEESEWIRE_JOURNAL__QUEUE", "2"), ("HOME", "/")];
    let config = read(file, &environment, &["journal.readers=3"]).unwrap();
    assert_eq!((config.journal.readers, config.journal.queue, config.rpc.depth), (3, 2, 1));
    assert_eq!(config.upstream.base.as_str(), "http://index.test/");
}

#[test]
fn what_kubernetes_says_of_a_service_of_our_name_is_no_setting() {
    let environment = [
        ("CHEESEWIRE_PORT", "tcp://10.0.0.1:80"),
        ("CHEESEWIRE_SERVICE_HOST", "10.0.0.1"),
        ("CHEESEWIRE_SERVICE_PORT_HTTP", "80"),
        ("CHEESEWIRE_MAIN_SERVICE_PORT", "80"),
        ("CHEESEWIRE_PORT_80_TCP_ADDR", "10.0.0.1"),
    ];
    read("[upstream]\nurl = 'http://index.test/'", &environment, &[]).unwrap();
    let slip = read("", &[("CHEESEWIRE_HTTP_IDLE_TIMEOUT", "9s")], &[]).unwrap_err();
    assert!(slip.contains("did you mean http.idle_timeout?"), "{slip}");
}

#[test]
fn every_complaint_comes_at_once_and_names_its_place() {
    let file = "[http]\nlisten = 'here'\nidle_timeout = 60\n[jurnal]\nreaders = 2\n[log]\nformat = 'xml'\nfilter = 'a=b=c'\n[relay]\nflights = 0\nwindow = 0";
    let error = read(file, &[("CHEESEWIRE_RPC__DEPHT", "9")], &[]).unwrap_err();
    for complaint in [
        "http.listen = \"here\" (in the file): expected an address and port such as 127.0.0.1:3141, or a port alone",
        "http.idle_timeout = 60 (in the file): expected a duration above 0 such as 500ms, 30s or 5m",
        "jurnal.readers (in the file): no such setting; did you mean journal.readers?",
        "log.format = \"xml\" (in the file): expected text or json",
        "log.filter = \"a=b=c\" (in the file): expected a level",
        "relay.window = 0 (in the file): expected a size from 1 KiB on",
        "relay.flights = 0 (in the file): expected a whole number from 1",
        "rpc.depht (in the environment variable CHEESEWIRE_RPC__DEPHT): no such setting; did you mean rpc.depth?",
        "upstream.url is not set; name the index with --upstream URL, or --upstream pip for pip's",
    ] {
        assert!(error.contains(complaint), "{complaint}\nis not in\n{error}");
    }
}

#[test]
fn the_template_is_a_file_that_changes_nothing() {
    let template = Config::template(Sources::default()).unwrap();
    let uncommented: String = template
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let mut sources = Sources::default();
    sources.text(&uncommented, "the template").unwrap();
    assert_eq!(Config::template(sources).unwrap(), template);
}

/// The keys of all `settings!` blocks in the source, read off as text.
fn declared() -> Vec<String> {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut keys = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for block in text.split("\nsettings! {\n").skip(1) {
                let block = block.split("\n}\n").next().unwrap();
                let (_, rest) = block.split_once(" in \"").unwrap();
                let (section, fields) = rest.split_once("\" {\n").unwrap();
                let fields = fields.lines().filter_map(|line| line.trim_start().split_once(": "));
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                let fields = fields.filter(|(name, _)| name.chars().all(plain));
                let own = fields
                    .filter(|(_, rest)| !rest.contains(" as Internal = ") && !rest.contains(" as Group = "));
                keys.extend(own.map(|(name, _)| format!("{section}.{name}")));
            }
        }
    }
    keys.sort();
    keys
}

#[test]
fn every_setting_that_is_declared_anywhere_is_read() {
    let mut read: Vec<_> =
        Config::described(Sources::default()).unwrap().iter().map(|setting| setting.key.to_owned()).collect();
    read.sort();
    assert_eq!(read, declared());
    // Of two with one key only the first would be given its value.
    assert!(read.is_sorted_by(|one, next| one < next), "{read:#?}");
    assert!(read.len() > 140, "{}", read.len());
}

#[test]
fn a_setting_means_the_first_paragraph_of_its_comment() {
    let settings = Config::described(Sources::default()).unwrap();
    let of = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap();
    // On several lines, and without a paragraph for the reason.
    assert_eq!(
        of("data.folder").meaning,
        "The folder for journal and cache; made if missing. It belongs to the first upstream that it is used with."
    );
    // The reason, what it costs, is below.
    assert_eq!(
        of("feed.subscribers").meaning,
        "Subscribers of the feed at once; one more is told to come back."
    );
    assert!(settings.iter().all(|setting| !setting.meaning.is_empty()));
}

#[test]
fn a_mirror_has_a_name_by_which_it_is_reached_and_somebody_to_ask() {
    let with = |set: &[&str]| read("[upstream]\nurl = 'http://index.test/'", &[], set);
    let host = |set: &[&str]| with(set).unwrap().push.host.map(|host| host.to_string());
    let from = "push.from=http://master.test/";
    let nameless = with(&[from]).unwrap_err();
    assert!(
        nameless.contains("push.from is set and push.host is not: set it to the HOST:PORT"),
        "{nameless}"
    );
    assert_eq!(host(&[from, "push.host=Mirror.test:81"]).as_deref(), Some("mirror.test:81"));
    assert_eq!(
        host(&[from, "http.public_url=http://relay.test:8080/x/"]).as_deref(),
        Some("relay.test:8080")
    );
    assert_eq!(host(&[from, "http.public_url=https://relay.test:8443/"]).as_deref(), Some("relay.test"));
    assert_eq!(host(&["http.public_url=http://relay.test/"]), None);
    let nobody = with(&["push.only=true"]).unwrap_err();
    assert!(nobody.contains("push.only = true: nobody is asked for files; set push.from"), "{nobody}");
    for (odd, expected) in [
        ("push.host=http://mirror.test/", "expected a host with or without a port, such as mirror.test:3141"),
        ("push.hosts=mirror.test, a/b", "expected hosts with or without a port and commas between them"),
        ("push.from=master.test", "expected an address such as http://index.test/"),
        ("push.attempts=0", "expected a whole number from 1"),
        ("push.at_once=0", "expected a whole number from 1"),
        ("push.wait=0s", "expected a duration above 0"),
    ] {
        let complaint = with(&[odd]).unwrap_err();
        assert!(complaint.contains(expected), "{complaint}");
    }
    let slow = with(&["upstream.least_rate=7", "upstream.rate_window=3s"]).unwrap().push.least;
    assert_eq!((slow.bytes, slow.window.as_secs()), (7, 3));
}

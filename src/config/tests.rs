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
        "http.listen = \"here\" (in the file): expected an address and port such as 127.0.0.1:3141, several",
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

//! A sealed report, read by Python as the collector of old read it.

use reqwest::Method;
use tokio::process::Command;

use super::{Counted, NOON, SMALL};
use crate::support::python27::find;
use crate::support::{get, get_with, until, within};

/// Finds days as it did, unpacks at once and as a file, and reads lines with `csv`; prints what it read.
const COLLECTOR: &str = r#"
import bz2, csv, io, re, sys, tempfile
try:
    from urllib2 import urlopen
except ImportError:
    from urllib.request import urlopen
base = sys.argv[1] + "local-stats/days/"
for day in sorted(set(re.findall("href=.(20..-..-..).bz2", urlopen(base).read().decode("ascii")))):
    packed = urlopen(base + day + ".bz2").read()
    data = bz2.decompress(packed)
    with tempfile.NamedTemporaryFile() as kept:
        kept.write(packed)
        kept.flush()
        stream = bz2.BZ2File(kept.name)
        assert stream.read() == data, "one stream"
    lines = io.BytesIO(data) if sys.version_info[0] == 2 else io.StringIO(data.decode("utf-8"), newline="")
    for package, filename, useragent, count in csv.reader(lines):
        print("%s|%s|%s|%d" % (day, package, useragent, int(count)))
    written = io.BytesIO() if sys.version_info[0] == 2 else io.StringIO(newline="")
    lines.seek(0)
    csv.writer(written).writerows(csv.reader(lines))
    written = written.getvalue()
    assert (written if sys.version_info[0] == 2 else written.encode("utf-8")) == data, "as written by csv"
"#;

#[tokio::test]
#[ignore = "runs python3 and, where there is one, python2.7"]
async fn pythons_bz2_and_csv_read_a_sealed_report_as_the_old_collector_does() {
    let relay = Counted::start(&["stats.seal_after=1ms"]).await;
    let (_, url) = relay.file(SMALL);
    let agents = ["pip/1", "Mozilla/5.0 (X11; \"U\", a)", "plain, comma", "it's \"quoted\""];
    for agent in agents {
        assert_eq!(get_with(Method::GET, &url, &[("user-agent", agent)]).await.unwrap().status, 200);
    }
    relay.clock.set(NOON + 86_400);
    let sealed = format!("{}local-stats/days/2026-01-31.bz2", relay.relay.url);
    until("it is not sealed", async || get(&sealed).await.status == 200).await;
    let old = find().await;
    if old.is_none() {
        println!("not run by Python 2.7: there is none");
    }
    for python in old.into_iter().chain(["python3".into()]) {
        let mut command = Command::new(&python);
        let python = python.display();
        let output = command.args(["-c", COLLECTOR, &relay.relay.url]).kill_on_drop(true).output();
        let output =
            within("it does not end", output).await.unwrap_or_else(|error| panic!("{python}: {error}"));
        assert!(output.status.success(), "{python}: {}", String::from_utf8_lossy(&output.stderr));
        let read = String::from_utf8(output.stdout).unwrap();
        assert_eq!(read.lines().count(), agents.len(), "{read}");
        for agent in agents {
            assert!(read.contains(&format!("|{agent}|1\n")), "{python}: {agent}: {read}");
        }
    }
}

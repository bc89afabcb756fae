//! What Python reads: a sealed report, as the collector of old read it, and the exported tables.

use reqwest::Method;
use tokio::process::Command;

use super::collecting::stats;
use super::{Counted, NOON, SMALL};
use crate::support::programs::{environment, run};
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

/// Reads the three forms of an export and prints the rows of each, which must be the same, as one JSON text.
const TABLES: &str = r#"
import csv, json, sys
import pyarrow.parquet
parquet, text, lines = sys.argv[1:]
table = pyarrow.parquet.read_table(parquet)
read = [{name: str(value) if name == "day" else value for name, value in row.items()} for row in table.to_pylist()]
assert [row for row in map(json.loads, open(lines, encoding="utf-8"))] == read, "the JSON form"
rows = csv.DictReader(open(text, encoding="utf-8", newline=""))
assert [{**row, "count": int(row["count"])} for row in rows] == read, "the CSV form"
types = {field.name: str(field.type) for field in table.schema if field.type != "string"}
print(json.dumps([types, read]))
"#;

#[tokio::test]
#[ignore = "installs pyarrow from the index of this machine's pip"]
async fn pyarrow_reads_an_exported_parquet_file_with_the_rows_of_the_other_forms() {
    let relay = Counted::start(&[]).await;
    let (_, url) = relay.file(SMALL);
    let uv = r#"uv/0.5.1 {"installer":{"name":"uv","version":"0.5.1"},"python":"3.13.1","system":{"name":"Linux"}}"#;
    let agents = [uv, "plain, comma; \"quoted\" \u{e9}\u{202e}", ""];
    for agent in agents {
        assert_eq!(get_with(Method::GET, &url, &[("user-agent", agent)]).await.unwrap().status, 200);
    }
    let folder = relay.relay.stop().await;
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let export = async |form: &[&str]| {
        let output = stats(folder.path(), &[&["export"], form].concat()).await;
        assert!(output.status.success(), "{form:?}: {output:?}");
        output.stdout
    };
    let files = ["rows.parquet", "rows.csv", "rows.json"].map(place);
    export(&["--parquet", &files[0]]).await;
    std::fs::write(&files[1], export(&["--csv"]).await).unwrap();
    std::fs::write(&files[2], export(&["--json"]).await).unwrap();
    let python = environment(&["pyarrow==26.0.1"]).await.join("python");
    let read = run(Command::new(python).args(["-c", TABLES]).args(files)).await;
    let [types, rows]: [serde_json::Value; 2] = serde_json::from_str(&read).unwrap();
    assert_eq!(types, serde_json::json!({ "day": "date32[day]", "count": "int64" }));
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), agents.len(), "{read}");
    let of_uv = rows.iter().find(|row| row["agent"] == uv).unwrap();
    let said = ["day", "installer", "installer_version", "python", "system"].map(|name| &of_uv[name]);
    assert_eq!(said, ["2026-01-31", "uv", "0.5.1", "3.13.1", "Linux"]);
    assert!(rows.iter().any(|row| row["agent"] == agents[1]), "{read}");
}

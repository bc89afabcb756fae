//! DOAP records.

use cheesewire::sandbox::{Info, Publication};
use sha1::{Digest as _, Sha1};

use super::{POLLS, pair};
use crate::support::{get, until};

/// The texts of a document by the path of their elements; it must be well-formed.
pub(super) fn texts(xml: &str) -> Vec<(String, String)> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut path, mut found) = (Vec::new(), Vec::<(String, String)>::new());
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(tag) => {
                path.push(String::from_utf8_lossy(tag.name().as_ref().as_bytes()).into_owned());
                found.push((path.join("/"), String::new()));
            }
            quick_xml::events::Event::End(_) => {
                path.pop();
            }
            quick_xml::events::Event::Text(text) => {
                if let Some((at, all)) = found.last_mut().filter(|(at, _)| *at == path.join("/")) {
                    let _ = at;
                    all.push_str(&text);
                }
            }
            quick_xml::events::Event::GeneralRef(name) => {
                let text = match &*name {
                    "lt" => "<".to_owned(),
                    "gt" => ">".to_owned(),
                    "amp" => "&".to_owned(),
                    "quot" => "\"".to_owned(),
                    other => format!("&{other};"),
                };
                found.last_mut().unwrap().1.push_str(&text);
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert!(path.is_empty(), "{path:?}");
    found
}

fn odd() -> Info {
    let text = |text: &str| Some(text.to_owned());
    Info {
        summary: text("ends ]]> with \u{1}\u{b}\u{1f} and <b>"),
        description: text("two\nlines & \u{c}more"),
        author: text("Ann"),
        author_email: text("ann@mail.test"),
        maintainer: text("UNKNOWN"),
        home_page: text("https://home.test/?a=1&b=\"2\""),
        download_url: text(""),
        ..Info::default()
    }
}

#[tokio::test]
async fn doap_tells_of_a_release_by_each_of_its_addresses() {
    let (sandbox, relay) = pair(&[POLLS]).await;
    sandbox.publish(Publication { info: odd(), ..Publication::new("Odd.Doap", "1.0") }).await.unwrap();
    sandbox.publish(Publication { info: odd(), ..Publication::new("Odd.Doap", "2.0") }).await.unwrap();
    until("it is not there", async || {
        get(&format!("{}pypi/odd-doap/2.0/json", relay.url)).await.status == 200
    })
    .await;
    for (path, version) in [
        ("pypi?:action=doap&name=odd-doap", "2.0"),
        ("pypi?:action=doap&name=Odd.Doap&version=1.0", "1.0"),
        ("pypi/odd-doap/doap", "2.0"),
        ("pypi/odd-doap/1.0/doap", "1.0"),
    ] {
        let record = get(&format!("{}{path}", relay.url)).await;
        assert_eq!(
            (record.status, record.header("content-type")),
            (200, "text/xml; charset=\"UTF-8\""),
            "{path}"
        );
        let name = format!("attachment; filename=Odd.Doap-{version}.xml");
        assert_eq!(record.header("content-disposition"), name);
        let texts = texts(record.text());
        let text = |path: &str| {
            let path = format!("rdf:RDF/Project/{path}");
            texts.iter().find(|(at, _)| *at == path).map(|(_, text)| text.trim_end().to_owned())
        };
        assert_eq!(text("name").as_deref(), Some("Odd.Doap"), "{}", record.text());
        assert_eq!(text("shortdesc").as_deref(), Some("ends ]]> with  and <b>"));
        assert_eq!(text("description").as_deref(), Some("two\nlines & more"));
        assert_eq!(text("release/Version/revision").as_deref(), Some(version));
        assert_eq!(text("maintainer/foaf:Person/foaf:name").as_deref(), Some("Ann"));
        let sum = hex::encode(Sha1::digest("ann@mail.test"));
        assert_eq!(text("maintainer/foaf:Person/foaf:mbox_sha1sum"), Some(sum));
        assert_eq!(text("download-page"), None);
        assert!(
            record.text().contains("<homepage rdf:resource=\"https://home.test/?a=1&amp;b=&quot;2&quot;\"/>")
        );
        assert!(record.text().contains("xmlns=\"http://usefulinc.com/ns/doap#\""));
    }
    for path in [
        "pypi/no-such-project/doap",
        "pypi/odd-doap/9/doap",
        "pypi/a%2fb/doap",
        "pypi?:action=doap&name=odd-doap&version=9",
    ] {
        assert_eq!(get(&format!("{}{path}", relay.url)).await.status, 404, "{path}");
    }
}

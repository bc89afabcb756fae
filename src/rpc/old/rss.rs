//! RSS 2.0. Pure.

use super::xml::Xml;
use crate::model::Stamp;

/// A feed.
#[derive(Debug)]
pub(super) struct Channel<'a> {
    pub(super) title: &'a str,
    pub(super) description: &'a str,
    pub(super) link: String,
    pub(super) items: Vec<Item>,
}

/// An item of a feed.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) title: String,
    /// An absolute address; no other item has it.
    pub(super) link: String,
    pub(super) description: String,
    /// Unix seconds, if it is known.
    pub(super) time: Option<i64>,
}

/// Writes a feed.
pub(super) fn write(channel: &Channel<'_>) -> String {
    let mut xml = Xml::new();
    xml.open("rss", &[("version", "2.0")]);
    xml.open("channel", &[]);
    xml.text("title", channel.title);
    xml.text("link", &channel.link);
    xml.text("description", channel.description);
    xml.text("language", "en");
    for item in &channel.items {
        xml.open("item", &[]);
        xml.text("title", &item.title);
        xml.text("link", &item.link);
        xml.text("guid", &item.link);
        if !item.description.trim().is_empty() {
            xml.text("description", &item.description);
        }
        if let Some(stamp) = item.time.and_then(Stamp::from_unix) {
            xml.text("pubDate", &stamp.rfc822());
        }
        xml.close("item");
    }
    xml.close("channel");
    xml.close("rss");
    xml.finish()
}

//! The readers of upstream's listing of all projects.

use cheesewire::model::ProjectName;
use cheesewire::upstream::Listing;
use url::Url;

/// Any bytes are a listing or an error, and list only names.
pub fn listing(data: &[u8]) {
    let url = Url::parse("https://index.test/simple/").expect("an address");
    for media_type in ["application/vnd.pypi.simple.v1+json", "text/html", ""] {
        if let Ok(listing) = Listing::read(media_type, None, data, &url, usize::MAX) {
            for project in &listing.projects {
                assert!(ProjectName::parse(&project.name).is_ok(), "{}", project.name);
            }
        }
    }
}

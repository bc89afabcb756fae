//! The readers of upstream's listing of all projects.

use cheesewire::model::ProjectName;
use cheesewire::upstream::Listing;
use url::Url;

/// Any bytes are a listing or an error; HTML lists only names.
pub fn listing(data: &[u8]) {
    let url = Url::parse("https://index.test/simple/").expect("an address");
    let _ = Listing::read_json(data);
    if let Ok(listing) = Listing::read_html(data, &url) {
        assert!(!listing.projects.is_empty());
        for project in &listing.projects {
            assert!(ProjectName::parse(&project.name).is_ok(), "{}", project.name);
        }
    }
}

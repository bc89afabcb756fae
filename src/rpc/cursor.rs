//! `changelog_page`'s cursors: where a reading stands, sealed.
//!
//! A cursor is a place in *this* journal. One that was altered, or that another relay gave, would skip events without
//! a word; so each carries a keyed digest, whose key is the journal's identity. It survives restarts with the journal,
//! and a new journal refuses the old one's cursors. It hides nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{KeyInit as _, Mac};

use crate::journal::Identity;
use crate::model::{ProjectName, Serial};
use crate::xmlrpc::Fault;

/// The form that follows; another one gets another number.
const FORM: &str = "1";
/// Bytes of the seal.
const SEAL: usize = 16;

/// Which events, and from where on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scan {
    /// Those with higher serials.
    pub(super) after: Serial,
    /// Those with later times.
    pub(super) since: Option<i64>,
    /// Those with times up to this.
    pub(super) until: Option<i64>,
    /// Those of one project, by any of its spellings.
    pub(super) name: Option<ProjectName>,
}

impl Scan {
    /// Every event is in it: nothing has to be looked through.
    pub(super) fn is_plain(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.name.is_none()
    }
}

/// Writes a cursor.
pub(super) fn seal(scan: &Scan, identity: Identity) -> String {
    let number = |n: Option<i64>| n.map_or_else(String::new, |n| n.to_string());
    let name = scan.name.as_ref().map_or("", ProjectName::as_str);
    let (since, until) = (number(scan.since), number(scan.until));
    let mut bytes = format!("{FORM},{},{since},{until},{name}", scan.after).into_bytes();
    let seal = mac(&bytes, identity).map(|mac| mac.finalize().into_bytes());
    bytes.extend_from_slice(seal.as_ref().map_or(&[], |seal| seal.as_slice()));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor that [`seal`] wrote for the same journal.
pub(super) fn open(text: &str, identity: Identity) -> Result<Scan, Fault> {
    read(text, identity).ok_or_else(|| {
        let message =
            "this cursor was altered, or another journal gave it; start again with since or since_serial";
        Fault::raised("ValueError", message)
    })
}

fn read(text: &str, identity: Identity) -> Option<Scan> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (payload, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL)?)?;
    mac(payload, identity)?.verify_slice(seal).ok()?;
    let mut fields = std::str::from_utf8(payload).ok()?.split(',');
    if fields.next()? != FORM {
        return None;
    }
    let number = |field: &str| if field.is_empty() { Some(None) } else { field.parse().ok().map(Some) };
    let after = Serial(fields.next()?.parse().ok()?);
    let (since, until) = (number(fields.next()?)?, number(fields.next()?)?);
    let name = match fields.next()? {
        "" => None,
        name => Some(ProjectName::parse(name).ok()?),
    };
    Some(Scan { after, since, until, name })
}

/// `None` never: any key of 1 to 32 bytes makes one.
fn mac(payload: &[u8], identity: Identity) -> Option<Blake2sMac<U16>> {
    let mut mac = Blake2sMac::<U16>::new_from_slice(&identity.bytes()).ok()?;
    Mac::update(&mut mac, payload);
    Some(mac)
}

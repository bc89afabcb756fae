//! A miniature package index that behaves as upstream does today (WIRE.md section 8), with faults on demand.

mod artefact;
mod body;
mod catalogue;
mod change;
mod control;
mod document;
mod error;
mod fault;
mod fixture;
mod handle;
mod history;
mod info;
mod limit;
mod page;
mod project;
mod requests;
mod respond;
mod route;
mod rpc;
mod serve;
mod server;
mod settings;
mod shop;
mod wire;

pub use artefact::{Content, Digests, File};
pub use change::{Change, Publication};
pub use error::SandboxError;
pub use fault::{Effect, Fault, Faults, TooManyFaults};
pub use info::Info;
pub use project::{Project, Release, Role, Status, Upload};
pub use requests::{RequestCounts, Seen};
pub use route::Route;
use server::change_catalogue;
pub use server::{Sandbox, XmlRpc};
pub use settings::{RateLimit, SandboxSettings};

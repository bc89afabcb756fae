//! A relay that stands where PyPI stood for programs that still speak its XML-RPC interface.
//!
//! ```text
//!  legacy clients, pip, uv, mirrors
//!         │ XML-RPC        │ simple / JSON        │ files           │ metrics
//!         ▼                ▼                      ▼                 ▼
//!  ┌───────────────────────────── http ────────────────────────────────────┐  status and fault choice
//!  │        rpc                 index                 relay          admin │  what each request means
//!  └───┬──────────┬───────────────┬────────────────────┬───────────────────┘
//!    xmlrpc  memo  stats       journal  ◄── follow     blob     how it is kept and shared
//!      │          │               │           │          │
//!      └──────────┴──── model ────┴───────────┴── upstream      pure facts · the one door to PyPI
//! ```
//!
//! - [`model`]: pure facts: names, versions, events and serials, file names and paths, digests, times.
//! - [`metric`]: the names of the metrics, and what each says.
//! - [`requester`]: on whose behalf upstream is asked.
//! - [`xmlrpc`]: bytes ↔ values, by the spellings that old clients have.
//! - [`upstream`]: the only code that knows PyPI's addresses, headers and manners.
//! - [`journal`]: the only code that knows SQL: events, projects, coverage, kept documents.
//! - [`follow`]: keeps the journal current, and fetches what questions turn out to need.
//! - [`bounded`]: what is remembered in memory, up to a bound.
//! - [`memo`]: single flight in front of it; fills outlive their callers.
//! - [`revalidate`]: the rules for everything that is kept and asked for again.
//! - [`rpc`]: what each XML-RPC method means; the method table.
//! - [`index`]: simple pages and JSON documents: fetched, revalidated, rewritten, rendered.
//! - [`blob`]: the only code that knows disk paths: package files, whole or absent.
//! - [`stats`]: how often which file was downloaded; the only code that knows that SQL.
//! - [`collect`]: other mirrors' statistics, added to the relay's own.
//! - [`backup`]: a copy of a data folder, and a data folder of a copy.
//! - [`relay`]: package files on their way: flights, followers, ranges, the last bytes held back.
//! - [`signing`]: the key that pages are signed with for old mirrors.
//! - [`tokens`]: who may ask, by what they show; [`tls`]: the relay's own certificate.
//! - [`http`]: the edge.
//! - [`client`]: a typed client of a relay, for the commands and for other people's programs.
//! - [`sandbox`]: a miniature PyPI with faults on demand, for tests, demos and other people's CI.
//! - [`app`]: the composition root. [`config`] and [`cli`]: what stands around it.
//!
//! Imports go down only; `tests/architecture.rs` holds the table.

pub mod app;
pub mod backup;
pub mod blob;
pub mod bounded;
pub mod bundle;
pub mod cli;
pub mod client;
pub mod collect;
pub mod config;
mod folder_lock;
pub mod follow;
pub mod http;
pub mod index;
pub mod journal;
pub mod log;
#[cfg(test)]
mod logged;
pub mod memo;
pub mod metric;
pub mod model;
pub mod push;
pub mod relay;
pub mod requester;
pub mod revalidate;
pub mod rpc;
pub mod sandbox;
pub mod signing;
mod sqlite_file;
pub mod stats;
pub mod tls;
pub mod tokens;
pub mod upstream;
mod watched;
pub mod xmlrpc;

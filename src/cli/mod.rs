//! The subcommands, one file each.

pub mod adopt;
pub mod cache;
pub mod call;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod sandbox;
pub mod serve;
pub mod stats;
pub mod sync;

use clap::{Parser, Subcommand};

use adopt::AdoptArgs;
use cache::CacheArgs;
use call::CallArgs;
use config::ConfigArgs;
use demo::DemoArgs;
use doctor::DoctorArgs;
use sandbox::SandboxArgs;
use serve::ServeArgs;
use stats::StatsArgs;
use sync::SyncArgs;

/// A relay that stands where PyPI stood for programs that still speak its XML-RPC interface.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the relay.
    Serve(ServeArgs),
    /// Serve a miniature PyPI and the relay before it, with lines to try them.
    Demo(DemoArgs),
    /// Serve only the miniature PyPI, with faults on demand, for testing mirror clients.
    Sandbox(SandboxArgs),
    /// Fill the journal from upstream without serving it.
    Sync(SyncArgs),
    /// Tell what an upstream can do, and what the relay makes of it.
    Doctor(DoctorArgs),
    /// Call an XML-RPC method and print its answer as JSON.
    Call(CallArgs),
    /// Look at the kept files, delete and check them, or fetch some in advance.
    Cache(CacheArgs),
    /// Show and export what was downloaded, and collect other mirrors' statistics.
    Stats(StatsArgs),
    /// Give a data folder to its upstream's new address.
    Adopt(AdoptArgs),
    /// Print every setting with its meaning, default and value, as a TOML file.
    Config(ConfigArgs),
}

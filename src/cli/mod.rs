//! The subcommands, one file each.

pub mod adopt;
pub mod backup;
pub mod bundle;
pub mod cache;
pub mod call;
mod columns;
pub mod completions;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod health;
pub mod man;
pub mod reload;
pub mod restore;
pub mod sandbox;
pub mod serve;
pub mod service;
pub mod stats;
pub mod sync;
pub mod token;

use clap::{Parser, Subcommand};

use adopt::AdoptArgs;
use backup::BackupArgs;
use bundle::BundleArgs;
use cache::CacheArgs;
use call::CallArgs;
use completions::CompletionsArgs;
use config::ConfigArgs;
use demo::DemoArgs;
use doctor::DoctorArgs;
use health::HealthArgs;
use man::ManArgs;
use reload::ReloadArgs;
use restore::RestoreArgs;
use sandbox::SandboxArgs;
use serve::ServeArgs;
use stats::StatsArgs;
use sync::SyncArgs;
use token::TokenArgs;

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
#[expect(
    missing_docs,
    reason = "each command's arguments say what it does, and clap shows the first text that it finds"
)]
pub enum Command {
    Serve(ServeArgs),
    Reload(ReloadArgs),
    Demo(DemoArgs),
    Sandbox(SandboxArgs),
    Sync(SyncArgs),
    Doctor(DoctorArgs),
    Call(CallArgs),
    Health(HealthArgs),
    Cache(CacheArgs),
    Stats(StatsArgs),
    Token(TokenArgs),
    Adopt(AdoptArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Bundle(BundleArgs),
    Config(ConfigArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

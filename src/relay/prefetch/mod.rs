//! Files fetched in advance: what the changelog announces and a rule wants, within a budget.
//!
//! Each announced file waits in a queue on disk. One that cannot be had yet (upstream's page is older than its
//! changelog, its file host is behind, it fails) is tried again after growing delays, and given up in the end;
//! meanwhile others go on.

mod attempt;
mod rules;
mod settings;
mod task;

pub use rules::{Rule, RuleError, Rules};
pub use settings::PrefetchSettings;

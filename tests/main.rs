//! Every integration test, by concern, in one binary.

// Figures of a run are printed for who asks for them with --nocapture.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs, unreachable_pub)]

mod alive;
mod answers;
mod architecture;
mod arguments;
mod bandersnatch;
mod cache;
mod changelog;
mod cli;
mod clients;
mod clock;
mod edges;
mod fault_table;
mod feed;
mod files;
mod follow;
mod fuzz;
mod hostile;
mod index;
mod journal;
mod kill;
mod leaks;
mod limits;
mod links;
mod load;
mod methods;
mod multicall;
mod one_upstream;
mod other_indexes;
mod prefetch;
mod process;
mod promises;
mod quarantine;
mod reading;
mod readme;
mod relayed;
mod removal;
mod requests;
mod restart;
mod sandbox;
mod sandbox_faults;
mod sandbox_odd;
mod sandbox_pip;
mod sandbox_rpc;
mod sandbox_scale;
mod sandbox_serials;
mod sandbox_today;
mod search;
mod search_waits;
mod support;
mod unknown;
mod upstream;
mod writing;

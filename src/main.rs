//! The `cheesewire` command.

fn main() {}

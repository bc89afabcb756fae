//! Questions about the changelog as clients ask them, through a whole relay.

mod at_the_head;
mod loops;
mod moments;
mod odd;
mod runs;
mod story;

use cheesewire::model::{Event, Serial};
use cheesewire::sandbox::Sandbox;
use cheesewire::xmlrpc::{Fault, Value};

/// An event as an answer's row.
fn row(event: &Event, serial: bool) -> Value {
    let mut cells = vec![
        Value::from(event.name.as_str()),
        event.version.as_deref().map_or(Value::Nil, Value::from),
        Value::Int(event.time),
        Value::from(event.action.as_str()),
    ];
    cells.extend(serial.then_some(Value::Int(event.serial.0)));
    Value::Array(cells)
}

/// What upstream has after a serial.
fn after(sandbox: &Sandbox, serial: i64) -> Vec<Event> {
    sandbox.events_after(Serial(serial), usize::MAX)
}

/// A cell of a row.
fn cell(row: &Value, at: usize) -> i64 {
    row.as_array().unwrap()[at].as_int().unwrap()
}

fn object(members: &[(&str, Value)]) -> Value {
    Value::Struct(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// A fault that says when to come back.
fn is_later(fault: &Fault) -> bool {
    fault.code == -32403 && fault.string.contains("; retry in ")
}

//! How rows are written: for people, or for machines.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write as _};

use clap::Args;
use serde_json::{Map, Value};

use crate::stats::csv;

/// How rows are written.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub(super) struct Form {
    /// Print a JSON object a line.
    #[arg(long)]
    json: bool,
    /// Print comma-separated values, with a header line.
    #[arg(long)]
    csv: bool,
}

impl Form {
    /// For machines in any case.
    pub(super) fn or_csv(self) -> Self {
        Self { csv: !self.json, ..self }
    }

    /// For people.
    pub(super) fn is_plain(self) -> bool {
        !self.json && !self.csv
    }
}

/// Writes rows for machines to standard output, as they come.
pub(super) struct Rows<const N: usize> {
    form: Form,
    names: [&'static str; N],
    out: BufWriter<StdoutLock<'static>>,
    begun: bool,
}

impl<const N: usize> Rows<N> {
    pub(super) fn new(form: Form, names: [&'static str; N]) -> Self {
        Self { form, names, out: BufWriter::new(io::stdout().lock()), begun: false }
    }

    /// Writes a row. Texts and numbers only.
    pub(super) fn write(&mut self, values: [Value; N]) -> io::Result<()> {
        if self.form.csv {
            return self.csv(&values);
        }
        let object: Map<String, Value> =
            self.names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        writeln!(self.out, "{}", Value::Object(object))
    }

    fn csv(&mut self, values: &[Value; N]) -> io::Result<()> {
        let mut line = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            csv(&mut line, self.names);
        }
        let texts =
            values.each_ref().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        csv(&mut line, texts.iter().map(String::as_str));
        self.out.write_all(&line)
    }

    /// Writes what is left.
    pub(super) fn end(mut self) -> io::Result<()> {
        if self.form.csv && !self.begun {
            let mut line = Vec::new();
            csv(&mut line, self.names);
            self.out.write_all(&line)?;
        }
        self.out.flush()
    }
}

/// Who has read enough (`| head`) is no failure.
pub(super) fn unless_left(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints for people.
pub(super) fn print(text: &str) -> io::Result<()> {
    unless_left(io::stdout().lock().write_all(text.as_bytes()))
}

/// Says something beside the answer.
pub(super) fn note(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "{text}")
}

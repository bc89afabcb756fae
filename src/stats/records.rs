//! Where a foreign report's records end: at a line's end, unless a quoted member goes on behind it. Pure.
//!
//! Not every mirror quoted what it should have. A quote that is not closed as by the rules of comma-separated values, within
//! [`MOST`] bytes, is none: then each line is a record, and nothing behind it is lost.

/// The most bytes of a record; of longer ones nothing is taken.
pub(super) const MOST: usize = 64 << 10;

/// Cuts bytes into records.
#[derive(Debug, Default)]
pub(super) struct Records {
    record: Vec<u8>,
    /// Where its last line begins.
    line: usize,
    /// A quote is open at that place.
    open: bool,
    /// Quotes are none up to the end of the line.
    alone: bool,
    overlong: bool,
}

/// What a line leaves behind.
enum End {
    Closed,
    Open,
    /// The quote that was open was none.
    NoQuote,
}

impl Records {
    /// Gives each record that has ended to `each`; `None` is one that is too long.
    pub(super) fn feed<E>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.add(&rest[..end], &mut each)?;
            self.end_line(&mut each)?;
            rest = &rest[end + 1..];
        }
        self.add(rest, &mut each)
    }

    /// Gives what is left, as no more comes.
    pub(super) fn finish<E>(
        &mut self,
        mut each: impl FnMut(Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.end_line(&mut each)?;
        if self.line > 0 { self.lines(&mut each) } else { Ok(()) }
    }

    fn add<E>(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.record.len() + bytes.len() > MOST && self.line > 0 {
            let begun = self.record.split_off(self.line);
            self.record.truncate(self.line - 1);
            self.lines(each)?;
            (self.record, self.alone) = (begun, true);
        }
        self.overlong |= self.record.len() + bytes.len() > MOST;
        if !self.overlong {
            self.record.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn end_line<E>(&mut self, each: &mut impl FnMut(Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        if self.overlong {
            self.clear();
            return each(None);
        }
        match self.scan() {
            End::Closed => {
                let given = each(Some(&self.record));
                self.clear();
                given
            }
            End::Open => {
                self.record.push(b'\n');
                (self.line, self.open) = (self.record.len(), true);
                Ok(())
            }
            End::NoQuote => self.lines(each),
        }
    }

    /// Gives each line alone.
    fn lines<E>(&mut self, each: &mut impl FnMut(Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        let record = std::mem::take(&mut self.record);
        self.clear();
        record.split(|byte| *byte == b'\n').try_for_each(|line| each(Some(line)))
    }

    fn clear(&mut self) {
        self.record.clear();
        (self.line, self.open, self.alone, self.overlong) = (0, false, false, false);
    }

    /// Goes through the last line.
    fn scan(&self) -> End {
        let (mut quoted, mut begins) = (self.open, !self.open);
        let mut line = self.record[self.line..].iter().peekable();
        while let Some(byte) = line.next() {
            match byte {
                b'"' if quoted && line.peek() == Some(&&b'"') => {
                    line.next();
                }
                b'"' if quoted => {
                    quoted = false;
                    // In a line of its own, nearly any quote was meant as one.
                    if self.open && !matches!(line.peek(), None | Some(b',' | b'\r')) {
                        return End::NoQuote;
                    }
                }
                b'"' if begins && !self.alone => quoted = true,
                _ => {}
            }
            begins = !quoted && *byte == b',';
        }
        if quoted { End::Open } else { End::Closed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, piece: usize) -> Vec<Option<String>> {
        let (mut records, mut found) = (Records::default(), Vec::new());
        let mut each = |record: Option<&[u8]>| {
            found.push(record.map(|record| String::from_utf8(record.to_vec()).unwrap()));
            Ok::<_, ()>(())
        };
        for bytes in text.as_bytes().chunks(piece) {
            records.feed(bytes, &mut each).unwrap();
            assert!(records.record.len() <= MOST + 1);
        }
        records.finish(&mut each).unwrap();
        found.retain(|record| record.as_deref() != Some(""));
        found
    }

    fn is(text: &str, expected: &[&str]) {
        for piece in [1, 3, 1 << 20] {
            let expected: Vec<_> = expected.iter().map(|record| Some((*record).to_owned())).collect();
            assert_eq!(records(text, piece), expected, "{text}");
        }
    }

    #[test]
    fn a_quoted_member_goes_on_behind_a_lines_end() {
        is("a,b,\"x\ny\",1\r\nc,d,e,2\n", &["a,b,\"x\ny\",1\r", "c,d,e,2"]);
        is("a,b,\"x\r\n\r\n\"\"y,\n\",1\nc", &["a,b,\"x\r\n\r\n\"\"y,\n\",1", "c"]);
        is("a,\"\"\"\n\"\"\",1\n\"c\nd\"\ne", &["a,\"\"\"\n\"\"\",1", "\"c\nd\"", "e"]);
        // One within a member opens none.
        is("a,x\"y,1\nb,c\",2\n", &["a,x\"y,1", "b,c\",2"]);
        is("a,x\"y,1\nb,\"\",2\n", &["a,x\"y,1", "b,\"\",2"]);
    }

    #[test]
    fn a_quote_that_is_never_closed_loses_no_line() {
        is("a,b,\"open,1\nc,d,e,2\nf", &["a,b,\"open,1", "c,d,e,2", "f"]);
        // The next quote would close it, and something stands behind that.
        is("a,b,\"open,1\nc,d,\"x, y\",2\nf", &["a,b,\"open,1", "c,d,\"x, y\",2", "f"]);
        let line = "c,d,e,2\n";
        let text = format!("a,b,\"open,1\n{}c,d,\"x\ny\",3\n", line.repeat(100_000));
        for piece in [1000, 1 << 20] {
            let found = records(&text, piece);
            assert_eq!(found.len(), 100_002);
            assert_eq!(found.last().unwrap().as_deref(), Some("c,d,\"x\ny\",3"));
        }
    }

    #[test]
    fn the_line_in_which_an_open_quote_is_given_up_is_a_record_of_its_own() {
        let (lines, long) = ("c,d,e,2\n".repeat(8000), "x".repeat(4000));
        let text = format!("a,b,\"open,1\n{lines}c,d,\"{long}\ny\",3\n");
        for piece in [1000, 1 << 20] {
            let found = records(&text, piece);
            assert_eq!(found.len(), 8003);
            assert_eq!(found[8001], Some(format!("c,d,\"{long}")));
            assert_eq!(found[8002].as_deref(), Some("y\",3"));
        }
    }

    #[test]
    fn what_is_too_long_is_left_out_alone() {
        let long = "x".repeat(MOST + 1);
        for (first, most) in [(long.clone(), 2), (format!("\"{long}"), 2), (format!("\"a\n{long}"), 3)] {
            let found = records(&format!("{first}\nb,c,d,1\n"), 1000);
            assert_eq!((found.len(), found.iter().filter(|record| record.is_none()).count()), (most, 1));
            assert_eq!(found.last().unwrap().as_deref(), Some("b,c,d,1"));
        }
    }
}

//! Addresses for people: without user, password, query and fragment, which may be secret.

/// What stands in place of what is left out.
pub const LEFT_OUT: &str = "***";

/// An address as it may be printed. It need be none: what is wrong in a password may be why it was refused. So all before
/// the last `@` counts as user and password, slashes and spaces as well.
pub fn redacted(address: &str) -> String {
    let (scheme, rest) = match address.find("://") {
        Some(at) => address.split_at(at + "://".len()),
        None => ("", address),
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ([LEFT_OUT, "@"].concat(), rest),
        None => (String::new(), rest),
    };
    let shown =
        if scheme.is_empty() { rest } else { rest.split_inclusive(['?', '#']).next().unwrap_or(rest) };
    let query = if shown.len() < rest.len() { LEFT_OUT } else { "" };
    [scheme, &user, shown, query].concat()
}

/// A text in which addresses may stand, several on a line, with each line's users and passwords left out.
pub fn redacted_lines(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let Some((before, after)) = line.rsplit_once('@') else { return line.to_owned() };
    // Without a scheme from where the quotation or the word begins.
    let begin = before
        .find("://")
        .map(|at| at + "://".len())
        .or_else(|| before.find(['\'', '"', '`']).map(|at| at + 1))
        .or_else(|| before.rfind(char::is_whitespace).map(|at| at + 1));
    [before.get(..begin.unwrap_or(0)).unwrap_or_default(), LEFT_OUT, "@", after].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_password_is_left_also_in_what_is_no_address() {
        for (address, shown) in [
            ("https://index.test/simple/", "https://index.test/simple/"),
            ("https://user:secret@index.test/", "https://***@index.test/"),
            ("https://secret@index.test/", "https://***@index.test/"),
            ("https://user:se@cr/et 9@index.test:8/simple", "https://***@index.test:8/simple"),
            ("htp://user:secret@index.test", "htp://***@index.test"),
            ("user:secret@index.test", "***@index.test"),
            ("https://index.test/?token=secret", "https://index.test/?***"),
            ("https://u:secret@index.test/#secret", "https://***@index.test/#***"),
            ("\"https://u:secret@index.test/\"", "\"https://***@index.test/\""),
            ("127.0.0.1:1?dedline=3", "127.0.0.1:1?dedline=3"),
            ("", ""),
        ] {
            assert_eq!(redacted(address), shown);
        }
    }

    #[test]
    fn lines_keep_what_is_no_password() {
        let text = "error: unexpected argument 'http://u:s e c@index.test/' found\n\nUsage: a@b\n";
        let shown = "error: unexpected argument 'http://***@index.test/' found\n\nUsage: ***@b\n";
        assert_eq!(redacted_lines(text), shown);
        let (text, shown) = ("argument 'user:s e c@index.test' found", "argument '***@index.test' found");
        assert_eq!(redacted_lines(text), shown);
        assert_eq!(redacted_lines("no address: a/b\n"), "no address: a/b\n");
    }
}

//! A line of another mirror's report. Pure.

use crate::model::{KnownVersions, ProjectName, version_of};

/// The longest file name that is taken, in bytes: as long as a file system's.
const FILENAME: usize = 255;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) project: ProjectName,
    /// As the mirror spells it.
    pub(super) spelling: String,
    pub(super) filename: String,
    /// As the file's name says it.
    pub(super) version: String,
    /// With commas and quotes as they were sent; to be cleaned and cut.
    pub(super) agent: String,
    pub(super) count: i64,
}

impl Line {
    /// Reads `project,filename,agent,count`. Some mirrors did not quote agents with commas, so all between the second member
    /// and the last is the agent. `None` if the count is none, as in a header line, or a name cannot be one.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(line);
        let members = members(&text).unwrap_or_else(|| text.split(',').map(str::to_owned).collect());
        let [spelling, filename, agent @ .., count] = &members[..] else { return None };
        if agent.is_empty()
            || count.len() > 12
            || count.is_empty()
            || !count.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let project = ProjectName::parse(spelling).ok()?;
        let is_name = (1..=FILENAME).contains(&filename.len())
            && !filename.chars().any(|c| c.is_control() || c == '/' || c == '\\');
        if !is_name {
            return None;
        }
        let version = version_of(filename, &project, &KnownVersions::new([])).unwrap_or_default();
        Some(Self {
            project,
            spelling: spelling.clone(),
            filename: filename.clone(),
            version,
            agent: agent.join(","),
            count: count.parse().ok()?,
        })
    }
}

/// The members of a line, without the quotes around them. `None` if a quote has no end in this line: then they are no quotes.
fn members(line: &str) -> Option<Vec<String>> {
    let mut members = Vec::new();
    let mut rest = line;
    loop {
        let mut member = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let (text, behind) = quoted.split_once('"')?;
                member.push_str(text);
                let Some(more) = behind.strip_prefix('"') else {
                    rest = behind;
                    break;
                };
                member.push('"');
                quoted = more;
            }
        }
        // Behind a quote nothing should stand; Python's reader takes it too.
        let (text, behind) = match rest.split_once(',') {
            Some((text, behind)) => (text, Some(behind)),
            None => (rest, None),
        };
        member.push_str(text);
        members.push(member);
        match behind {
            Some(behind) => rest = behind,
            None => return Some(members),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(String, String, String, i64)> {
        let Line { spelling, filename, agent, count, .. } = Line::read(line.as_bytes())?;
        Some((spelling, filename, agent, count))
    }

    #[test]
    fn the_last_member_is_the_count_and_all_behind_the_second_is_the_agent() {
        for (line, agent, count) in [
            ("Zope,zope-1.zip,pip/1,7", "pip/1", 7),
            ("Zope,zope-1.zip,\"a, \"\"b\"\"\",007", "a, \"b\"", 7),
            ("Zope,zope-1.zip,Mozilla (a, b, c),999999999999", "Mozilla (a, b, c)", 999_999_999_999),
            ("Zope,zope-1.zip,,0", "", 0),
            ("Zope,zope-1.zip,\"open,3", "\"open", 3),
            ("Zope,zope-1.zip,\"a\"b,3", "ab", 3),
            ("Zope,\"zope-1.zip\",\"\",3", "", 3),
        ] {
            let expected = ("Zope".to_owned(), "zope-1.zip".to_owned(), agent.to_owned(), count);
            assert_eq!(read(line), Some(expected), "{line}");
        }
        assert_eq!(Line::read(b"z,z-1.zip,\xff,1").unwrap().agent, "\u{fffd}");
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        let long = "a".repeat(300);
        for bad in [
            "",
            ",,,",
            "package,filename,useragent,count",
            "a,a-1.zip,1",
            "a,a-1.zip,x,-1",
            "a,a-1.zip,x,+1",
            "a,a-1.zip,x,1.0",
            "a,a-1.zip,x, 1",
            "a,a-1.zip,x,1000000000000",
            "a,a-1.zip,x,",
            "a b,a-1.zip,x,1",
            ",a-1.zip,x,1",
            "a,,x,1",
            "a,b/a-1.zip,x,1",
            "a,a\u{0}.zip,x,1",
            &format!("{long},a-1.zip,x,1"),
            &format!("a,{long}.zip,x,1"),
            "a,a-1.zip,x,\u{661}",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_version_is_read_off_the_files_name() {
        assert_eq!(Line::read(b"zope.interface,zope.interface-4.0.tar.gz,x,1").unwrap().version, "4.0");
        assert_eq!(Line::read(b"a,b.zip,x,1").unwrap().version, "");
    }
}

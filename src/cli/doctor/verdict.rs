//! What all findings come to.

use serde::Serialize;

use super::finding::{Finding, Grade};

/// The worst of all findings, and what it means.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    pub(super) grade: Grade,
    /// One sentence.
    pub(super) says: String,
}

impl Verdict {
    pub(super) fn of(findings: &[Finding]) -> Self {
        let grade = findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Unfit);
        let these = findings.iter().filter(|finding| finding.grade == grade);
        let these = these.map(|finding| finding.check).collect::<Vec<_>>().join(", ");
        let says = match grade {
            Grade::Good => "fit: it has everything that a relay asks for".to_owned(),
            Grade::MadeUpFor => {
                format!("fit: clients get everything; what is missing is made up for ({these})")
            }
            Grade::Less => format!("fit, with less for clients, or later: {these}"),
            Grade::Unfit => format!("not fit, as it is configured: {these}"),
        };
        Self { grade, says }
    }

    /// 0: clients get everything; 1: they get less, or later; 2: they do not get what a relay is there for.
    pub(super) fn exit_code(&self) -> u8 {
        match self.grade {
            Grade::Good | Grade::MadeUpFor => 0,
            Grade::Less => 1,
            Grade::Unfit => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &'static str, grade: Grade) -> Finding {
        Finding { check, grade, found: String::new(), milliseconds: None, relay: String::new() }
    }

    #[test]
    fn the_worst_finding_decides_and_is_named() {
        let (good, made) = (finding("a", Grade::Good), finding("b", Grade::MadeUpFor));
        let (less, unfit) = (finding("c", Grade::Less), finding("d", Grade::Unfit));
        for (findings, code, named) in [
            (vec![good], 0, "everything that a relay asks for"),
            (vec![finding("a", Grade::Good), made], 0, "(b)"),
            (vec![finding("b", Grade::MadeUpFor), less, finding("e", Grade::Less)], 1, "later: c, e"),
            (vec![unfit, finding("c", Grade::Less)], 2, "configured: d"),
        ] {
            let verdict = Verdict::of(&findings);
            assert_eq!(verdict.exit_code(), code);
            assert!(verdict.says.ends_with(named), "{}", verdict.says);
        }
        // Nothing was found out.
        assert_eq!(Verdict::of(&[]).exit_code(), 2);
    }
}

//! Programs whose pages carry `#md5=`: `index.md5_agents`.

use std::fmt;
use std::str::FromStr;

use crate::model::setting_by_text;

/// Names of programs, as a `User-Agent` begins with them. As a text with commas between; an empty one is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agents(Vec<String>);

impl Agents {
    /// Whether a program is listed: the first product of its `User-Agent`, up to the `/`, in any case.
    pub(super) fn has(&self, user_agent: &str) -> bool {
        let product = user_agent.trim_start().split(['/', ' ', '\t']).next().unwrap_or_default();
        self.0.iter().any(|listed| listed.eq_ignore_ascii_case(product))
    }
}

impl Default for Agents {
    /// The mirrors that take no other digest, or whose checks know no other.
    fn default() -> Self {
        Self(["z3c.pypimirror", "pep381client"].map(str::to_owned).to_vec())
    }
}

setting_by_text! {
    Agents: "names of programs without version and spaces, with commas between, such as z3c.pypimirror, pep381client";
}

impl FromStr for Agents {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '"' | ';');
        let read = |name: &str| name.chars().all(plain).then(|| name.to_owned()).ok_or(());
        names.map(read).collect::<Result<_, ()>>().map(Self)
    }
}

impl fmt::Display for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_product_of_the_agent_decides() {
        let agents = Agents::default();
        for agent in [
            "pep381client/1.5",
            "pep381client",
            "Pep381Client/1 (x)",
            "z3c.pypimirror/1.0.16",
            "pep381client x",
        ] {
            assert!(agents.has(agent), "{agent}");
        }
        for agent in ["", "/", "pip/1 pep381client/1.5", "pep381client2/1", "x/pep381client", "pep381", "z3c"]
        {
            assert!(!agents.has(agent), "{agent}");
        }
        assert!(!"".parse::<Agents>().unwrap().has(""));
    }

    #[test]
    fn what_is_written_is_read_back_and_a_name_with_a_version_is_refused() {
        let agents = Agents::default();
        assert_eq!(agents.to_string(), "z3c.pypimirror, pep381client");
        assert_eq!(agents.to_string().parse(), Ok(agents));
        for wrong in ["a/1", "a b", "é", "a, b\"c"] {
            assert!(wrong.parse::<Agents>().is_err(), "{wrong}");
        }
    }
}

//! A list of made-up names, in the format that lists are read in.

use std::io::{self, Write};

use super::super::artefact::mix;
use super::names::HEADER;

/// As many have a rank among the most downloaded.
const RANKED: u64 = 15_000;
const WORDS: [&str; 24] = [
    "wire", "cheddar", "data", "async", "test", "django", "flask", "tool", "client", "graph", "stream",
    "crypto", "cloud", "image", "text", "micro", "fast", "easy", "open", "meta", "core", "plugin", "yaml",
    "queue",
];
const SEPARATORS: [&str; 3] = ["-", "_", "."];

/// Writes a header line and `count` projects with different names; every seed gives other ones, and the same each time.
pub fn generate_list(count: u64, seed: u64, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", HEADER.join("\t"))?;
    for n in 0..count {
        let mut draw = mix(seed) ^ mix(n.rotate_left(20));
        let mut random = |below: u64| {
            draw = mix(draw);
            draw % below
        };
        let name = name(n, &mut random);
        // Some projects have no release.
        let version = match random(40) {
            0 => String::new(),
            1 => format!("0.{}rc{}", random(30), 1 + random(3)),
            2..=20 => format!("0.{}.{}", random(60), random(20)),
            _ => format!("{}.{}.{}", 1 + random(9), random(40), random(20)),
        };
        let month = format!("{}-{:02}", 2005 + random(21), 1 + random(12));
        let rank = if n < RANKED { (n + 1).to_string() } else { String::new() };
        let (first, second) = (word(&mut random), word(&mut random));
        let summary = match random(20) {
            0 => String::new(),
            1 => format!("{first} & <{second}> – für {name}"),
            _ => format!("A {first} {second} for Python, number {n}"),
        };
        writeln!(out, "{name}\t{version}\t{month}\t{rank}\t{summary}")?;
    }
    out.flush()
}

/// The part after its last separator is the number in letters, so that no two names are one in normal form.
fn name(n: u64, random: &mut impl FnMut(u64) -> u64) -> String {
    let mut name = String::new();
    for _ in 0..=random(2) {
        name.push_str(word(random));
        name.push_str(SEPARATORS[usize::from(random(3).to_le_bytes()[0])]);
    }
    let mut rest = n;
    loop {
        name.push(char::from(b'a' + (rest % 26).to_le_bytes()[0]));
        rest /= 26;
        if rest == 0 {
            break;
        }
    }
    // One in ten is registered with a capital.
    if random(10) == 0 { name[..1].to_ascii_uppercase() + &name[1..] } else { name }
}

fn word(random: &mut impl FnMut(u64) -> u64) -> &'static str {
    WORDS[usize::from(random(WORDS.len() as u64).to_le_bytes()[0])]
}

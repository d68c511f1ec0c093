//! Which replica a node is.

use std::collections::{BTreeMap, BTreeSet};

use super::FaultImportError;

/// Nodes whose name fits a pattern are the replicas of a pool. The first rule that fits counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRule {
    /// The name, with `*` for any text and `?` for any one character.
    pub pattern: String,
    /// The pool.
    pub pool: String,
}

impl NodeRule {
    /// Whether a node's name fits.
    pub fn fits(&self, node: &str) -> bool {
        let pattern: Vec<char> = self.pattern.chars().collect();
        let name: Vec<char> = node.chars().collect();
        let (mut at, mut read) = (0, 0);
        // The last `*`, and where in the name it began to stand for more.
        let mut star: Option<(usize, usize)> = None;
        while read < name.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(wanted) if *wanted == '?' || *wanted == name[read] => {
                    at += 1;
                    read += 1;
                }
                _ => {
                    let Some((star_at, from)) = star else {
                        return false;
                    };
                    star = Some((star_at, from + 1));
                    at = star_at + 1;
                    read = from + 1;
                }
            }
        }
        pattern[at..].iter().all(|rest| *rest == '*')
    }
}

/// Checks rules.
pub(super) fn check(rules: &[NodeRule]) -> Result<(), FaultImportError> {
    for (number, rule) in (1..).zip(rules) {
        for (field, text) in [("pattern", &rule.pattern), ("pool", &rule.pool)] {
            if text.is_empty() {
                return Err(FaultImportError::Rule { number, field });
            }
        }
    }
    Ok(())
}

/// Pool and replica of every node that a rule fits: within a pool by name.
pub(super) fn replicas(
    names: &BTreeSet<String>,
    rules: &[NodeRule],
) -> BTreeMap<String, (String, u32)> {
    let mut next: BTreeMap<&str, u32> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for name in names {
        let Some(rule) = rules.iter().find(|rule| rule.fits(name)) else {
            continue;
        };
        let replica = next.entry(&rule.pool).or_default();
        out.insert(name.clone(), (rule.pool.clone(), *replica));
        *replica += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::NodeRule;

    #[test]
    fn patterns() {
        let fits = |pattern: &str, name: &str| {
            let rule = NodeRule {
                pattern: pattern.to_owned(),
                pool: "p".to_owned(),
            };
            rule.fits(name)
        };
        assert!(fits("*", ""));
        assert!(fits("gpu-*", "gpu-7"));
        assert!(fits("*-a-*-b", "x-a-y-a-z-b"));
        assert!(fits("node-?", "node-1"));
        assert!(!fits("node-?", "node-12"));
        assert!(!fits("gpu-*", "cpu-7"));
        assert!(!fits("a", "ab"));
        assert!(!fits("ab", "a"));
    }
}

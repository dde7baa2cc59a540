//! The rules of `docs/protocol.md`: each has a name and a level there, and an experiment of the same name here.

/// The page, as it was when this program was built.
const PAGE: &str = include_str!("../../docs/protocol.md");

/// One rule, as the page has it: `- **meet-3** [1] While its last REGISTER ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The heading that it stands under: `Meet`.
    pub step: &'static str,
    pub name: &'static str,
    /// `1` to `6`, or `T` for a tracker.
    pub level: char,
    /// A program may leave it out.
    pub is_offered: bool,
    pub text: String,
}

/// All rules, in the order of the page.
pub fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let (mut step, mut is_inside) = ("", false);
    for line in PAGE.lines() {
        step = line.strip_prefix("## ").unwrap_or(step);
        if let Some(rule) = begin(step, line) {
            rules.push(rule);
            is_inside = true;
        } else if let (true, Some(rest), Some(rule)) = (is_inside, line.strip_prefix("  "), rules.last_mut())
        {
            rule.text.push(' ');
            rule.text.push_str(rest);
        } else {
            is_inside = false;
        }
    }
    rules
}

/// The bad lines of the page, with these in place of the ids that stand there.
pub fn bad_lines(receiver: &str, sender: &str) -> Vec<String> {
    let bad =
        PAGE.lines().filter(|line| line.starts_with("| bad: ")).filter_map(|line| line.split('`').nth(1));
    bad.map(|line| line.replace(RECEIVER, receiver).replace(SENDER, sender)).collect()
}

/// The two ids in the page's table of good and bad lines.
const RECEIVER: &str = "5f0c7a1be2d94863";
const SENDER: &str = "c2d07a93b1e84f56";

fn begin(step: &'static str, line: &'static str) -> Option<Rule> {
    let (name, rest) = line.strip_prefix("- **")?.split_once("** [")?;
    let (marks, text) = rest.split_once("] ")?;
    let (level, is_offered) = (marks.chars().next()?, marks.ends_with(", offered"));
    Some(Rule { step, name, level, is_offered, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_with_its_level_and_all_its_lines() {
        let rules = rules();
        let rule = |name| rules.iter().find(|rule| rule.name == name).expect("it is on the page");
        assert_eq!(
            (rule("meet-3").step, rule("meet-3").level, rule("meet-3").is_offered),
            ("Meet", '1', false)
        );
        assert!(rule("meet-3").text.starts_with("While its last REGISTER is unanswered, it must"));
        assert_eq!((rule("talk-22").level, rule("talk-22").is_offered), ('4', true));
        assert!(rule("meet-4").text.ends_with("given up, everyone in it."), "{:?}", rule("meet-4"));
    }
}

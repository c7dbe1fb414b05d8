//! A regular expression that has to match a value as a whole.
//!
//! The engine of the crate `regex` takes time linear in the value, whatever the expression and the value are, so
//! neither the file nor a client can make a lookup slow. What an expression may cost in memory is bounded when it is
//! compiled.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// Bytes of a compiled expression; routes have many, and each is kept for as long as its plan.
const LARGEST: usize = 1 << 20;

/// A regular expression that has to match as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    written: Box<str>,
    whole: Regex,
}

impl Expression {
    /// # Errors
    /// What is wrong with it, in the words of the crate `regex`.
    pub(crate) fn new(written: &str) -> Result<Self, String> {
        // By itself first: `a)(b` is no expression, but would be one inside the group.
        let compile = |text: &str| RegexBuilder::new(text).size_limit(LARGEST).build();
        let whole = compile(written).and_then(|_| compile(&format!(r"\A(?:{written})\z")));
        match whole {
            Ok(whole) => Ok(Expression { written: written.into(), whole }),
            Err(error) => Err(format!("`{written}` {}", problem(&error))),
        }
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        self.whole.is_match(value)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.written)
    }
}

/// One line of an error that is several.
fn problem(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "is too large a regular expression; repeat less in it".to_owned(),
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("is no regular expression: {reason}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_a_whole() {
        let expression = Expression::new("/a|/b.*").unwrap();
        assert!(expression.matches(b"/a") && expression.matches(b"/b/c"));
        assert!(!expression.matches(b"/ab") && !expression.matches(b"x/a") && !expression.matches(b"/a\n"));
        assert!(Expression::new("(?i)acme").unwrap().matches(b"ACME"));
    }

    #[test]
    fn says_what_is_wrong() {
        for (written, part) in [
            ("a)(b", "unopened group"),
            ("(", "unclosed group"),
            (r"(a)\1", "backreferences"),
            ("(?=a)", "look-around"),
            ("(.{99}){99}{99}", "too large"),
        ] {
            let message = Expression::new(written).unwrap_err();
            assert!(message.contains(part) && !message.contains('\n'), "{written}: {message}");
        }
    }

    #[test]
    fn a_hostile_value_takes_no_longer() {
        let expression = Expression::new("(a+)+b").unwrap();
        assert!(!expression.matches(&[b'a'; 60_000]));
    }
}

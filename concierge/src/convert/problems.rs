//! All that is wrong with a spec, gathered: a person who made three mistakes is told of three.

use std::{collections::HashSet, fmt};

/// Everything that is wrong with a spec, each with its field and its mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidSpec {
    problems: Vec<String>,
    expressions: usize,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    told: Vec<String>,
    /// How many of them are expressions that do not compile.
    expressions: usize,
}

/// Most problems that are told. A condition holds about two dozen; mending those brings the next to light.
const TOLD: usize = 24;

// === impl Problems ===

impl Problems {
    /// What is wrong with a field, and what to do about it.
    pub(super) fn add(&mut self, field: &str, problem: &str) {
        self.told.push(format!("{field}: {problem}"));
    }

    /// An expression that does not compile, and why.
    pub(super) fn expression(&mut self, field: &str, problem: &str) {
        self.add(field, problem);
        self.expressions += 1;
    }

    /// Fields that the type does not have.
    pub(super) fn unknown(&mut self, fields: &[String]) {
        for field in fields {
            self.add(field, "this version does not know this field yet, and does not ignore it: remove it");
        }
    }

    /// A text that is longer than the schema allows. (An object may have been stored before its schema knew the limit,
    /// or come from a file.)
    pub(super) fn length(&mut self, field: &str, text: &str, most: u32) {
        let found = text.chars().count();
        if found > most as usize {
            self.add(field, &format!("has {found} characters, at most {most} are read"));
        }
    }

    /// A list that is longer than the schema allows.
    pub(super) fn count<T>(&mut self, field: &str, list: &[T], most: u32) {
        if list.len() > most as usize {
            self.add(field, &format!("has {} items, at most {most} are read", list.len()));
        }
    }

    /// A list of different texts, each under a rule of its own.
    pub(super) fn set(
        &mut self,
        field: &str,
        list: &[String],
        (most, longest): (u32, u32),
        problem: impl Fn(&str) -> Option<&'static str>,
    ) {
        self.count(field, list, most);
        let mut seen = HashSet::new();
        for (position, text) in list.iter().enumerate() {
            let field = format!("{field}[{position}]");
            self.length(&field, text, longest);
            if let Some(problem) = problem(text) {
                self.add(&field, &format!("{text:?} {problem}"));
            }
            if !seen.insert(text) {
                self.add(&field, &format!("{text:?} is a duplicate: remove it"));
            }
        }
    }

    /// `value`, if it is there and nothing is wrong. A part is absent only beside a problem of its own.
    pub(super) fn unless_any<T>(self, value: Option<T>) -> Result<T, InvalidSpec> {
        value.filter(|_| self.told.is_empty()).ok_or(InvalidSpec { problems: self.told, expressions: self.expressions })
    }
}

// === impl InvalidSpec ===

impl InvalidSpec {
    /// The object is not of this version's type; the error says where.
    pub(super) fn unreadable(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        Self::unread(&format!("spec: cannot be read by this version: {error}"))
    }

    /// The spec cannot be read where it stands.
    #[must_use]
    pub fn unread(problem: &str) -> Self {
        Self { problems: vec![problem.to_owned()], expressions: 0 }
    }

    /// Each problem.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(String::as_str)
    }

    /// Whether nothing is wrong but expressions that do not compile.
    #[must_use]
    pub fn is_of_expressions(&self) -> bool {
        self.expressions == self.problems.len()
    }
}

/// One problem as it is, several as kube-apiserver joins them.
impl fmt::Display for InvalidSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [one] => f.write_str(one),
            several if several.len() <= TOLD => write!(f, "[{}]", several.join(", ")),
            many => write!(f, "[{}, and {} more]", many[..TOLD].join(", "), many.len() - TOLD),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_held_to_count_length_rule_and_uniqueness() {
        let list: Vec<String> = ["a", "bb", "c", "a", "bad"].map(str::to_owned).into();
        let mut problems = Problems::default();
        problems.set("list", &list, (4, 1), |text| (text == "bad").then_some("is bad: mend it"));
        let expected = [
            "list: has 5 items, at most 4 are read",
            "list[1]: has 2 characters, at most 1 are read",
            "list[3]: \"a\" is a duplicate: remove it",
            "list[4]: has 3 characters, at most 1 are read",
            "list[4]: \"bad\" is bad: mend it",
        ];
        assert_eq!(problems.unless_any(Some(())).unwrap_err().problems().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_problem_stands_alone_several_are_joined_and_very_many_are_cut() {
        let told = |count: usize| {
            let mut problems = Problems::default();
            (0..count).for_each(|number| problems.add("f", &number.to_string()));
            problems.unless_any(Some(())).unwrap_err().to_string()
        };
        assert_eq!(told(1), "f: 0");
        assert_eq!(told(2), "[f: 0, f: 1]");
        assert!(told(TOLD + 3).ends_with("f: 23, and 3 more]"));
    }
}

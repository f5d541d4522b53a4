//! Semantic versions (Kubernetes' `kubernetes.Semver`, <https://semver.org> 2.0.0).

use std::{borrow::Cow, cmp::Ordering};

use crate::cel::{Budget, EvaluationError, Opaque, Overload, Type, Value};

const SEMVER: Type = Type::Opaque("kubernetes.Semver");

const UNREADABLE: EvaluationError = EvaluationError::Unreadable("semantic version");
const WRONG_TYPE: EvaluationError = EvaluationError::NoSuchOverload("a function of semantic versions");

pub(super) fn overloads() -> Vec<Overload> {
    vec![
        Overload::global("semver", [Type::String], SEMVER, semver),
        Overload::global("semver", [Type::String, Type::Bool], SEMVER, semver),
        Overload::global("isSemver", [Type::String], Type::Bool, is_semver),
        Overload::global("isSemver", [Type::String, Type::Bool], Type::Bool, is_semver),
        Overload::member("major", [SEMVER], Type::Int, |v, b| number(v, b, |version| version.major)),
        Overload::member("minor", [SEMVER], Type::Int, |v, b| number(v, b, |version| version.minor)),
        Overload::member("patch", [SEMVER], Type::Int, |v, b| number(v, b, |version| version.patch)),
        Overload::member("isLessThan", [SEMVER, SEMVER], Type::Bool, |v, b| Ok(order(v, b)?.is_lt().into())),
        Overload::member("isGreaterThan", [SEMVER, SEMVER], Type::Bool, |v, b| Ok(order(v, b)?.is_gt().into())),
        Overload::member("compareTo", [SEMVER, SEMVER], Type::Int, |v, b| Ok((order(v, b)? as i64).into())),
    ]
}

/// A version. Build metadata is checked and forgotten: it has no say in precedence, and nothing prints it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    stage: Stage,
}

/// What stands behind the numbers. Variants in the order of precedence (section 11.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    PreRelease(Vec<Identifier>),
    Release,
}

/// One part of a pre-release. Variants in the order of precedence (section 11.4.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Word(String),
}

// === impl Version ===

impl Version {
    /// Pays for the text and for what is made of it.
    fn parse(text: &str, budget: &mut Budget) -> Result<Self, EvaluationError> {
        budget.scan(text.len())?;
        let identifiers = text.bytes().filter(|byte| *byte == b'.').count() + 1;
        budget.build(text.len() + identifiers * size_of::<Identifier>())?;
        Self::read(text).ok_or(UNREADABLE)
    }

    fn read(text: &str) -> Option<Self> {
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        if build.is_some_and(|build| !build.split('.').all(is_word)) {
            return None;
        }
        let (numbers, stage) = text.split_once('-').map_or((text, None), |(text, stage)| (text, Some(stage)));
        let mut numbers = numbers.split('.').map(read_number);
        let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let stage = match stage {
            None => Stage::Release,
            Some(stage) => Stage::PreRelease(stage.split('.').map(Identifier::read).collect::<Option<_>>()?),
        };
        numbers.next().is_none().then_some(Self { major, minor, patch, stage })
    }
}

impl Stage {
    /// Bytes that are looked at to compare it with another.
    fn size(&self) -> usize {
        match self {
            Self::PreRelease(identifiers) => identifiers.iter().map(Identifier::size).sum(),
            Self::Release => 0,
        }
    }
}

impl Identifier {
    fn size(&self) -> usize {
        match self {
            Self::Number(_) => size_of::<Self>(),
            Self::Word(word) => size_of::<Self>() + word.len(),
        }
    }

    fn read(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return read_number(text).map(Self::Number);
        }
        is_word(text).then(|| Self::Word(text.to_owned()))
    }
}

impl Opaque for Version {
    fn type_name(&self) -> &'static str {
        "kubernetes.Semver"
    }

    fn size(&self) -> usize {
        self.stage.size()
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }
}

/// Digits without a leading zero that fit into 64 bits.
fn read_number(text: &str) -> Option<u64> {
    let leading_zero = text.len() > 1 && text.starts_with('0');
    (!leading_zero && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// What Kubernetes makes of a sloppy version before it reads it: no `v` in front, no leading zeros in the three numbers,
/// and zeros for numbers that are missing. `None` for a short version with a pre-release or build.
fn normalized(text: &str) -> Option<String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<Cow<'_, str>> = text.splitn(3, '.').map(without_leading_zeros).collect();
    if parts.len() < 3 && parts.last().is_some_and(|part| part.contains(['+', '-'])) {
        return None;
    }
    parts.resize(3, Cow::Borrowed("0"));
    Some(parts.join("."))
}

/// The last number may have a pre-release or build behind it, so that `00-rc` becomes `0-rc`.
fn without_leading_zeros(part: &str) -> Cow<'_, str> {
    if part.len() <= 1 {
        return Cow::Borrowed(part);
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|first: char| first.is_ascii_digit()) {
        Cow::Borrowed(rest)
    } else {
        Cow::Owned(format!("0{rest}"))
    }
}

// === the functions ===

fn semver(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    parse(values, budget).map(Value::opaque)
}

fn is_semver(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    match parse(values, budget) {
        Ok(_) => Ok(true.into()),
        Err(UNREADABLE) => Ok(false.into()),
        Err(other) => Err(other),
    }
}

fn parse(values: &[Value], budget: &mut Budget) -> Result<Version, EvaluationError> {
    match values {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Version::parse(text, budget),
        [Value::String(text), Value::Bool(true)] => {
            budget.build(text.len())?;
            Version::parse(&normalized(text).ok_or(UNREADABLE)?, budget)
        }
        _ => Err(WRONG_TYPE),
    }
}

/// One of the numbers. Those above 2^63 come out negative, as in kube-apiserver.
fn number(values: &[Value], budget: &mut Budget, part: fn(&Version) -> u64) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    let [value] = values else { return Err(WRONG_TYPE) };
    value.as_opaque().map(|version| Value::Int(part(version).cast_signed())).ok_or(WRONG_TYPE)
}

fn order(values: &[Value], budget: &mut Budget) -> Result<Ordering, EvaluationError> {
    let [left, right] = values else { return Err(WRONG_TYPE) };
    let (left, right): (&Version, &Version) = left.as_opaque().zip(right.as_opaque()).ok_or(WRONG_TYPE)?;
    budget.spend(1)?;
    budget.scan(left.stage.size().min(right.stage.size()))?;
    Ok(left.cmp(right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cel::library::tests::call;

    fn version(text: &str) -> Version {
        Version::read(text).expect("a version")
    }

    /// Answers of kube-apiserver 1.36: whether a text is a version as it stands, and the numbers once normalized.
    #[test]
    fn texts() {
        for (text, strict, numbers) in [
            ("1.2.3", true, Some([1, 2, 3])),
            ("0.0.0", true, Some([0, 0, 0])),
            ("1.2", false, Some([1, 2, 0])),
            ("1", false, Some([1, 0, 0])),
            ("v1.2.3", false, Some([1, 2, 3])),
            ("v01.02.03", false, Some([1, 2, 3])),
            ("00.00.00", false, Some([0, 0, 0])),
            ("1.2.3-alpha.1", true, Some([1, 2, 3])),
            ("1.2.3-a+b.c-d", true, Some([1, 2, 3])),
            ("1.2.3+01", true, Some([1, 2, 3])),
            ("1.2.3+a-b", true, Some([1, 2, 3])),
            ("1.2.3--", true, Some([1, 2, 3])),
            ("1.2.3-0a", true, Some([1, 2, 3])),
            ("1.2.00-rc", false, Some([1, 2, 0])),
            ("1.2.-rc", false, Some([1, 2, 0])),
            // Numbers of 64 bits come out with a sign.
            ("18446744073709551615.0.0", true, Some([-1, 0, 0])),
            ("18446744073709551616.0.0", false, None),
            ("1.2.3-18446744073709551616", false, None),
            ("1.2.3-01", false, None),
            ("1.2.3-", false, None),
            ("1.2.3+", false, None),
            ("1.2.3-+a", false, None),
            ("1.2.3-a..b", false, None),
            ("1.2.3+a..b", false, None),
            ("1.2.3+a+b", false, None),
            ("1.2.3-a_b", false, None),
            ("1.2.3-\u{e9}", false, None),
            ("1.2.3.4", false, None),
            ("0.0.0.0", false, None),
            ("1..3", false, None),
            (" 1.2.3", false, None),
            ("-1.2.3", false, None),
            ("+1.2.3", false, None),
            ("V1.2.3", false, None),
            ("vv1.2.3", false, None),
            ("1.2.x3", false, None),
            ("1.2.00x", false, None),
            ("0-a.1.2", false, None),
            ("1.0-rc", false, None),
            ("1+b", false, None),
            ("v", false, None),
            ("..", false, None),
            ("", false, None),
        ] {
            let is = |arguments: &[Value]| matches!(call("isSemver", arguments), Ok(Value::Bool(true)));
            assert_eq!(is(&[text.into()]), strict, "{text}");
            assert_eq!(is(&[text.into(), false.into()]), strict, "{text}");
            assert_eq!(is(&[text.into(), true.into()]), numbers.is_some(), "{text}");
            let version = call("semver", &[text.into(), true.into()]);
            match numbers {
                None => assert!(matches!(version, Err(UNREADABLE)), "{text}"),
                Some(numbers) => {
                    let version = version.expect("a version");
                    let parts = ["major", "minor", "patch"].map(|part| call(part, std::slice::from_ref(&version)));
                    assert_eq!(parts.map(|part| part.expect("a number").as_int()), numbers.map(Some), "{text}");
                }
            }
        }
    }

    /// The example of section 11.4.4, lengthened; each is less than all that follow it.
    #[test]
    fn precedence() {
        let ascending = [
            "1.0.0-1",
            "1.0.0-10",
            "1.0.0-A",
            "1.0.0-a",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.1.0",
            "2.0.0",
        ];
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                let pair = [left, right].map(|text| call("semver", &[(*text).into()]).expect("a version"));
                let answers = ["compareTo", "isLessThan", "isGreaterThan"].map(|function| call(function, &pair));
                let [Ok(Value::Int(order)), Ok(Value::Bool(less)), Ok(Value::Bool(greater))] = answers else {
                    panic!("{left} and {right} have no order")
                };
                assert_eq!((order, less, greater), (i.cmp(&j) as i64, i < j, i > j), "{left} {right}");
                assert_eq!(pair[0].equals(&pair[1], &mut Budget::default()), Ok(i == j));
            }
        }
    }

    #[test]
    fn build_metadata_makes_no_difference() {
        assert_eq!(version("1.0.0+a"), version("1.0.0+b"));
        assert_eq!(version("1.0.0-a+b"), version("1.0.0-a"));
    }

    #[test]
    fn long_versions_are_paid_for() {
        let long = Value::opaque(version(&format!("1.0.0-{}", "a.".repeat(100_000) + "a")));
        let budget = &mut Budget::default();
        let comparisons = (0..1000).take_while(|_| order(&[long.clone(), long.clone()], budget).is_ok()).count();
        assert!((1..10).contains(&comparisons), "{comparisons}");
        let budget = &mut Budget::default();
        let comparisons = (0..1000).take_while(|_| long.equals(&long, budget).is_ok()).count();
        assert!((1..10).contains(&comparisons), "{comparisons}");
    }

    proptest! {
        #[test]
        fn a_version_is_its_numbers_and_stage(
            numbers: [u64; 3],
            stage in proptest::option::of("(0|[1-9][0-9]{0,18}|[0-9]{0,3}[a-z-][0-9a-z-]{0,3})([.](0|[1-9][0-9]{0,18}|[0-9]{0,3}[a-z-][0-9a-z-]{0,3})){0,3}"),
        ) {
            let [major, minor, patch] = numbers;
            let text = format!("{major}.{minor}.{patch}{}", stage.as_ref().map(|stage| format!("-{stage}")).unwrap_or_default());
            let version = Version::read(&text).expect("a version");
            prop_assert_eq!([version.major, version.minor, version.patch], numbers);
            let printed = match version.stage {
                Stage::Release => None,
                Stage::PreRelease(identifiers) => Some(identifiers.iter().map(|identifier| match identifier {
                    Identifier::Number(number) => number.to_string(),
                    Identifier::Word(word) => word.clone(),
                }).collect::<Vec<_>>().join(".")),
            };
            prop_assert_eq!(printed, stage);
        }

        /// A version that is read as it stands is not changed by making it normal.
        #[test]
        fn normal_versions_stay_as_they_are(text in "v?[0-9]{1,3}[.][0-9]{1,3}([.][0-9]{0,3})?([+-][0-9a-z.+-]{0,6})?") {
            if let Some(version) = Version::read(&text) {
                prop_assert_eq!(normalized(&text).as_deref().and_then(Version::read), Some(version));
            }
        }
    }
}

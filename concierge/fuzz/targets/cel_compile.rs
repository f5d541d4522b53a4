//! Any text as an expression: it compiles or says why not, in the time and memory that libFuzzer is told to allow.
#![no_main]

use latchkey_concierge::cel::{CompileError, Expression, Scope, Target};

libfuzzer_sys::fuzz_target!(|source: &str| {
    for scope in [Scope::Claims, Scope::User] {
        match Expression::rule(scope, source) {
            Ok(rule) => {
                assert_eq!((rule.source(), rule.scope()), (source, scope));
                // Compiling is no matter of luck.
                assert_eq!(Expression::rule(scope, source).as_ref(), Ok(&rule));
            }
            Err(error) => place_of(&error, source),
        }
    }
    for target in [Target::Username, Target::Groups, Target::Uid, Target::Extra] {
        match Expression::mapping(target, source) {
            Ok(mapping) => assert_eq!(mapping.source(), source),
            Err(error) => place_of(&error, source),
        }
    }
});

/// A refusal has a place, within the source or just behind it.
fn place_of(error: &CompileError, source: &str) {
    assert!(!error.message.is_empty());
    let line = source.split('\n').nth(error.line - 1).unwrap_or_else(|| panic!("no such line: {error}"));
    assert!((1..=line.chars().count() + 1).contains(&error.column), "no such column: {error}");
}

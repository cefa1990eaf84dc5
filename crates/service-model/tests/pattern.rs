//! Path patterns against a matcher that tries everything.

use proptest::prelude::*;
use seawall_service_model::PathPattern;
use std::time::{Duration, Instant};

/// Slow, and plainly what the documentation says.
fn tries_everything(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|n| tries_everything(rest, &path[n..])),
        [b'*', rest @ ..] => (0..=path.len())
            .take_while(|n| !path[..*n].contains(&b'/'))
            .any(|n| tries_everything(rest, &path[n..])),
        [first, rest @ ..] => path.first() == Some(first) && tries_everything(rest, &path[1..]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_pattern_matches_what_trying_everything_matches(
        pattern in "[/*](a|b|/|\\*|\\*\\*){0,10}",
        path in "/[ab/]{0,12}",
    ) {
        let expect = tries_everything(pattern.as_bytes(), path.as_bytes());
        let found = PathPattern::new(&pattern).map(|p| p.matches(&path));
        prop_assert_eq!(found, Some(expect), "{} {}", pattern, path);
    }
}

/// Quadratic time, 2^32 steps for these paths, would be far beyond the bound.
#[test]
fn a_long_path_of_near_misses_is_judged_at_once() {
    let check = |pattern: &str, unit: &str| {
        let path = format!("/{}/x", unit.repeat((64 << 10) / unit.len()));
        let pattern = PathPattern::new(pattern).unwrap();
        let began = Instant::now();
        assert!(!pattern.matches(&path));
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{pattern:?} {unit}"
        );
    };
    check("**-*.css", "-");
    check("**a*b*c", "aab");
    check("/**/a*.css", "/aa");
    check("**-*.css", "-a/");
    check("**a*a*a*a.css", "a");
}

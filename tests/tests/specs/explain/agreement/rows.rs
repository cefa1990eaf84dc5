//! The situations.

/// What was done before.
pub(super) enum Before {
    Nothing,
    /// These requests, by target and field.
    Asked(&'static [(&'static str, &'static [(&'static str, &'static str)])]),
    Purged {
        soft: bool,
    },
}

const ONCE: Before = Before::Asked(&[("", &[])]);

pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) section: &'static str,
    pub(super) before: Before,
    pub(super) target: &'static str,
    pub(super) fields: &'static [(&'static str, &'static str)],
    /// Outcome, `fwd` and status.
    pub(super) expect: (&'static str, Option<&'static str>, u16),
}

pub(super) fn rows() -> Vec<Row> {
    let uri_miss = Some("uri-miss");
    let row = |id, section, before, target, fields, expect| Row {
        id,
        section,
        before,
        target,
        fields,
        expect,
    };
    let no_cache: &[_] = &[("cache-control", "no-cache")];
    let cached: &[_] = &[("cache-control", "only-if-cached")];
    let both: &[_] = &[("accept-language", "de")];
    let de: Before = Before::Asked(&[("", &[("accept-language", "de")])]);
    let de_again: Before = Before::Asked(&[("", &[("accept-language", "de")])]);
    let part: &[_] = &[("range", "bytes=0-9")];
    let first_part = || Before::Asked(&[("", &[("range", "bytes=0-9")])]);
    vec![
        row(
            "miss",
            "9111 §4",
            Before::Nothing,
            "/a",
            &[],
            ("miss", uri_miss, 200),
        ),
        row("hit", "9111 §4", ONCE, "/a", &[], ("hit", None, 200)),
        row(
            "hit-304",
            "9111 §4.3.2",
            ONCE,
            "/a",
            &[("if-none-match", "\"v\"")],
            ("hit", None, 304),
        ),
        row(
            "hit-412",
            "9110 §13.1.1",
            ONCE,
            "/a",
            &[("if-match", "\"w\"")],
            ("hit", None, 412),
        ),
        row(
            "hit-206",
            "9110 §14.2",
            ONCE,
            "/a",
            part,
            ("hit", None, 206),
        ),
        row(
            "hit-416",
            "9110 §15.5.17",
            ONCE,
            "/a",
            &[("range", "bytes=10-")],
            ("hit", None, 416),
        ),
        row(
            "stale",
            "9111 §4.2.4",
            ONCE,
            "/stale",
            &[],
            ("miss", Some("stale"), 200),
        ),
        row(
            "max-stale",
            "9111 §5.2.1.2",
            ONCE,
            "/stale",
            &[("cache-control", "max-stale=300")],
            ("stale", None, 200),
        ),
        row(
            "window",
            "5861 §3",
            ONCE,
            "/window",
            &[],
            ("stale", None, 200),
        ),
        row(
            "must",
            "9111 §5.2.2.2",
            ONCE,
            "/must",
            &[],
            ("miss", Some("stale"), 200),
        ),
        row(
            "no-cache",
            "9111 §5.2.2.4",
            ONCE,
            "/no-cache",
            &[],
            ("miss", Some("stale"), 200),
        ),
        row(
            "variant",
            "9111 §4.1",
            de,
            "/varies",
            both,
            ("hit", None, 200),
        ),
        row(
            "vary-miss",
            "9111 §4.1",
            de_again,
            "/varies",
            &[],
            ("miss", Some("vary-miss"), 200),
        ),
        row(
            "asks-anew",
            "9111 §5.2.1.4",
            ONCE,
            "/a",
            no_cache,
            ("miss", Some("request"), 200),
        ),
        row(
            "max-age",
            "9111 §5.2.1.1",
            ONCE,
            "/old",
            &[("cache-control", "max-age=50")],
            ("miss", Some("request"), 200),
        ),
        row(
            "min-fresh",
            "9111 §5.2.1.3",
            ONCE,
            "/a",
            &[("cache-control", "min-fresh=7200")],
            ("miss", Some("request"), 200),
        ),
        row(
            "cached-none",
            "9111 §5.2.1.7",
            Before::Nothing,
            "/a",
            cached,
            ("error", None, 504),
        ),
        row(
            "cached-one",
            "9111 §5.2.1.7",
            ONCE,
            "/a",
            cached,
            ("hit", None, 200),
        ),
        row(
            "unstorable",
            "9111 §3",
            ONCE,
            "/no-store",
            &[],
            ("unstorable", uri_miss, 200),
        ),
        row(
            "unstorable-if",
            "9111 §3",
            ONCE,
            "/no-store",
            &[("if-none-match", "\"v\"")],
            ("pass", uri_miss, 200),
        ),
        row(
            "bypass",
            "9211 §2.2",
            ONCE,
            "/bypass",
            &[],
            ("bypass", Some("bypass"), 200),
        ),
        row(
            "soft",
            "purge.md",
            Before::Purged { soft: true },
            "/a",
            &[],
            ("miss", Some("stale"), 200),
        ),
        row(
            "soft-window",
            "purge.md",
            Before::Purged { soft: true },
            "/soft-window",
            &[],
            ("stale", None, 200),
        ),
        row(
            "hard",
            "purge.md",
            Before::Purged { soft: false },
            "/a",
            &[],
            ("miss", uri_miss, 200),
        ),
        row(
            "alike",
            "no-vary-search",
            Before::Asked(&[("/alike?a&u=1", &[])]),
            "/alike?u=2&a",
            &[],
            ("hit", None, 200),
        ),
        row(
            "unlike",
            "no-vary-search",
            Before::Asked(&[("/alike?a&u=1", &[])]),
            "/alike?b",
            &[],
            ("miss", uri_miss, 200),
        ),
        row(
            "part-none",
            "9111 §3.3",
            Before::Nothing,
            "/large",
            part,
            ("miss", uri_miss, 206),
        ),
        row(
            "part-held",
            "9111 §3.3",
            first_part(),
            "/large",
            &[("range", "bytes=5-99")],
            ("hit", None, 206),
        ),
        row(
            "part-lacks",
            "9111 §3.4",
            first_part(),
            "/large",
            &[("range", "bytes=5-999999")],
            ("partial", Some("partial"), 206),
        ),
        row(
            "part-whole",
            "9111 §3.4",
            first_part(),
            "/large",
            &[],
            ("miss", Some("partial"), 200),
        ),
        row(
            "part-cached",
            "9111 §5.2.1.7",
            first_part(),
            "/large",
            &[
                ("range", "bytes=5-999999"),
                ("cache-control", "only-if-cached"),
            ],
            ("error", None, 504),
        ),
        row(
            "coded",
            "9110 §12.5.3",
            ONCE,
            "/text",
            &[("accept-encoding", "br")],
            ("hit", None, 200),
        ),
        row(
            "coded-again",
            "9110 §12.5.3",
            Before::Asked(&[("", &[("accept-encoding", "gzip")])]),
            "/text",
            &[("accept-encoding", "gzip")],
            ("hit", None, 200),
        ),
        row(
            "as-it-came",
            "9111 §5.2.1.6",
            ONCE,
            "/text",
            &[
                ("accept-encoding", "gzip"),
                ("cache-control", "no-transform"),
            ],
            ("hit", None, 200),
        ),
    ]
}

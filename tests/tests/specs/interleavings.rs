//! Requests and purges in orders that a seed chooses: whatever the order, no answer breaks the promise of a purge.
//!
//! `SEAWALL_SEEDS=N` runs so many scripts, `SEAWALL_SEED=S` begins with that one. A script that fails is shortened, and told
//! with all that was said between the nodes.

use seawall_tests::script::{
    Asks, How, Object, Outcome, Pieces, Setting, Step, What, of_seed, of_steps, shortened,
};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

/// Scripts of a plain run.
const SEEDS: u64 = 600;

/// What a plain run must have met, or it shows nothing.
const MET: &[&str] = &[
    "a 304 of the origin",
    "a 304 of the shield's own",
    "a 304 of the shield, fetched",
    "a HEAD",
    "a client that leaves",
    "a connection that is lost amid an answer",
    "a copy whose tags have changed",
    "a join at the edge",
    "a join at the shield",
    "a range of a copy",
    "a refreshment under way while a purge comes",
    "a shield that lags",
    "a softly purged copy on an error",
    "a softly purged copy while it is refreshed",
    "a stale copy on an error, and a purge meanwhile",
    "an answer that may not be stored",
    "an edge that insists",
    "an edge that lags",
    "an error in the place of a copy",
    "another attempt after a purge that came meanwhile",
    "two edges that ask the shield at once",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn no_order_of_events_breaks_the_promise_of_a_purge() {
    let asked = number("SEAWALL_SEEDS");
    let (first, seeds) = (number("SEAWALL_SEED").unwrap_or(0), asked.unwrap_or(SEEDS));
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    let began = Instant::now();
    for seed in first..first + seeds {
        let (setting, outcome) = of_seed(seed);
        if outcome.violation.is_some() {
            let found = seed - first + 1;
            let Outcome {
                steps,
                trace,
                violation,
                ..
            } = shortened(setting, outcome);
            let violation = violation.unwrap_or_default();
            let trace = trace.join("\n");
            panic!("seed {seed}, the {found}. one: {violation}\n{steps:?}\n{trace}");
        }
        for case in outcome.met {
            *met.entry(case).or_default() += 1;
        }
    }
    // a long run is looked at
    let mut told = std::io::stdout();
    let _ = writeln!(told, "{seeds} scripts in {:?}", began.elapsed());
    for (case, n) in &met {
        let _ = writeln!(told, "{n:7} {case}");
    }
    let missing = MET.iter().find(|case| !met.contains_key(**case));
    assert!(seeds < SEEDS || missing.is_none(), "never met: {missing:?}");
}

/// A script that once ended badly.
fn check(setting: Setting, steps: &[Step]) {
    let Outcome {
        trace, violation, ..
    } = of_steps(setting, steps);
    assert_eq!(violation, None, "{}", trace.join("\n"));
}

#[test]
fn who_waited_for_an_answer_that_a_soft_purge_made_stale_meanwhile_is_told_that_it_is() {
    let setting = Setting {
        object: Object {
            version: 1,
            tags: [true, true],
            grants: [true, false],
        },
        waits: false,
        edges: 2,
        fails: false,
    };
    let get = |edge| Step::Ask {
        edge,
        what: Asks::Get,
    };
    // the second edge joins a fetch of the shield's that was answered before the purge; who asks it after the purge joins
    // that, since only the answer tells its tag
    let steps = [
        get(1),
        Step::Let(0),
        Step::Answer(1, How::Whole, Pieces::All),
        get(0),
        Step::Append {
            what: What::Tag(0),
            soft: true,
        },
        Step::Apply(0),
        get(0),
    ];
    check(setting, &steps);
}

#[test]
fn a_304_to_a_second_attempt_does_not_bring_back_what_was_purged_before_it() {
    let setting = Setting {
        object: Object {
            version: 1,
            tags: [true, false],
            grants: [false, false],
        },
        waits: false,
        edges: 1,
        fails: false,
    };
    let ask = |what| Step::Ask { edge: 0, what };
    // the edge validates its copy; its connection is lost when the purge has come, and it asks the shield once more, which
    // has not heard of the purge and would ask the origin by the same tag
    let steps = [
        ask(Asks::Get),
        Step::Settle,
        ask(Asks::NoCache),
        Step::Let(2),
        Step::Append {
            what: What::Tag(0),
            soft: false,
        },
        Step::Apply(0),
        Step::Reset(2),
        Step::Settle,
        ask(Asks::Get),
    ];
    check(setting, &steps);
}

#[test]
fn who_joins_a_fill_may_have_the_stale_copy_that_an_error_had_made_its_answer() {
    let setting = Setting {
        object: Object {
            version: 1,
            tags: [false, false],
            grants: [false, true],
        },
        waits: true,
        edges: 1,
        fails: true,
    };
    let ask = |what| Step::Ask { edge: 0, what };
    // the origin has failed, and the shield says so by its stale copy: who asks the edge before that has come there, or
    // between its head and its body, waits for it, and need not ask once more
    for come in [&[][..], &[Step::Let(2)]] {
        let before = [
            ask(Asks::MaxStale),
            Step::Let(0),
            Step::Answer(1, How::Truth, Pieces::All),
            Step::Append {
                what: What::Url,
                soft: true,
            },
            Step::Apply(0),
            ask(Asks::MaxStale),
            Step::Settle,
            Step::Apply(2),
            Step::Answer(3, How::Fail, Pieces::All),
            Step::Piece(3),
        ];
        check(setting, &[&before, come, &[ask(Asks::Get)]].concat());
    }
}

#[test]
fn who_insists_and_waits_with_others_is_not_given_their_stale_copy_as_if_it_were_fetched() {
    let setting = Setting {
        object: Object {
            version: 1,
            tags: [true, true],
            grants: [true, true],
        },
        waits: false,
        edges: 2,
        fails: false,
    };
    let ask = |edge, what| Step::Ask { edge, what };
    // the shield's copy answers stale while it is refreshed. The second edge wants none that is, and insists; its question
    // joins the refreshment, which fails
    let steps = [
        ask(0, Asks::Get),
        Step::Settle,
        Step::Append {
            what: What::Tag(0),
            soft: true,
        },
        Step::Apply(1),
        Step::Apply(0),
        Step::Apply(2),
        ask(0, Asks::IfChanged),
        ask(1, Asks::Get),
        Step::Let(3),
        ask(1, Asks::NoCache),
        Step::Answer(4, How::Fail, Pieces::All),
    ];
    check(setting, &steps);
}

#[test]
fn the_same_seed_makes_the_same_trace() {
    for seed in 0..20 {
        let (once, again) = (of_seed(seed).1, of_seed(seed).1);
        assert_eq!(once.trace, again.trace, "seed {seed}");
    }
}

//! Promise 2 holds in every moment of every configuration, and what is interesting happens in some.
#![allow(clippy::print_stdout, reason = "the figures are what the run is for")]

use seawall_model::bounds;
use seawall_model::check::check_at_most;
use seawall_model::config::{Config, May};
use seawall_model::promise::Event::{self, *};
use std::time::Instant;

fn holds(config: &Config, happens: &[Event]) {
    holds_at_most(config, usize::MAX, happens);
}

fn holds_at_most(config: &Config, steps: usize, happens: &[Event]) {
    let begun = Instant::now();
    let found = check_at_most(config, steps);
    println!(
        "{}: {} states, the furthest {} events away, {:.1} s",
        config.name,
        found.states,
        found.depth,
        begun.elapsed().as_secs_f32()
    );
    assert!(
        found.broken.is_none(),
        "{}: {:?}",
        config.name,
        found.broken
    );
    for event in happens {
        assert!(found.has_seen(*event), "{}: no {event:?}", config.name);
    }
}

macro_rules! configurations {
    ($($sentence:ident: $config:expr => [$($event:ident),* $(,)?];)*) => {
        $(#[test]
        fn $sentence() {
            holds(&$config, &[$($event),*]);
        })*
    };
}

configurations! {
    fills_and_joins: bounds::fills()
        => [HitAfterPurge, Gone, Shared, LookedAgain, Behind, FromTheShield, Passed];
    attempts_that_fail_and_purges_while_a_node_connects: bounds::attempts()
        => [HitAfterPurge, Validated, ValidatedByTheShield, ValidatedInVain];
    two_edges_before_a_shield_that_lags: bounds::tiers()
        => [Behind, SharedBehind, FromTheShield];
    bodies_that_are_overtaken: bounds::overtaking()
        => [Validated, MadeStale, LookedAgain];
    tags_that_come_with_a_304: bounds::tags()
        => [Validated, ValidatedByTheShield, Insisted, Shared];
    errors_in_the_place_of_copies: bounds::errors()
        => [Inherited, ServedOnError, Insisted];
    errors_for_several_who_ask: bounds::crowds()
        => [Inherited, Insisted, Shared, LookedAgain];
    soft_purges_and_stale_copies: bounds::soft()
        => [MadeStale, ServedStale, Validated, ValidatedByTheShield];
    tables_that_fold: bounds::folding()
        => [Folded, Gone, MadeStale];
    nodes_that_are_killed: bounds::crashes()
        => [FromBeforeTheStart, HitAfterPurge];
    nodes_that_lose_their_logs: bounds::losses()
        => [StartedEmpty, Behind, HitAfterPurge];
    members_that_are_removed_and_come_back: bounds::members()
        => [Complete, CompleteWithRemoved, StartedEmpty];
    acknowledgements_that_come_late: bounds::streams()
        => [Complete, Late];
    logs_that_are_rolled_back: bounds::rollbacks()
        => [Complete, Epoch, StartedEmpty, HitAfterPurge];
    nodes_of_two_branches_of_a_log: bounds::branches()
        => [Behind, OtherBranch, SharedBehind];
    requests_that_wait_while_an_epoch_begins: bounds::epochs()
        => [Epoch, StartedEmpty, Behind, OtherBranch];
    logs_that_are_trimmed: bounds::trims()
        => [StartedEmpty, Complete];
    leases_that_are_shorter_than_the_reuse: bounds::leases(1, 2)
        => [CompleteWithFenced, Reached, Reused];
    leases_that_are_longer_than_the_reuse: bounds::leases(2, 1)
        => [CompleteWithFenced, Reached];
}

/// The same with one more request, and one more attempt that fails: half an hour, and 17 gigabytes. `SEAWALL_MODEL_STEPS`
/// ends each configuration after about so many steps, what is near the beginning first; `SEAWALL_MODEL_ONLY` names some.
#[test]
#[ignore = "it takes long"]
fn with_wider_bounds() {
    let set = |name| std::env::var(name).ok();
    let steps = set("SEAWALL_MODEL_STEPS").map_or(STEPS_MAX, |steps| steps.parse().unwrap());
    let only = set("SEAWALL_MODEL_ONLY");
    let is_meant = |name| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|one| one == name))
    };
    for config in bounds::all()
        .into_iter()
        .filter(|config| is_meant(config.name))
    {
        let asks = config.may[May::Ask as usize] + 1;
        let config = config.may(May::Ask, asks).may(May::Retry, 1);
        holds_at_most(&config, steps, &[]);
    }
}

/// With as many as that 24 gigabytes are enough.
const STEPS_MAX: usize = 200_000_000;

//! Each rule is needed: without it the checker finds a broken promise. Where two stand for each other, it finds one without
//! both; which rules nothing in the model needs is told in docs/purge.md.
#![allow(clippy::print_stdout, reason = "the figures are what the run is for")]

use seawall_model::Rule::{self, *};
use seawall_model::config::Config;
use seawall_model::{bounds, check};

fn breaks(config: Config, rules: &[Rule]) {
    let found = check(&config.without(rules));
    let Some((events, kinds)) = found.broken else {
        panic!(
            "{} states without {rules:?}, and nothing breaks",
            found.states
        );
    };
    println!("without {rules:?}, {kinds:?} breaks: {events:?}");
}

macro_rules! needed {
    ($($sentence:ident: $config:expr, without $rules:expr;)*) => {
        $(#[test]
        fn $sentence() {
            breaks($config, &$rules);
        })*
    };
}

needed! {
    a_label_is_picked_up_before_the_attempt: bounds::fills(), without [LabelBeforeTheAttempt];
    fills_are_joined_by_floor: bounds::fills(), without [JoinsByFloor];
    who_joined_judges_the_answer: bounds::fills(), without [WhoJoinedJudges];
    a_shield_that_lags_uses_nothing_older_than_what_the_asker_knows:
        bounds::fills(), without [WhoLagsUsesNothing];
    a_copy_is_judged_before_its_validators_go_out_or_when_the_304_comes:
        bounds::attempts(), without [JudgedBeforeEachAttempt, JudgedWhenThe304Comes];
    a_neighbours_answer_is_judged_by_who_gets_it: bounds::errors(), without [ReceiverJudges];
    a_stated_label_counts: bounds::errors(), without [StatedLabelCounts];
    a_stated_label_counts_for_no_more_than_ones_own: bounds::attempts(), without [NeverALargerS];
    scopes_are_stated_between_tiers: bounds::tags(), without [ScopesAreStated];
    errors_inherit: bounds::errors(), without [ErrorsInherit];
    a_304_adds_tags: bounds::tags(), without [A304AddsTags];
    a_304_takes_no_tag_away: bounds::tags(), without [A304TakesNoTagAway];
    a_304_changes_the_copy_that_was_asked_about:
        bounds::overtaking(), without [A304ChangesTheCopyAskedAbout];
    labels_of_another_epoch_are_dead: bounds::epochs(), without [EpochsAreNotCompared];
    the_table_is_read_after_the_wait: bounds::epochs(), without [TableIsReadAfterTheWait];
    purges_are_durable_before_they_are_acknowledged:
        bounds::crashes(), without [DurableBeforeAcknowledged];
    the_log_is_read_back_before_anything_is_answered:
        bounds::crashes(), without [ReadBackBeforeAnswering];
    copies_of_before_a_cut_wait_for_the_control_plane:
        bounds::crashes(), without [CutLogsWaitForTheControlPlane];
    a_cut_is_marked_over_restarts: bounds::crashes(), without [CutsAreMarked];
    who_may_have_forgotten_purges_tells_no_position:
        bounds::crashes(), without [WhoForgotTellsNoPosition];
    a_position_beyond_the_head_tells_of_a_rollback:
        bounds::rollbacks(), without [PositionsBeyondTheHeadTell];
    another_term_tells_of_a_rollback:
        bounds::rollbacks(), without [TermsTell];
    a_log_that_was_rolled_back_begins_an_epoch:
        bounds::rollbacks(), without [RolledBackLogsBeginAnEpoch];
    positions_are_told_with_their_terms: bounds::epochs(), without [PositionsAreToldWithTerms];
    who_lags_joins_by_the_term_too: bounds::branches(), without [WhoLagsJoinsByTerm];
    a_node_that_the_log_was_trimmed_past_starts_empty:
        bounds::trims(), without [TrimmedPastStartsEmpty];
    a_node_that_was_removed_starts_empty: bounds::members(), without [RemovedStartsEmpty];
    a_node_owes_it_until_it_has_started_empty: bounds::members(), without [OwedUntilDone];
    a_stranger_with_a_past_starts_empty: bounds::members(), without [StrangersWithAPastStartEmpty];
    who_is_told_to_start_empty_has_applied_nothing:
        bounds::members(), without [NothingAppliedBeforeItIsSaid];
    positions_are_kept_and_not_guessed: bounds::members(), without [PositionsAreKept];
    a_table_begins_with_a_floor: bounds::members(), without [TablesBeginWithAFloor];
    folding_raises_the_floor: bounds::folding(), without [FoldingRaisesTheFloor];
    a_fenced_node_answers_nothing_unvalidated:
        bounds::leases(1, 2), without [FencedAnswersNothingUnvalidated];
    a_lease_counts_from_the_sending_of_its_renewal:
        bounds::leases(1, 2), without [LeasesCountFromTheSending];
    a_renewal_is_answered_behind_purges: bounds::leases(1, 2), without [RenewalsStandBehindPurges];
    fenced_is_claimed_after_the_lease: bounds::leases(2, 1), without [FencedAfterTheLease];
    fenced_is_claimed_after_the_reuse: bounds::leases(1, 2), without [FencedAfterTheReuse];
}

/// Which rules nothing in the model needs by themselves, so that docs/purge.md can say why: some minutes.
#[test]
#[ignore = "it takes long"]
fn rules_that_others_stand_for() {
    let alone = [
        JudgedBeforeEachAttempt,
        JudgedWhenThe304Comes,
        FloorByTheCopysTags,
        Tiers304ConfersItsLabel,
        WhoLagsAsksUnconditionally,
        CoveredIsAskedForInsisting,
        PassesInsist,
        JudgedAtTheError,
        LostLogsStartEmpty,
        OldStreamsSayNothing,
        FencedReachesTheOrigin,
    ];
    for rule in alone {
        for config in bounds::all() {
            let found = check(&config.clone().without(&[rule]));
            let name = config.name;
            assert!(found.broken.is_none(), "{rule:?} is needed: {name}");
        }
    }
}

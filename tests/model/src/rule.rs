//! The rules of the protocol (docs/purge.md), each of which can be turned off.

/// One rule. What is said is what holds while it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A fill's label is the S of before its attempt, not of when its answer comes.
    LabelBeforeTheAttempt,
    /// A request after a purge joins no fill from before it: fills are joined by floor.
    JoinsByFloor,
    /// A floor counts what the copy carries that lies there, not the URL alone.
    FloorByTheCopysTags,
    /// Who joined judges the answer by its label and scopes.
    WhoJoinedJudges,
    /// After S was picked up the copy is judged again: its validators do not go with an attempt if it is gone.
    JudgedBeforeEachAttempt,
    /// A 304 is none where the copy is gone when it comes.
    JudgedWhenThe304Comes,
    /// A shield that is behind the asker uses no copy and joins no fill from before what the asker knows.
    WhoLagsUsesNothing,
    /// A shield that is behind fetches without conditions.
    WhoLagsAsksUnconditionally,
    /// An answer of a neighbour for which no origin was asked is judged by who gets it.
    ReceiverJudges,
    /// Who gets an answer that is covered asks once more, and insists.
    CoveredIsAskedForInsisting,
    /// Who passes a request for a purged copy, or gives up looking, insists.
    PassesInsist,
    /// An answer's label is the stated one unless the origin was asked.
    StatedLabelCounts,
    /// A stated label counts for no more than the receiver's own S.
    NeverALargerS,
    /// Answers between tiers state the ids that their request and fields do not tell.
    ScopesAreStated,
    /// An error carries what the copy carried in whose place it comes.
    ErrorsInherit,
    /// A tier's 304 confers the label that it states, not the S of the question.
    Tiers304ConfersItsLabel,
    /// A 304 adds the tags that it states.
    A304AddsTags,
    /// A 304 takes no tag away.
    A304TakesNoTagAway,
    /// A 304 changes the copy whose validator was sent and no other.
    A304ChangesTheCopyAskedAbout,
    /// Whether a copy answers for an error is judged at the moment of the error.
    JudgedAtTheError,
    /// Labels of another epoch are dead.
    EpochsAreNotCompared,
    /// A request that waited reads the table after its wait.
    TableIsReadAfterTheWait,
    /// Purges are durable on a node before they are acknowledged.
    DurableBeforeAcknowledged,
    /// What was durable is read back before anything is answered.
    ReadBackBeforeAnswering,
    /// Where the log's end was lost, copies from before the start wait for the control plane.
    CutLogsWaitForTheControlPlane,
    /// ... and over restarts: a mark beside the log says so.
    CutsAreMarked,
    /// Where a log, or its end, was lost, a node tells no position until the control plane was heard: nothing that others
    /// have is new enough.
    WhoForgotTellsNoPosition,
    /// A cache whose log was lost starts empty.
    LostLogsStartEmpty,
    /// A position beyond the head shows that the log was rolled back.
    PositionsBeyondTheHeadTell,
    /// Another term at a position shows it too.
    TermsTell,
    /// Positions are told to neighbours with the term of the record there: who has another record uses nothing.
    PositionsAreToldWithTerms,
    /// Who knows more than the node that it asks joins those who know the same record, not the same position.
    WhoLagsJoinsByTerm,
    /// A new epoch begins where the log was rolled back.
    RolledBackLogsBeginAnEpoch,
    /// A node that was away longer than the log reaches back starts empty.
    TrimmedPastStartsEmpty,
    /// A node that was removed starts empty.
    RemovedStartsEmpty,
    /// ... and is told so until it has said that it did.
    OwedUntilDone,
    /// A stranger with a past starts empty.
    StrangersWithAPastStartEmpty,
    /// A node that is told to start empty has applied nothing until it says so.
    NothingAppliedBeforeItIsSaid,
    /// An acknowledgement on an older stream changes nothing.
    OldStreamsSayNothing,
    /// After its restart the control plane knows no later position of a node than it has kept.
    PositionsAreKept,
    /// Folding raises the floor to the last position that is folded.
    FoldingRaisesTheFloor,
    /// A table that begins at a position takes all older copies for gone.
    TablesBeginWithAFloor,
    /// A fenced node answers nothing unvalidated.
    FencedAnswersNothingUnvalidated,
    /// A fenced node's questions reach the origin itself.
    FencedReachesTheOrigin,
    /// A lease counts from when its renewal was sent.
    LeasesCountFromTheSending,
    /// A renewal is answered behind the purges that were appended before its answer.
    RenewalsStandBehindPurges,
    /// `fenced` is claimed after the lease has run out.
    FencedAfterTheLease,
    /// ... and the reuse window too.
    FencedAfterTheReuse,
}

impl Rule {
    pub const ALL: &[Self] = &[
        Self::LabelBeforeTheAttempt,
        Self::JoinsByFloor,
        Self::FloorByTheCopysTags,
        Self::WhoJoinedJudges,
        Self::JudgedBeforeEachAttempt,
        Self::JudgedWhenThe304Comes,
        Self::WhoLagsUsesNothing,
        Self::WhoLagsAsksUnconditionally,
        Self::ReceiverJudges,
        Self::CoveredIsAskedForInsisting,
        Self::PassesInsist,
        Self::StatedLabelCounts,
        Self::NeverALargerS,
        Self::ScopesAreStated,
        Self::ErrorsInherit,
        Self::Tiers304ConfersItsLabel,
        Self::A304AddsTags,
        Self::A304TakesNoTagAway,
        Self::A304ChangesTheCopyAskedAbout,
        Self::JudgedAtTheError,
        Self::EpochsAreNotCompared,
        Self::TableIsReadAfterTheWait,
        Self::DurableBeforeAcknowledged,
        Self::ReadBackBeforeAnswering,
        Self::CutLogsWaitForTheControlPlane,
        Self::CutsAreMarked,
        Self::WhoForgotTellsNoPosition,
        Self::LostLogsStartEmpty,
        Self::PositionsBeyondTheHeadTell,
        Self::TermsTell,
        Self::PositionsAreToldWithTerms,
        Self::WhoLagsJoinsByTerm,
        Self::RolledBackLogsBeginAnEpoch,
        Self::TrimmedPastStartsEmpty,
        Self::RemovedStartsEmpty,
        Self::OwedUntilDone,
        Self::StrangersWithAPastStartEmpty,
        Self::NothingAppliedBeforeItIsSaid,
        Self::OldStreamsSayNothing,
        Self::PositionsAreKept,
        Self::FoldingRaisesTheFloor,
        Self::TablesBeginWithAFloor,
        Self::FencedAnswersNothingUnvalidated,
        Self::FencedReachesTheOrigin,
        Self::LeasesCountFromTheSending,
        Self::RenewalsStandBehindPurges,
        Self::FencedAfterTheLease,
        Self::FencedAfterTheReuse,
    ];
}

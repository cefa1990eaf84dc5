//! What the control plane asks of nodes, and what they answer.

use crate::checked::{ProtocolError, at_most};
use crate::explain::{ExplainGet, Explained};
use crate::wire;
use seawall_purge::ScopeId;
use seawall_purge::record::SCOPES_MAX;

/// A question to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Comes back with the answer.
    pub id: u64,
    pub about: About,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// What would a purge of these scopes take away? 1 to [`SCOPES_MAX`].
    Estimate { scopes: Vec<ScopeId> },
    /// How would this be answered?
    Explain(ExplainGet),
}

/// A node's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub id: u64,
    /// Or why the node cannot tell.
    pub outcome: Result<Told, String>,
}

/// What a node tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Estimate(Estimate),
    Explained(Box<Explained>),
}

/// What a purge would take away, counted in a sample of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// One key in so many is in the sample; at least 1.
    pub one_in: u32,
    /// Objects of the sample that would go, and their bytes.
    pub objects: u64,
    pub bytes: u64,
    /// The sum of the squares of these objects' bytes.
    pub bytes_squared: f64,
    /// Objects in the sample.
    pub sampled: u64,
    /// The node has objects from before its start that the sample may lack.
    pub partial: bool,
    /// `None`: the node's build does not tell.
    pub demand: Option<Demand>,
}

/// Keys of the sample whose objects would go, by when clients asked this node for them. Other nodes are no clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// In this second or the one before.
    pub second: u64,
    /// In this second or the sixty before.
    pub minute: u64,
}

impl TryFrom<wire::Question> for Question {
    type Error = ProtocolError;

    fn try_from(wire: wire::Question) -> Result<Self, ProtocolError> {
        let about = match wire.about.ok_or(ProtocolError::Missing("about"))? {
            wire::question::About::Estimate(estimate) => {
                at_most("scopes", estimate.scopes.len(), SCOPES_MAX)?;
                About::Estimate {
                    scopes: estimate.scopes.into_iter().map(ScopeId).collect(),
                }
            }
            wire::question::About::Explain(explain) => About::Explain(explain.try_into()?),
        };
        Ok(Self { id: wire.id, about })
    }
}

impl From<&Question> for wire::Question {
    fn from(question: &Question) -> Self {
        let about = match &question.about {
            About::Estimate { scopes } => wire::question::About::Estimate(wire::EstimatePurge {
                scopes: scopes.iter().map(|scope| scope.0).collect(),
            }),
            About::Explain(explain) => wire::question::About::Explain(explain.into()),
        };
        Self {
            id: question.id,
            about: Some(about),
        }
    }
}

impl TryFrom<wire::Answer> for Answer {
    type Error = ProtocolError;

    fn try_from(wire: wire::Answer) -> Result<Self, ProtocolError> {
        let outcome = match wire.outcome.ok_or(ProtocolError::Missing("outcome"))? {
            wire::answer::Outcome::Error(reason) => Err(reason),
            wire::answer::Outcome::Estimate(estimate) => Ok(Told::Estimate(Estimate {
                one_in: estimate.one_in.max(1),
                objects: estimate.objects,
                bytes: estimate.bytes,
                bytes_squared: estimate.bytes_squared,
                sampled: estimate.sampled,
                partial: estimate.partial,
                demand: estimate.demand.map(|demand| Demand {
                    second: demand.second,
                    minute: demand.minute,
                }),
            })),
            wire::answer::Outcome::Explained(explained) => {
                Ok(Told::Explained(Box::new(explained.try_into()?)))
            }
        };
        let id = wire.id;
        Ok(Self { id, outcome })
    }
}

impl From<&Answer> for wire::Answer {
    fn from(answer: &Answer) -> Self {
        let outcome = match &answer.outcome {
            Err(reason) => wire::answer::Outcome::Error(reason.clone()),
            Ok(Told::Estimate(estimate)) => wire::answer::Outcome::Estimate(wire::Estimate {
                one_in: estimate.one_in,
                objects: estimate.objects,
                bytes: estimate.bytes,
                bytes_squared: estimate.bytes_squared,
                sampled: estimate.sampled,
                partial: estimate.partial,
                demand: estimate.demand.map(|demand| wire::Demand {
                    second: demand.second,
                    minute: demand.minute,
                }),
            }),
            Ok(Told::Explained(explained)) => {
                wire::answer::Outcome::Explained((&**explained).into())
            }
        };
        Self {
            id: answer.id,
            outcome: Some(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_its_answers_survive_the_wire() {
        let question = Question {
            id: 9,
            about: About::Estimate {
                scopes: vec![ScopeId(u64::MAX), ScopeId(1)],
            },
        };
        let sent = Question::try_from(wire::Question::from(&question));
        assert_eq!(sent, Ok(question));
        let estimate = Estimate {
            one_in: 64,
            objects: 3,
            bytes: 4096,
            bytes_squared: 6e6,
            sampled: 12,
            partial: true,
            demand: Some(Demand {
                second: 1,
                minute: 2,
            }),
        };
        let older = Estimate {
            demand: None,
            ..estimate
        };
        for outcome in [
            Ok(Told::Estimate(estimate)),
            Ok(Told::Estimate(older)),
            Err("no sample".to_owned()),
        ] {
            let answer = Answer { id: 9, outcome };
            assert_eq!(Answer::try_from(wire::Answer::from(&answer)), Ok(answer));
        }
    }

    #[test]
    fn a_question_about_nothing_is_refused() {
        let refused = Question::try_from(wire::Question::default());
        assert_eq!(refused, Err(ProtocolError::Missing("about")));
    }
}

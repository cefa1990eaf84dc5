//! Runs the checker over a configuration.

use crate::action::Action;
use crate::config::Config;
use crate::moves::World;
use crate::promise::{Event, FENCED, HARD, SOFT, Seen};
use crate::state::State;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::sync::Arc;

/// A configuration for the checker.
#[derive(Clone, Debug)]
struct Purging {
    config: Arc<Config>,
    seen: Arc<Seen>,
}

impl Purging {
    fn world(&self, state: &State) -> World<'_> {
        World {
            c: &self.config,
            seen: &self.seen,
            s: *state,
        }
    }
}

const PROMISE: &str = "promise 2";

impl Model for Purging {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(&self.config)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.world(state).actions(actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut world = self.world(state);
        world.step(action);
        (world.s != *state).then_some(world.s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(PROMISE, |_, state: &State| state.bad == 0)]
    }
}

/// What came of a configuration.
#[derive(Debug)]
pub struct Found {
    /// Different moments.
    pub states: usize,
    /// Events of the longest way to one that is not longer elsewhere.
    pub depth: usize,
    /// A way to a broken promise, and which that was.
    pub broken: Option<(Vec<Action>, Vec<&'static str>)>,
    seen: Arc<Seen>,
}

impl Found {
    pub fn has_seen(&self, event: Event) -> bool {
        self.seen.has(event)
    }
}

/// Looks at every moment that `config` can reach, or until a promise is broken.
pub fn check(config: &Config) -> Found {
    check_at_most(config, usize::MAX)
}

/// The same, until about so many steps were made.
pub fn check_at_most(config: &Config, steps: usize) -> Found {
    let seen = Arc::new(Seen::default());
    let model = Purging {
        config: Arc::new(config.clone()),
        seen: seen.clone(),
    };
    let checker = model
        .checker()
        .threads(2)
        .target_state_count(steps)
        .finish_when(HasDiscoveries::AnyFailures);
    // ways to a failure are short when they are looked for in the order of their length
    let checker = checker.spawn_bfs().join();
    let broken = checker.discovery(PROMISE).map(|path| {
        let bad = path.last_state().bad;
        let kinds = [(HARD, "hard"), (SOFT, "soft"), (FENCED, "fenced")];
        let kinds = kinds.into_iter().filter(|(bit, _)| bad & bit != 0);
        let names = kinds.map(|(_, name)| name).collect();
        (path.into_actions(), names)
    });
    Found {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        broken,
        seen,
    }
}

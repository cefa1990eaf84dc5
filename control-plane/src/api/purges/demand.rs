//! How often origins would be asked for what a purge takes, as far as the sample of a dry run tells.

use super::DEVIATIONS;
use crate::members::NodeView;
use crate::services::InForce;
use seawall_control_protocol::Estimate;
use seawall_service_model::Service;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::sync::Arc;

/// What lets no more than that through to origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// Requests a second: the purge's pace, or the budget of the one service that it can be of, whichever is less.
    per_node: NonZeroU32,
    /// Connected nodes that ask origins themselves.
    nodes: u64,
}

impl Bound {
    /// `None`: neither pace nor budget is known to hold for all of it. `service`: the only one that is named.
    pub(super) fn new(
        pace: Option<NonZeroU32>,
        service: Option<&str>,
        in_force: &InForce,
        nodes: &[NodeView],
    ) -> Option<Self> {
        let all = in_force.set.services();
        let service: Option<&Arc<Service>> = match (service, all) {
            (Some(id), _) => all.iter().find(|service| &*service.id.0 == id),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let budget = service.and_then(|service| service.origin_budget);
        let budget = budget.map(|budget| budget.requests_per_second);
        let count = |kind: &str| {
            let of_kind = |node: &&NodeView| node.connected && node.kind == kind;
            nodes.iter().filter(of_kind).count() as u64
        };
        let (edges, shields) = (count("edge"), count("shield"));
        let asks_shields = |service: &Arc<Service>| service.shield;
        let nodes = match service {
            _ if shields == 0 => edges,
            Some(service) if !asks_shields(service) => edges,
            None if !all.iter().all(asks_shields) => edges + shields,
            _ => shields,
        };
        Some(Self {
            per_node: pace.into_iter().chain(budget).min()?,
            nodes,
        })
    }
}

/// A count in a sample of one in `one_in`, as an estimate of the whole and how far 95 of 100 such are from it at most.
fn whole(counts: impl Iterator<Item = (u64, u32)>) -> (u64, u64) {
    let (mut all, mut variance, mut none) = (0, 0.0, 0.0_f64);
    for (count, one_in) in counts {
        let factor = f64::from(one_in);
        all += count * u64::from(one_in);
        variance += count as f64 * (1.0 - 1.0 / factor) * factor * factor;
        if one_in > 1 {
            none = none.max(3.0 * factor);
        }
    }
    // none found is at most three in the sample
    let error = if all == 0 {
        none
    } else {
        DEVIATIONS * variance.sqrt()
    };
    (all, error.ceil() as u64)
}

/// What is told of it. `None`: no node has said when it was asked.
pub(super) fn origin_requests(told: &[&Estimate], bound: Option<Bound>) -> Option<Value> {
    let demands = told
        .iter()
        .filter_map(|estimate| Some((estimate.demand?, estimate.one_in)));
    demands.clone().next()?;
    let (second, second_error) = whole(demands.clone().map(|(demand, of)| (demand.second, of)));
    let (minute, minute_error) = whole(demands.map(|(demand, of)| (demand.minute, of)));
    let mut body = json!({
        "first_second": second,
        "first_second_error": second_error,
        "first_minute": minute,
        "first_minute_error": minute_error,
        "per_second": second,
    });
    if let Some(Bound { per_node, nodes }) = bound {
        let most = u64::from(per_node.get()).saturating_mul(nodes);
        body["per_second"] = json!(second.min(most));
        body["per_second_max"] = json!(most);
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_control_protocol::Demand;

    #[test]
    fn what_all_nodes_would_ask_is_told_with_what_lets_no_more_through() {
        let told = |second, minute| Estimate {
            one_in: 64,
            demand: Some(Demand { second, minute }),
            ..Estimate::default()
        };
        let older = Estimate {
            one_in: 64,
            ..Estimate::default()
        };
        let bound = |per_node| Bound {
            per_node: NonZeroU32::new(per_node).unwrap(),
            nodes: 2,
        };
        assert_eq!(origin_requests(&[&older], None), None);
        let (edge, shield) = (told(4, 100), told(0, 0));
        let all = [&edge, &shield, &older];
        let unbound = origin_requests(&all, None).unwrap();
        let expected = json!({
            "first_second": 256, "first_second_error": 249,
            "first_minute": 6400, "first_minute_error": 1245, "per_second": 256,
        });
        assert_eq!(unbound, expected);
        for (per_node, per_second) in [(50, 100), (127, 254), (129, 256)] {
            let told = origin_requests(&all, Some(bound(per_node))).unwrap();
            assert_eq!(told["per_second"], json!(per_second));
            assert_eq!(told["per_second_max"], json!(2 * per_node));
        }
        let none = origin_requests(&[&shield], None).unwrap();
        assert_eq!(
            (&none["first_second"], &none["first_second_error"]),
            (&json!(0), &json!(192))
        );
    }
}

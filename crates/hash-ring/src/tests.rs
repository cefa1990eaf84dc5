use super::*;
use proptest::prelude::*;

fn ring(weights: &[u32]) -> Ring {
    let member = |(i, &weight): (usize, &u32)| Member {
        id: member_id(&format!("node-{i}")),
        weight,
    };
    Ring::new(weights.iter().enumerate().map(member).collect())
}

fn keys(n: u64) -> impl Iterator<Item = u64> {
    (0..n).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn the_logarithm_is_right_to_five_digits() {
    for hash in keys(10_000).chain([0, 1, u64::MAX, u64::MAX - 1, 1 << 63]) {
        let exact = 64.0 - (hash as f64 + 1.0).log2();
        let ours = log::neg_log2(hash) as f64 / 4_294_967_296.0;
        assert!((ours - exact).abs() < 1e-5, "{hash:#x}: {ours} {exact}");
    }
}

/// Placement is agreed between nodes of different versions: a change here is a change of the map's format.
#[test]
fn orders_are_what_they_were() {
    let ring = ring(&[1, 2, 4, 0]);
    let orders: Vec<Vec<usize>> = [0, 1, 42, u64::MAX]
        .map(|key| {
            let mut order = Vec::new();
            ring.order(key, &mut order);
            order
        })
        .into();
    assert_eq!(orders, GOLDEN.map(|o| o.to_vec()), "{orders:?}");
}

const GOLDEN: [[usize; 4]; 4] = [[1, 2, 0, 3], [2, 0, 1, 3], [2, 1, 0, 3], [2, 1, 0, 3]];

#[test]
fn members_own_keys_in_proportion_to_their_weights() {
    let weights = [100, 100, 200, 400, 50];
    let ring = ring(&weights);
    let n = 200_000;
    let mut owned = [0u32; 5];
    for key in keys(n) {
        owned[ring.owner(key).unwrap()] += 1;
    }
    for (weight, owned) in weights.iter().zip(owned) {
        let fair = n as f64 * f64::from(*weight) / 850.0;
        assert!(
            (f64::from(owned) / fair - 1.0).abs() < 0.03,
            "weight {weight}: {owned} of {fair}"
        );
    }
}

#[test]
fn draining_members_come_last_and_own_nothing() {
    let ring = ring(&[0, 1, 0, 1]);
    for key in keys(1000) {
        let mut order = Vec::new();
        ring.order(key, &mut order);
        assert!(order[..2].iter().all(|i| ring.members()[*i].weight == 1));
        assert_eq!(ring.owner(key), Some(order[0]));
    }
    assert_eq!(super::Ring::default().owner(1), None);
}

proptest! {
    #[test]
    fn a_member_that_leaves_gives_its_keys_to_their_successors_and_moves_no_other(
        weights in prop::collection::vec(1u32..1000, 2..12), gone in 0usize..12, key: u64,
    ) {
        let gone = gone % weights.len();
        let before = ring(&weights);
        let mut order = Vec::new();
        before.order(key, &mut order);
        let mut fewer = before.members().to_vec();
        let left = fewer.remove(gone);
        let after = Ring::new(fewer);
        let expect = order.iter().copied().find(|&i| before.members()[i].id != left.id).unwrap();
        let got = after.owner(key).unwrap();
        prop_assert_eq!(after.members()[got].id, before.members()[expect].id);
    }

    #[test]
    fn a_greater_weight_never_loses_a_key(weight in 1u32..1000, more in 1u32..1000, key: u64) {
        let mut members = ring(&[500, weight, 300]).members().to_vec();
        let before = Ring::new(members.clone()).owner(key).unwrap();
        members[1].weight += more;
        let after = Ring::new(members).owner(key).unwrap();
        prop_assert!(after == before || after == 1);
    }
}

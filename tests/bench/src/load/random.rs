//! Seeded numbers, and draws by them.

/// The steps of splitmix64 (Steele, Lea, Flood, 2014).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.0;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// 0 to 1, without 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Ranks 0 to n - 1, the first the likeliest: rank r as likely as 1 / (r + 1)^s.
pub(crate) struct Zipf {
    /// Of all ranks up to each.
    shares: Vec<f64>,
}

impl Zipf {
    /// `ranks` is not 0.
    pub(crate) fn new(ranks: u64, s: f64) -> Self {
        let mut sum = 0.0;
        let mut shares: Vec<f64> = (1..=ranks)
            .map(|rank| {
                sum += (rank as f64).powf(-s);
                sum
            })
            .collect();
        for share in &mut shares {
            *share /= sum;
        }
        Self { shares }
    }

    pub(crate) fn draw(&self, numbers: &mut Numbers) -> u64 {
        let share = numbers.share();
        let rank = self.shares.partition_point(|up_to| *up_to <= share);
        rank.min(self.shares.len() - 1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_draws_ranks_as_often_as_it_should() {
        let (zipf, mut numbers) = (Zipf::new(1000, 1.0), Numbers::seeded(1));
        let mut drawn = vec![0_u32; 1000];
        for _ in 0..1_000_000 {
            drawn[zipf.draw(&mut numbers) as usize] += 1;
        }
        // the sum of 1/r for 1000 ranks is 7.4855: the first has 13.36 % of the draws, the tenth 1.336 %
        assert!((132_000..135_200).contains(&drawn[0]), "{}", drawn[0]);
        assert!((12_800..13_900).contains(&drawn[9]), "{}", drawn[9]);
        assert!(drawn[999] > 50, "the last rank is drawn too");
    }

    #[test]
    fn numbers_below_an_end_are_even_and_the_same_for_one_seed() {
        let mut numbers = Numbers::seeded(5);
        let mut drawn = [0_u32; 10];
        for _ in 0..100_000 {
            drawn[numbers.below(10) as usize] += 1;
        }
        assert!(
            drawn.iter().all(|n| (9_500..10_500).contains(n)),
            "{drawn:?}"
        );
        assert_eq!(Numbers::seeded(5).next(), Numbers::seeded(5).next());
    }
}

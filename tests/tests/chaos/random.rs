//! Seeded choices: a run's choices can be had again by its seed.

/// A xorshift generator.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Another sequence for each `stream` of one seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mixed =
            (seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0x5851_f42d_4c95_7f2d);
        // zero would stay zero
        let mut random = Self(mixed | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// Picks objects by Zipf's law: the k-th one 1/k as often as the first.
pub(crate) struct Zipf(Vec<usize>);

impl Zipf {
    pub(crate) fn new(objects: usize) -> Self {
        let mut sum = 0;
        let shares = (1..=objects).map(|k| {
            sum += 1_000_000 / k;
            sum
        });
        Self(shares.collect())
    }

    pub(crate) fn pick(&self, random: &mut Random) -> usize {
        let all = self.0.last().copied().unwrap_or(1);
        let at = random.below(all);
        self.0.partition_point(|sum| *sum <= at)
    }
}

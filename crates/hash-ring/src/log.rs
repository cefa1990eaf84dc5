//! A binary logarithm in integers: every machine computes the same.

const STEPS: usize = 256;

/// `log2(1 + i/256)` with 32 bits behind the point, computed bit by bit (squaring; Knuth, TAOCP 1, 1.2.2, exercise 25).
static LOG2: [u64; STEPS + 1] = table();

const fn table() -> [u64; STEPS + 1] {
    let mut table = [0; STEPS + 1];
    let mut i = 0;
    while i < STEPS {
        // x in [1, 2) with 62 bits behind the point
        let mut x: u128 = (((STEPS + i) as u128) << 62) / STEPS as u128;
        let mut log: u64 = 0;
        let mut bit = 0;
        while bit < 33 {
            x = (x * x) >> 62;
            log <<= 1;
            if x >= 2 << 62 {
                x >>= 1;
                log |= 1;
            }
            bit += 1;
        }
        // one bit more than is kept, to round
        table[i] = (log + 1) >> 1;
        i += 1;
    }
    table[STEPS] = 1 << 32;
    table
}

/// `-log2((hash + 1) / 2^64)` with 32 bits behind the point: 0 for the greatest hash, 64 for 0. Between the steps of the
/// table it is linear, wrong by less than 3e-6.
pub fn neg_log2(hash: u64) -> u64 {
    let x = hash.saturating_add(1);
    let zeros = x.leading_zeros();
    let mantissa = x << zeros; // the leading one is bit 63
    let step = ((mantissa >> 55) & 0xff) as usize;
    let rest = (mantissa >> 23) & 0xffff_ffff; // 32 bits behind the step
    let (low, high) = (LOG2[step], LOG2[step + 1]);
    let log = low + (((high - low) * rest) >> 32);
    // x = 2^(63 - zeros) * m, and log2(m) = log
    (u64::from(zeros + 1) << 32) - log
}

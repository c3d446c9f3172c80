//! Randomness as a value: seeded from the operating system in the daemon, and from a number in
//! tests.

/// A small deterministic generator (SplitMix64) for ids, jitter and election timeouts; never for
/// keys.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator that nobody can foretell.
    pub fn from_entropy() -> Result<Self, EntropyError> {
        let mut seed = [0; 8];
        entropy(&mut seed)?;
        Ok(Self(u64::from_le_bytes(seed)))
    }

    /// A generator of its own for one use, so that more draws there do not change the draws here.
    #[must_use]
    pub fn fork(&mut self, name: &str) -> Self {
        let mixed = name.bytes().fold(self.next_u64(), |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(mixed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("cannot read randomness from the operating system")]
pub struct EntropyError(#[source] getrandom::Error);

/// Fills `bytes` with randomness that keys can be made from.
#[expect(clippy::disallowed_methods, reason = "the one source of entropy")]
pub fn entropy(bytes: &mut [u8]) -> Result<(), EntropyError> {
    getrandom::fill(bytes).map_err(EntropyError)
}

/// Random bytes that keys can be made from.
pub fn random<const BYTES: usize>() -> Result<[u8; BYTES], EntropyError> {
    let mut bytes = [0; BYTES];
    entropy(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers() {
        let (mut one, mut two) = (Rng::from_seed(7), Rng::from_seed(7));
        assert_eq!(one.next_u128(), two.next_u128());
        assert_ne!(one.fork("net").next_u64(), two.fork("disk").next_u64());
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut rng = Rng::from_seed(1);
        assert!((0..1000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.below(0), 0);
    }
}

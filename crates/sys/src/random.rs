//! Random numbers, from the operating system.

/// A source of random bytes fit for secrets.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
    /// A random number.
    fn u32(&self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }
}

/// The operating system's generator.
pub struct SystemRandom;

impl Random for SystemRandom {
    /// Panics when the operating system has no random numbers: nothing could be safe without.
    fn fill(&self, bytes: &mut [u8]) {
        let got = getrandom::fill(bytes);
        assert!(got.is_ok(), "the operating system gives no random numbers: {got:?}");
    }
}

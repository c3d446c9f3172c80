//! Sealing: bytes that only the holder of a key can read, and that nobody else can change.
//!
//! ```text
//! format 1 | nonce, 12 bytes | ChaCha20-Poly1305 of the bytes, and its 16 bytes of tag
//! ```
//!
//! The tag covers the format and what the bytes are about, so sealed bytes cannot be put in another
//! place. Nonces are random: one key is good for some thousand million sealings.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

pub const KEY_BYTES: usize = 32;
pub const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const FORMAT: u8 = 1;

/// What seals and opens; zeroed when it goes.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; KEY_BYTES]>);

/// The bytes were not sealed under this key for this purpose, or they were damaged: which of them
/// cannot be told, and should not be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open: the key is not theirs, or they are damaged")]
pub struct DoesNotOpen;

/// There were too many bytes to seal at once.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are too many to seal at once")]
pub struct TooLong(usize);

impl SealKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Seals `plain`, which is about `about`. No nonce may serve twice: it is drawn for this call.
    pub fn seal(
        &self,
        nonce: [u8; NONCE_BYTES],
        about: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, TooLong> {
        let too_long = |_| TooLong(plain.len());
        let mut body = plain.to_vec();
        let aad = Aad::from(bound(about));
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        let cipher = self.cipher().map_err(too_long)?;
        let sealed = cipher.seal_in_place_append_tag(nonce_used, aad, &mut body);
        sealed.map_err(too_long)?;
        Ok([&[FORMAT][..], &nonce, &body].concat())
    }

    /// What was sealed, whole, or nothing.
    pub fn open(&self, about: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let (format, rest) = sealed.split_first().ok_or(DoesNotOpen)?;
        let (nonce, body) = rest.split_first_chunk().ok_or(DoesNotOpen)?;
        if *format != FORMAT || body.len() < TAG_BYTES {
            return Err(DoesNotOpen);
        }
        let mut body = Zeroizing::new(body.to_vec());
        let aad = Aad::from(bound(about));
        let cipher = self.cipher().map_err(|_| DoesNotOpen)?;
        let opened = cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut body);
        let length = opened.map_err(|_| DoesNotOpen)?.len();
        body.truncate(length);
        Ok(body)
    }

    fn cipher(&self) -> Result<LessSafeKey, ring::error::Unspecified> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.0[..]).map(LessSafeKey::new)
    }
}

fn bound(about: &[u8]) -> Vec<u8> {
    [&[FORMAT][..], about].concat()
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;

    const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];

    fn key(byte: u8) -> SealKey {
        SealKey::from_bytes([byte; KEY_BYTES])
    }

    #[test]
    fn what_is_sealed_opens_whole() {
        for plain in [&b""[..], b"secret", &[7; 70_000]] {
            let sealed = key(1).seal(NONCE, b"journal", plain).unwrap();
            assert_eq!(sealed.len(), 1 + NONCE_BYTES + plain.len() + TAG_BYTES);
            assert_eq!(*key(1).open(b"journal", &sealed).unwrap(), plain);
        }
    }

    #[test]
    fn another_key_purpose_or_nonce_does_not_open() {
        let sealed = key(1).seal(NONCE, b"journal", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(key(2).open(b"journal", &sealed), Err(DoesNotOpen));
        assert_eq!(key(1).open(b"state", &sealed), Err(DoesNotOpen));
        let other = key(1)
            .seal([8; NONCE_BYTES], b"journal", b"secret")
            .unwrap();
        assert_ne!(other[13..], sealed[13..]);
    }

    #[test]
    fn no_damaged_bit_and_no_shortened_text_opens() {
        let sealed = key(1).seal(NONCE, b"", b"secret").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key(1).open(b"", &damaged), Err(DoesNotOpen), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key(1).open(b"", &sealed[..length]), Err(DoesNotOpen));
        }
    }

    #[test]
    fn random_bytes_do_not_open() {
        let mut rng = Rng::from_seed(5);
        for _ in 0..500 {
            let length = usize::try_from(rng.below(80)).unwrap();
            let mut bytes: Vec<u8> = (0..length)
                .map(|_| rng.next_u64().to_le_bytes()[0])
                .collect();
            if let Some(first) = bytes.first_mut() {
                *first = FORMAT;
            }
            assert_eq!(key(1).open(b"", &bytes), Err(DoesNotOpen));
        }
    }

    #[test]
    fn a_key_never_shows() {
        assert_eq!(format!("{:?}", key(1)), "SealKey");
    }
}

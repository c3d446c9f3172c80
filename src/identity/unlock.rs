//! The key that unlocks a manager: with autolock on, what a manager keeps is sealed under a data
//! key, and that key is kept only wrapped by this one, which no disk has.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::identity::seal::{DoesNotOpen, KEY_BYTES, NONCE_BYTES, SealKey, TooLong};
use crate::identity::text;

const PREFIX: &str = "SWMKEY-1-";
const DIGITS: usize = 43;
const ABOUT: &[u8] = b"skep data key";

/// The key that `swarm unlock-key` shows: Swarm's, `SWMKEY-1-` and 32 bytes in base 64.
#[derive(Clone)]
pub struct UnlockKey(SealKey);

/// A text is no unlock key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no unlock key: one is SWMKEY-1- and {DIGITS} characters")]
pub struct NotAnUnlockKey;

impl UnlockKey {
    /// A key from 32 random bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(SealKey::from_bytes(bytes))
    }

    /// The key as users see it. It is the secret itself.
    pub fn text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(text::base64(self.0.bytes()));
        Zeroizing::new(format!("{PREFIX}{}", digits.trim_end_matches('=')))
    }

    /// The data key, readable only with this key.
    pub fn wrap(&self, nonce: [u8; NONCE_BYTES], data: &SealKey) -> Result<Vec<u8>, TooLong> {
        self.0.seal(nonce, ABOUT, data.bytes())
    }

    /// The data key that was wrapped.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<SealKey, DoesNotOpen> {
        let bytes = self.0.open(ABOUT, wrapped)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| DoesNotOpen)?;
        Ok(SealKey::from_bytes(bytes))
    }
}

impl FromStr for UnlockKey {
    type Err = NotAnUnlockKey;

    fn from_str(given: &str) -> Result<Self, NotAnUnlockKey> {
        let digits = given.strip_prefix(PREFIX).filter(|d| d.len() == DIGITS);
        let bytes = digits.and_then(text::from_base64).map(Zeroizing::new);
        let bytes = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
        bytes.map(Self::from_bytes).ok_or(NotAnUnlockKey)
    }
}

impl fmt::Debug for UnlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnlockKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_its_text_and_opens_what_it_wrapped() {
        let key = UnlockKey::from_bytes([200; KEY_BYTES]);
        let data = SealKey::from_bytes([3; KEY_BYTES]);
        let wrapped = key.wrap([1; NONCE_BYTES], &data).unwrap();
        let text = key.text();
        assert_eq!(
            text.len(),
            "SWMKEY-1-7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8".len()
        );
        let again: UnlockKey = text.parse().unwrap();
        assert_eq!(again.unwrap(&wrapped).unwrap().bytes(), data.bytes());
        let other = UnlockKey::from_bytes([201; KEY_BYTES]);
        assert_eq!(other.unwrap(&wrapped).err(), Some(DoesNotOpen));
    }

    #[test]
    fn dockers_own_example_is_a_key() {
        let text = "SWMKEY-1-7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8";
        let key: UnlockKey = text.parse().unwrap();
        assert_eq!(*key.text(), text);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = UnlockKey::from_bytes([200; KEY_BYTES]).text().to_string();
        let padded = format!("{key}=");
        let short = &key[..key.len() - 1];
        let strange = key.replace("SWMKEY-1", "SWMKEY-2");
        for text in [
            "",
            "SWMKEY-1-",
            "é",
            short,
            &padded,
            &strange,
            &key.replace('y', "!"),
        ] {
            assert_eq!(
                text.parse::<UnlockKey>().err(),
                Some(NotAnUnlockKey),
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_never_shows() {
        let key = UnlockKey::from_bytes([200; KEY_BYTES]);
        assert_eq!(format!("{key:?}"), "UnlockKey");
    }
}

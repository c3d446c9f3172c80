//! Roots by their digests: in few bytes a node and its managers see whether it has to get another
//! certificate.

use sha2::{Digest, Sha256};

/// The name of a root.
pub fn digest(root: &[u8]) -> [u8; 32] {
    Sha256::digest(root).into()
}

/// What tells one set of trusted roots from another; the last of them issues.
pub fn digest_all(roots: &[Vec<u8>]) -> [u8; 32] {
    let digests: Vec<[u8; 32]> = roots.iter().map(|root| digest(root)).collect();
    digest(digests.as_flattened())
}

/// The root that issued the certificate of a node that trusts these.
pub fn issuer(roots: &[Vec<u8>]) -> Option<[u8; 32]> {
    roots.last().map(|root| digest(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_root_counts_and_the_last_is_the_issuer() {
        let roots = [b"one".to_vec(), b"two".to_vec()];
        assert_eq!(issuer(&roots), Some(digest(b"two")));
        assert_eq!(issuer(&[]), None);
        let all = digest_all(&roots);
        for others in [&roots[..1], &roots[1..], &[b"onetwo".to_vec()]] {
            assert_ne!(digest_all(others), all);
        }
    }
}

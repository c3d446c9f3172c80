//! The trust that a new swarm begins with: a root of its own, and a secret for each join token.

use crate::identity::authority::{Authority, AuthorityError, SERIAL_BYTES};
use crate::model::time::Time;
use crate::model::trust::{Hidden, JoinToken, TokenSecret, Trust};

/// A new root, and tokens with these secrets; all that is given was drawn for this swarm.
pub fn found(
    now: Time,
    serial: [u8; SERIAL_BYTES],
    worker: TokenSecret,
    manager: TokenSecret,
) -> Result<Trust, AuthorityError> {
    let authority = Authority::found(now, serial)?;
    Ok(Trust {
        root: authority.root().to_vec(),
        key: Some(Hidden(authority.key().pkcs8().to_vec())),
        worker: JoinToken::new(worker),
        manager: JoinToken::new(manager),
        rotation: None,
        unlock: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::token::admit;
    use crate::model::spec::node::Role;

    #[test]
    fn every_swarm_has_a_root_of_its_own_and_the_tokens_that_were_drawn() {
        let secrets = [TokenSecret([1; 16]), TokenSecret([2; 16])];
        let [one, two] = [1, 2].map(|serial| {
            let [worker, manager] = secrets;
            found(Time(5), [serial; SERIAL_BYTES], worker, manager).unwrap()
        });
        let key = one.key.as_ref().unwrap();
        assert!(Authority::from_stored(one.root.clone(), &key.0).is_ok());
        assert!(Authority::from_stored(two.root.clone(), &key.0).is_err());
        assert_eq!(admit(&one, &secrets[0], Time(5)), Ok(Role::Worker));
        assert_eq!(admit(&one, &secrets[1], Time(5)), Ok(Role::Manager));
    }
}

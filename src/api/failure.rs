//! What a client is told when its request fails: a status and one line, from one table.

use hyper::StatusCode;

use crate::api::body::BodyError;
use crate::api::context::ClusterError;
use crate::api::convert::problems::Problems;
use crate::image::import::ImportError;
use crate::image::pull::PullError;
use crate::image::push::PushError;
use crate::image::removal::RemoveError;
use crate::image::store::{ResolveError, TagError};
use crate::runtime::containers::RuntimeError;
use crate::runtime::volume::VolumeError;
use crate::wire::control::Refusal;

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: StatusCode,
    pub message: String,
}

impl Failure {
    pub fn new(status: StatusCode, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { status, message }
    }

    /// 400: the request cannot be understood or is refused as it is.
    pub fn bad(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404: what the request names is not there.
    pub fn not_found(message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 409: the request does not fit what is there.
    pub fn conflict(message: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// 500: the host failed.
    pub fn internal(message: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// 501: a part of Docker's API that skep does not have.
    pub fn unsupported(message: impl ToString) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// 503: not in the state that the request needs.
    pub fn unavailable(message: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
            Refusal::NameTaken { .. } => StatusCode::CONFLICT,
            Refusal::Ambiguous { .. }
            | Refusal::InUse { .. }
            | Refusal::Invalid { .. }
            | Refusal::NoPreviousSpec(_)
            | Refusal::NodeNotDown(_)
            | Refusal::LastManager
            | Refusal::LosesQuorum
            | Refusal::NodeIsManager(_)
            | Refusal::NotManager(_)
            | Refusal::OldSeat(_)
            | Refusal::UnknownFilter { .. }
            | Refusal::UnknownFilterValue { .. }
            | Refusal::Referenced { .. }
            | Refusal::Unknown { .. }
            | Refusal::SubnetTaken { .. }
            | Refusal::NoSubnet(_)
            | Refusal::Unreachable(_)
            | Refusal::Rotating
            | Refusal::NoUnlockKey
            | Refusal::Impossible(..) => StatusCode::BAD_REQUEST,
            Refusal::Predefined(_) => StatusCode::FORBIDDEN,
            // Docker answers 500 here, and clients know the text.
            Refusal::OutOfSequence { .. } | Refusal::Storage(_) | Refusal::NoCertificate(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Refusal::Inadmissible(_)
            | Refusal::NoRequest(_)
            | Refusal::NodeRemoved(_)
            | Refusal::OtherKey(_) => StatusCode::FORBIDDEN,
            Refusal::NoLeader | Refusal::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal)
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Refused(refusal) => refusal.into(),
            ClusterError::Address { .. } => Self::bad(error),
            ClusterError::Failed(_) => Self::internal(error),
            ClusterError::NotLocked => Self::conflict(error),
            ClusterError::WrongUnlockKey => Self::bad(error),
            ClusterError::NotInSwarm
            | ClusterError::Worker
            | ClusterError::NotPartOfSwarm
            | ClusterError::Locked
            | ClusterError::StillLocked
            | ClusterError::AlreadyInSwarm
            | ClusterError::StillManager(_)
            | ClusterError::NoStream(_)
            | ClusterError::NotReadyYet => Self::unavailable(error),
        }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        match &error {
            RuntimeError::NotFound(_) | RuntimeError::Id(_) => Self::not_found(error),
            RuntimeError::NotRunning(_) | RuntimeError::Exists(_) => Self::conflict(error),
            _ => Self::internal(error),
        }
    }
}

impl From<VolumeError> for Failure {
    fn from(error: VolumeError) -> Self {
        match &error {
            VolumeError::Name(_) => Self::bad(error),
            VolumeError::NotFound(name) => Self::not_found(format!("get {name}: no such volume")),
            VolumeError::InUse(_) => Self::conflict(error),
            VolumeError::Io { .. } | VolumeError::Damaged(_) | VolumeError::Mount { .. } => {
                Self::internal(error)
            }
        }
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        match &error {
            ResolveError::NoSuchImage(_) => Self::not_found(error),
            ResolveError::Ambiguous(_) | ResolveError::Reference(_) => Self::bad(error),
            ResolveError::Damaged { .. } | ResolveError::Disk(_) => Self::internal(error),
        }
    }
}

impl From<TagError> for Failure {
    fn from(error: TagError) -> Self {
        match error {
            TagError::Source(source) => source.into(),
            TagError::Digest | TagError::Reference(_) => Self::bad(error),
            TagError::Disk(_) => Self::internal(error),
        }
    }
}

impl From<RemoveError> for Failure {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Resolve(source) => source.into(),
            RemoveError::Disk(_) => Self::internal(error),
            _ => Self::conflict(error),
        }
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match &error {
            ImportError::Disk(_) => Self::internal(error),
            ImportError::Unpack(unpack) if unpack.is_disk_full() => Self::internal(error),
            _ => Self::bad(error),
        }
    }
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        let status = match &error {
            PullError::Denied { .. } | PullError::NotFound { .. } | PullError::Choice { .. } => {
                StatusCode::NOT_FOUND
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error)
    }
}

impl From<PushError> for Failure {
    fn from(error: PushError) -> Self {
        let status = match &error {
            PushError::NoSuchImage(_) => StatusCode::NOT_FOUND,
            PushError::Denied { .. } => StatusCode::FORBIDDEN,
            PushError::NoTag(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error)
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::bad(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::bad(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::{NodeId, ServiceId};
    use crate::wire::control::ObjectKind;

    #[track_caller]
    fn check(refusal: Refusal, status: u16, message: &str) {
        let failure = Failure::from(refusal);
        assert_eq!(
            (failure.status.as_u16(), failure.message.as_str()),
            (status, message)
        );
    }

    #[test]
    fn refusals_have_dockers_status_and_text() {
        let (kind, reference) = (ObjectKind::Service, "web".to_owned());
        check(
            Refusal::NotFound { kind, reference },
            404,
            "service web not found",
        );
        let name = "web".to_owned();
        check(
            Refusal::NameTaken { kind, name },
            409,
            "name conflicts with an existing object: service web already exists",
        );
        let problems = vec!["Name: empty".to_owned(), "Mode: odd".to_owned()];
        check(
            Refusal::Invalid { kind, problems },
            400,
            "invalid service: Name: empty; Mode: odd",
        );
        let node = NodeId(0);
        check(
            Refusal::NodeNotDown(node),
            400,
            &format!("node {node} is not down and can't be removed"),
        );
        let service = ServiceId(0).to_string();
        check(
            Refusal::NoPreviousSpec(service.clone()),
            400,
            &format!("service {service} does not have a previous spec"),
        );
        check(
            Refusal::Busy { queued: 9 },
            503,
            "the manager is busy with 9 requests; try again",
        );
        assert_eq!(Failure::from(Refusal::NoLeader).status.as_u16(), 503);
        assert_eq!(
            Failure::from(Refusal::Storage("full".into()))
                .status
                .as_u16(),
            500
        );
    }

    #[test]
    fn a_node_without_a_swarm_says_so_in_dockers_words() {
        let failure = Failure::from(ClusterError::NotInSwarm);
        assert_eq!(failure.status.as_u16(), 503);
        assert_eq!(
            failure.message,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" \
             to connect this node to swarm and try again."
        );
    }
}

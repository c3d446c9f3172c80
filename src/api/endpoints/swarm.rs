//! `/swarm`: beginning, showing, changing and leaving a swarm.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::StatusCode;

use crate::api::answer::{self, Answer};
use crate::api::call::Call;
use crate::api::context::{ClusterError, Init, Join, MemberState};
use crate::api::convert::problems::Problems;
use crate::api::convert::swarm as convert;
use crate::api::convert::words::AVAILABILITIES;
use crate::api::endpoints::odd_answer;
use crate::api::failure::Failure;
use crate::api::types::swarm as json;
use crate::host::rng::random;
use crate::identity::token::Token;
use crate::identity::unlock::{NotAnUnlockKey, UnlockKey};
use crate::model::address::Subnet;
use crate::model::object::Cluster;
use crate::model::spec::cluster::ClusterSpec;
use crate::model::trust::{JoinToken, NewTokens, TokenSecret, UnlockSecret};
use crate::model::validate;
use crate::wire::MANAGER_PORT;
use crate::wire::control::{Request, Response};

/// The most managers that are asked to let a host join.
const REMOTES_MAX: usize = 16;
const SUBNET_BITS_MIN: u32 = 8;
const SUBNET_BITS_MAX: u32 = 29;

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    Ok(answer::json(&convert::show(&*cluster(&call).await?)))
}

pub async fn init(mut call: Call) -> Result<Answer, Failure> {
    let given: json::InitRequest = call.json().await?;
    let node = call.context.cluster.init(read_init(given)?).await?;
    Ok(answer::json(&node.to_string()))
}

pub async fn join(mut call: Call) -> Result<Answer, Failure> {
    let given: json::JoinRequest = call.json().await?;
    // The more useful thing to say, whatever is asked for.
    let state = call.context.cluster.membership().state;
    if matches!(state, MemberState::Active | MemberState::Locked) {
        return Err(ClusterError::AlreadyInSwarm.into());
    }
    call.context.cluster.join(read_join(given)?).await?;
    Ok(answer::empty(StatusCode::OK))
}

pub async fn leave(call: Call) -> Result<Answer, Failure> {
    call.context.cluster.leave(call.query.flag("force")).await?;
    Ok(answer::empty(StatusCode::OK))
}

pub async fn update(mut call: Call) -> Result<Answer, Failure> {
    let given: json::SwarmSpec = call.json().await?;
    let version = call.query.number("version")?;
    let version = version.ok_or_else(|| Failure::bad("the parameter version is missing"))?;
    let now = cluster(&call).await?;
    let (locks, locked) = (
        given.encryption_config.auto_lock_managers,
        now.spec.autolock_managers,
    );
    let rotates = call.query.flag("rotateManagerUnlockKey");
    if rotates && !locks {
        return Err(Failure::bad(
            "cannot rotate because autolock is not turned on",
        ));
    }
    let tokens = NewTokens {
        worker: new_token(call.query.flag("rotateWorkerToken"))?,
        manager: new_token(call.query.flag("rotateManagerToken"))?,
        unlock: drawn(rotates || locks && !locked)?.map(UnlockSecret),
    };
    let spec = convert::read(given, &now.spec);
    let request = Request::UpdateCluster {
        version,
        spec,
        tokens,
        root: None,
    };
    match call.ask(request).await? {
        Response::Done { .. } => Ok(answer::empty(StatusCode::OK)),
        _ => Err(odd_answer()),
    }
}

pub async fn unlock_key(call: Call) -> Result<Answer, Failure> {
    let Response::UnlockKey(key) = call.ask(Request::UnlockKey).await? else {
        return Err(odd_answer());
    };
    let key = key.map(|UnlockSecret(key)| UnlockKey::from_bytes(key).text().to_string());
    Ok(answer::json(&json::UnlockKey {
        unlock_key: key.unwrap_or_default(),
    }))
}

pub async fn unlock(mut call: Call) -> Result<Answer, Failure> {
    let given: json::UnlockKey = call.json().await?;
    // One that is none opens nothing, and Docker's clients know that text.
    let key = given.unlock_key.trim().parse();
    let key = key.map_err(|NotAnUnlockKey| ClusterError::WrongUnlockKey);
    let key = match call.context.cluster.membership().state {
        MemberState::Locked => key?,
        MemberState::Inactive => return Err(ClusterError::NotPartOfSwarm.into()),
        _ => return Err(ClusterError::NotLocked.into()),
    };
    call.context.cluster.unlock(key).await?;
    Ok(answer::empty(StatusCode::OK))
}

/// The swarm itself.
pub async fn cluster(call: &Call) -> Result<std::sync::Arc<Cluster>, Failure> {
    match call.ask(Request::Cluster).await? {
        Response::Cluster(cluster) => Ok(cluster),
        _ => Err(odd_answer()),
    }
}

/// A new join token, if the old one is to be rotated.
fn new_token(rotates: bool) -> Result<Option<JoinToken>, Failure> {
    let secret = drawn(rotates)?;
    Ok(secret.map(|secret| JoinToken::new(TokenSecret(secret))))
}

fn drawn<const BYTES: usize>(is_asked: bool) -> Result<Option<[u8; BYTES]>, Failure> {
    let secret = is_asked.then(random).transpose();
    secret.map_err(Failure::internal)
}

fn read_init(given: json::InitRequest) -> Result<Init, Failure> {
    let mut problems = Problems::default();
    let availability = problems.choice("Availability", &given.availability, &AVAILABILITIES);
    let data_path_port = problems.port("DataPathPort", given.data_path_port);
    let listen = read_listen(&given.listen_addr, &mut problems);
    check_pools(&given.default_addr_pool, given.subnet_size, &mut problems);
    let mut spec = convert::read(given.spec, &ClusterSpec::default());
    spec.autolock_managers |= given.auto_lock_managers;
    for problem in validate::cluster(&spec) {
        problems.add(problem);
    }
    problems.or(()).map_err(Failure::from)?;
    Ok(Init {
        listen,
        advertise: given.advertise_addr,
        availability: availability.unwrap_or_default(),
        spec,
        address_pools: given.default_addr_pool,
        subnet_size: given.subnet_size,
        data_path_port,
        force_new_cluster: given.force_new_cluster,
    })
}

/// Whether networks can be given subnets of this size from these pools; 0 is the default size.
fn check_pools(pools: &[String], size: u32, problems: &mut Problems) {
    if !matches!(size, 0 | SUBNET_BITS_MIN..=SUBNET_BITS_MAX) {
        problems.add(format!(
            "SubnetSize: {size}: must be from {SUBNET_BITS_MIN} to {SUBNET_BITS_MAX}"
        ));
    }
    let mut known = Vec::<Subnet>::new();
    for pool in pools {
        match pool.parse::<Subnet>() {
            Err(error) => problems.add(format!("DefaultAddrPool: {error}")),
            Ok(pool) if size != 0 && u32::from(pool.bits()) > size => problems.add(format!(
                "DefaultAddrPool: {pool} is smaller than a subnet of {size} bits"
            )),
            Ok(pool) => {
                if let Some(other) = known.iter().find(|other| other.overlaps(pool)) {
                    problems.add(format!("DefaultAddrPool: {pool} overlaps {other}"));
                }
                known.push(pool);
            }
        }
    }
}

fn read_join(given: json::JoinRequest) -> Result<Join, Failure> {
    let mut problems = Problems::default();
    let availability = problems.choice("Availability", &given.availability, &AVAILABILITIES);
    let listen = read_listen(&given.listen_addr, &mut problems);
    if given.remote_addrs.is_empty() {
        problems.add("RemoteAddrs: the address of a manager is missing".to_owned());
    }
    let mut remotes = Vec::new();
    for text in given.remote_addrs.iter().take(REMOTES_MAX) {
        match read_remote(text) {
            Some(remote) => remotes.push(remote),
            None => problems.add(format!(
                "RemoteAddrs: {text:?} is no host with or without a port"
            )),
        }
    }
    let token: Option<Token> = match given.join_token.parse() {
        Ok(token) => Some(token),
        Err(error) => {
            problems.add(format!("JoinToken: {error}"));
            None
        }
    };
    problems.or(()).map_err(Failure::from)?;
    Ok(Join {
        listen,
        advertise: given.advertise_addr,
        availability: availability.unwrap_or_default(),
        remotes,
        token: token.ok_or_else(|| Failure::bad("the parameter JoinToken is missing"))?,
    })
}

/// `host:2377`, `host`, `[2001:db8::1]:2377` or `2001:db8::1`.
fn read_remote(text: &str) -> Option<(String, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip().to_string(), address.port()));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Some((text.to_owned(), MANAGER_PORT));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (text, MANAGER_PORT),
    };
    let is_host = !host.is_empty() && !host.contains([':', '/', '[', ']', ' ']);
    is_host.then(|| (host.to_owned(), port))
}

/// `10.0.0.1:2377`, `10.0.0.1`, or nothing for every address.
pub fn read_listen(text: &str, problems: &mut Problems) -> SocketAddr {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, MANAGER_PORT));
    if text.is_empty() {
        return everywhere;
    }
    let address = text.parse().ok();
    let address = address.or_else(|| {
        Some(SocketAddr::from((
            text.parse::<IpAddr>().ok()?,
            MANAGER_PORT,
        )))
    });
    address.unwrap_or_else(|| {
        problems.add(format!(
            "ListenAddr: {text:?} is not an IP address with or without a port"
        ));
        everywhere
    })
}

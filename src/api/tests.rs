//! The API as clients meet it: bytes over a socket pair, answered by the real routes.

mod host;
mod images;
mod metrics;
mod registry;
mod secrets;
mod swarm;
mod wire;

use std::future::Future;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_executor::LocalExecutor;
use async_io::Async;
use bytes::Bytes;
use futures_lite::future::{self, BoxedLocal};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use serde_json::Value;
use smol_hyper::rt::FuturesIo;

use crate::api::context::{Cluster, ClusterError, Context, Host, Init, Join, Membership};
use crate::api::events::Events;
use crate::api::execs::Execs;
use crate::api::serve::{Serves, connection};
use crate::api::tests::swarm::Managed;
use crate::image::registries::Registries;
use crate::image::store::ImageStore;
use crate::manager::figures::Figures;
use crate::model::id::NodeId;
use crate::model::spec::node::NodeDescription;
use crate::runtime::containers::{Runtime, Settings};
use crate::runtime::volume::Volumes;
use crate::wire::control;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A host that belongs to no swarm.
#[derive(Debug)]
struct Alone;

impl Cluster for Alone {
    fn request(&self, _: control::Request) -> BoxedLocal<Result<control::Response, ClusterError>> {
        Box::pin(future::ready(Err(ClusterError::NotInSwarm)))
    }

    fn figures(&self) -> BoxedLocal<Option<Figures>> {
        Box::pin(future::ready(None))
    }

    fn membership(&self) -> Membership {
        Membership::default()
    }

    fn init(&self, _: Init) -> BoxedLocal<Result<NodeId, ClusterError>> {
        let reason = "it is not an address of this host".to_owned();
        let address = "192.0.2.1".to_owned();
        Box::pin(future::ready(Err(ClusterError::Address {
            address,
            reason,
        })))
    }

    fn join(&self, join: Join) -> BoxedLocal<Result<(), ClusterError>> {
        let (host, port) = &join.remotes[0];
        let failed = ClusterError::Failed(format!("cannot join at {host}:{port}"));
        Box::pin(future::ready(Err(failed)))
    }

    fn leave(&self, _: bool) -> BoxedLocal<Result<(), ClusterError>> {
        Box::pin(future::ready(Err(ClusterError::NotPartOfSwarm)))
    }
}

/// A host of its own in a temporary directory.
struct Rig {
    context: Rc<Context>,
    dir: PathBuf,
    serves: Serves,
}

impl Rig {
    fn new() -> Self {
        Self::with(Rc::new(Alone), Rc::new(LocalExecutor::new()))
    }

    /// A host that can begin a swarm.
    fn managed() -> (Self, Rc<Managed>) {
        let executor = Rc::new(LocalExecutor::new());
        let managed = Rc::new(Managed::new(executor.clone()));
        (Self::with(Rc::new(managed.clone()), executor), managed)
    }

    fn with(cluster: Rc<dyn Cluster>, executor: Rc<LocalExecutor<'static>>) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("skep-api-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        let settings = Settings::new(dir.join("run"), name.into());
        let images = Arc::new(ImageStore::open(&dir.join("images")).unwrap());
        let host = Host {
            id: "host-1".into(),
            description: NodeDescription {
                hostname: "pi".into(),
                ..NodeDescription::default()
            },
            root_dir: dir.clone(),
            volumes: Volumes::open(dir.join("volumes")).unwrap(),
            registries: Rc::new(Registries::new(images.clone(), Default::default())),
            images,
            runtime: Rc::new(Runtime::open(settings).unwrap()),
        };
        let context = Rc::new(Context {
            cluster,
            host,
            events: Rc::new(Events::default()),
            execs: Execs::default(),
            executor,
        });
        Self {
            context,
            dir,
            serves: Serves::Everything,
        }
    }

    /// Runs `story` beside the server.
    fn run<T>(&self, story: impl Future<Output = T>) -> T {
        let executor = self.context.executor.clone();
        future::block_on(executor.run(story))
    }

    /// The client's end of a connection.
    fn dial(&self) -> Async<UnixStream> {
        let (client, server) = UnixStream::pair().unwrap();
        let server = Async::new(server).unwrap();
        let served = connection(server, self.context.clone(), self.serves);
        self.context.executor.spawn(served).detach();
        Async::new(client).unwrap()
    }

    /// One request and the head of its answer.
    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let io = FuturesIo::new(self.dial());
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        let driven = async {
            let _ = connection.with_upgrades().await;
        };
        self.context.executor.spawn(driven).detach();
        sender.send_request(request).await.unwrap()
    }

    /// Status and JSON of the answer to `GET /path`, and so on.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, bytes) = self.ask_bytes(method, path, body.into());
        let text = String::from_utf8(bytes).unwrap();
        let json = serde_json::from_str(&text);
        (status, json.unwrap_or(Value::String(text)))
    }

    fn ask_bytes(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("Host", "skep");
        self.ask_for(request.body(Full::from(body)).unwrap())
    }

    fn ask_for(&self, request: Request<Full<Bytes>>) -> (u16, Vec<u8>) {
        self.run(async {
            let answer = self.send(request).await;
            let status = answer.status().as_u16();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            (status, bytes.into())
        })
    }

    #[track_caller]
    fn check_refused(&self, method: &str, path: &str, body: &str, expect: (u16, &str)) {
        let (status, answer) = self.ask(method, path, body);
        let message = answer["message"].as_str().unwrap_or("no message");
        assert_eq!((status, message), expect, "{method} {path}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.context.host.runtime.close();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

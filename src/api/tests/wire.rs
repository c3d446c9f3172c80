//! What every request meets before its endpoint.

use bytes::Bytes;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use serde_json::Value;

use super::Rig;
use crate::api::call::JSON_BYTES_MAX;
use crate::api::types::Labels;
use crate::model::time::Time;

#[test]
fn a_ping_tells_version_and_system() {
    let rig = Rig::new();
    let request = Request::head("/_ping")
        .header("Host", "x")
        .body(Full::default())
        .unwrap();
    let answer = rig.run(rig.send(request));
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("Api-Version"), "1.47");
    assert_eq!(header("Ostype"), "linux");
    assert_eq!(header("Docker-Experimental"), "false");
    assert_eq!(header("Swarm"), "inactive");
    assert_eq!(
        rig.ask("GET", "/v1.24/_ping", ""),
        (200, Value::String("OK".into()))
    );
}

#[test]
fn unknown_paths_methods_versions_and_pages_are_refused() {
    let rig = Rig::new();
    rig.check_refused("GET", "/v1.47/nope", "", (404, "page not found"));
    rig.check_refused("PUT", "/v1.47/info", "", (405, "method not allowed"));
    rig.check_refused(
        "GET",
        "/v1.99/info",
        "",
        (
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.47",
        ),
    );
    let request = Request::post("/v1.47/services/create").header("Host", "localhost:2375");
    let request = request
        .header("Origin", "http://evil.example")
        .body(Full::default())
        .unwrap();
    assert_eq!(rig.run(rig.send(request)).status().as_u16(), 403);
}

#[test]
fn bodies_are_bounded_and_must_be_json() {
    let rig = Rig::new();
    let create = "/services/create";
    rig.check_refused(
        "POST",
        create,
        "",
        (400, "the request has no body: expected a JSON object"),
    );
    let long = " ".repeat(JSON_BYTES_MAX + 1);
    rig.check_refused(
        "POST",
        create,
        &long,
        (400, "the request's body is larger than 4 MiB"),
    );
    let expect = "the request's body is not JSON: \
                  EOF while parsing an object at line 1 column 1";
    rig.check_refused("POST", create, "{", (400, expect));
    let typed = r#"{"TaskTemplate": {"ContainerSpec": {"Env": "A=1"}}}"#;
    let expect = "invalid JSON: TaskTemplate.ContainerSpec.Env: \
                  invalid type: string \"A=1\", expected a sequence";
    rig.check_refused("POST", create, typed, (400, expect));
}

#[test]
fn an_endless_body_ends_at_the_limit() {
    let rig = Rig::new();
    rig.run(async {
        let mut stream = rig.dial();
        let head =
            "POST /services/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
        let (mut reader, mut writer) = futures_lite::io::split(stream);
        let writing = async {
            while writer.write_all(chunk.as_bytes()).await.is_ok() {}
            futures_lite::future::pending().await
        };
        let reading = async {
            let mut bytes = [0; 1024];
            let length = reader.read(&mut bytes).await.unwrap();
            bytes[..length].to_vec()
        };
        let answered = futures_lite::future::or(reading, writing).await;
        assert!(String::from_utf8_lossy(&answered).starts_with("HTTP/1.1 400"));
    });
}

#[test]
fn what_is_no_http_is_answered_and_dropped() {
    let rig = Rig::new();
    rig.run(async {
        let mut stream = rig.dial();
        stream
            .write_all(b"\x16\x03\x01 hello\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 400"));
    });
}

#[test]
fn events_are_lines_and_a_client_that_leaves_is_forgotten() {
    let rig = Rig::new();
    let events = rig.context.events.clone();
    let publish = move |id: &str, at: u64| {
        let actor = (
            id.to_owned(),
            Labels::from([("name".to_owned(), id.to_owned())]),
        );
        events.publish_local(Time(at), "volume", "create", actor);
    };
    publish("old", 1000);
    rig.run(async {
        let request = Request::get("/events?since=1")
            .header("Host", "x")
            .body(Full::<Bytes>::default());
        let mut answer = rig.send(request.unwrap()).await.into_body();
        let line = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        let event: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(event["Actor"]["ID"], "old");
        publish("new", 2000);
        let line = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(line.ends_with(b"\n"));
        assert_eq!(rig.context.events.listeners(), 1);
        drop(answer);
        while rig.context.events.listeners() > 0 {
            futures_lite::future::yield_now().await;
        }
    });
    let (_, past) = rig.ask("GET", "/events?since=1.5&until=2.5", "");
    assert_eq!(past["Actor"]["ID"], "new");
    let filters = "%7B%22event%22%3A%5B%22mount%22%5D%7D";
    let (_, none) = rig.ask(
        "GET",
        &format!("/events?since=1&until=2.5&filters={filters}"),
        "",
    );
    assert_eq!(none, Value::String(String::new()));
}

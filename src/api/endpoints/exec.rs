//! `/exec`: further commands in running containers, over a connection that stops being HTTP.

use std::rc::Rc;

use bytes::Bytes;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future, stream};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Response, StatusCode};

use crate::api::answer::{self, Answer, AnswerBody};
use crate::api::call::Call;
use crate::api::containers::{find, find_running};
use crate::api::context::Context;
use crate::api::execs::{Exec, Progress};
use crate::api::failure::Failure;
use crate::api::log_stream::frame;
use crate::api::merge::merged;
use crate::api::types::exec as json;
use crate::api::upgraded::Duplex;
use crate::host::clock;
use crate::runtime::containers::RuntimeError;
use crate::runtime::exec::{Ended, ExecSession, Streams};
use crate::runtime::log::Stream;
use crate::runtime::shim::tenant::ExecRequest;

const READ_BYTES: usize = 16 << 10;
/// What a shell answers for a program that is not there, and for one that cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_RUN: i32 = 126;

pub async fn create(mut call: Call) -> Result<Answer, Failure> {
    let config: json::ExecConfig = call.json().await?;
    if config.cmd.is_empty() {
        return Err(Failure::bad("No exec command specified"));
    }
    if config.privileged {
        return Err(Failure::bad("skep does not support Privileged execs"));
    }
    let container = find_running(&call.context, call.name())?;
    let exec = call.context.execs.add(container.plan.id, config)?;
    publish(&call.context, &exec, "exec_create");
    Ok(answer::json_with(
        StatusCode::CREATED,
        &json::ExecCreated {
            id: exec.id.clone(),
        },
    ))
}

pub async fn inspect(call: Call) -> Result<Answer, Failure> {
    let exec = call.context.execs.find(call.name())?;
    let (pid, exit_code) = match &*exec.progress.borrow() {
        Progress::Made | Progress::Starting => (0, None),
        Progress::Running { pid, .. } => (*pid, None),
        Progress::Ended { code } => (0, Some(*code)),
    };
    let config = &exec.config;
    let mut words = config.cmd.iter().cloned();
    Ok(answer::json(&json::ExecInspect {
        id: exec.id.clone(),
        running: exec.is_running(),
        exit_code,
        process_config: json::ProcessConfig {
            tty: config.tty,
            entrypoint: words.next().unwrap_or_default(),
            arguments: words.collect(),
            privileged: config.privileged,
            user: config.user.clone(),
        },
        open_stdin: config.attach_stdin,
        open_stderr: config.attach_stderr,
        open_stdout: config.attach_stdout,
        can_remove: false,
        container_id: exec.container.clone(),
        detach_keys: config.detach_keys.clone(),
        pid,
    }))
}

pub async fn resize(call: Call) -> Result<Answer, Failure> {
    let exec = call.context.execs.find(call.name())?;
    let size = (call.query.number("h")?, call.query.number("w")?);
    let (Some(rows), Some(columns)) = size else {
        return Err(Failure::bad("the parameters h and w are missing"));
    };
    match &*exec.progress.borrow() {
        Progress::Running { streams, .. } => {
            streams.resize(rows, columns)?;
            Ok(answer::empty(StatusCode::OK))
        }
        _ => Err(Failure::conflict(format!(
            "exec {} is not running",
            exec.id
        ))),
    }
}

pub async fn start(mut call: Call) -> Result<Answer, Failure> {
    let given: json::ExecStart = call.json_or_default().await?;
    let exec = call.context.execs.find(call.name())?;
    if !matches!(*exec.progress.borrow(), Progress::Made) {
        return Err(Failure::conflict(format!(
            "exec {} was started already",
            exec.id
        )));
    }
    let container = find(&call.context, &exec.container)?;
    if !container.is_running() {
        let message = format!("container {} is not running", exec.container);
        return Err(Failure::conflict(message));
    }
    *exec.progress.borrow_mut() = Progress::Starting;
    let size = given.console_size.or(exec.config.console_size);
    let request = request(&exec.config, given.detach, size);
    let upgrade = call.request.headers().contains_key(UPGRADE);
    if given.detach {
        let (session, _) = started(&call.context, &exec, request).await?;
        let context = call.context.clone();
        call.context
            .executor
            .spawn(detached(context, exec, session))
            .detach();
        return Ok(answer::empty(StatusCode::OK));
    }
    if !upgrade {
        *exec.progress.borrow_mut() = Progress::Made;
        return Err(Failure::bad(
            "an attached exec needs a connection with Upgrade: tcp",
        ));
    }
    let connection = hyper::upgrade::on(&mut call.request);
    let context = call.context.clone();
    call.context
        .executor
        .spawn(attached(context, exec, request, connection))
        .detach();
    Ok(switching(given.tty))
}

/// 101: from here on the connection is the command's.
fn switching(tty: bool) -> Answer {
    let mut answer = Response::new(AnswerBody::Whole(None));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let content_type = match tty {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    };
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn request(config: &json::ExecConfig, detach: bool, size: Option<[u16; 2]>) -> ExecRequest {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ExecRequest {
        args: config.cmd.clone(),
        env: config.env.clone(),
        dir: given(&config.working_dir),
        user: given(&config.user),
        tty: config.tty,
        stdin: config.attach_stdin && !detach,
        size: size.map(|[rows, columns]| (rows, columns)),
        timeout_ms: None,
    }
}

/// Starts the command; one that cannot be started has ended.
async fn started(
    context: &Context,
    exec: &Exec,
    request: ExecRequest,
) -> Result<(ExecSession, Option<End>), RuntimeError> {
    let mut session = context.host.runtime.exec(&exec.container, request).await;
    let progress = match &mut session {
        Ok(session) => {
            let input = take_input(&mut session.streams);
            let (pid, streams) = (session.pid, session.streams.clone());
            (Progress::Running { pid, streams }, input)
        }
        Err(error) => {
            let code = code_of(&error.to_string());
            (Progress::Ended { code }, None)
        }
    };
    *exec.progress.borrow_mut() = progress.0;
    if session.is_ok() {
        publish(context, exec, "exec_start");
    }
    Ok((session?, progress.1))
}

/// The only end to write to: when it is dropped, the command has read everything. A terminal has
/// one end for both ways.
fn take_input(streams: &mut Streams) -> Option<End> {
    match streams {
        Streams::Terminal(master) => Some(master.clone()),
        Streams::Pipes { stdin, .. } => stdin.take(),
    }
}

fn code_of(reason: &str) -> i32 {
    let missing = ["not found", "No such file"]
        .iter()
        .any(|text| reason.contains(text));
    if missing { NOT_FOUND } else { NOT_RUN }
}

/// Nobody reads what a detached command writes, but it must not stand still for it.
async fn detached(context: Rc<Context>, exec: Rc<Exec>, session: ExecSession) {
    let mut output = output(&session.streams);
    while output.next().await.is_some() {}
    drop(output);
    finish(&context, &exec, session).await;
}

/// Carries bytes between the client and the command until the command has closed its output.
async fn attached(
    context: Rc<Context>,
    exec: Rc<Exec>,
    request: ExecRequest,
    connection: OnUpgrade,
) {
    let connection = match connection.await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::debug!("exec {}: the client went: {error}", exec.id);
            *exec.progress.borrow_mut() = Progress::Ended { code: NOT_RUN };
            return;
        }
    };
    let (tty, stdin) = (request.tty, request.stdin);
    let (reader, mut writer) = futures_lite::io::split(Duplex::<Upgraded>::new(connection));
    let (session, input) = match started(&context, &exec, request).await {
        Ok(started) => started,
        Err(error) => {
            let text = format!("{error}\r\n");
            let text = if tty {
                text.into()
            } else {
                frame(Stream::Stdout, text.as_bytes())
            };
            // The client may be gone.
            let _ = writer.write_all(&text).await;
            let _ = writer.close().await;
            return;
        }
    };
    let input = input.filter(|_| stdin);
    let out = copy_out(output(&session.streams), &mut writer);
    let into = async {
        if let Some(input) = input {
            copy_in(reader, input).await;
        }
        future::pending().await
    };
    future::or(out, into).await;
    finish(&context, &exec, session).await;
    let _ = writer.close().await;
}

/// Waits for the end and remembers it before the client can ask.
async fn finish(context: &Context, exec: &Exec, session: ExecSession) {
    let code = match session.end().await {
        Ok(Ended::Exited(code)) => code,
        Ok(Ended::TimedOut) | Err(_) => NOT_RUN,
    };
    *exec.progress.borrow_mut() = Progress::Ended { code };
    publish(context, exec, "exec_die");
}

type Output = std::pin::Pin<Box<dyn futures_lite::Stream<Item = Bytes>>>;

/// What a command writes, ready for the client.
fn output(streams: &Streams) -> Output {
    match streams.clone() {
        Streams::Terminal(master) => Box::pin(chunks(master, Bytes::copy_from_slice)),
        Streams::Pipes { stdout, stderr, .. } => {
            let stdout = chunks(stdout, |bytes| frame(Stream::Stdout, bytes));
            let stderr = chunks(stderr, |bytes| frame(Stream::Stderr, bytes));
            // What has ended must not be polled again.
            Box::pin(merged(Box::pin(stderr), Box::pin(stdout)))
        }
    }
}

fn chunks(end: End, pack: impl Fn(&[u8]) -> Bytes) -> impl futures_lite::Stream<Item = Bytes> {
    stream::unfold((end, pack), |(end, pack)| async {
        let mut bytes = vec![0; READ_BYTES];
        // A terminal whose processes are gone answers with an error: it is the end.
        let length = (&*end)
            .read(&mut bytes)
            .await
            .ok()
            .filter(|length| *length > 0)?;
        Some((pack(&bytes[..length]), (end, pack)))
    })
}

type End = std::sync::Arc<async_io::Async<std::fs::File>>;

async fn copy_out(mut output: Output, client: &mut (impl AsyncWrite + Unpin)) {
    let mut there = true;
    while let Some(bytes) = output.next().await {
        // When the client is gone the command goes on, and must not stand still.
        there = there && client.write_all(&bytes).await.is_ok() && client.flush().await.is_ok();
    }
}

async fn copy_in(mut client: impl AsyncRead + Unpin, end: End) {
    let mut bytes = vec![0; READ_BYTES];
    while let Ok(length @ 1..) = client.read(&mut bytes).await {
        if (&*end).write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

fn publish(context: &Context, exec: &Exec, action: &str) {
    let Ok(container) = find(context, &exec.container) else {
        return;
    };
    let mut more = vec![("execID", exec.id.clone())];
    let action = match &*exec.progress.borrow() {
        Progress::Ended { code } => {
            more.push(("exitCode", code.to_string()));
            action.to_owned()
        }
        _ => format!("{action}: {}", exec.config.cmd.join(" ")),
    };
    let events = &context.events;
    events.publish_container(clock::now(), &action, &container.plan, &more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_127_and_another_failure_126() {
        assert_eq!(
            code_of("exec: \"nosuch\": executable file not found in $PATH"),
            127
        );
        assert_eq!(code_of("cannot run /etc/passwd: Permission denied"), 126);
    }
}

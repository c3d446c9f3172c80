//! A registry of one test: it answers what it is told to, on loopback.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::host::wait;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Hang up after so many bytes of the body.
    pub cut: Option<usize>,
    /// Say no length, so that only the end of the connection is the end.
    pub open_ended: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
            open_ended: false,
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

type Answering = dyn Fn(&Asked) -> Reply + Send + Sync;

/// Runs until it is dropped.
pub struct Server {
    pub authority: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    /// Bytes of bodies that were sent.
    pub sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    accepting: Option<wait::Started<()>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let sent = Arc::new(AtomicU64::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let answer: Arc<Answering> = Arc::new(answer);
        let (noted, counted, ended) = (Arc::clone(&asked), sent.clone(), over.clone());
        let accepting = wait::start(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, noted) = (answer.clone(), noted.clone());
                let counted = counted.clone();
                drop(wait::start(move || {
                    serve(&stream, &*answer, &noted, &counted)
                }));
            }
        });
        Self {
            authority,
            asked,
            sent,
            over,
            accepting: Some(accepting),
        }
    }

    /// What was asked for, in order: method and path.
    pub fn log(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|a| format!("{} {}", a.method, a.path))
            .collect()
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(&self.authority));
        self.accepting.take().unwrap().join();
    }
}

fn serve(stream: &TcpStream, answer: &Answering, noted: &Mutex<Vec<Asked>>, sent: &AtomicU64) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        noted.lock().unwrap().push(asked.clone());
        let reply = answer(&asked);
        if write(stream, &asked, reply, sent).is_none() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let mut words = line.split_whitespace();
    let mut asked = Asked {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        ..Asked::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        asked
            .headers
            .insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = asked.headers.get("content-length");
    let length = length.and_then(|l| l.parse().ok()).unwrap_or(0);
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// Writes a reply; none if the connection is to end.
fn write(mut stream: &TcpStream, asked: &Asked, reply: Reply, sent: &AtomicU64) -> Option<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
    let has_length = reply
        .headers
        .iter()
        .any(|(name, _)| name == "content-length");
    if !reply.open_ended && !has_length {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if asked.method == "HEAD" {
        return Some(());
    }
    let end = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
    for piece in reply.body[..end].chunks(8 << 10) {
        stream.write_all(piece).ok()?;
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    (reply.cut.is_none() && !reply.open_ended).then_some(())
}
